"""Lowering of elementwise operations: which two loops walk all operands at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from diffkit.engine.instructions import Assembly
from diffkit.engine.views import (
    Shape,
    Strides,
    View,
    broadcast,
    merged,
    ordered_strides,
)

# The derived comparisons are their mirror images.
MIRRORED = {"greater": "less", "greater_equal": "less_equal"}


def lower_elementwise(
    assembly: Assembly, name: str, shape: Shape, operands: Sequence[View]
) -> View:
    """One instruction, after copying operands that its two loops cannot walk."""
    views = [broadcast(v, shape) if v.shape != shape else v for v in operands]
    if name in MIRRORED:
        name, views = MIRRORED[name], views[::-1]
    if name == "where":
        condition, a, b = views
        views = [a, b, condition]
    if 0 in shape:
        return assembly.new(shape)
    while True:
        layout = _layout(shape, tuple([v.strides for v in views]))
        if layout is not None:
            break
        views = _simpler(assembly, views)
    computed, out_strides, fields = layout
    out = assembly.new(computed)
    in_place = _in_place(views, out_strides)
    assembly.emit(name, fields, out, *views, in_place=in_place)
    return View(out.buffer, 0, shape, out_strides)


def _in_place(views: list[View], out_strides: Strides) -> tuple[int, ...]:
    """Buffers that the output may lie on, if they die and are no larger.

    Element j is read before element j is written: right only if every operand in that
    buffer is read at element j too.
    """
    return tuple(
        [
            v.buffer
            for v in views
            if v.offset == 0
            and v.strides == out_strides
            and all(w == v for w in views if w.buffer == v.buffer)
        ]
    )


def _simpler(assembly: Assembly, views: list[View]) -> list[View]:
    """The views with the worst of them copied to row-major order."""

    def badness(view: View) -> tuple[bool, int]:
        inner = [s for n, s in zip(view.shape, view.strides, strict=True) if n > 1]
        return (bool(inner) and inner[-1] not in (0, 1), view.elements)

    candidates = [v for v in views if not v.is_contiguous]
    worst = max(candidates, key=badness)
    copy = assembly.copied_once(worst)
    return [copy if v == worst else v for v in views]


Layout = tuple[Shape, Strides, tuple[int, ...]]


@lru_cache(maxsize=65536)
def _layout(shape: Shape, strides: tuple[Strides, ...]) -> Layout | None:
    """(computed shape, output strides, instruction fields), or None if no two loops do.

    Axes along which every operand repeats are computed once and shown with stride 0.
    """
    computed = tuple(
        [
            n if n == 1 or any(s[axis] for s in strides) else 1
            for axis, n in enumerate(shape)
        ]
    )
    axes = range(len(shape))
    rows = ordered_strides(computed, axes)
    fields = _fields(computed, rows, strides)
    if fields is None and len(shape) > 1:
        # All operands turned alike, perhaps: walk in the order of the first full one.
        first = max(strides, key=lambda s: sum(1 for step in s if step))
        order = sorted(axes, key=lambda axis: -abs(first[axis]))
        rows = ordered_strides(computed, order)
        fields = _fields(
            tuple(computed[i] for i in order),
            tuple(rows[i] for i in order),
            tuple(tuple(s[i] for i in order) for s in strides),
        )
    if fields is None:
        return None
    return computed, rows, fields


def _fields(
    shape: Shape, out: Strides, strides: tuple[Strides, ...]
) -> tuple[int, ...] | None:
    loops = merged(shape, (out, *strides))
    if len(loops) > 2:
        return None
    loops = [(1, *([0] * (len(strides) + 1)))] * (2 - len(loops)) + loops
    outer, inner = loops
    if inner[0] == 1:  # a scalar: any stride will do
        inner = (1, *([1] * (len(strides) + 1)))
    if any(step not in (0, 1) for step in inner[2:]):
        return None
    missing = (0,) * (3 - len(strides))
    return (outer[0], inner[0], *outer[2:], *missing, *inner[2:], *missing)

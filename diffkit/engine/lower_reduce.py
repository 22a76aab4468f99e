"""Lowering of reductions: which axes are summed, and in what order they are walked."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from diffkit.engine.instructions import Assembly
from diffkit.engine.lower_elementwise import lower_elementwise
from diffkit.engine.views import (
    Shape,
    Strides,
    View,
    broadcast,
    contiguous,
    merged,
    transposed,
)
from diffkit.graph import Node


def lower_reduction(assembly: Assembly, node: Node, operands: list[View]) -> View:
    """sum, mean, prod, max, min, logsumexp over some axes."""
    axes = node.attribute("axes")
    return _reduced(assembly, node.op.name, node.shape, operands[0], axes)


def _reduced(
    assembly: Assembly, kernel: str, shape: Shape, view: View, axes: tuple[int, ...]
) -> View:
    out = assembly.new(shape)
    if out.elements == 0:
        return out
    fields = _fields(view.shape, view.strides, axes)
    if fields is None:
        kept = [i for i in range(len(view.shape)) if i not in axes]
        view = assembly.copied(transposed(view, (*kept, *axes)))
        count = len(kept)
        fields = _fields(view.shape, view.strides, tuple(range(count, len(view.shape))))
        assert fields is not None
    assembly.emit(kernel, fields, out, view)
    return out


def lower_inner_product(assembly: Assembly, shape: Shape, operands: list[View]) -> View:
    """Σ a·b over everything; where one loop cannot walk both, the product is made."""
    full = np.broadcast_shapes(*[view.shape for view in operands])
    views = [broadcast(view, full) for view in operands]
    loops = merged(full, tuple(view.strides for view in views))
    if len(loops) > 1 or 0 in full:
        product = lower_elementwise(assembly, "multiply", full, views)
        return _reduced(assembly, "sum", shape, product, tuple(range(len(full))))
    out = assembly.new(shape)
    fields = loops[0] if loops else (1, 0, 0)
    assembly.emit("inner_product", fields, out, *views)
    return out


def lower_cumsum(assembly: Assembly, node: Node, operands: list[View]) -> View:
    """Running sums along one axis."""
    view = assembly.dense(operands[0])
    axis = node.attribute("axis")
    out = assembly.new(node.shape)
    if out.elements == 0:
        return out
    shape = view.shape
    outer, count, inner = 1, shape[axis], 1
    for n in shape[:axis]:
        outer *= n
    for n in shape[axis + 1 :]:
        inner *= n
    assembly.emit("cumsum", (outer, inner, count, count * inner, inner, 1), out, view)
    return out


@lru_cache(maxsize=16384)
def _fields(
    shape: Shape, strides: Strides, axes: tuple[int, ...]
) -> tuple[int, ...] | None:
    """OUTER, INNER, REDUCED, the three strides and the divisor; None if they are more.

    The kept axes must keep their order (the output is row-major); the reduced ones may
    be walked in any, so they are sorted to merge as far as they can.
    """
    divisor = 1
    for i in axes:
        divisor *= shape[i]
    if divisor == 0:
        size = 1
        for i, n in enumerate(shape):
            size *= 1 if i in axes else n
        return (1, size, 0, 0, 0, 0, 0)
    order = sorted(axes, key=lambda i: -abs(strides[i]))
    reduced = merged(
        tuple(shape[i] for i in order), (tuple(strides[i] for i in order),)
    )
    kept = [i for i in range(len(shape)) if i not in axes]
    kept_shape = tuple(shape[i] for i in kept)
    kept_strides = tuple(strides[i] for i in kept)
    loops = merged(kept_shape, (kept_strides, contiguous(kept_shape)))
    if len(reduced) > 1 or len(loops) > 2:
        return None
    count, step = reduced[0] if reduced else (1, 1)
    if len(loops) == 2:
        (outer, outer_step, _), (inner, inner_step, _) = loops
    elif len(loops) == 1:
        length, kept_step, _ = loops[0]
        if step == 1 or kept_step != 1:
            (outer, outer_step), (inner, inner_step) = (length, kept_step), (1, 0)
        else:
            (outer, outer_step), (inner, inner_step) = (1, 0), (length, 1)
    else:
        (outer, outer_step), (inner, inner_step) = (1, 0), (1, 0)
    return (outer, inner, count, outer_step, step, inner_step, divisor)

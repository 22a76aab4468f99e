"""Views: where an array lies in a buffer of the arena, and how loops can walk it.

Transposing, broadcasting, slicing and most reshaping only change strides, so they cost
no instruction. Strides count elements; an axis of length one has stride 0, so equal
layouts compare equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import prod
from typing import NamedTuple

from diffkit.ops.shape import Key, Span

Shape = tuple[int, ...]
Strides = tuple[int, ...]


class View(NamedTuple):
    """An array in the arena: element i lies at `offset + Σ i·strides` of `buffer`."""

    buffer: int
    offset: int
    shape: Shape
    strides: Strides

    @property
    def elements(self) -> int:
        """Number of elements the view shows (repeated ones count)."""
        return prod(self.shape)

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements lie in order, one after the other."""
        return self.strides == contiguous(self.shape)


@lru_cache(maxsize=4096)
def contiguous(shape: Shape) -> Strides:
    """The strides of a row-major array.

    >>> contiguous((2, 1, 3))
    (3, 0, 1)
    """
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(0 if n == 1 else step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def transposed(view: View, axes: Sequence[int]) -> View:
    """The view with its axes in another order."""
    return View(
        view.buffer,
        view.offset,
        tuple([view.shape[i] for i in axes]),
        tuple([view.strides[i] for i in axes]),
    )


def broadcast(view: View, shape: Shape) -> View:
    """The view repeated along new and length-one axes: stride 0."""
    if view.shape == shape:
        return view
    missing = len(shape) - len(view.shape)
    return View(view.buffer, view.offset, shape, (0,) * missing + view.strides)


def sliced(view: View, key: Key) -> View:
    """The view that a key of integers, spans and new axes selects."""
    offset, shape, strides = view.offset, [], []
    axis = 0
    for item in key:
        if item is None:
            shape.append(1)
            strides.append(0)
            continue
        if isinstance(item, Span):
            if item.length:
                offset += item.start * view.strides[axis]
            shape.append(item.length)
            step = item.step * view.strides[axis]
            strides.append(0 if item.length == 1 else step)
        else:
            assert isinstance(item, int), "an index list is not a view"
            place = item + view.shape[axis] if item < 0 else item
            offset += place * view.strides[axis]
        axis += 1
    return View(view.buffer, offset, tuple(shape), tuple(strides))


@lru_cache(maxsize=4096)
def reshaped_strides(shape: Shape, strides: Strides, new: Shape) -> Strides | None:
    """Strides that show the same elements in another shape, or None if there are none.

    >>> (
    ...     reshaped_strides((4, 3), (3, 1), (2, 6)),
    ...     reshaped_strides((4, 3), (1, 4), (12,)),
    ... )
    ((6, 1), None)
    """
    if strides == contiguous(shape):
        return contiguous(new)
    if prod(shape) == 0:
        return contiguous(new)
    # Runs of axes that one stride can walk, from the last to the first.
    runs = [[n, s] for n, s in merged(shape, (strides,))]
    result: list[int] = []
    size, step = runs.pop() if runs else (1, 0)
    for n in reversed(new):
        if n == 1:
            result.append(0)
            continue
        if size == 1:
            size, step = runs.pop()
        if size % n:
            return None
        result.append(step)
        size //= n
        step *= n
    return tuple(reversed(result))


@lru_cache(maxsize=65536)
def merged(shape: Shape, strides: tuple[Strides, ...]) -> list[tuple[int, ...]]:
    """Fewest nested loops over arrays of one shape: rows of (length, *strides).

    Neighbouring axes become one loop where every array can be walked by one stride.

    >>> merged((2, 3, 4), ((12, 4, 1), (4, 0, 1)))
    [(2, 12, 4), (3, 4, 0), (4, 1, 1)]
    >>> merged((2, 3, 4), ((12, 4, 1), (0, 0, 0)))
    [(24, 1, 0)]
    """
    loops: list[tuple[int, ...]] = []
    for axis, n in enumerate(shape):
        if n == 1:
            continue
        steps = [s[axis] for s in strides]
        if loops and all(
            outer == n * inner
            for outer, inner in zip(loops[-1][1:], steps, strict=True)
        ):
            loops[-1] = (loops[-1][0] * n, *steps)
        else:
            loops.append((n, *steps))
    return loops


def ordered_strides(shape: Shape, order: Iterable[int]) -> Strides:
    """Strides of a dense array whose axes lie in memory in the given order."""
    axes = list(order)
    dense = contiguous(tuple(shape[i] for i in axes))
    result = [0] * len(shape)
    for axis, stride in zip(axes, dense, strict=True):
        result[axis] = stride
    return tuple(result)

"""NumPy's functions that move elements, on traced values."""

from __future__ import annotations

from math import prod as size_of
from typing import Any

import numpy as np

from diffkit.errors import ShapeError, UnsupportedFunctionError
from diffkit.graph.numpy_support import Axis, all_axes, as_traced, one_axis, supports
from diffkit.graph.traced import FUNCTIONS, Traced
from diffkit.ops import TABLE, Constant, Span

# ---- shape ------------------------------------------------------------------------


@supports(np.reshape)
def _reshape(x: Any, shape: Any, order: str = "C") -> Any:
    if order != "C":
        raise UnsupportedFunctionError(
            f"np.reshape with order={order!r} cannot be traced; transpose first."
        )
    wanted = [
        int(n) for n in ((shape,) if isinstance(shape, int | np.integer) else shape)
    ]
    if -1 in wanted:
        known = size_of(n for n in wanted if n != -1)
        wanted[wanted.index(-1)] = x.size // known if known else 0
    target = tuple(wanted)
    return x if target == x.shape else TABLE["reshape"](x, shape=target)


@supports(np.transpose, np.permute_dims)
def _transpose(x: Any, axes: Any = None) -> Any:
    order = tuple(reversed(range(x.ndim))) if axes is None else tuple(axes)
    order = tuple(one_axis(int(i), x.ndim) for i in order)
    if sorted(order) != list(range(x.ndim)):
        raise ShapeError(f"{order} is not an order of the axes of shape {x.shape}")
    return x if order == tuple(range(x.ndim)) else TABLE["transpose"](x, axes=order)


@supports(np.matrix_transpose)
def _matrix_transpose(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


@supports(np.swapaxes)
def _swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    order = list(range(x.ndim))
    i, j = one_axis(axis1, x.ndim), one_axis(axis2, x.ndim)
    order[i], order[j] = order[j], order[i]
    return np.transpose(x, order)


@supports(np.moveaxis)
def _moveaxis(x: Any, source: int, destination: int) -> Any:
    order = list(range(x.ndim))
    order.insert(one_axis(destination, x.ndim), order.pop(one_axis(source, x.ndim)))
    return np.transpose(x, order)


@supports(np.ravel)
def _ravel(x: Any) -> Any:
    return np.reshape(x, (x.size,))


@supports(np.squeeze)
def _squeeze(x: Any, axis: Axis = None) -> Any:
    ones = tuple(i for i, n in enumerate(x.shape) if n == 1)
    axes = ones if axis is None else all_axes(axis, x.ndim)
    if any(x.shape[i] != 1 for i in axes):
        raise ShapeError(f"cannot squeeze axes {axes} of shape {x.shape}: not length 1")
    return np.reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in axes))


@supports(np.expand_dims)
def _expand_dims(x: Any, axis: Axis) -> Any:
    wanted = (axis,) if isinstance(axis, int) else tuple(axis or ())
    places = {one_axis(a, x.ndim + len(wanted)) for a in wanted}
    rest = iter(x.shape)
    n = x.ndim + len(wanted)
    return np.reshape(x, tuple(1 if i in places else next(rest) for i in range(n)))


@supports(np.atleast_1d)
def _atleast_1d(x: Any) -> Any:
    return x if x.ndim >= 1 else np.reshape(x, (1,))


@supports(np.atleast_2d)
def _atleast_2d(x: Any) -> Any:
    return x if x.ndim >= 2 else np.reshape(x, (1, x.size))


@supports(np.broadcast_to)
def _broadcast_to(x: Any, shape: Any) -> Any:
    target = (shape,) if isinstance(shape, int) else tuple(shape)
    return x if target == x.shape else TABLE["broadcast"](x, shape=target)


@supports(np.flip)
def _flip(x: Any, axis: Axis = None) -> Any:
    axes = all_axes(axis, x.ndim)
    return x[tuple(slice(None, None, -1 if i in axes else 1) for i in range(x.ndim))]


@supports(np.roll)
def _roll(x: Any, shift: int, axis: int | None = None) -> Any:
    if axis is None:
        return np.reshape(np.roll(np.ravel(x), shift, 0), x.shape)
    order = np.roll(np.arange(x.shape[axis]), shift)
    return np.take(x, order, axis)


@supports(np.take)
def _take(x: Any, indices: Any, axis: int | None = None) -> Any:
    if axis is None:
        return np.ravel(x)[indices]
    return x[(slice(None),) * one_axis(axis, x.ndim) + (np.asarray(indices),)]


@supports(np.repeat)
def _repeat(x: Any, repeats: int, axis: int | None = None) -> Any:
    x, axis = (np.ravel(x), 0) if axis is None else (x, one_axis(axis, x.ndim))
    return np.take(x, np.repeat(np.arange(x.shape[axis]), repeats), axis)


@supports(np.tile)
def _tile(x: Any, reps: Any) -> Any:
    times = (reps,) if isinstance(reps, int) else tuple(reps)
    n = max(len(times), x.ndim)
    times = (1,) * (n - len(times)) + times
    x = np.reshape(x, (1,) * (n - x.ndim) + x.shape)
    for axis, k in enumerate(times):
        if k != 1:
            x = np.concatenate([x] * k, axis)
    return x


@supports(np.concatenate)
def _concatenate(arrays: Any, axis: int | None = 0) -> Any:
    parts = as_traced(*arrays)
    if axis is None:
        parts, axis = [np.ravel(part) for part in parts], 0
    if len({part.ndim for part in parts}) > 1 or parts[0].ndim == 0:
        raise ShapeError(
            "np.concatenate needs arrays with the same, non-zero number of axes, and "
            f"was given shapes {[part.shape for part in parts]}. For scalars use "
            "np.stack."
        )
    return TABLE["concatenate"](*parts, axis=one_axis(axis, parts[0].ndim))


@supports(np.stack)
def _stack(arrays: Any, axis: int = 0) -> Any:
    parts = as_traced(*arrays)
    return TABLE["stack"](*parts, axis=one_axis(axis, parts[0].ndim + 1))


@supports(np.vstack)
def _vstack(arrays: Any) -> Any:
    return np.concatenate([np.atleast_2d(part) for part in arrays], 0)


@supports(np.hstack)
def _hstack(arrays: Any) -> Any:
    parts = [np.atleast_1d(part) for part in arrays]
    return np.concatenate(parts, 0 if parts[0].ndim == 1 else 1)


@supports(np.column_stack)
def _column_stack(arrays: Any) -> Any:
    columns = [np.reshape(a, (a.size, 1)) if a.ndim == 1 else a for a in arrays]
    return np.concatenate(columns, 1)


@supports(np.array_split)
def _array_split(x: Any, sections: Any, axis: int = 0) -> list[Any]:
    axis = one_axis(axis, x.ndim)
    parts = np.array_split(np.arange(x.shape[axis]), sections)
    before = (slice(None),) * axis
    ends = np.cumsum([len(part) for part in parts])
    return [
        x[(*before, slice(int(end) - len(part), int(end)))]
        for part, end in zip(parts, ends, strict=True)
    ]


@supports(np.split)
def _split(x: Any, sections: Any, axis: int = 0) -> list[Any]:
    length = x.shape[one_axis(axis, x.ndim)]
    if isinstance(sections, int) and length % sections:
        raise ShapeError(
            f"np.split of length {length} into {sections} parts is not even; use "
            "np.array_split."
        )
    return _array_split(x, sections, axis)


@supports(np.diagonal)
def _diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    moved = np.moveaxis(np.moveaxis(x, axis1, -1), axis2 - (axis2 > axis1), -1)
    rows, columns = moved.shape[-2:]
    start = (max(-offset, 0), max(offset, 0))
    n = max(min(rows - start[0], columns - start[1]), 0)
    return moved[..., np.arange(n) + start[0], np.arange(n) + start[1]]


@supports(np.diag)
def _diag(x: Any, k: int = 0) -> Any:
    if x.ndim == 2:
        return np.diagonal(x, k)
    n = x.size + abs(k)
    place = np.arange(x.size)
    keys = ((Constant.of(place + max(-k, 0)), Constant.of(place + max(k, 0))),)
    return TABLE["scatter"](x, keys=keys, shape=(n, n))


@supports(np.trace)
def _trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return np.sum(np.diagonal(x, offset, axis1, axis2), -1)


@supports(np.tril)
def _tril(x: Any, k: int = 0) -> Any:
    return np.where(np.tri(*x.shape[-2:], k=k, dtype=bool), x, 0.0)


@supports(np.triu)
def _triu(x: Any, k: int = 0) -> Any:
    return np.where(np.tri(*x.shape[-2:], k=k - 1, dtype=bool), 0.0, x)


@supports(np.diff)
def _diff(x: Any, n: int = 1, axis: int = -1) -> Any:
    axis = one_axis(axis, x.ndim)
    length = x.shape[axis]
    for _ in range(n):
        length -= 1
        later = _span(x, axis, 1, length)
        x = later - _span(x, axis, 0, length)
    return x


def _span(x: Any, axis: int, start: int, length: int) -> Any:
    key = tuple(
        Span(start, 1, length) if i == axis else Span(0, 1, n)
        for i, n in enumerate(x.shape)
    )
    return TABLE["index"](x, key=key)


# ---- arrays like a traced one: constants of the program ---------------------------


@supports(np.zeros_like)
def _zeros_like(x: Any, dtype: Any = None) -> np.ndarray:
    return np.zeros(x.shape)


@supports(np.ones_like)
def _ones_like(x: Any, dtype: Any = None) -> np.ndarray:
    return np.ones(x.shape)


@supports(np.full_like)
def _full_like(x: Any, fill_value: Any, dtype: Any = None) -> Any:
    if isinstance(fill_value, Traced):
        return np.broadcast_to(fill_value, x.shape)
    return np.full(x.shape, fill_value, dtype=float)


FUNCTIONS[np.shape] = lambda x: x.shape
FUNCTIONS[np.ndim] = lambda x: x.ndim
FUNCTIONS[np.size] = lambda x: x.size
FUNCTIONS[np.copy] = lambda x: x
FUNCTIONS[np.real] = lambda x: x

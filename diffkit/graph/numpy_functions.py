"""NumPy's functions on traced values, written with rows and with each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod as size_of
from typing import Any

import numpy as np

from diffkit.errors import ShapeError, UnsupportedFunctionError
from diffkit.graph.einsum import einsum
from diffkit.graph.traced import FUNCTIONS, Traced, common_builder, lift
from diffkit.ops import TABLE, Constant, Span

Axis = int | Sequence[int] | None


def _supports(*functions: Callable[..., Any]) -> Callable[..., Any]:
    def register(rule: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            FUNCTIONS[function] = rule
        return rule

    return register


def _as_traced(*values: Any) -> list[Traced]:
    builder = common_builder(values)
    return [lift(builder, value) for value in values]


def _axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    wanted = (axis,) if isinstance(axis, int | np.integer) else tuple(axis)
    return tuple(sorted(_axis(int(a), ndim) for a in wanted))


def _axis(axis: int, ndim: int) -> int:
    if not -ndim <= axis < ndim:
        raise ShapeError(f"axis {axis} is out of range for an array of {ndim} axes")
    return axis % ndim


# ---- reductions -------------------------------------------------------------------


def _reduction(name: str) -> Callable[..., Any]:
    op = TABLE[name]

    def reduce(
        x: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False
    ) -> Any:
        keepdims = keepdims is not np._NoValue and bool(keepdims)
        axes = _axes(axis, x.ndim)
        if not axes:
            return x.astype(float)
        return op(x, axes=axes, keepdims=keepdims)

    return reduce


for _functions, _name in (
    ((np.sum,), "sum"),
    ((np.mean,), "mean"),
    ((np.prod,), "prod"),
    ((np.max, np.amax), "max"),
    ((np.min, np.amin), "min"),
):
    _supports(*_functions)(_reduction(_name))


@_supports(np.any)
def _any(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    return np.max(TABLE["where"](x, 1.0, 0.0), axis, keepdims=keepdims) > 0


@_supports(np.all)
def _all(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    return np.min(TABLE["where"](x, 1.0, 0.0), axis, keepdims=keepdims) > 0


@_supports(np.cumsum)
def _cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    if axis is None:
        x, axis = x.reshape(-1), 0
    return TABLE["cumsum"](x, axis=_axis(axis, x.ndim))


@_supports(np.var)
def _var(
    x: Any, axis: Axis = None, dtype: Any = None, ddof: int = 0, keepdims: bool = False
) -> Any:
    axes = _axes(axis, x.ndim)
    deviation = x - np.mean(x, axes, keepdims=True)
    count = size_of(x.shape[i] for i in axes)
    total = np.sum(np.square(deviation), axes, keepdims=keepdims)
    return total / float(count - ddof)


@_supports(np.std)
def _std(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Any:
    return np.sqrt(np.var(x, axis, ddof=ddof, keepdims=keepdims))


@_supports(np.average)
def _average(x: Any, axis: Axis = None, weights: Any = None) -> Any:
    if weights is None:
        return np.mean(x, axis)
    x, weights = _as_traced(x, weights)
    if weights.shape != x.shape:
        raise ShapeError(
            f"np.average of shape {x.shape} was given weights of shape "
            f"{weights.shape}; traced weights must have the same shape."
        )
    return np.sum(x * weights, axis) / np.sum(weights, axis)


@_supports(np.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Any:  # noqa: A002
    if ord == 1 and _is_vector(x, axis):
        return np.sum(np.abs(x), axis, keepdims=keepdims)
    if ord == np.inf and _is_vector(x, axis):
        return np.max(np.abs(x), axis, keepdims=keepdims)
    if ord is None or (ord == 2 and _is_vector(x, axis)) or ord == "fro":
        total = np.sum(np.square(x), axis, keepdims=keepdims)
        # At the origin the norm has a kink; 0, the smallest subgradient, is chosen.
        at_origin = np.equal(total, 0.0)
        return np.where(at_origin, 0.0, np.sqrt(np.where(at_origin, 1.0, total)))
    raise UnsupportedFunctionError(
        f"np.linalg.norm with ord={ord!r} on shape {x.shape} cannot be traced. "
        "Supported: None, 'fro', and 1, 2, inf of vectors."
    )


def _is_vector(x: Any, axis: Axis) -> bool:
    return x.ndim == 1 if axis is None else isinstance(axis, int)


# ---- products ---------------------------------------------------------------------


@_supports(np.dot)
def _dot(a: Any, b: Any) -> Any:
    a, b = _as_traced(a, b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    if a.ndim <= 2 and b.ndim <= 2:
        return np.matmul(a, b)
    return np.tensordot(a, b, axes=((a.ndim - 1,), (max(b.ndim - 2, 0),)))


@_supports(np.inner)
def _inner(a: Any, b: Any) -> Any:
    a, b = _as_traced(a, b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    return np.tensordot(a, b, axes=((a.ndim - 1,), (b.ndim - 1,)))


@_supports(np.vdot)
def _vdot(a: Any, b: Any) -> Any:
    a, b = _as_traced(a, b)
    return np.sum(a.reshape(-1) * b.reshape(-1))


@_supports(np.outer)
def _outer(a: Any, b: Any) -> Any:
    a, b = _as_traced(a, b)
    return a.reshape(-1, 1) * b.reshape(1, -1)


@_supports(np.tensordot)
def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    a, b = _as_traced(a, b)
    if isinstance(axes, int):
        left = tuple(range(a.ndim - axes, a.ndim))
        right = tuple(range(axes))
    else:
        left, right = ((s,) if isinstance(s, int) else tuple(s) for s in axes)
        left = tuple(_axis(i, a.ndim) for i in left)
        right = tuple(_axis(i, b.ndim) for i in right)
    letters = iter("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    of_a = [next(letters) for _ in range(a.ndim)]
    of_b = [next(letters) for _ in range(b.ndim)]
    for i, j in zip(left, right, strict=True):
        of_b[j] = of_a[i]
    kept = [c for i, c in enumerate(of_a) if i not in left]
    kept += [c for j, c in enumerate(of_b) if j not in right]
    return np.einsum(f"{''.join(of_a)},{''.join(of_b)}->{''.join(kept)}", a, b)


FUNCTIONS[np.einsum] = einsum


# ---- choice -----------------------------------------------------------------------


@_supports(np.where)
def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None or y is None:
        raise UnsupportedFunctionError(
            "np.where(condition) alone gives indices, whose number depends on values. "
            "Use np.where(condition, x, y)."
        )
    return TABLE["where"](condition, x, y)


@_supports(np.clip)
def _clip(x: Any, a_min: Any = None, a_max: Any = None, **limits: Any) -> Any:
    low = limits.pop("min", a_min)
    high = limits.pop("max", a_max)
    if low is not None:
        x = np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


@_supports(np.nan_to_num)
def _nan_to_num(x: Any, nan: float = 0.0) -> Any:
    return np.where(np.isnan(x), nan, x)


# ---- shape ------------------------------------------------------------------------


@_supports(np.reshape)
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


@_supports(np.transpose, np.permute_dims)
def _transpose(x: Any, axes: Any = None) -> Any:
    order = tuple(reversed(range(x.ndim))) if axes is None else tuple(axes)
    order = tuple(_axis(int(i), x.ndim) for i in order)
    if sorted(order) != list(range(x.ndim)):
        raise ShapeError(f"{order} is not an order of the axes of shape {x.shape}")
    return x if order == tuple(range(x.ndim)) else TABLE["transpose"](x, axes=order)


@_supports(np.matrix_transpose)
def _matrix_transpose(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


@_supports(np.swapaxes)
def _swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    order = list(range(x.ndim))
    i, j = _axis(axis1, x.ndim), _axis(axis2, x.ndim)
    order[i], order[j] = order[j], order[i]
    return np.transpose(x, order)


@_supports(np.moveaxis)
def _moveaxis(x: Any, source: int, destination: int) -> Any:
    order = list(range(x.ndim))
    order.insert(_axis(destination, x.ndim), order.pop(_axis(source, x.ndim)))
    return np.transpose(x, order)


@_supports(np.ravel)
def _ravel(x: Any) -> Any:
    return np.reshape(x, (x.size,))


@_supports(np.squeeze)
def _squeeze(x: Any, axis: Axis = None) -> Any:
    ones = tuple(i for i, n in enumerate(x.shape) if n == 1)
    axes = ones if axis is None else _axes(axis, x.ndim)
    if any(x.shape[i] != 1 for i in axes):
        raise ShapeError(f"cannot squeeze axes {axes} of shape {x.shape}: not length 1")
    return np.reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in axes))


@_supports(np.expand_dims)
def _expand_dims(x: Any, axis: Axis) -> Any:
    wanted = (axis,) if isinstance(axis, int) else tuple(axis or ())
    places = {_axis(a, x.ndim + len(wanted)) for a in wanted}
    rest = iter(x.shape)
    n = x.ndim + len(wanted)
    return np.reshape(x, tuple(1 if i in places else next(rest) for i in range(n)))


@_supports(np.atleast_1d)
def _atleast_1d(x: Any) -> Any:
    return x if x.ndim >= 1 else np.reshape(x, (1,))


@_supports(np.atleast_2d)
def _atleast_2d(x: Any) -> Any:
    return x if x.ndim >= 2 else np.reshape(x, (1, x.size))


@_supports(np.broadcast_to)
def _broadcast_to(x: Any, shape: Any) -> Any:
    target = (shape,) if isinstance(shape, int) else tuple(shape)
    return x if target == x.shape else TABLE["broadcast"](x, shape=target)


@_supports(np.flip)
def _flip(x: Any, axis: Axis = None) -> Any:
    axes = _axes(axis, x.ndim)
    return x[tuple(slice(None, None, -1 if i in axes else 1) for i in range(x.ndim))]


@_supports(np.roll)
def _roll(x: Any, shift: int, axis: int | None = None) -> Any:
    if axis is None:
        return np.reshape(np.roll(np.ravel(x), shift, 0), x.shape)
    order = np.roll(np.arange(x.shape[axis]), shift)
    return np.take(x, order, axis)


@_supports(np.take)
def _take(x: Any, indices: Any, axis: int | None = None) -> Any:
    if axis is None:
        return np.ravel(x)[indices]
    return x[(slice(None),) * _axis(axis, x.ndim) + (np.asarray(indices),)]


@_supports(np.repeat)
def _repeat(x: Any, repeats: int, axis: int | None = None) -> Any:
    x, axis = (np.ravel(x), 0) if axis is None else (x, _axis(axis, x.ndim))
    return np.take(x, np.repeat(np.arange(x.shape[axis]), repeats), axis)


@_supports(np.tile)
def _tile(x: Any, reps: Any) -> Any:
    times = (reps,) if isinstance(reps, int) else tuple(reps)
    n = max(len(times), x.ndim)
    times = (1,) * (n - len(times)) + times
    x = np.reshape(x, (1,) * (n - x.ndim) + x.shape)
    for axis, k in enumerate(times):
        if k != 1:
            x = np.concatenate([x] * k, axis)
    return x


@_supports(np.concatenate)
def _concatenate(arrays: Any, axis: int | None = 0) -> Any:
    parts = _as_traced(*arrays)
    if axis is None:
        parts, axis = [np.ravel(part) for part in parts], 0
    if len({part.ndim for part in parts}) > 1 or parts[0].ndim == 0:
        raise ShapeError(
            "np.concatenate needs arrays with the same, non-zero number of axes, and "
            f"was given shapes {[part.shape for part in parts]}. For scalars use "
            "np.stack."
        )
    return TABLE["concatenate"](*parts, axis=_axis(axis, parts[0].ndim))


@_supports(np.stack)
def _stack(arrays: Any, axis: int = 0) -> Any:
    parts = _as_traced(*arrays)
    return TABLE["stack"](*parts, axis=_axis(axis, parts[0].ndim + 1))


@_supports(np.vstack)
def _vstack(arrays: Any) -> Any:
    return np.concatenate([np.atleast_2d(part) for part in arrays], 0)


@_supports(np.hstack)
def _hstack(arrays: Any) -> Any:
    parts = [np.atleast_1d(part) for part in arrays]
    return np.concatenate(parts, 0 if parts[0].ndim == 1 else 1)


@_supports(np.column_stack)
def _column_stack(arrays: Any) -> Any:
    columns = [np.reshape(a, (a.size, 1)) if a.ndim == 1 else a for a in arrays]
    return np.concatenate(columns, 1)


@_supports(np.array_split)
def _array_split(x: Any, sections: Any, axis: int = 0) -> list[Any]:
    axis = _axis(axis, x.ndim)
    parts = np.array_split(np.arange(x.shape[axis]), sections)
    before = (slice(None),) * axis
    ends = np.cumsum([len(part) for part in parts])
    return [
        x[(*before, slice(int(end) - len(part), int(end)))]
        for part, end in zip(parts, ends, strict=True)
    ]


@_supports(np.split)
def _split(x: Any, sections: Any, axis: int = 0) -> list[Any]:
    length = x.shape[_axis(axis, x.ndim)]
    if isinstance(sections, int) and length % sections:
        raise ShapeError(
            f"np.split of length {length} into {sections} parts is not even; use "
            "np.array_split."
        )
    return _array_split(x, sections, axis)


@_supports(np.diagonal)
def _diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    moved = np.moveaxis(np.moveaxis(x, axis1, -1), axis2 - (axis2 > axis1), -1)
    rows, columns = moved.shape[-2:]
    start = (max(-offset, 0), max(offset, 0))
    n = max(min(rows - start[0], columns - start[1]), 0)
    return moved[..., np.arange(n) + start[0], np.arange(n) + start[1]]


@_supports(np.diag)
def _diag(x: Any, k: int = 0) -> Any:
    if x.ndim == 2:
        return np.diagonal(x, k)
    n = x.size + abs(k)
    place = np.arange(x.size)
    keys = ((Constant.of(place + max(-k, 0)), Constant.of(place + max(k, 0))),)
    return TABLE["scatter"](x, keys=keys, shape=(n, n))


@_supports(np.trace)
def _trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return np.sum(np.diagonal(x, offset, axis1, axis2), -1)


@_supports(np.tril)
def _tril(x: Any, k: int = 0) -> Any:
    return np.where(np.tri(*x.shape[-2:], k=k, dtype=bool), x, 0.0)


@_supports(np.triu)
def _triu(x: Any, k: int = 0) -> Any:
    return np.where(np.tri(*x.shape[-2:], k=k - 1, dtype=bool), 0.0, x)


@_supports(np.diff)
def _diff(x: Any, n: int = 1, axis: int = -1) -> Any:
    axis = _axis(axis, x.ndim)
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


@_supports(np.zeros_like)
def _zeros_like(x: Any, dtype: Any = None) -> np.ndarray:
    return np.zeros(x.shape)


@_supports(np.ones_like)
def _ones_like(x: Any, dtype: Any = None) -> np.ndarray:
    return np.ones(x.shape)


@_supports(np.full_like)
def _full_like(x: Any, fill_value: Any, dtype: Any = None) -> Any:
    if isinstance(fill_value, Traced):
        return np.broadcast_to(fill_value, x.shape)
    return np.full(x.shape, fill_value, dtype=float)


FUNCTIONS[np.shape] = lambda x: x.shape
FUNCTIONS[np.ndim] = lambda x: x.ndim
FUNCTIONS[np.size] = lambda x: x.size
FUNCTIONS[np.copy] = lambda x: x
FUNCTIONS[np.real] = lambda x: x

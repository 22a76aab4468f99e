"""NumPy's reductions, products and choices on traced values."""

from __future__ import annotations

from collections.abc import Callable
from math import prod as size_of
from typing import Any

import numpy as np

from diffkit.errors import ShapeError, UnsupportedFunctionError
from diffkit.graph.einsum import einsum
from diffkit.graph.numpy_support import Axis, all_axes, as_traced, one_axis, supports
from diffkit.graph.traced import FUNCTIONS
from diffkit.ops import TABLE

# ---- reductions -------------------------------------------------------------------


def _reduction(name: str) -> Callable[..., Any]:
    op = TABLE[name]

    def reduce(
        x: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False
    ) -> Any:
        keepdims = keepdims is not np._NoValue and bool(keepdims)
        axes = all_axes(axis, x.ndim)
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
    supports(*_functions)(_reduction(_name))


@supports(np.any)
def _any(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    return np.max(TABLE["where"](x, 1.0, 0.0), axis, keepdims=keepdims) > 0


@supports(np.all)
def _all(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    return np.min(TABLE["where"](x, 1.0, 0.0), axis, keepdims=keepdims) > 0


@supports(np.cumsum)
def _cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    if axis is None:
        x, axis = x.reshape(-1), 0
    return TABLE["cumsum"](x, axis=one_axis(axis, x.ndim))


@supports(np.var)
def _var(
    x: Any, axis: Axis = None, dtype: Any = None, ddof: int = 0, keepdims: bool = False
) -> Any:
    axes = all_axes(axis, x.ndim)
    deviation = x - np.mean(x, axes, keepdims=True)
    count = size_of(x.shape[i] for i in axes)
    total = np.sum(np.square(deviation), axes, keepdims=keepdims)
    return total / float(count - ddof)


@supports(np.std)
def _std(x: Any, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Any:
    return np.sqrt(np.var(x, axis, ddof=ddof, keepdims=keepdims))


@supports(np.average)
def _average(x: Any, axis: Axis = None, weights: Any = None) -> Any:
    if weights is None:
        return np.mean(x, axis)
    x, weights = as_traced(x, weights)
    if weights.shape != x.shape:
        raise ShapeError(
            f"np.average of shape {x.shape} was given weights of shape "
            f"{weights.shape}; traced weights must have the same shape."
        )
    return np.sum(x * weights, axis) / np.sum(weights, axis)


@supports(np.linalg.norm)
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


@supports(np.dot)
def _dot(a: Any, b: Any) -> Any:
    a, b = as_traced(a, b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    if a.ndim <= 2 and b.ndim <= 2:
        return np.matmul(a, b)
    return np.tensordot(a, b, axes=((a.ndim - 1,), (max(b.ndim - 2, 0),)))


@supports(np.inner)
def _inner(a: Any, b: Any) -> Any:
    a, b = as_traced(a, b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    return np.tensordot(a, b, axes=((a.ndim - 1,), (b.ndim - 1,)))


@supports(np.vdot)
def _vdot(a: Any, b: Any) -> Any:
    a, b = as_traced(a, b)
    return np.sum(a.reshape(-1) * b.reshape(-1))


@supports(np.outer)
def _outer(a: Any, b: Any) -> Any:
    a, b = as_traced(a, b)
    return a.reshape(-1, 1) * b.reshape(1, -1)


@supports(np.tensordot)
def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    a, b = as_traced(a, b)
    if isinstance(axes, int):
        left = tuple(range(a.ndim - axes, a.ndim))
        right = tuple(range(axes))
    else:
        left, right = ((s,) if isinstance(s, int) else tuple(s) for s in axes)
        left = tuple(one_axis(i, a.ndim) for i in left)
        right = tuple(one_axis(i, b.ndim) for i in right)
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


@supports(np.where)
def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None or y is None:
        raise UnsupportedFunctionError(
            "np.where(condition) alone gives indices, whose number depends on values. "
            "Use np.where(condition, x, y)."
        )
    return TABLE["where"](condition, x, y)


@supports(np.clip)
def _clip(x: Any, a_min: Any = None, a_max: Any = None, **limits: Any) -> Any:
    low = limits.pop("min", a_min)
    high = limits.pop("max", a_max)
    if low is not None:
        x = np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


@supports(np.nan_to_num)
def _nan_to_num(x: Any, nan: float = 0.0) -> Any:
    return np.where(np.isnan(x), nan, x)

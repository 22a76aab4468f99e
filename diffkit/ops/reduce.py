"""Reductions, and broadcasting: it is the transpose of the sum, so they share a file.

A reduction that is not linear gives `weights(y, x)` = ∂y/∂x, shaped like its input:
reverse mode spreads the cotangent over them, forward mode sums tangents by them.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod as size_of
from typing import Any

import numpy as np

from diffkit.ops.elementwise import equal, exp, where
from diffkit.ops.op import Op, Rule, Shape
from diffkit.ops.shape import Span, concatenate, index_, reshape, shape_row, transpose

Axes = tuple[int, ...]


def kept_shape(x: Shape, axes: Axes) -> Shape:
    """The shape of a reduction that keeps its axes, each of length one."""
    return tuple(1 if i in axes else n for i, n in enumerate(x))


def sum_to(g: Any, shape: Shape) -> Any:
    """Undo broadcasting: sum `g` over the axes along which `shape` was repeated."""
    if g.shape == shape:
        return g
    extra = g.ndim - len(shape)
    axes = tuple(
        i for i in range(g.ndim) if i < extra or shape[i - extra] == 1 != g.shape[i]
    )
    return reshape(sum_(g, axes=axes, keepdims=False), shape=shape)


def _broadcast_shape(x: Shape, *, shape: Shape) -> Shape:
    if np.broadcast_shapes(x, shape) != shape:
        raise ValueError(f"shape {x} does not broadcast to {shape}")
    return shape


def _infer(x: Shape, *, axes: Axes, keepdims: bool) -> Shape:
    if keepdims:
        return kept_shape(x, axes)
    return tuple(n for i, n in enumerate(x) if i not in axes)


def _infer_nonempty(x: Shape, *, axes: Axes, keepdims: bool) -> Shape:
    if any(x[i] == 0 for i in axes):
        raise ValueError(f"the largest or smallest of no elements (shape {x})")
    return _infer(x, axes=axes, keepdims=keepdims)


def _spread(v: Any, x: Any, axes: Axes) -> Any:
    """A reduced value with its axes back, ready to broadcast against the input."""
    return reshape(v, shape=kept_shape(x.shape, axes))


def _joins(shape: Shape, x: Shape, **_: Any) -> int:
    """Combining n elements into one takes n−1 operations."""
    return max(size_of(x) - size_of(shape), 0)


def _logsumexp(x: np.ndarray, *, axes: Axes, keepdims: bool) -> np.ndarray:
    if any(x.shape[i] == 0 for i in axes):
        return np.full(_infer(x.shape, axes=axes, keepdims=keepdims), -np.inf, x.dtype)
    largest = np.max(np.real(x), axis=axes, keepdims=True)
    shift = np.where(np.isfinite(largest), largest, 0 * np.zeros_like(largest))
    total = np.log(np.sum(np.exp(x - shift), axis=axes, keepdims=True)) + shift
    return total if keepdims else np.squeeze(total, axis=axes)


def _exclusive_products(y: Any, x: Any, *, axes: Axes, keepdims: bool = False) -> Any:
    """∂(∏x)/∂xᵢ, the product of all the others, right at zeros and to any order.

    Pairs are multiplied up a binary tree, then the products of "everything outside
    this pair" are carried down it: 3n multiplications, and no division.
    """
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    order = kept + axes
    outer = tuple(x.shape[i] for i in kept)
    n = size_of(x.shape[i] for i in axes)
    if n == 0:
        return x
    width = 1 << (n - 1).bit_length()
    level = reshape(transpose(x, axes=order), shape=(*outer, n))
    if width > n:
        level = concatenate(level, np.ones((*outer, width - n)), axis=len(outer))
    levels = []
    while width > 1:
        width //= 2
        pairs = reshape(level, shape=(*outer, width, 2))
        levels.append(pairs)
        level = _column(pairs, 0) * _column(pairs, 1)
    outside: Any = np.ones((*outer, 1))
    for pairs in reversed(levels):
        m = pairs.shape[-2]
        swapped = index_(pairs, key=(*_all(pairs.shape[:-1]), Span(1, -1, 2)))
        outside = reshape(
            reshape(outside, shape=(*outer, m, 1)) * swapped, shape=(*outer, 2 * m)
        )
    first = index_(outside, key=(*_all(outer), Span(0, 1, n)))
    moved = reshape(first, shape=tuple(x.shape[i] for i in order))
    back = tuple(int(i) for i in np.argsort(order))
    return transpose(moved, axes=back)


def _all(shape: Shape) -> tuple[Span, ...]:
    return tuple(Span(0, 1, n) for n in shape)


def _column(pairs: Any, which: int) -> Any:
    return index_(pairs, key=(*_all(pairs.shape[:-1]), which))


def _ties_share(y: Any, x: Any, *, axes: Axes, keepdims: bool) -> Any:
    chosen = where(equal(x, _spread(y, x, axes)), 1.0, 0.0)
    return chosen / sum_(chosen, axes=axes, keepdims=True)


def _row(
    name: str,
    numpy: Callable[..., Any],
    *,
    transpose_rule: Rule | None = None,
    operations: Callable[..., int] = _joins,
    infer: Callable[..., Shape] = _infer,
    **fields: Any,
) -> Op:
    return Op(
        name=name,
        family="reduce",
        arity=1,
        infer=infer,
        numpy=numpy,
        operations=operations,
        transposes=(transpose_rule,) if transpose_rule else (),
        joint=True,
        **fields,
    )


def _numpy(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, *, axes, keepdims: function(x, axis=axes, keepdims=keepdims)


def _mean(x: np.ndarray, *, axes: Axes, keepdims: bool) -> np.ndarray:
    count = size_of(x.shape[i] for i in axes)
    return np.sum(x, axis=axes, keepdims=keepdims) / np.asarray(count, np.real(x).dtype)


broadcast = shape_row(
    "broadcast",
    1,
    _broadcast_shape,
    lambda x, *, shape: np.broadcast_to(x, shape),
    lambda g, y, x, *, shape: sum_to(g, x.shape),
)
sum_ = _row(
    "sum",
    _numpy(np.sum),
    transpose_rule=lambda g, y, x, *, axes, keepdims: broadcast(
        _spread(g, x, axes), shape=x.shape
    ),
)
mean = _row(
    "mean",
    _mean,
    transpose_rule=lambda g, y, x, *, axes, keepdims: broadcast(
        _spread(g / float(size_of(x.shape[i] for i in axes)), x, axes), shape=x.shape
    ),
    operations=lambda shape, x, **_: size_of(x),
)
prod = _row("prod", _numpy(np.prod), weights=_exclusive_products)
max_ = _row(
    "max",
    _numpy(np.max),
    weights=_ties_share,
    infer=_infer_nonempty,
    analytic=False,
    kink="ties share equally",
)
min_ = _row(
    "min",
    _numpy(np.min),
    weights=_ties_share,
    infer=_infer_nonempty,
    analytic=False,
    kink="ties share equally",
)
logsumexp = _row(
    "logsumexp",
    _logsumexp,
    weights=lambda y, x, *, axes, keepdims: exp(x - _spread(y, x, axes)),
    operations=lambda shape, x, **_: 2 * size_of(x),
    flops=18,
)


def _reversed(x: Any, axis: int) -> Any:
    return index_(
        x,
        key=tuple(
            Span(n - 1, -1, n) if i == axis else Span(0, 1, n)
            for i, n in enumerate(x.shape)
        ),
    )


cumsum = _row(
    "cumsum",
    lambda x, *, axis: np.cumsum(x, axis),
    transpose_rule=lambda g, y, x, *, axis: _reversed(
        cumsum(_reversed(g, axis), axis=axis), axis
    ),
    infer=lambda x, *, axis: x,
    operations=lambda shape, x, *, axis: size_of(x) - size_of(x) // max(x[axis], 1),
)

ROWS: tuple[Op, ...] = (
    broadcast,
    sum_,
    mean,
    prod,
    max_,
    min_,
    logsumexp,
    cumsum,
)

"""What the operations of the table mean on balls: numbers with a proved radius.

Comparisons are decided, or refused: balls that overlap have no order.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from flint import arb, arb_mat


class UndecidedError(Exception):
    """A comparison between balls that overlap."""


def shown(ball: Any) -> str:
    """A ball for a message: eight digits of its midpoint, and its radius.

    >>> shown(arb(2) ** 0.5)[:10], shown(arb(2))
    ('1.4142136 ', '2.0000000')
    """
    middle = ball.mid().str(8, radius=False)
    return (
        middle if ball.is_exact() else f"{middle} ± {ball.rad().str(2, radius=False)}"
    )


def objects(values: Any) -> np.ndarray:
    """An object array of balls, whatever it is made of."""
    array = np.empty(np.shape(values), dtype=object)
    array[...] = values
    return array


# ---- comparisons: decided, or refused --------------------------------------------


def _greater(a: arb, b: arb) -> bool:
    if a is b:
        return False
    if a > b:
        return True
    if a <= b:
        return False
    raise UndecidedError(f"{shown(a)} and {shown(b)} cannot be told apart")


def _equal(a: arb, b: arb) -> bool:
    if a is b:
        return True
    if not a.overlaps(b):
        return False
    if a.is_exact() and b.is_exact():
        return True
    raise UndecidedError(f"{shown(a)} and {shown(b)} cannot be told apart")


def _truth(x: arb) -> bool:
    return not _equal(x, arb(0))


def _as_ball(function: Callable[..., bool]) -> Callable[..., arb]:
    return lambda *x: arb(int(function(*x)))


def _sign(x: arb) -> arb:
    if x > 0:
        return arb(1)
    if x < 0:
        return arb(-1)
    if x.is_zero():
        return arb(0)
    raise UndecidedError(f"the sign of {shown(x)} is not known")


def _power(x: arb, b: arb) -> arb:
    whole = b.unique_fmpz() if b.is_exact() else None
    return x**b if whole is None else x ** int(whole)


SCALAR: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: arb(0) if a is b and a.is_finite() else a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "negative": lambda x: -x,
    "reciprocal": lambda x: 1 / x,
    "square": lambda x: x * x,
    "power": _power,
    "exp2": lambda x: (x * arb.const_log2()).exp(),
    "log2": lambda x: x.log() / arb.const_log2(),
    "sigmoid": lambda x: 1 / (1 + (-x).exp()),
    "softplus": lambda x: x.exp().log1p() if x < 0 else x + (-x).exp().log1p(),
    "relu": lambda x: x if _sign(x) > 0 else arb(0),
    "abs": abs,
    "sign": _sign,
    "maximum": lambda a, b: a if _greater(a, b) else b,
    "minimum": lambda a, b: b if _greater(a, b) else a,
    "where": lambda c, a, b: a if _truth(c) else b,
    "equal": _as_ball(_equal),
    "not_equal": _as_ball(lambda a, b: not _equal(a, b)),
    "greater": _as_ball(_greater),
    "less": _as_ball(lambda a, b: _greater(b, a)),
    "greater_equal": _as_ball(lambda a, b: not _greater(b, a)),
    "less_equal": _as_ball(lambda a, b: not _greater(a, b)),
    "logical_and": _as_ball(lambda a, b: _truth(a) and _truth(b)),
    "logical_or": _as_ball(lambda a, b: _truth(a) or _truth(b)),
    "logical_xor": _as_ball(lambda a, b: _truth(a) != _truth(b)),
    "logical_not": _as_ball(lambda x: not _truth(x)),
    **{
        name: getattr(arb, name)
        for name in [
            "exp",
            "expm1",
            "log",
            "log1p",
            "sqrt",
            "sin",
            "cos",
            "tan",
            "asin",
            "acos",
            "atan",
            "sinh",
            "cosh",
            "tanh",
            "erf",
        ]
    },
}


# ---- operations on whole arrays ---------------------------------------------------


def _matmul(operands: list[np.ndarray]) -> np.ndarray:
    a, b = operands
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = np.broadcast_to(a, (*stack, *a.shape[-2:]))
    b = np.broadcast_to(b, (*stack, *b.shape[-2:]))
    out = np.empty((*stack, a.shape[-2], b.shape[-1]), dtype=object)
    for place in np.ndindex(stack):
        product = _matrix(a[place]) * _matrix(b[place])
        out[place] = objects(product.entries()).reshape(out.shape[-2:])
    return out


def _matrix(a: np.ndarray) -> arb_mat:
    return arb_mat(a.shape[0], a.shape[1], list(a.flat))


def _along(
    function: Callable[[np.ndarray], arb],
) -> Callable[..., np.ndarray]:
    """A reduction of flat object arrays, applied over axes."""

    def reduce(
        operands: list[np.ndarray], axes: tuple[int, ...], keepdims: bool
    ) -> np.ndarray:
        x = operands[0]
        kept = tuple(i for i in range(x.ndim) if i not in axes)
        outer = tuple(x.shape[i] for i in kept)
        length = prod(x.shape[i] for i in axes)
        rows = np.transpose(x, kept + axes).reshape((*outer, length))
        out = np.empty(outer, dtype=object)
        for place in np.ndindex(outer):
            out[place] = function(rows[place])
        if keepdims:
            out = out.reshape([1 if i in axes else n for i, n in enumerate(x.shape)])
        return out

    return reduce


def _sum(row: np.ndarray) -> arb:
    return sum(row, arb(0))


def _prod(row: np.ndarray) -> arb:
    total = arb(1)
    for x in row:
        total = total * x
    return total


def _largest(row: np.ndarray) -> arb:
    best = row[0]
    for x in row[1:]:
        best = x if _greater(x, best) else best
    return best


def _smallest(row: np.ndarray) -> arb:
    best = row[0]
    for x in row[1:]:
        best = x if _greater(best, x) else best
    return best


def _logsumexp(row: np.ndarray) -> arb:
    return _sum(np.array([x.exp() for x in row], dtype=object)).log()


def _cumsum(operands: list[np.ndarray], axis: int) -> np.ndarray:
    return objects(np.cumsum(operands[0], axis))


ARRAYS: dict[str, Callable[..., np.ndarray]] = {
    "matmul": _matmul,
    "sum": _along(_sum),
    "mean": _along(lambda row: _sum(row) / len(row)),
    "prod": _along(_prod),
    "max": _along(_largest),
    "min": _along(_smallest),
    "logsumexp": _along(_logsumexp),
    "cumsum": _cumsum,
}

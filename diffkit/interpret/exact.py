"""The truth: a graph read in ball arithmetic, every digit of it proved.

Each value is an `arb` of python-flint (Johansson, 2017): a midpoint and a radius that
together enclose the true number. Precision is raised until the radius is small enough,
so errors of float64 backends are measured against a reference that carries its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import flint
import numpy as np
from flint import arb, arb_mat

from diffkit.errors import BackendError, ShapeError
from diffkit.graph import Graph, Node
from diffkit.ops import TABLE, Constant

INPUT, CONSTANT = TABLE["input"], TABLE["constant"]
FIRST_BITS = 256
MOST_BITS = 1 << 16
RELATIVE = 1e-30
# Far below the smallest float64: a ball this narrow around zero is zero to any of them.
NOTHING = arb(2) ** -1100

_IRRATIONAL: dict[str, Callable[[], arb]] = {
    "log(2)": arb.const_log2,
    "2/sqrt(pi)": lambda: 2 / arb.const_sqrt_pi(),
}


@dataclass(frozen=True, slots=True)
class Certified:
    """Outputs of a program as object arrays of balls, and the bits they took."""

    outputs: tuple[np.ndarray, ...]
    bits: int

    def midpoints(self, output: int) -> np.ndarray:
        """One output rounded to float64."""
        return to_float(self.outputs[output])


def to_float(balls: np.ndarray) -> np.ndarray:
    """The balls' midpoints, rounded to float64."""
    out = np.empty(balls.shape, np.float64)
    for place in np.ndindex(balls.shape):
        out[place] = float(balls[place])
    return out


def certify(
    graph: Graph,
    leaves: Sequence[Any],
    relative: float = RELATIVE,
    narrow: Callable[[list[np.ndarray]], bool] | None = None,
) -> Certified:
    """Evaluate a program to a proved accuracy.

    Starts at 256 bits and doubles them until `narrow` accepts the outputs. By default
    every element of every output must be enclosed to `relative`; where the true value
    is zero no relative radius can be had, and the ball must lie within 2⁻¹¹⁰⁰ of it.

    Raises BackendError when 65,536 bits are not enough, or when a comparison cannot be
    decided because a value sits on a kink without being exactly on it.
    """
    bits = FIRST_BITS
    accept = narrow or (lambda outputs: all(_narrow(o, relative) for o in outputs))
    while True:
        try:
            outputs = evaluate(graph, leaves, bits)
            undecided = None
        except UndecidedError as problem:
            outputs, undecided = [], problem
        with flint.ctx.workprec(bits):
            if undecided is None and accept(outputs):
                return Certified(tuple(outputs), bits)
        if bits >= MOST_BITS:
            raise BackendError(
                f"The reference could not be certified with {bits} bits"
                + (f": {undecided}" if undecided else ": its balls stay too wide")
                + ". Move the point away from the kink or the pole."
            ) from undecided
        bits *= 2


class UndecidedError(Exception):
    """A comparison between balls that overlap."""


def evaluate(graph: Graph, leaves: Sequence[Any], bits: int) -> list[np.ndarray]:
    """The outputs as object arrays of balls, at a working precision in bits."""
    if len(leaves) != len(graph.inputs):
        raise ShapeError(
            f"The program takes {len(graph.inputs)} inputs and was given {len(leaves)}."
        )
    values: list[np.ndarray | None] = [None] * len(graph.nodes)
    with flint.ctx.workprec(bits):
        for place, leaf in zip(graph.inputs, leaves, strict=True):
            values[place] = _balls(np.asarray(leaf))
        alive = graph.live()
        for here, node in enumerate(graph.nodes):
            if alive[here] and node.op is not INPUT:
                operands: list[Any] = [values[i] for i in node.inputs]
                values[here] = _apply(node, operands)
        results: list[Any] = [values[o] for o in graph.outputs]
        return results


def _narrow(balls: np.ndarray, relative: float) -> bool:
    for ball in balls.flat:
        radius = ball.rad()
        if not ball.is_finite():
            return False
        if not (radius <= relative * abs(ball) or radius <= NOTHING):
            return False
    return True


def _objects(values: Any) -> np.ndarray:
    array = np.empty(np.shape(values), dtype=object)
    array[...] = values
    return array


def _balls(array: np.ndarray) -> np.ndarray:
    out = np.empty(array.shape, dtype=object)
    for place in np.ndindex(array.shape):
        out[place] = arb(float(array[place]))
    return out


def _constant(held: Constant) -> np.ndarray:
    if held.formula is not None:
        return _objects(_IRRATIONAL[held.formula]())
    return _balls(held.array)


def _apply(node: Node, operands: list[np.ndarray]) -> np.ndarray:
    if node.op is CONSTANT:
        return _constant(node.attribute("value"))
    if node.op.family == "elementwise":
        return _elementwise(SCALAR[node.op.exact or ""], operands, node.shape)
    if node.op.name in _ARRAYS:
        return _ARRAYS[node.op.name](operands, **node.keywords)
    if node.op.name == "scatter":
        # Empty places are exact zeros.
        placed = node.op.numpy(*operands, **node.keywords)
        return _elementwise(arb, [placed], node.shape)
    return _objects(node.op.numpy(*operands, **node.keywords))


def _elementwise(
    function: Callable[..., Any], operands: list[np.ndarray], shape: tuple[int, ...]
) -> np.ndarray:
    out = np.empty(shape, dtype=object)
    spread = [np.broadcast_to(v, shape) for v in operands]
    for place in np.ndindex(shape):
        out[place] = function(*(v[place] for v in spread))
    return out


# ---- comparisons: decided, or refused --------------------------------------------


def _greater(a: arb, b: arb) -> bool:
    if a > b:
        return True
    if a <= b:
        return False
    raise UndecidedError(f"{a.str(8)} and {b.str(8)} cannot be told apart")


def _equal(a: arb, b: arb) -> bool:
    if not a.overlaps(b):
        return False
    if a.is_exact() and b.is_exact():
        return True
    raise UndecidedError(f"{a.str(8)} and {b.str(8)} cannot be told apart")


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
    raise UndecidedError(f"the sign of {x.str(8)} is not known")


def _power(x: arb, b: arb) -> arb:
    whole = b.unique_fmpz() if b.is_exact() else None
    return x**b if whole is None else x ** int(whole)


SCALAR: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
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
        out[place] = _objects(product.entries()).reshape(out.shape[-2:])
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
        best = x if not _same(x, best) and _greater(x, best) else best
    return best


def _smallest(row: np.ndarray) -> arb:
    return -_largest(np.array([-x for x in row], dtype=object))


def _same(a: arb, b: arb) -> bool:
    return a.is_exact() and b.is_exact() and bool(a == b)


def _logsumexp(row: np.ndarray) -> arb:
    return _sum(np.array([x.exp() for x in row], dtype=object)).log()


def _cumsum(operands: list[np.ndarray], axis: int) -> np.ndarray:
    return _objects(np.cumsum(operands[0], axis))


_ARRAYS: dict[str, Callable[..., np.ndarray]] = {
    "matmul": _matmul,
    "sum": _along(_sum),
    "mean": _along(lambda row: _sum(row) / len(row)),
    "prod": _along(_prod),
    "max": _along(_largest),
    "min": _along(_smallest),
    "logsumexp": _along(_logsumexp),
    "cumsum": _cumsum,
}

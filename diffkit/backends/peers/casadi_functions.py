"""CasADi's meaning of every row, on columns: its matrices have two axes and no more.

An array of any shape is a dense column of its elements in C order. Broadcasting and
every operation that moves elements are gathers; a column read as a matrix column by
column is the transposed matrix, so a product of matrices needs no moves at all:
C = A·B is Cᵀ = Bᵀ·Aᵀ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, log, nan, prod
from typing import Any

import numpy as np

from diffkit.backends.peers.reading import (
    Apply,
    ArrayFunctions,
    Maker,
    gathered,
    reduced,
    scatter_by_gathers,
)
from diffkit.graph import Node
from diffkit.ops.op import Shape

LN2 = log(2.0)
Shapes = Sequence[Shape]


def casadi_functions(casadi: Any) -> ArrayFunctions:
    """CasADi's functions by row."""
    columns = Columns(casadi)
    rows: dict[str, Maker] = {
        name: columns.elementwise(function)
        for name, function in scalars(casadi).items()
    }
    rows |= {
        "matmul": columns.matmul,
        "transpose": columns.move,
        "index": columns.move,
        "broadcast": columns.move,
        "reshape": lambda node, shapes: lambda x: x,
        "concatenate": columns.join,
        "stack": columns.join,
        "scatter": columns.scatter,
        "cumsum": columns.cumsum,
        "sum": columns.reduction(columns.total, 0.0),
        "mean": columns.reduction(columns.mean, nan),
        "prod": columns.reduction(columns.folded(lambda a, b: a * b), 1.0),
        "max": columns.reduction(columns.folded(casadi.fmax), -inf),
        "min": columns.reduction(columns.folded(casadi.fmin), inf),
        "logsumexp": columns.reduction(columns.logsumexp, -inf),
    }
    return ArrayFunctions(
        peer="casadi",
        rows=rows,
        constant=lambda a: casadi.MX(casadi.DM(a.astype(np.float64).reshape(-1))),
        as_real=lambda x: x,
        as_boolean=lambda x: x != 0,
    )


def scalars(c: Any) -> dict[str, Apply]:
    """Elementwise rows; numbers near overflow are kept from it as in diffkit's own."""
    return {
        "negative": lambda x: -x,
        "exp": c.exp,
        "expm1": c.expm1,
        "exp2": lambda x: c.power(2.0, x),
        "log": c.log,
        "log1p": c.log1p,
        "log2": lambda x: c.log(x) / LN2,
        "sqrt": c.sqrt,
        "square": lambda x: x * x,
        "reciprocal": lambda x: 1 / x,
        "abs": c.fabs,
        "sign": c.sign,
        "sin": c.sin,
        "cos": c.cos,
        "tan": c.tan,
        "arcsin": c.asin,
        "arccos": c.acos,
        "arctan": c.atan,
        "sinh": c.sinh,
        "cosh": c.cosh,
        "tanh": c.tanh,
        "sigmoid": lambda x: 1 / (1 + c.exp(-x)),
        # (x+|x|)/2 and not max(x, 0): the slope at 0 is then a half, as it should be.
        "softplus": lambda x: c.log1p(c.exp(-c.fabs(x))) + (x + c.fabs(x)) / 2,
        # NaN is not below 0 and passes; at 0 the slope is that of the constant.
        "relu": lambda x: c.if_else(x <= 0, 0.0, x),
        "erf": c.erf,
        "add": lambda a, b: a + b,
        "subtract": lambda a, b: a - b,
        "multiply": lambda a, b: a * b,
        "divide": lambda a, b: a / b,
        "power": c.power,
        "maximum": c.fmax,
        "minimum": c.fmin,
        "equal": lambda a, b: a == b,
        "not_equal": lambda a, b: a != b,
        "less": lambda a, b: a < b,
        "less_equal": lambda a, b: a <= b,
        "greater": lambda a, b: a > b,
        "greater_equal": lambda a, b: a >= b,
        "logical_not": c.logic_not,
        "logical_and": c.logic_and,
        "logical_or": c.logic_or,
        "logical_xor": lambda a, b: a != b,
        "where": c.if_else,
    }


class Columns:
    """Makers of rows on dense columns of elements in C order."""

    def __init__(self, casadi: Any) -> None:
        self._c = casadi

    def elementwise(self, function: Apply) -> Maker:
        """The inputs, repeated to the output's shape, through a scalar function."""

        def make(node: Node, shapes: Shapes) -> Apply:
            spread = [self._spread(shape, node.shape) for shape in shapes]

            def apply(*columns: Any) -> Any:
                wide = [s(x) for s, x in zip(spread, columns, strict=True)]
                return self._dense(function(*wide))

            return apply

        return make

    def matmul(self, node: Node, shapes: Shapes) -> Apply:
        """Products of matrices, one for each place in the stack."""
        (m, k), n = shapes[0][-2:], shapes[1][-1]
        stack = node.shape[:-2]
        spread_a = self._spread(shapes[0], (*stack, m, k))
        spread_b = self._spread(shapes[1], (*stack, k, n))
        c = self._c

        def apply(a: Any, b: Any) -> Any:
            a, b = spread_a(a), spread_b(b)
            parts = []
            for i in range(prod(stack)):
                left = c.reshape(a[i * m * k : (i + 1) * m * k], k, m)
                right = c.reshape(b[i * k * n : (i + 1) * k * n], n, k)
                parts.append(c.reshape(c.mtimes(right, left), n * m, 1))
            return self._dense(c.vertcat(*parts)) if parts else c.MX(0, 1)

        return apply

    def move(self, node: Node, shapes: Shapes) -> Apply:
        """An operation that only moves elements."""
        places = gathered(node, shapes[0]).reshape(-1)
        return lambda x: self._take(x, places)

    def join(self, node: Node, shapes: Shapes) -> Apply:
        """Concatenation and stacking: the columns one below the other, then moved."""
        starts = np.cumsum([0, *(prod(shape) for shape in shapes)])
        parts = [
            np.arange(start, start + prod(shape)).reshape(shape)
            for start, shape in zip(starts, shapes, strict=False)
        ]
        places = node.op.numpy(*parts, **node.keywords).reshape(-1)
        return lambda *x: self._take(self._c.vertcat(*x), places)

    def scatter(self, node: Node, shapes: Shapes) -> Apply:
        """A sum of gathers from the inputs and a zero after them."""
        plans = scatter_by_gathers(node)

        def apply(*columns: Any) -> Any:
            joined = self._c.vertcat(*columns, self._c.MX(self._c.DM([0.0])))
            total = self._take(joined, plans[0])
            for plan in plans[1:]:
                total = total + self._take(joined, plan)
            return self._dense(total)

        return apply

    def cumsum(self, node: Node, shapes: Shapes) -> Apply:
        """Running sums down the columns of a matrix, one column for each sequence."""
        shape, axis = shapes[0], node.attribute("axis")
        places = np.arange(prod(shape)).reshape(shape)
        order = np.moveaxis(places, axis, -1).reshape(-1)
        back = np.argsort(order)
        n = shape[axis]
        if not places.size:
            return lambda x: x
        c = self._c

        def apply(x: Any) -> Any:
            matrix = c.reshape(self._take(x, order), n, order.size // n)
            sums = c.reshape(c.cumsum(matrix, 0), order.size, 1)
            return self._take(self._dense(sums), back)

        return apply

    def reduction(self, join: Callable[[Any], Any], empty: float) -> Maker:
        """A reduction: what is joined stands in one column of a matrix."""

        def make(node: Node, shapes: Shapes) -> Apply:
            axes, _, count = reduced(node, shapes)
            shape, size = shapes[0], prod(node.shape)
            if not axes:
                return lambda x: x
            if not count or not size:
                return lambda x: self._c.MX(self._c.DM([empty] * size))
            kept = tuple(i for i in range(len(shape)) if i not in axes)
            places = np.arange(prod(shape)).reshape(shape)
            order = places.transpose(kept + axes).reshape(-1)

            def apply(x: Any) -> Any:
                matrix = self._c.reshape(self._take(x, order), count, size)
                return self._dense(self._c.reshape(join(matrix), size, 1))

            return apply

        return make

    def total(self, matrix: Any) -> Any:
        """The sum of each column."""
        return self._c.sum1(matrix)

    def mean(self, matrix: Any) -> Any:
        """The mean of each column."""
        return self._c.sum1(matrix) / matrix.size1()

    def folded(self, pair: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
        """Each column joined by a function of two, half with half."""

        def join(matrix: Any) -> Any:
            while matrix.size1() > 1:
                half = matrix.size1() // 2
                rest = matrix[2 * half :, :]
                matrix = pair(matrix[:half, :], matrix[half : 2 * half, :])
                if rest.size1():
                    matrix = self._c.vertcat(matrix, rest)
            return matrix

        return join

    def logsumexp(self, matrix: Any) -> Any:
        """Log Σ exp of each column, from its largest."""
        largest = self.folded(self._c.fmax)(matrix)
        shifted = matrix - self._c.repmat(largest, matrix.size1(), 1)
        return self._c.log(self._c.sum1(self._c.exp(shifted))) + largest

    def _spread(self, shape: Shape, wide: Shape) -> Apply:
        """A column repeated as broadcasting repeats it; one element stays one."""
        if shape == wide or prod(shape) == prod(wide) == 1:
            return lambda x: x
        places = np.broadcast_to(np.arange(prod(shape)).reshape(shape), wide)
        flat = places.reshape(-1)
        return lambda x: self._take(x, flat)

    def _take(self, x: Any, places: np.ndarray) -> Any:
        if places.size == x.numel() and np.array_equal(places, np.arange(places.size)):
            return x
        if not places.size:
            return self._c.MX(0, 1)
        taken = self._dense(x).nz[places.tolist()]
        # Elements taken from a row or a single number come as a row.
        return taken if taken.size2() == 1 else self._c.reshape(taken, -1, 1)

    def _dense(self, x: Any) -> Any:
        """Columns stay dense, so that the place of an element is its position."""
        return x if x.is_dense() else self._c.densify(x)

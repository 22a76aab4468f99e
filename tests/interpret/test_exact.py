"""The reference against mpmath at 50 digits, and its refusals."""

from __future__ import annotations

import mpmath
import numpy as np
import optree
import pytest

from diffkit.errors import ShapeError
from diffkit.graph import Builder, trace
from diffkit.interpret import exact
from diffkit.interpret.numpy import evaluate
from diffkit.ops import TABLE
from tests.cases import CASES
from tests.ops.test_rows_numeric import STRUCTURED

ELEMENTWISE = [op for op in TABLE.values() if op.family == "elementwise"]

# An independent meaning for each elementwise row, by mpmath.
MPMATH = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "negative": lambda x: -x,
    "reciprocal": lambda x: 1 / x,
    "square": lambda x: x**2,
    "power": lambda a, b: a**b,
    "exp2": lambda x: mpmath.mpf(2) ** x,
    "log2": lambda x: mpmath.log(x, 2),
    "arcsin": mpmath.asin,
    "arccos": mpmath.acos,
    "arctan": mpmath.atan,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log(1 + mpmath.exp(x)),
    "relu": lambda x: max(x, mpmath.mpf(0)),
    "abs": abs,
    "sign": mpmath.sign,
    "maximum": max,
    "minimum": min,
    "where": lambda c, a, b: a if c != 0 else b,
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "logical_and": lambda a, b: bool(a) and bool(b),
    "logical_or": lambda a, b: bool(a) or bool(b),
    "logical_xor": lambda a, b: bool(a) != bool(b),
    "logical_not": lambda a: not a,
    **{
        name: getattr(mpmath, name)
        for name in [
            "exp",
            "expm1",
            "log",
            "log1p",
            "sqrt",
            "sin",
            "cos",
            "tan",
            "sinh",
            "cosh",
            "tanh",
            "erf",
        ]
    },
}


@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.name)
def test_elementwise_rows_to_fifty_digits(op, rng):
    builder = Builder()
    inputs = [builder.input((4,)) for _ in range(op.arity)]
    graph = builder.graph([builder.apply(op, inputs)])
    leaves = [d.sample(rng, (4,)) for d in op.domain]
    balls = exact.certify(graph, leaves, relative=1e-52).outputs[0]
    with mpmath.workdps(60):
        for i in range(4):
            expected = MPMATH[op.name](*(mpmath.mpf(x[i]) for x in leaves))
            ours = mpmath.mpf(balls[i].str(55, radius=False))
            assert abs(ours - expected) <= 1e-50 * max(abs(expected), 1)


@pytest.mark.parametrize("name", STRUCTURED)
def test_structured_rows_are_numpys(name, rng):
    for shapes, words in STRUCTURED[name]:
        builder = Builder()
        inputs = [builder.input(shape) for shape in shapes]
        graph = builder.graph([builder.apply(TABLE[name], inputs, **words)])
        leaves = [rng.normal(size=shape) for shape in shapes]
        ours = exact.certify(graph, leaves).midpoints(0)
        np.testing.assert_allclose(ours, evaluate(graph, leaves)[0], rtol=1e-14)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_cases_agree_with_numpy(case):
    graph = trace(case.f, *case.args)
    leaves = optree.tree_leaves(case.args)
    certified = exact.certify(graph, leaves)
    np.testing.assert_allclose(
        certified.midpoints(0), evaluate(graph, leaves)[0], rtol=1e-12, atol=1e-14
    )


def test_precision_is_raised_until_it_suffices():
    """(1 + 2⁻⁵⁰⁰)² − 1 − 2⁻⁴⁹⁹ = 2⁻¹⁰⁰⁰ needs a thousand bits."""
    graph = trace(lambda t: (1.0 + t) ** 2 - 1.0 - 2.0 * t, np.float64(1.0))
    certified = exact.certify(graph, [np.float64(2.0**-500)])
    assert certified.bits > 1000
    assert float(certified.outputs[0][()]) == 2.0**-1000


def test_a_comparison_on_the_edge_is_not_decided():
    graph = trace(lambda t: np.where(np.sin(t) ** 2 + np.cos(t) ** 2 > 1.0, t, -t), 0.5)
    with pytest.raises(exact.UndecidedError, match="cannot be told apart"):
        exact.evaluate(graph, [np.float64(0.5)], 64)


def test_the_number_of_inputs_is_checked():
    graph = trace(lambda t: t, 0.5)
    with pytest.raises(ShapeError, match="takes 1 inputs"):
        exact.evaluate(graph, [], 64)
    with pytest.raises(ShapeError, match="takes 1 inputs"):
        evaluate(graph, [])
    with pytest.raises(ShapeError, match="traced with shape"):
        evaluate(graph, [np.ones(3)])

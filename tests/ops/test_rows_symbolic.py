"""Every row against SymPy: the derivative rule and `sympy.diff` are one expression.

The first of two oracles (the second is numeric). A rule is traced into a graph, the
graph is read with SymPy's own functions (none of diffkit's), and the difference from
the derivative that SymPy finds for itself must simplify to zero, exactly: floats are
rewritten as the rationals that they are, log 2 and 2/√π as themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
import pytest
import sympy

from diffkit.graph import trace
from diffkit.interpret.sympy import elements_of, evaluate
from diffkit.ops import TABLE, Constant, Op, Span
from diffkit.ops.elementwise import LN2, TWO_OVER_SQRT_PI

EXACT: dict[float, Any] = {
    LN2: sympy.log(2),
    TWO_OVER_SQRT_PI: 2 / sympy.sqrt(sympy.pi),
}

STOCK: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "negative": lambda x: -x,
    "reciprocal": lambda x: 1 / x,
    "square": lambda x: x**2,
    "power": lambda x, b: x**b,
    "exp": sympy.exp,
    "expm1": lambda x: sympy.exp(x) - 1,
    "exp2": lambda x: sympy.Integer(2) ** x,
    "log": sympy.log,
    "log1p": lambda x: sympy.log(1 + x),
    "log2": lambda x: sympy.log(x) / sympy.log(2),
    "sqrt": sympy.sqrt,
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tan": sympy.tan,
    "asin": sympy.asin,
    "acos": sympy.acos,
    "atan": sympy.atan,
    "sinh": sympy.sinh,
    "cosh": sympy.cosh,
    "tanh": sympy.tanh,
    "sigmoid": lambda x: 1 / (1 + sympy.exp(-x)),
    "softplus": lambda x: sympy.log(1 + sympy.exp(x)),
    "erf": sympy.erf,
    "relu": lambda x: sympy.Piecewise((x, x > 0), (0, True)),
    "abs": lambda x: sympy.Piecewise((x, x > 0), (-x, True)),
    "sign": lambda x: sympy.Piecewise((1, x > 0), (-1, x < 0), (0, True)),
    "maximum": lambda a, b: sympy.Piecewise((a, a > b), (b, True)),
    "minimum": lambda a, b: sympy.Piecewise((a, a < b), (b, True)),
    "where": lambda c, a, b: sympy.Piecewise((a, c), (b, True)),
    "equal": sympy.Eq,
    "not_equal": sympy.Ne,
    "less": sympy.Lt,
    "less_equal": sympy.Le,
    "greater": sympy.Gt,
    "greater_equal": sympy.Ge,
    "logical_and": sympy.And,
    "logical_or": sympy.Or,
    "logical_xor": sympy.Xor,
    "logical_not": sympy.Not,
}
JOINS: dict[str, Callable[..., Any]] = {
    "add": sympy.Add,
    "largest": sympy.Max,
    "smallest": sympy.Min,
    "logsumexp": lambda *x: sympy.log(sympy.Add(*map(sympy.exp, x))),
}


class StockAlgebra:
    """Elements are SymPy expressions in SymPy's own functions."""

    def number(self, value: float) -> Any:
        exact = EXACT.get(value)
        return sympy.Rational(Fraction(value)) if exact is None else exact

    def apply(self, name: str, *arguments: Any) -> Any:
        return STOCK[name](*arguments)

    def join(self, name: str, elements: Sequence[Any]) -> Any:
        return JOINS[name](*elements)


def read(f: Callable[..., Any], leaves: Sequence[np.ndarray]) -> np.ndarray:
    """A function of rows, at leaves that are object arrays of SymPy expressions."""
    examples = [
        np.zeros(leaf.shape, bool if _is_boolean(leaf) else float) for leaf in leaves
    ]
    (out,) = evaluate(trace(f, *examples), leaves, StockAlgebra())
    return out


def _is_boolean(leaf: np.ndarray) -> bool:
    return any(isinstance(e, sympy.logic.boolalg.BooleanAtom) for e in leaf.ravel())


def scalar(expression: Any) -> np.ndarray:
    return elements_of([expression], ())


def proved(difference: Any) -> bool:
    """Whether an expression is zero, by exact rewriting."""
    difference = sympy.expand(difference)
    if difference == 0:
        return True
    if sympy.simplify(difference) == 0:
        return True
    return sympy.simplify(difference.rewrite(sympy.exp)) == 0


def proves(op: Op, position: int, point: Sequence[Any], rule: Any = None) -> bool:
    """Whether a partial derivative is SymPy's, at symbols that stay in one region."""
    rule = rule or op.partials[position]
    free = [
        x if x in {sympy.true, sympy.false} else sympy.Symbol(f"t{i}", real=True)
        for i, x in enumerate(point)
    ]
    values = read(op, [scalar(t) for t in free]).item()
    there = dict(zip(free, point, strict=True))
    derivative: Any = sympy.diff(values, free[position])
    expected = derivative.subs(there)
    g = sympy.Symbol("g", real=True)
    found = read(
        lambda g, *x: rule(g, op(*x), *x), [scalar(g), *(scalar(x) for x in point)]
    ).item()
    return proved(found - g * expected)


def symbol(name: str, **assumptions: bool) -> Any:
    return sympy.Symbol(name, real=True, **assumptions)


A, B, P = symbol("a"), symbol("b"), symbol("p", positive=True)
NONZERO = symbol("n", nonzero=True)


def points(op: Op) -> list[tuple[Any, ...]]:
    """Symbols to prove at: one tuple for each region where the row is smooth."""
    if op.name in {"relu", "abs", "sign"}:
        return [(P,), (-P,)]
    if op.name in {"maximum", "minimum"}:
        return [(B + P, B), (B - P, B)]
    if op.name == "where":
        return [(sympy.true, A, B), (sympy.false, A, B)]
    if op.name == "power":
        return [(P, NONZERO), (P, sympy.Integer(0)), (P, sympy.Integer(1))]
    free = [
        symbol(f"x{i}", **({"positive": True} if domain.low >= 0 else {}))
        for i, domain in enumerate(op.domain)
    ]
    return [tuple(free)]


PARTIALS = [
    pytest.param(op, position, id=f"{op.name}-{position}")
    for op in TABLE.values()
    for position, rule in enumerate(op.partials)
    if rule is not None
]


@pytest.mark.parametrize("op, position", PARTIALS)
def test_partial_is_sympys_derivative(op: Op, position: int) -> None:
    for point in points(op):
        assert proves(op, position, point), point


@pytest.mark.parametrize("op, position", PARTIALS)
def test_prover_sees_a_rule_wrong_by_a_thousandth(op: Op, position: int) -> None:
    right = op.partials[position]
    assert right is not None
    if op.name == "sign":  # its derivative is zero, and so is 1.001 times it

        def wrong(g: Any, y: Any, *x: Any) -> Any:
            return right(g, y, *x) + 0.001 * g
    else:

        def wrong(g: Any, y: Any, *x: Any) -> Any:
            return 1.001 * right(g, y, *x)

    assert not all(proves(op, position, point, wrong) for point in points(op))


def test_rows_without_a_partial_are_piecewise_constant() -> None:
    for op in TABLE.values():
        for position, rule in enumerate(op.partials):
            if rule is None:
                chooses = op.name == "where" and position == 0
                assert op.kind == "boolean" or chooses, op.name


@pytest.mark.parametrize(
    "name, point, shares",
    [
        ("relu", (0,), (0,)),
        ("abs", (0,), (0,)),
        ("sign", (0,), (0,)),
        ("maximum", (2, 2), ("1/2", "1/2")),
        ("minimum", (2, 2), ("1/2", "1/2")),
        ("power", (0, 2), (0, 0)),
        ("power", (0, 1), (1, 0)),
        ("power", (0, 0), (0, 0)),
        ("power", (-2, 3), (12, 0)),
    ],
)
def test_kink_has_the_value_that_the_row_states(
    name: str, point: tuple[int, ...], shares: tuple[Any, ...]
) -> None:
    op = TABLE[name]
    g = symbol("g")
    leaves = [scalar(g), *(scalar(sympy.Integer(x)) for x in point)]
    for rule, share in zip(op.partials, shares, strict=True):
        assert rule is not None
        found = read(lambda g, *x, rule=rule: rule(g, op(*x), *x), leaves).item()
        assert sympy.simplify(found - g * sympy.Rational(share)) == 0


# ---- rows with a shape ------------------------------------------------------------

ALL2 = Span(0, 1, 2)
STRUCTURED: list[tuple[str, list[tuple[int, ...]], dict[str, Any]]] = [
    ("matmul", [(2, 3), (3, 2)], {}),
    ("matmul", [(2, 1, 2), (2, 2, 2)], {}),
    ("transpose", [(2, 3)], {"axes": (1, 0)}),
    ("reshape", [(2, 3)], {"shape": (3, 2)}),
    ("broadcast", [(3, 1)], {"shape": (2, 3, 2)}),
    ("index", [(3, 2)], {"key": (Span(2, -1, 2), 1)}),
    ("index", [(3, 2)], {"key": (Constant.of(np.array([0, 0, 2])), ALL2)}),
    (
        "scatter",
        [(2,), (3, 2)],
        {
            "keys": ((1, ALL2), (Constant.of(np.array([0, 1, 1])), ALL2)),
            "shape": (3, 2),
        },
    ),
    ("concatenate", [(2, 2), (2, 1)], {"axis": 1}),
    ("stack", [(2, 2), (2, 2)], {"axis": 1}),
    ("cumsum", [(3, 2)], {"axis": 0}),
    *[
        (name, [shape], {"axes": axes, "keepdims": keepdims})
        for name in ("sum", "mean", "prod", "logsumexp")
        for shape, axes, keepdims in (
            ((3, 2), (0,), False),
            ((2, 3), (1,), True),
            ((2, 1, 2), (0, 2), False),
        )
    ],
]


def array_of(name: str, shape: tuple[int, ...]) -> np.ndarray:
    return elements_of([symbol(f"{name}{i}") for i in range(prod(shape))], shape)


def pullback(op: Op, position: int, words: dict[str, Any]) -> Callable[..., Any]:
    """g, *x → the cotangent of input `position`, by the row's own rule."""
    if op.weights is None:
        if len(op.transposes) == 1 and op.arity is None:
            words = {**words, "position": position}
            position = 0
        return lambda g, y, *x: op.transposes[position](g, y, *x, **words)

    def spread(g: Any, y: Any, x: Any) -> Any:
        kept = tuple(1 if i in words["axes"] else n for i, n in enumerate(x.shape))
        assert op.weights is not None
        return TABLE["reshape"](g, shape=kept) * op.weights(y, x, **words)

    return spread


def structured_proof(
    op: Op, shapes: list[tuple[int, ...]], words: dict[str, Any], error: float = 0.0
) -> bool:
    x = [array_of("abc"[i], shape) for i, shape in enumerate(shapes)]
    y = read(lambda *x: op(*x, **words), x)
    g = array_of("g", y.shape)
    for position, leaf in enumerate(x):
        rule = pullback(op, position, words)

        def cotangent(g: Any, *x: Any, rule: Any = rule) -> Any:
            return rule(g, op(*x, **words), *x) * (1.0 + error)

        found = read(cotangent, [g, *x])
        assert found.shape == leaf.shape or op.name == "matmul"
        for entry, found_entry in zip(leaf.ravel(), found.ravel(), strict=True):
            expected = sum(
                c * sympy.diff(v, entry)
                for c, v in zip(g.ravel(), y.ravel(), strict=True)
            )
            if not proved(found_entry - expected):
                return False
    return True


@pytest.mark.parametrize("name, shapes, words", STRUCTURED)
def test_structured_rule_is_sympys_derivative(
    name: str, shapes: list[tuple[int, ...]], words: dict[str, Any]
) -> None:
    assert structured_proof(TABLE[name], shapes, words)


@pytest.mark.parametrize("name, shapes, words", STRUCTURED)
def test_prover_sees_a_structured_rule_wrong_by_a_thousandth(
    name: str, shapes: list[tuple[int, ...]], words: dict[str, Any]
) -> None:
    assert not structured_proof(TABLE[name], shapes, words, error=0.001)


@pytest.mark.parametrize(
    "name, values, expected",
    [
        ("max", [3, 1, 2], [1, 0, 0]),
        ("max", [3, 3, 2], ["1/2", "1/2", 0]),
        ("max", [2, 2, 2], ["1/3", "1/3", "1/3"]),
        ("min", [3, 1, 2], [0, 1, 0]),
        ("min", [1, 1, 2], ["1/2", "1/2", 0]),
    ],
)
def test_extremes_give_their_derivative_to_those_that_attain_them(
    name: str, values: list[int], expected: list[Any]
) -> None:
    op = TABLE[name]
    words = {"axes": (0,), "keepdims": False}
    leaf = elements_of(map(sympy.Integer, values), (3,))
    rule = pullback(op, 0, words)
    g = symbol("g")
    found = read(lambda g, x: rule(g, op(x, **words), x), [scalar(g), leaf])
    for entry, share in zip(found, expected, strict=True):
        assert sympy.simplify(entry - g * sympy.Rational(share)) == 0


def test_every_row_is_proved() -> None:
    proved_here = {name for name, _, _ in STRUCTURED} | {"max", "min"}
    for op in TABLE.values():
        assert op.family in {"leaf", "elementwise"} or op.name in proved_here, op.name

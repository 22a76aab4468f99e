"""The SymPy reading: complete, true to SymPy's own functions, true to NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy

from diffkit.graph import trace
from diffkit.interpret import numpy as by_numpy
from diffkit.interpret import sympy_functions
from diffkit.interpret.sympy import evaluate, exact_number, symbols
from diffkit.interpret.sympy_functions import MEANINGS, STOCK, BatchSum, define
from diffkit.ops import TABLE

CLASSES: dict[str, Any] = {
    cls.__name__: cls
    for cls in vars(sympy_functions).values()
    if isinstance(cls, type)
    and issubclass(cls, sympy.Function)
    and cls.__module__ != "sympy.core.function"
}
POSITIVE = [sympy.Symbol(name, positive=True) for name in "abc"]
EXACT = {
    sympy_functions.LN2: sympy.log(2),
    sympy_functions.TWO_OVER_SQRT_PI: 2 / sympy.sqrt(sympy.pi),
    sympy.Float(1 / sympy_functions.LN2): 1 / sympy.log(2),
}
SMOOTH = [
    (name, position)
    for name, f in STOCK.items()
    for position in range(1 if name == "logsumexp" else CLASSES[name].nargs.args[0])
    if f is not None
]


def in_stock(expression: Any) -> Any:
    """The expression in SymPy's own functions, floats as what they stand for."""
    for name, stock in {"greater": sympy.Gt, **STOCK, "where": _where}.items():
        expression = expression.replace(CLASSES[name], stock)
    expression = expression.replace(CLASSES["same"], lambda a, b: sympy.Integer(a == b))
    return expression.replace(
        lambda e: e.is_Float, lambda e: EXACT.get(e, sympy.Rational(float(e)))
    )


def _where(c: Any, a: Any, b: Any) -> Any:
    return sympy.Piecewise((a, c), (b, True))


def slope_is_true(cls: Any, stock: Any, position: int, arity: int) -> bool:
    x = POSITIVE[:arity]
    stated = in_stock(cls(*x).fdiff(position + 1))
    difference = stated - sympy.diff(stock(*x), x[position])
    return sympy.simplify(difference.rewrite(sympy.exp)) == 0


@pytest.mark.parametrize("name, position", SMOOTH)
def test_stated_slope_is_that_of_sympys_own_function(name: str, position: int) -> None:
    arity = 3 if name == "logsumexp" else CLASSES[name].nargs.args[0]
    assert slope_is_true(CLASSES[name], STOCK[name], position, arity)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "erf", "sqrt"])
def test_a_slope_wrong_by_a_thousandth_is_seen(name: str) -> None:
    right = CLASSES[name]
    wrong = define(name, lambda y, x: sympy.Rational(1001, 1000) * right(x).fdiff(1))
    assert slope_is_true(right, STOCK[name], 0, 1)
    assert not slope_is_true(wrong, STOCK[name], 0, 1)


def test_every_elementwise_row_has_a_meaning() -> None:
    named = {op.sympy for op in TABLE.values() if op.family == "elementwise"}
    assert named == set(MEANINGS)


def test_functions_are_real_finite_and_left_as_written() -> None:
    x = sympy.Symbol("x", real=True)
    for name, cls in CLASSES.items():
        if cls is BatchSum:
            continue
        arity = 2 if name in VARIADIC else cls.nargs.args[0]
        y = cls(*[x] * arity)
        assert y.is_real, name
        assert y.is_finite, name
        assert y.func is cls, name
        # At a float too: what the program wrote is what is evaluated.
        assert cls(*[sympy.Float(0.5)] * arity).func is cls, name
    exp = MEANINGS["exp"]
    assert (exp(x) * exp(2 * x)).is_Mul


VARIADIC = {"largest", "smallest", "logsumexp", "ties"}


def test_batch_sum_is_linear() -> None:
    p, x = sympy.symbols("p x", real=True)
    n = sympy.Integer(5)
    assert sympy.diff(BatchSum(p * x, n), p) == BatchSum(x, n)
    assert sympy.diff(BatchSum(p + x, n), p) == 5
    assert BatchSum(sympy.Integer(0), n) == 0


@pytest.mark.parametrize(
    "value", [0.0, 1.0, -3.0, 0.5, 0.1, 1e300, 5e-324, -1 / 3, 2.0**60]
)
def test_numbers_keep_every_bit(value: float) -> None:
    assert float(exact_number(value)) == value


def test_numbers_that_are_not_finite_are_symbols() -> None:
    assert exact_number(float("inf")).is_Symbol
    assert (-exact_number(float("-inf"))).is_Symbol
    assert exact_number(float("nan")).is_Symbol


def test_reading_agrees_with_numpy(rng: np.random.Generator) -> None:
    def f(w: Any, x: Any) -> Any:
        h = np.tanh(x @ w) / (1 + np.exp(-w[0]))
        part = np.sum(np.cumsum(h, axis=1)[:, ::2] ** 3)
        shifted = np.log1p(np.square(np.transpose(h)) + np.sqrt(2 + h.T))
        return part + np.mean(np.concatenate([shifted, h.T], axis=0)) + np.prod(w)

    w, x = rng.normal(size=(3, 2)), rng.normal(size=(4, 3))
    graph = trace(f, w, x)
    leaves = [symbols("w", w.shape), symbols("x", x.shape)]
    (out,) = evaluate(graph, leaves)
    names = [*leaves[0].ravel(), *leaves[1].ravel()]
    numbers = [*w.ravel(), *x.ravel()]
    there = dict(zip(names, map(float, numbers), strict=True))
    found = float(in_stock(out.item()).subs(there).evalf())
    assert found == pytest.approx(by_numpy.evaluate(graph, [w, x])[0], rel=1e-13)


def test_arithmetic_on_booleans_treats_them_as_numbers() -> None:
    graph = trace(lambda x: np.sum((x > 0) * 2.0) + np.sum(x > 1), np.zeros(3))
    (out,) = evaluate(graph, [np.array([0.5, -1.0, 2.0])])
    choices = out.item().atoms(CLASSES["where"])
    assert choices
    assert all(c.args[1:] == (1, 0) for c in choices)

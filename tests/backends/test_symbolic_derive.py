"""The derivations are SymPy's; the counts are those of the formulas written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy
from sympy import Add, Integer

from diffkit.backends.symbolic.differentiate import memoised, reverse, stock
from diffkit.backends.symbolic.rows import Rows
from diffkit.backends.symbolic.size import measure, needed_rows
from diffkit.interpret import sympy_functions as functions
from diffkit.interpret.sympy_functions import MEANINGS, BatchSum, define


def never() -> None:
    """A deadline that is far away."""


def network(width: int, depth: int, activation: Any) -> tuple[Any, list[Any]]:
    """A scalar network's mean squared error as one formula, and its parameters."""
    parameters: list[Any] = []

    def parameter(name: str) -> Any:
        parameters.append(sympy.Symbol(name, real=True))
        return parameters[-1]

    h = [sympy.Symbol(f"x{i}", real=True) for i in range(2)]
    for layer in range(depth):
        h = [
            activation(
                Add(
                    *[parameter(f"w{layer}{i}{j}") * z for j, z in enumerate(h)],
                    parameter(f"b{layer}{i}"),
                )
            )
            for i in range(width)
        ]
    target = sympy.Symbol("y", real=True)
    loss = Add(*[(z - target) ** 2 for z in h])
    return BatchSum(loss, Integer(7)) / 7, parameters


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus", "relu", "sin", "erf"])
@pytest.mark.parametrize("width, depth", [(1, 1), (1, 4), (2, 2), (3, 2)])
def test_memoised_is_structurally_sympy_diff(width: int, depth: int, name: str) -> None:
    loss, parameters = network(width, depth, MEANINGS[name])
    by_us = memoised(loss, parameters, never)
    by_sympy = [sympy.diff(loss, p) for p in parameters]
    assert by_us == by_sympy
    assert stock(loss, parameters, never) == by_sympy
    # `==` on SymPy is structural; the printed trees agree too.
    assert list(map(sympy.srepr, by_us)) == list(map(sympy.srepr, by_sympy))


def test_memoised_is_sympy_diff_for_every_meaning() -> None:
    p, q, r = sympy.symbols("p q r", real=True)
    for name, f in MEANINGS.items():
        arity = {"where": 3}.get(name)
        for arguments in ((p * q,), (p * q, q + r), (p * q, q + r, r * r)):
            if arity not in {None, len(arguments)}:
                continue
            try:
                y = f(*arguments) ** 2 * p / (1 + q**2) + 3 * r
            except TypeError:  # not this many arguments
                continue
            for symbol in (p, q, r):
                expected = sympy.diff(y, symbol)
                assert memoised(y, [symbol], never) == [expected], name


def test_parameters_that_do_not_matter_have_slope_zero() -> None:
    p, q = sympy.symbols("p q", real=True)
    assert memoised(functions.tanh(p), [q, p], never)[0] == 0


def test_a_planted_wrong_slope_changes_the_derivative() -> None:
    """The comparison above is not vacuous: a slope off by a thousandth is seen."""
    wrong = define("tanh", lambda y, x: sympy.Rational(1001, 1000) * (1 - y**2))
    right_loss, parameters = network(2, 2, functions.tanh)
    wrong_loss, _ = network(2, 2, wrong)
    at = {p: sympy.Rational(1, 3 + i) for i, p in enumerate(parameters)}
    at |= {sympy.Symbol(n, real=True): sympy.Rational(1, 2) for n in ("x0", "x1", "y")}

    def number(loss: Any) -> float:
        slope = memoised(loss, parameters[:1], never)[0].subs(at)
        for cls in (functions.tanh, wrong):
            slope = slope.replace(cls, sympy.tanh)
        return float(slope.replace(BatchSum, lambda e, n: e * n).evalf())

    right, off = number(right_loss), number(wrong_loss)
    assert off != pytest.approx(right, rel=1e-5)
    assert off == pytest.approx(right * 1.001**2, rel=1e-9)


def test_reverse_on_rows_is_the_same_function_as_sympy_diff() -> None:
    loss, parameters = network(3, 2, functions.tanh)
    rows = Rows(7)
    (value,) = rows.convert([loss], frozenset({"x0", "x1", "y"}))
    wrt = [rows.symbol(p.name) for p in parameters]
    gradients = reverse(rows, value, wrt, never)
    rng = np.random.default_rng(0)
    names = {rows.payloads[i] for i in range(len(rows)) if rows.heads[i] == "symbol"}
    there = {name: rng.normal() for name in names}
    found = evaluate_rows(rows, gradients, there)
    for derivative, entry in zip(memoised(loss, parameters, never), found, strict=True):
        expected = derivative.subs(
            {sympy.Symbol(n, real=True): v for n, v in there.items()}
        )
        expected = expected.replace(functions.tanh, sympy.tanh)
        expected = expected.replace(BatchSum, lambda e, n: e * n)
        assert entry == pytest.approx(float(expected.evalf()), rel=1e-12)


def evaluate_rows(
    rows: Rows, outputs: list[int], there: dict[str, float]
) -> list[float]:
    """Rows in plain Python, for a batch of one sample seen seven times."""
    values: dict[int, float] = {}
    for row in needed_rows(rows, outputs):
        head, payload = rows.heads[row], rows.payloads[row]
        x = [values[i] for i in rows.arguments[row]]
        values[row] = {
            "symbol": lambda: there[payload],  # noqa: B023
            "number": lambda: float(payload),  # noqa: B023
            "add": lambda: sum(x),  # noqa: B023
            "multiply": lambda: float(np.prod(x)),  # noqa: B023
            "power": lambda: x[0] ** x[1],  # noqa: B023
            "tanh": lambda: float(np.tanh(x[0])),  # noqa: B023
            "batch_sum": lambda: x[0] * x[1],  # noqa: B023
        }[head]()
    return [values[i] for i in outputs]


# ---- sizes -----------------------------------------------------------------------


def brute_force(expression: Any) -> tuple[int, int, int]:
    """Nodes, operations and height by walking the whole tree."""
    nodes = operations = 0
    for node in sympy.preorder_traversal(expression):
        nodes += 1
        if node.is_Add or node.is_Mul:
            operations += len(node.args) - 1
        elif node.args:
            operations += 1
    return nodes, operations, height(expression)


def height(expression: Any) -> int:
    return 1 + max(map(height, expression.args)) if expression.args else 0


@pytest.mark.parametrize("width, depth", [(1, 1), (1, 3), (2, 2), (3, 2)])
def test_tree_sizes_are_those_of_a_walk(width: int, depth: int) -> None:
    loss, parameters = network(width, depth, functions.tanh)
    formulas = [loss, *memoised(loss, parameters, never)]
    rows = Rows(7)
    size = measure(rows, rows.convert(formulas))
    walks = [brute_force(formula) for formula in formulas]
    assert size.tree_nodes == sum(nodes for nodes, _, _ in walks)
    assert size.tree_operations == sum(operations for _, operations, _ in walks)
    assert size.height == max(height for _, _, height in walks)


def test_operations_are_sympys_where_its_printing_hides_none() -> None:
    # `count_ops` counts a − b as one operation and a + (−1)·b as one too; without
    # signs and quotients both counts are of the same thing.
    p, q, r = sympy.symbols("p q r", real=True)
    y = (p * q + r) ** 3 * functions.tanh(p + q * r + 2) + functions.exp(p * r)
    rows = Rows()
    size = measure(rows, rows.convert([y]))
    assert size.tree_operations == sympy.count_ops(y)


def test_shared_nodes_are_the_distinct_subexpressions() -> None:
    loss, parameters = network(2, 3, functions.sigmoid)
    formulas = [loss, *memoised(loss, parameters, never)]
    distinct = {node for f in formulas for node in sympy.preorder_traversal(f)}
    rows = Rows()
    assert measure(rows, rows.convert(formulas)).shared_nodes == len(distinct)


def test_sizes_are_exact_far_beyond_what_could_be_written() -> None:
    rows = Rows()
    y = rows.symbol("x")
    for _ in range(5_000):
        y = rows.raw("add", (y, y))
    size = measure(rows, [y])
    assert size.tree_operations == 2**5_000 - 1
    assert size.tree_nodes == 2**5_001 - 1
    assert size.shared_operations == size.height == 5_000
    assert size.sharing_ratio == float("inf")


def test_evaluated_operations_count_samples() -> None:
    rows = Rows(batch=10)
    p, x = rows.symbol("p"), rows.symbol("x", batched=True)
    product = rows.make("multiply", (p, x))
    total = rows.make("batch_sum", (product, rows.number(10)))
    size = measure(rows, [rows.make("multiply", (total, p))])
    assert size.shared_operations == 3
    assert size.shared_evaluated == 10 + 9 + 1


# ---- rows ------------------------------------------------------------------------


def test_equal_rows_are_one() -> None:
    rows = Rows()
    a, b = rows.symbol("a"), rows.symbol("b")
    assert rows.make("add", (a, b)) == rows.make("add", (b, a))
    assert rows.apply("tanh", a) == rows.apply("tanh", a)
    assert rows.apply("subtract", a, b) != rows.apply("subtract", b, a)


def test_rows_fold_numbers_as_sympy_does() -> None:
    rows = Rows()
    a = rows.symbol("a")
    zero, one, half = rows.number(0.0), rows.number(1.0), rows.number(0.5)
    assert rows.make("add", (a, zero)) == a
    assert rows.make("multiply", (a, one)) == a
    assert rows.make("multiply", (a, zero)) == zero
    assert rows.make("multiply", (half, half, a)) == rows.make(
        "multiply", (a, rows.number(0.25))
    )
    assert rows.make("add", ()) == zero
    assert rows.make("multiply", ()) == one
    assert rows.make("power", (a, zero)) == one
    assert rows.make("power", (rows.number(2), rows.number(-1))) == half
    square = rows.make("power", (a, rows.number(2)))
    assert rows.make("power", (square, rows.number(-1))) == rows.make(
        "power", (a, rows.number(-2))
    )
    infinite = rows.number(float("inf"))
    assert rows.make("multiply", (zero, infinite)) != zero


def test_row_meanings_are_the_sympy_meanings() -> None:
    p, q, r = sympy.symbols("p q r", real=True)
    for name, f in MEANINGS.items():
        for arguments in ((p,), (p, q), (r, p, q)):
            try:
                expression = f(*arguments)
            except TypeError:
                continue
            if name in {"add", "multiply"} and len(arguments) != 2:
                continue
            rows = Rows()
            symbols = [rows.symbol(s.name) for s in arguments]
            ours = rows.apply(name, *symbols)
            other = Rows()
            (theirs,) = other.convert([expression])
            ours_size, their_size = measure(rows, [ours]), measure(other, [theirs])
            assert ours_size.tree_operations == their_size.tree_operations, name

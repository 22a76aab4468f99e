"""Generated source: bounded nesting, the work it claims, budgets before printing."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diffkit.backends import symbolic as symbolic_room
from diffkit.backends.base import Program
from diffkit.backends.symbolic import Symbolic
from diffkit.backends.symbolic.functions import functions
from diffkit.backends.symbolic.rows import Rows
from diffkit.backends.symbolic.size import measure, needed_rows
from diffkit.backends.symbolic.source import compile_source, python_source
from diffkit.errors import ExpressionBudgetError
from diffkit.graph import trace

FLOAT64 = np.dtype("float64")


def run(rows: Rows, outputs: list[int], leaves: dict[str, float], tree: bool) -> Any:
    source = python_source(rows, outputs, list(leaves), written_out=tree)
    return compile_source(source, functions(FLOAT64))(list(leaves.values()))


def program(layers: int, width: int = 2) -> Program:
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=(layers, width, width)), rng.normal(size=(4, width))

    def f(w: Any, x: Any) -> Any:
        h = x
        for i in range(layers):
            h = np.tanh(h @ w[i])
        return np.mean(h**2)

    return Program(trace(f, w, x), (0,), ("w", "x"), FLOAT64)


@pytest.mark.parametrize("tree", [False, True])
def test_source_computes_what_the_rows_say(tree: bool) -> None:
    rows = Rows()
    a, b, c = (rows.symbol(name) for name in "abc")
    minus = rows.apply("negative", rows.make("add", (a, b)))
    cases = {
        "difference of a sum": rows.apply("subtract", c, rows.make("add", (a, b))),
        "quotient of products": rows.apply(
            "divide", rows.make("multiply", (a, b)), rows.make("multiply", (b, c))
        ),
        "quotient in a product": rows.make(
            "multiply", (a, rows.raw("multiply", (b, rows.apply("reciprocal", c))))
        ),
        "sign of a sum": minus,
        "signs in products": rows.make("multiply", (minus, minus, rows.number(-2))),
        "power of a sum": rows.make("power", (minus, rows.number(3))),
        "inverse square": rows.make(
            "power", (rows.make("add", (a, c)), rows.number(-2))
        ),
        "square of a product": rows.make(
            "power", (rows.make("multiply", (a, c)), rows.number(2))
        ),
        "negative number": rows.make("multiply", (a, rows.number(-0.1))),
        "big number": rows.make("add", (a, rows.number(10**30))),
        "reciprocal of a reciprocal": rows.raw(
            "power", (rows.raw("power", (a, rows.number(-1))), rows.number(-1))
        ),
        "whole": rows.make("power", (c, rows.number(13))),
    }
    x, y, z = 0.7, -1.3, 2.1
    expected = [
        z - (x + y),
        x * y / (y * z),
        x * (y / z),
        -(x + y),
        (x + y) ** 2 * -2,
        (-(x + y)) ** 3,
        (x + z) ** -2,
        (x * z) ** 2,
        x * -0.1,
        x + 1e30,
        x,
        z**13,
    ]
    leaves = {"a": x, "b": y, "c": z}
    found = run(rows, list(cases.values()), leaves, tree)
    for name, have, want in zip(cases, found, expected, strict=True):
        assert have == pytest.approx(want, rel=1e-14), name


def operations_in(source: str) -> int:
    """Scalar operations that the code performs, counted on its syntax tree."""
    count = 0
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.BinOp | ast.Call):
            count += 1
    return count


def test_written_out_source_does_the_work_of_the_tree() -> None:
    rows = Rows()
    y = rows.symbol("x")
    for _ in range(9):  # each level twice: 2⁹ leaves
        t = rows.apply("tanh", y)
        y = rows.raw("add", (t, t))
    tree = python_source(rows, [y], ["x"], written_out=True)
    named = python_source(rows, [y], ["x"], written_out=False)
    size = measure(rows, [y])
    assert operations_in(tree) == size.tree_operations == 3 * (2**9 - 1)
    assert operations_in(named) == size.shared_operations == 18


def test_deep_trees_are_split_and_still_do_all_their_work() -> None:
    rows = Rows()
    y = rows.symbol("x")
    for _ in range(400):
        y = rows.apply("sin", rows.apply("tanh", y))
    square = rows.raw("multiply", (y, rows.raw("add", (y, rows.number(1)))))
    source = python_source(rows, [square], ["x"], written_out=True)
    assert operations_in(source) == measure(rows, [square]).tree_operations == 1602
    assert nesting(source) < 100
    (found,) = run(rows, [square], {"x": 0.3}, tree=True)
    z = 0.3
    for _ in range(400):
        z = np.sin(np.tanh(z))
    assert found == pytest.approx(z * (z + 1), rel=1e-14)


def nesting(source: str) -> int:
    deepest = depth = 0
    for character in source:
        depth += (character in "([") - (character in ")]")
        deepest = max(deepest, depth)
    return deepest


@pytest.mark.parametrize("tree", [False, True])
def test_long_sums_are_nested_in_chunks(tree: bool) -> None:
    rows = Rows()
    names = [f"x{i}" for i in range(20_000)]
    total = rows.make("add", [rows.symbol(name) for name in names])
    source = python_source(rows, [total], names, written_out=tree)
    assert nesting(source) < 20
    (found,) = run(rows, [total], dict.fromkeys(names, 0.5), tree)
    assert found == 10_000


def test_generated_text_holds_nothing_of_the_users() -> None:
    wild = '__import__("os")'
    graph = program(1).graph
    compiled = Symbolic().compile(Program(graph, (0,), (wild, "x"), FLOAT64))
    assert "import" not in compiled.source
    tree = ast.parse(compiled.source)
    known = set(functions(FLOAT64))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Name)
            assert node.func.id in known


def test_names_are_reused_once_free() -> None:
    rows = Rows()
    y = rows.symbol("x")
    for _ in range(300):
        t = rows.apply("tanh", y)
        y = rows.raw("multiply", (t, t))
    source = python_source(rows, [y], ["x"], written_out=False)
    assert len(needed_rows(rows, [y])) == 601
    assert "v2" not in source


@pytest.mark.parametrize("form", ["shared", "cse", "expanded"])
def test_budget_on_operations_is_exact(form: str) -> None:
    problem = program(2)
    details = Symbolic(form=form).compile(problem).info.details
    kind = "tree" if form == "expanded" else "shared"
    needed = details[f"{kind}_operations"]
    Symbolic(form=form, max_operations=needed).compile(problem)
    with pytest.raises(ExpressionBudgetError) as caught:
        Symbolic(form=form, max_operations=needed - 1).compile(problem)
    error = caught.value
    assert (error.quantity, error.limit, error.needed) == (
        "operations",
        needed - 1,
        needed,
    )
    assert "Raise the budget" in str(error)
    assert len(str(error)) < 400  # never the expression


def test_default_budget_stops_the_written_out_form_and_no_other() -> None:
    problem = program(5, width=4)
    with pytest.raises(ExpressionBudgetError) as caught:
        Symbolic(form="expanded").compile(problem)
    assert caught.value.limit == 1_000_000
    assert caught.value.needed is not None
    assert caught.value.needed > 1_000_000
    for form in ("shared", "cse"):
        Symbolic(form=form).compile(problem)


def test_budget_on_the_value_alone_stops_before_reading() -> None:
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=(400, 400)), rng.normal(size=(6, 400))
    graph = trace(lambda w, x: np.sum(np.tanh(x @ w @ w @ w @ w)), w, x)
    with pytest.raises(ExpressionBudgetError, match="value alone") as caught:
        Symbolic().compile(Program(graph, (0,), ("w", "x"), FLOAT64))
    assert caught.value.needed is not None
    assert caught.value.needed > 1_000_000


def test_budget_on_bytes() -> None:
    with pytest.raises(ExpressionBudgetError) as caught:
        Symbolic(max_bytes=10_000).compile(program(3))
    assert caught.value.quantity == "bytes"
    assert caught.value.limit == 10_000
    assert caught.value.needed is not None
    assert caught.value.needed > 10_000


@pytest.mark.parametrize("differ", ["memoised", "sympy"])
def test_budget_on_seconds(differ: str) -> None:
    with pytest.raises(ExpressionBudgetError) as caught:
        Symbolic(form="cse", differ=differ, max_seconds=1e-9).compile(program(3))
    assert (caught.value.quantity, caught.value.limit) == ("seconds", 1e-9)
    assert caught.value.needed is None


def test_the_recursion_limit_is_left_alone() -> None:
    before = sys.getrecursionlimit()
    Symbolic().compile(program(400))
    assert sys.getrecursionlimit() == before


def test_what_sympy_cannot_reach_is_an_error_with_numbers() -> None:
    limit = sys.getrecursionlimit()
    rng = np.random.default_rng(0)

    def f(w: Any, x: Any) -> Any:
        h = x
        for _ in range(3 * limit):
            h = np.tanh(w * h)
        return np.sum(h)

    graph = trace(f, 0.5, rng.normal(size=3))
    problem = Program(graph, (0,), ("w", "x"), FLOAT64)
    with pytest.raises(ExpressionBudgetError, match="'shared'") as caught:
        Symbolic(form="cse", differ="sympy").compile(problem)
    assert caught.value.quantity == "levels of nesting"
    assert caught.value.needed is not None
    assert caught.value.needed > caught.value.limit
    Symbolic().compile(problem)


def test_a_budget_that_the_loss_alone_exceeds_says_so() -> None:
    problem = program(4, width=3)
    for form, option in (("expanded", "max_operations"), ("cse", "max_bytes")):
        budget: Any = {option: 40}
        with pytest.raises(
            ExpressionBudgetError, match="for its value alone"
        ) as caught:
            Symbolic(form=form, **budget).compile(problem)
        error = caught.value
        assert error.limit == 40
        assert error.needed is not None
        assert error.needed > 40
        assert f"the budget is {error.limit}" in str(error)


ROOM = Path(symbolic_room.__file__).parent


def test_no_pass_recurses_and_no_recursion_limit_is_touched() -> None:
    for path in [
        *ROOM.glob("*.py"),
        *(ROOM.parent.parent / "interpret").glob("sympy*"),
    ]:
        tree = ast.parse(path.read_text("utf-8"))
        for function in ast.walk(tree):
            if isinstance(function, ast.Attribute):
                assert "recursionlimit" not in function.attr
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    assert node.func.id != function.name, f"{path}:{node.lineno}"


def test_the_expanded_form_of_a_deep_program() -> None:
    w, x = np.full(50, 0.9), np.ones(3)

    def f(w: Any, x: Any) -> Any:
        h = x
        for i in range(50):
            h = np.tanh(w[i] * h)
        return np.sum(h)

    problem = Program(trace(f, w, x), (0,), ("w", "x"), FLOAT64)
    shared = Symbolic().compile(problem)([w, x])
    expanded = Symbolic(form="expanded").compile(problem)([w, x])
    np.testing.assert_allclose(expanded[1][0], shared[1][0], rtol=1e-12)

"""Who differentiates: SymEngine beside SymPy, and `simplify`, both optional."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from diffkit.backends.base import Program
from diffkit.backends.symbolic import Symbolic, by_symengine
from diffkit.errors import (
    BackendError,
    ExpressionBudgetError,
    MissingDependencyError,
    UserInputError,
)
from diffkit.graph import trace
from tests.backends.test_symbolic import PROGRAMS, W, X, assert_agrees, program_of
from tests.cases import mlp

NEEDS = pytest.mark.skipif(
    by_symengine.symengine is None, reason="needs the extra 'symengine'"
)


@pytest.mark.peers
@NEEDS
@pytest.mark.parametrize("name", PROGRAMS)
def test_symengine_gives_the_gradient_or_names_what_it_lacks(name: str) -> None:
    f, _ = PROGRAMS[name]
    try:
        assert_agrees(f, (W, X), form="cse", differ="symengine")
    except BackendError as error:
        assert "SymEngine has no function that means" in str(error)  # noqa: PT017


@pytest.mark.peers
@NEEDS
@pytest.mark.parametrize(
    "f",
    [
        lambda w, x: np.mean(np.sqrt(1 + np.square(x @ w)) * np.exp(-w[0])),
        lambda w, x: np.sum(np.log(2 + np.cos(x @ w)) / (3 + np.tanh(w[0]))),
        lambda w, x: np.sum(np.arctan(x @ w) * np.sinh(w[0]) + np.tan(0.1 * w[1])),
        lambda w, x: np.mean((x @ w - np.mean(x @ w, axis=0)) ** 2) ** 2,
    ],
)
@pytest.mark.parametrize("form", ["cse", "expanded"])
def test_symengines_functions_mean_what_ours_do(f: Any, form: str) -> None:
    assert_agrees(f, (W, X), form=form, differ="symengine")


@pytest.mark.peers
@NEEDS
def test_symengine_is_not_asked_what_would_end_the_process() -> None:
    def f(w: Any, x: Any) -> Any:
        h = x
        for _ in range(1_000):
            h = np.tanh(w * h)
        return np.sum(h)

    graph = trace(f, 0.5, np.ones(3))
    problem = Program(graph, (0,), ("w", "x"), np.dtype("float64"))
    with pytest.raises(ExpressionBudgetError, match="SymEngine recurses") as caught:
        Symbolic(form="cse", differ="symengine").compile(problem)
    assert caught.value.limit == by_symengine.DEEPEST
    assert caught.value.needed is not None
    assert caught.value.needed > 2_000


def test_without_symengine_the_error_says_how_to_get_it(monkeypatch: Any) -> None:
    monkeypatch.setattr(by_symengine, "symengine", None)
    program, _ = program_of(PROGRAMS["net"][0], (W, X))
    with pytest.raises(MissingDependencyError, match=r"diffkit\[symengine\]"):
        Symbolic(form="cse", differ="symengine").compile(program)


def test_symengine_means_nothing_to_the_shared_form() -> None:
    with pytest.raises(UserInputError, match="differ='symengine' means nothing"):
        Symbolic(differ="symengine")


def test_simplify_makes_a_formula_shorter_and_keeps_its_values() -> None:
    def f(w: Any, x: Any) -> Any:
        return np.sum(w[0, 0] * x[:, 0] * w[0, 1] / w[0, 0]) + np.sum(w[0] ** 2 / w[0])

    for form in ("cse", "expanded"):
        with_it = assert_agrees(f, (W, X), form=form, simplify=True)
        assert with_it.info.details["simplify"]
        assert "simplify" in with_it.info.seconds
        without = assert_agrees(f, (W, X), form=form)
        assert "simplify" not in without.info.seconds
        size = "tree_operations"
        assert with_it.info.details[size] <= without.info.details[size]


def test_simplify_is_bounded_and_means_nothing_to_the_shared_form() -> None:
    program, _ = program_of(*mlp([3, 4, 4, 1], batch=3))
    with pytest.raises(ExpressionBudgetError, match="entry to simplify") as caught:
        Symbolic(form="cse", simplify=True).compile(program)
    assert caught.value.limit == 100
    with pytest.raises(UserInputError, match="nothing for simplify=True"):
        Symbolic(simplify=True)

"""The accuracy experiment: errors against closed forms, and its page."""

from pathlib import Path

import numpy as np
import pytest

from diffkit.measure.experiment import load_experiment
from tests.pages import write_page

ROOT = Path(__file__).resolve().parents[2]
FOUND = load_experiment(ROOT / "experiments" / "accuracy.py")
EXPERIMENT = FOUND.experiment
EXACT = ("autodiff", "forward", "symbolic_shared", "symbolic_cse", "symbolic_expanded")


def rows_of(way, program):
    (case,) = (
        c
        for c in EXPERIMENT.cases("quick")
        if (c.backend, c["program"]) == (way, program)
    )
    return {row.metric: row for row in EXPERIMENT.measure(case)}


def test_every_way_is_asked_for_every_program():
    for mode, programs in (("quick", 5), ("full", 6)):
        cases = [c for c in EXPERIMENT.cases(mode) if c["program"] != "scalar work"]
        assert len({c["program"] for c in cases}) == programs
        assert len(cases) == programs * len({c.backend for c in cases})


@pytest.mark.parametrize("way", EXACT)
def test_derivations_are_exact_to_rounding(way):
    rows = rows_of(way, "2-8-1 tanh")
    assert rows["largest_ulps"].value <= 4
    assert rows["relative_error"].value <= 4 * np.finfo(float).eps


def test_one_weight_against_the_derivative_by_hand():
    # A parabola has no truncation error: what is left is the rounding of two values
    # near 8.41, over twice a step of ε^(1/3) or somewhat less, relative to 5.8.
    rows = rows_of("finite_differences_central", "one weight")
    eps = np.finfo(float).eps
    rounding = 8.41 * eps / (eps ** (1 / 3) / 8) / 5.8
    assert 0 < rows["relative_error"].value < rounding
    assert rows["primal_evaluations"].value == 2


def test_differences_lose_the_digits_that_theory_says():
    eps = np.finfo(float).eps
    central = rows_of("finite_differences_central", "2-8-1 tanh")["relative_error"]
    forward = rows_of("finite_differences_forward", "2-8-1 tanh")["relative_error"]
    assert eps < central.value < 10 * eps ** (2 / 3)
    assert central.value < forward.value < 10 * eps ** (1 / 2)


def test_a_formula_too_large_is_a_row_that_says_so():
    row = rows_of("symbolic_expanded", "5 layers of 4")["relative_error"]
    assert row.status == "too_large"
    assert row.value is None


def test_the_shared_formula_does_about_the_work_of_backprop():
    rows = rows_of("symbolic_shared", "scalar work")
    formula = rows["formula_operations"].value
    backprop = rows["backprop_operations"].value
    assert abs(formula - backprop) <= 0.15 * backprop


def test_the_page_follows_from_rows_and_copes_with_none(tmp_path):
    wanted = [
        c
        for c in EXPERIMENT.cases("quick")
        if c["program"] in ("one weight", "scalar work")
    ]
    rows = [row for case in wanted for row in EXPERIMENT.measure(case)]
    page = write_page(FOUND, rows, tmp_path).read_text()
    assert "exact to rounding (at most" in page
    assert "C10" in page
    assert write_page(FOUND, [], tmp_path / "none").exists()

"""Scores against plain formulas, interactions against known maps, seeds that repeat."""

import numpy as np
import pytest

from diffkit import train
from diffkit.measure.user_code import load_file
from tests.experiments.support import (
    ROOT,
    check_page,
    check_without,
    found,
    measured,
    value,
)

FOUND = found("student_dropout")
MODULE = load_file(ROOT / "experiments" / "student_dropout.py")


def test_scores_are_those_of_their_definitions():
    p, y = np.array([0.9, 0.2, 0.6, 0.4]), np.array([1, 0, 0, 1])
    scores = MODULE.judged(p, y)
    assert scores["brier_value"] == pytest.approx(np.mean((p - y) ** 2))
    chosen = np.where(y == 1, p, 1 - p)
    assert scores["loss"] == pytest.approx(-np.mean(np.log(chosen)))
    # Of four pairs of a leaver and a stayer, three are ranked right.
    assert scores["auc_value"] == pytest.approx(3 / 4)
    assert scores["accuracy"] == pytest.approx(0.5)


def test_a_map_that_is_linear_in_log_odds_has_no_interaction():
    absence, change, _ = MODULE.risk_grid().T
    p = 1 / (1 + np.exp(-(0.3 + 2 * absence - 1.5 * change)))
    assert MODULE.interaction(p) == pytest.approx(0, abs=1e-12)


def test_the_interaction_of_the_true_risk_is_that_of_its_formula():
    mapped = train.data.dropout_risk(MODULE.risk_grid())
    # z = -1.5 + 4·m·d at neutral feedback: m from 0 to 1, d from 1 to -1.
    assert MODULE.interaction(mapped) == pytest.approx(4.0 + 4.0)


def test_the_page_says_synthetic_and_survives_lost_cells():
    rows = (*measured(FOUND, model="linear"), *measured(FOUND, model="true risk"))
    assert value(rows, "interaction_value", model="linear") == pytest.approx(
        0, abs=1e-9
    )
    assert value(rows, "map_error", model="true risk") < 1e-12
    best, linear = (
        value(rows, "mean_test_brier_value", model=name)
        for name in ("true risk", "linear")
    )
    assert best < linear
    page = check_page(FOUND, rows, whole=False)
    assert "**synthetic**" in page
    check_without(FOUND, rows)

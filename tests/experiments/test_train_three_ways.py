"""Evaluations counted exactly, curves that agree, a classifier of known size."""

import numpy as np
import pytest

from diffkit.measure.user_code import load_file
from tests.experiments.support import (
    ROOT,
    check_page,
    check_without,
    found,
    measured,
    value,
)

FOUND = found("train_three_ways")
MODULE = load_file(ROOT / "experiments" / "train_three_ways.py")
PARAMETERS = 4 * 8 + 8 + 8 * 3 + 3


def test_digits_that_agree_are_counted():
    curve = np.array([1.0, 2.0])
    assert MODULE.same_digits(curve * (1 + 1e-6), curve) == pytest.approx(6, abs=1e-3)
    assert MODULE.same_digits(curve, curve) > 15


def test_the_large_classifier_has_about_fifty_thousand_parameters():
    pairs = zip(MODULE.LARGE, MODULE.LARGE[1:], strict=False)
    assert sum((n + 1) * m for n, m in pairs) == 50_826


def test_every_way_draws_the_same_curve_and_pays_what_it_must():
    ways = {
        "autodiff": (lambda p: 1, 15),
        "forward": (lambda p: p, 10),
        "finite_differences_central": (lambda p: 2 * p, 6),
    }
    rows = tuple(
        row
        for case in FOUND.experiment.cases("quick")
        if case.backend in ways and case["part"] == "ways"
        for row in FOUND.experiment.measure(case)
    )
    steps = MODULE.EPOCHS["quick"] * (96 // MODULE.BATCH)
    for way, (evaluations, digits) in ways.items():
        assert value(rows, "parameters_count", way) == PARAMETERS
        assert value(rows, "gradients_count", way) == steps
        counted = value(rows, "primal_evaluations", way)
        assert counted == steps * evaluations(PARAMETERS)
        assert value(rows, "same_digits_value", way) > digits
        assert value(rows, "checkpoint_differs_count", way) == 0
    rows = (*rows, *measured(FOUND, part="digits"))
    assert value(rows, "parameters_count", part="digits") == 50_826
    assert value(rows, "test_accuracy", part="digits") > 0.9
    page = check_page(FOUND, rows, timed=True, whole=False)
    assert "50,826" in page
    check_without(FOUND, rows)

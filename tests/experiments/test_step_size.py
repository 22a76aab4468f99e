"""The V of differences: arms with the slopes of theory, against errors by hand."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diffkit.measure.experiment import load_experiment
from tests.pages import write_page

ROOT = Path(__file__).resolve().parents[2]
FOUND = load_experiment(ROOT / "experiments" / "step_size.py")
EXPERIMENT = FOUND.experiment


def rows_of(way, program="exp(sin x)", dtype="float64", every=4):
    case = next(
        c
        for c in EXPERIMENT.cases("quick")
        if (c.backend, c["program"], c["dtype"]) == (way, program, dtype)
    )
    changed = tuple({**dict(case.parameters), "every": every}.items())
    return EXPERIMENT.measure(replace(case, parameters=changed))


def by_metric(rows):
    return {row.metric: row for row in rows}


@pytest.mark.parametrize(
    "way, order", [("forward", 1), ("central", 2), ("central_4", 4), ("central_6", 6)]
)
def test_the_arms_have_the_slopes_of_theory(way, order):
    rows = by_metric(rows_of(way, every=2))
    # Order 6 has no room: a decade above its foot the step is 0.1 already.
    if order < 6:
        slope = rows["truncation_slope_value"].value
        assert slope == pytest.approx(order, abs=0.15)
    assert rows["rounding_slope_value"].value == pytest.approx(-1.0, abs=0.2)
    theory = np.finfo(float).eps ** (order / (1 + order))
    assert rows["theory_error"].value == pytest.approx(theory, rel=1e-12)
    assert rows["least_error"].value < 10 * theory


def test_the_samples_are_the_errors_of_the_plain_quotient():
    def f(x):
        return math.exp(math.sin(x))

    true = math.cos(1.0) * f(1.0)
    row = by_metric(rows_of("central", every=8))["least_error"]
    steps = np.logspace(-15, 0, 121)[::8]
    assert len(row.samples) == len(steps)
    for step, error in zip(steps, row.samples, strict=True):
        if step > 1e-4:  # where truncation alone decides
            mine = (f(1 + step) - f(1 - step)) / (2 * step)
            assert error == pytest.approx(abs(mine - true) / true, rel=1e-3)


def test_single_precision_has_its_foot_higher():
    single = by_metric(rows_of("central", dtype="float32"))["least_error"].value
    double = by_metric(rows_of("central"))["least_error"].value
    assert single > 1e3 * double


def test_the_complex_step_never_turns_up():
    rows = by_metric(rows_of("complex_step"))
    assert rows["smallest_step_error"].value < 4 * np.finfo(float).eps
    assert rows["least_error"].samples[0] == pytest.approx(
        rows["smallest_step_error"].value, rel=1e-5
    )


def test_the_page_follows_from_rows_and_copes_with_none(tmp_path):
    rows = [*rows_of("central"), *rows_of("forward"), *rows_of("complex_step")]
    page = write_page(FOUND, rows, tmp_path).read_text()
    assert "No step makes differences exact" in page
    assert "C10" in page
    assert write_page(FOUND, [], tmp_path / "none").exists()

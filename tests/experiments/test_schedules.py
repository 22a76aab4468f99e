"""Rates by step against their formulas; ends of a training against its own rows."""

import math
from itertools import pairwise

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

FOUND = found("schedules")
MODULE = load_file(ROOT / "experiments" / "schedules.py")
STEPS = 100


def rates(kind):
    rate = MODULE.rate_of(kind, STEPS)
    return [rate(step) if callable(rate) else rate for step in range(STEPS)]


def test_a_cosine_falls_along_half_a_cosine():
    for step, rate in enumerate(rates("cosine")):
        expected = MODULE.PEAK * (1 + math.cos(math.pi * step / STEPS)) / 2
        assert rate == pytest.approx(expected, rel=1e-12)


def test_a_warm_up_rises_in_a_line_to_the_peak():
    rising = rates("warm-up, linear")[:11]
    assert rising == pytest.approx([MODULE.PEAK * k / 10 for k in range(11)])


@pytest.mark.parametrize("kind", MODULE.KINDS)
def test_every_schedule_has_the_same_peak(kind):
    assert max(rates(kind)) == pytest.approx(MODULE.PEAK, rel=2e-3)


def test_the_page_follows_from_rows_and_survives_lost_cells():
    rows = (*measured(FOUND, schedule="step"), *measured(FOUND, schedule="on plateau"))
    for kind in ("step", "on plateau"):
        ends = [
            value(rows, f"seed_{seed}_validation_loss", schedule=kind)
            for seed in range(MODULE.SEEDS["quick"])
        ]
        mean = value(rows, "mean_validation_loss", schedule=kind)
        assert mean == pytest.approx(sum(ends) / len(ends))
    (kept,) = [
        row.samples
        for row in rows
        if row.metric == "rate_value" and row["schedule"] == "on plateau"
    ]
    falls = {round(b / a, 6) for a, b in pairwise(kept) if b != a}
    assert falls <= {round(1 / 3, 6)}
    check_page(FOUND, rows, whole=False)
    check_without(FOUND, rows)

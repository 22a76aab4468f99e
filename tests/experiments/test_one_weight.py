"""One weight: the closed form, the limit of the rate, and the claims that follow."""

import pytest

from tests.experiments.support import (
    check_page,
    check_without,
    found,
    measured,
    value,
)

FOUND = found("one_weight")


@pytest.fixture(scope="module")
def rows():
    return measured(FOUND)


def test_every_way_takes_the_steps_of_the_closed_form(rows):
    for row in rows:
        if row.metric == "w_value":
            w = 0.0
            for sample in row.samples:
                assert sample == pytest.approx(w, rel=1e-6, abs=1e-9)
                w = w - 0.1 * 2 * (w - 3)
    assert value(rows, "w_after_2_value", "autodiff") == pytest.approx(1.08, rel=1e-15)


@pytest.mark.parametrize("rate", [0.02, 0.25, 0.75, 0.99])
def test_steps_to_the_minimum_are_those_of_the_factor(rows, rate):
    steps = value(rows, f"rate_{rate:g}_steps_count")
    factor = abs(1 - 2 * rate)
    assert 3 * factor**steps <= 1e-6 < 3 * factor ** (steps - 1)


@pytest.mark.parametrize("rate", [1.0, 1.01, 1.1])
def test_rates_from_one_on_never_arrive(rows, rate):
    metrics = {row.metric for row in rows}
    assert f"rate_{rate:g}_steps_count" not in metrics


def test_the_limits_are_reciprocals(rows):
    assert value(rows, "limit_value", part="rates") == pytest.approx(1.0, rel=1e-9)
    for a in (0.25, 1.0, 4.0):
        limit = value(rows, "limit_value", part="bowl", a=a)
        assert limit == pytest.approx(1 / a, rel=1e-9)


def test_below_the_limit_a_bowl_is_descended_and_above_it_climbed(rows):
    for row in rows:
        if row.metric == "distance_left_value":
            expected = [abs(1 - 2 * f) ** 400 for f in (0.1, 0.5, 0.9, 0.99)]
            assert row.samples[:4] == pytest.approx(expected, rel=1e-6, abs=1e-12)
            assert row.samples[4] == 1.0
            assert min(row.samples[5:]) > 1e3


def test_page(rows):
    page = check_page(FOUND, rows)
    assert "0.6, 1.08, 1.464" in page
    check_without(FOUND, rows)

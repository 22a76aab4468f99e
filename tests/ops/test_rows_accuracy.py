"""Elementwise rows over their whole range: four ulps, or a loss that the row states."""

from __future__ import annotations

import numpy as np
import pytest

from diffkit.measure.accuracy import range_points, row_errors
from diffkit.ops import TABLE

ELEMENTWISE = [op for op in TABLE.values() if op.family == "elementwise"]
MOST_ULPS = 4.0


@pytest.mark.parametrize("runtime", ["engine", "numpy"])
@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.name)
def test_value_and_derivative_keep_their_digits_or_say_so(op, runtime):
    worst = {error.quantity: error for error in row_errors(op, runtime)}
    assert all(error.points > 100 for error in worst.values())
    assert worst.pop("value").ulps <= MOST_ULPS
    off = max((error.ulps for error in worst.values()), default=0.0)
    assert (off > MOST_ULPS) == (op.loss is not None), worst


def test_the_points_reach_saturation_and_the_smallest_floats():
    (x,) = range_points(TABLE["sigmoid"])
    assert x.max() > 700
    assert x.min() < -700
    assert np.min(np.abs(x)) < 1e-280


@pytest.mark.parametrize("z", [-750.0, -37.0, -2.0, 0.0, 2.0, 37.0, 700.0])
def test_sigmoid_saturates_without_losing_a_digit(z):
    """σ′ as printed, e⁻ᶻ/(1 + e⁻ᶻ)², is NaN at −750; y(1 − y) is 0 at 37."""
    (value, slope) = row_errors(TABLE["sigmoid"], points=[np.array([z])])
    assert value.ulps <= MOST_ULPS
    assert slope.ulps <= MOST_ULPS


def test_erf_keeps_its_derivative_where_squaring_would_round():
    x = np.linspace(20, 26, 200)
    assert row_errors(TABLE["erf"], points=[x])[1].ulps <= MOST_ULPS


def test_infinities_and_nan_pass_through_the_derivatives_that_were_rewritten():
    x = np.array([np.inf, -np.inf, np.nan, 1e200, -1e200])
    for name in ("erf", "sigmoid"):
        op = TABLE[name]
        rule = op.partials[0]
        assert rule is not None
        with np.errstate(all="ignore"):
            slope = rule(np.ones(5), op.numpy(x), x)
        np.testing.assert_array_equal(slope, [0, 0, np.nan, 0, 0])

"""Resampled medians and their intervals, against known distributions and SciPy."""

import numpy as np
import pytest
import scipy.stats

from diffkit.measure.bootstrap import (
    RESAMPLES,
    bootstrap_interval,
    drawn_again,
    medians,
    percentile_interval,
)
from diffkit.measure.timers import Timing


def test_the_interval_of_the_median_covers_it_as_often_as_it_says(rng):
    # Against the truth of a known distribution, not against another bootstrap.
    inside = 0
    for _ in range(200):
        low, high = bootstrap_interval(rng.exponential(size=31))
        inside += low <= np.log(2.0) <= high
    assert 0.89 <= inside / 200 <= 0.99


def test_the_interval_is_that_of_scipy_and_the_same_each_time(rng):
    samples = rng.lognormal(size=25)
    theirs = scipy.stats.bootstrap(
        (samples,), np.median, method="percentile", n_resamples=20_000, rng=rng
    ).confidence_interval
    ours = bootstrap_interval(samples)
    assert ours == bootstrap_interval(samples)
    assert ours == Timing(tuple(samples), 1).interval_seconds
    assert ours == pytest.approx(tuple(theirs), rel=0.1)


def test_the_draws_are_those_that_reports_were_written_with(rng):
    """Another order or number of draws would move intervals that stand in pages."""
    samples = rng.lognormal(size=31)
    drawn = np.random.default_rng(0).choice(samples, size=(2_000, 31))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 1 - 0.025])
    assert bootstrap_interval(samples) == pytest.approx((low, high), rel=1e-14)


def test_one_sample_is_its_own_interval():
    assert bootstrap_interval([2.5]) == (2.5, 2.5)


def test_more_confidence_is_a_wider_interval(rng):
    samples = rng.lognormal(size=25).tolist()
    low, high = bootstrap_interval(samples, 0.99)
    inner_low, inner_high = bootstrap_interval(samples, 0.8)
    assert low < inner_low < inner_high < high


def test_every_sample_is_drawn_as_often_as_every_other(rng):
    drawn = drawn_again(5, rng)
    assert drawn.shape == (RESAMPLES, 5)
    # Five standard deviations of a binomial count, either way.
    allowed = 5 * np.sqrt(drawn.size * 0.2 * 0.8)
    assert np.all(np.abs(np.bincount(drawn.ravel()) - drawn.size / 5) < allowed)


def test_rounds_stay_paired_by_the_indexes_that_they_share(rng):
    one = rng.lognormal(size=15)
    drawn = drawn_again(15, rng, resamples=50)
    assert np.all(medians(2 * one, drawn) / medians(one, drawn) == 2)
    assert np.ptp(medians(2 * one, drawn_again(15, rng, 50)) / medians(one, drawn)) > 0


def test_medians_are_those_of_each_resample(rng):
    samples, drawn = rng.normal(size=4), drawn_again(4, rng, resamples=20)
    each = [sorted(samples[i] for i in row) for row in drawn]
    assert medians(samples, drawn) == pytest.approx([(r[1] + r[2]) / 2 for r in each])


def test_the_interval_leaves_as_much_below_as_above(rng):
    values = rng.normal(size=10_000)
    low, high = percentile_interval(values, 0.9)
    assert np.mean(values < low) == pytest.approx(0.05, abs=1e-3)
    assert np.mean(values > high) == pytest.approx(0.05, abs=1e-3)

"""Fitted laws: planted ones are found, intervals cover as often as they say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from diffkit.errors import UserInputError
from diffkit.measure import bootstrap_law, choose_law, fit_law

XS = [1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0]


def noisy(family: str, rate: float, sigma: float, rng: np.random.Generator) -> Any:
    x = np.array(XS)
    truth = 3.0 * (x**rate if family == "power" else rate**x)
    return truth * 10.0 ** rng.normal(0.0, sigma, x.size)


@given(
    st.sampled_from(["power", "exponential"]),
    st.floats(0.3, 4.0),
    st.floats(-6.0, 6.0),
)
def test_a_law_without_noise_is_found_to_rounding(
    family: Any, rate: float, shift: float
) -> None:
    factor = 10.0**shift
    grows = (lambda x: x**rate) if family == "power" else (lambda x: rate**x)
    law = fit_law(family, XS, [factor * grows(x) for x in XS])
    assert law.rate.value == pytest.approx(rate, rel=1e-9)
    assert law.log10_at(55.0).value == pytest.approx(
        math.log10(factor) + math.log10(grows(55.0)), abs=1e-8
    )


def test_the_line_and_its_interval_are_those_of_scipy() -> None:
    ys = noisy("power", 1.7, 0.05, np.random.default_rng(3))
    law = fit_law("power", XS, ys)
    line = stats.linregress(np.log10(XS), np.log10(ys))
    assert law.slope == pytest.approx(line.slope, rel=1e-12)
    assert law.log10_factor == pytest.approx(line.intercept, rel=1e-12)
    reach = stats.t.ppf(0.975, len(XS) - 2) * line.stderr
    assert law.rate.high - law.rate.value == pytest.approx(reach, rel=1e-9)


def test_the_interval_of_a_prediction_is_that_of_the_normal_equations() -> None:
    ys = noisy("power", 0.8, 0.1, np.random.default_rng(5))
    law = fit_law("power", XS, ys)
    design = np.stack([np.ones(len(XS)), np.log10(XS)], axis=1)
    found, residual, *_ = np.linalg.lstsq(design, np.log10(ys), rcond=None)
    variance = residual[0] / (len(XS) - 2)
    at = np.array([1.0, 9.0])
    spread = variance * (1 + at @ np.linalg.inv(design.T @ design) @ at)
    predicted = law.log10_at(1e9)
    assert predicted.value == pytest.approx(at @ found)
    assert predicted.high - predicted.low == pytest.approx(
        2 * stats.t.ppf(0.975, len(XS) - 2) * math.sqrt(spread)
    )


@pytest.mark.parametrize("family, rate", [("power", 2.0), ("exponential", 1.3)])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_intervals_cover_as_often_as_they_say(
    family: Any, rate: float, level: float
) -> None:
    rng, trials = np.random.default_rng(11), 600
    truth = math.log10(3.0) + (
        rate * math.log10(60.0) if family == "power" else 60.0 * math.log10(rate)
    )
    rates = predictions = 0
    for _ in range(trials):
        law = fit_law(family, XS, noisy(family, rate, 0.08, rng), level=level)
        rates += law.rate.covers(rate)
        predictions += law.log10_at(60.0).covers(truth + rng.normal(0.0, 0.08))
    # Five standard deviations of a binomial count, either way.
    allowed = 5 * math.sqrt(trials * level * (1 - level))
    assert abs(rates - trials * level) < allowed
    assert abs(predictions - trials * level) < allowed


def test_resampled_intervals_cover_about_as_often_as_they_say() -> None:
    rng, trials, covered, far = np.random.default_rng(2), 200, 0, 0
    for _ in range(trials):
        samples = [3.0 * x**1.5 * 10.0 ** rng.normal(0.0, 0.05, size=31) for x in XS]
        law = bootstrap_law("power", XS, samples, rng, draws=300)
        covered += law.rate.covers(1.5)
        far += law.at(1e6).covers(3.0 * 1e9)
    # Percentile intervals of medians are known to be a little off; not by this much.
    for count in (covered, far):
        assert 0.88 * trials <= count <= trials


@pytest.mark.parametrize("seed", range(8))
def test_the_planted_family_is_chosen_and_the_other_is_not(seed: int) -> None:
    rng = np.random.default_rng(seed)
    degree, base = rng.uniform(0.8, 3.5), rng.uniform(1.5, 20.0)
    assert choose_law(XS, noisy("power", degree, 0.03, rng)).chosen == "polynomial"
    assert choose_law(XS, noisy("exponential", base, 0.03, rng)).chosen == "exponential"


def test_what_cannot_be_told_apart_is_undecided() -> None:
    xs = [10.0, 10.1, 10.2, 10.3, 10.4, 10.5]
    ys = [x**2 * (1 + 0.01 * (-1) ** i) for i, x in enumerate(xs)]
    choice = choose_law(xs, ys)
    assert choice.chosen == "undecided"
    assert choice.law is None
    assert abs(choice.difference) < 6
    assert choose_law([1, 2, 3, 4], [1, 2, 4, 8]).chosen == "undecided"


def test_the_criterion_is_the_likelihoods() -> None:
    """AICc from a likelihood maximised by a stranger, not from the closed form."""
    ys = noisy("exponential", 1.1, 0.1, np.random.default_rng(1))
    x, y = np.array(XS), np.log10(ys)

    def against(numbers: Any, places: Any) -> float:
        intercept, slope, log_sigma = numbers
        mean = intercept + slope * places
        return -float(np.sum(stats.norm.logpdf(y, mean, math.exp(log_sigma))))

    worst = [
        optimize.minimize(
            against,
            [0.5, 0.1, -1.0],
            args=(places,),
            method="Nelder-Mead",
            options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 9000, "maxfev": 9000},
        ).fun
        for places in (np.log10(x), x)
    ]
    assert choose_law(XS, ys).difference == pytest.approx(
        2 * (worst[1] - worst[0]), abs=1e-5
    )


def test_integers_that_no_float_holds() -> None:
    law = fit_law("exponential", range(300, 308), [7 * 16**n for n in range(300, 308)])
    assert law.rate.value == pytest.approx(16.0, rel=1e-9)
    assert law.at(400).value == math.inf
    assert law.log10_at(400).value == pytest.approx(400 * math.log10(16), abs=1)


@pytest.mark.parametrize(
    "xs, ys, said",
    [
        ([1, 2], [1, 2], "three points"),
        ([1, 1, 1], [1, 2, 3], "distinct"),
        ([1, 2, 3], [1, 2], "2 y"),
        ([0, 1, 2], [1, 2, 3], "positive"),
        ([1, 2, 3], [1, 0, 3], "positive"),
    ],
)
def test_what_has_no_law_is_refused(xs: Any, ys: Any, said: str) -> None:
    with pytest.raises(UserInputError, match=said):
        fit_law("power", xs, ys)


def test_a_level_and_missing_samples_are_refused() -> None:
    with pytest.raises(UserInputError, match="between 0 and 1"):
        fit_law("power", [1, 2, 3], [1, 2, 3], level=1.0)
    with pytest.raises(UserInputError, match="samples"):
        bootstrap_law("power", [1, 2], [[1.0], []], np.random.default_rng(0))

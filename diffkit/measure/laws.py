"""Growth laws fitted to measurements: how fast something grows, and how sure that is.

Two families, both straight lines once the logarithm of y is taken:

    power law      y = c·xᵏ    log₁₀ y = log₁₀ c + k·log₁₀ x
    exponential    y = c·bˣ    log₁₀ y = log₁₀ c + x·log₁₀ b

Values are medians of samples or exact counts; integers may have any number of digits.
Intervals come from the t distribution of the scatter about the line (Draper and Smith,
1998, §1.4), or from resampling the raw samples (`bootstrap_law`).

Which family describes the data is decided by the corrected Akaike criterion (Hurvich
and Tsai, 1989), with n points and k = 3 numbers (c, the rate, the scatter):

    AICc = n·ln(RSS / n) + 2k + 2k(k+1) / (n − k − 1)

A difference of `DECISIVE` and more decides: e³, about 20 to 1, in likelihood; between 4
and 7 there is "considerably less" support for the worse one (Burnham and Anderson,
2002, §2.6). Less is "undecided", and so are fewer than five points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from diffkit.errors import UserInputError
from diffkit.measure.bootstrap import drawn_again, medians, percentile_interval

Family = Literal["power", "exponential"]
#: Difference in AICc from which one family is believed rather than the other.
DECISIVE = 6.0
#: Scatter that float64 logarithms have themselves; less is taken for this much.
ROUNDING = 1e-13


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and the interval it lies in.

    >>> Interval(2.0, 1.9, 2.1).covers(2.05)
    True
    """

    value: float
    low: float
    high: float

    def covers(self, number: float) -> bool:
        """Whether a number lies inside, ends included."""
        return self.low <= number <= self.high

    def power_of_ten(self) -> Interval:
        """The interval of y from the interval of log₁₀ y; infinite past the floats."""
        return Interval(*(_power_of_ten(x) for x in (self.value, self.low, self.high)))


@dataclass(frozen=True, slots=True)
class Law:
    """A fitted law; `rate` is the exponent k of a power law, the base b otherwise.

    ``scatter`` is the standard deviation of log₁₀ y about the law, with n − 2 degrees
    of freedom. `places` are the abscissae of the line: log₁₀ x, or x itself.

    >>> law = fit_law("power", [1, 2, 4, 8], [3, 12, 48, 192])
    >>> round(law.rate.value, 6), round(law.at(16).value, 3)
    (2.0, 768.0)
    """

    family: Family
    log10_factor: float
    slope: float
    scatter: float
    places: tuple[float, ...]
    level: float = 0.95

    @property
    def rate(self) -> Interval:
        """The exponent k, or the base b, with its interval."""
        reach = self._quantile * self.scatter / math.sqrt(self._spread)
        line = Interval(self.slope, self.slope - reach, self.slope + reach)
        return line if self.family == "power" else line.power_of_ten()

    def log10_at(self, x: float) -> Interval:
        """log₁₀ of a new measurement at x, which may lie far outside the data."""
        at = _place(self.family, x)
        middle, n = sum(self.places) / len(self.places), len(self.places)
        away = (at - middle) ** 2 / self._spread
        reach = self._quantile * self.scatter * math.sqrt(1 + 1 / n + away)
        value = self.log10_factor + self.slope * at
        return Interval(value, value - reach, value + reach)

    def at(self, x: float) -> Interval:
        """A new measurement at x, with the interval it is expected in."""
        return self.log10_at(x).power_of_ten()

    @property
    def _quantile(self) -> float:
        return float(stdtrit(len(self.places) - 2, (1 + self.level) / 2))

    @property
    def _spread(self) -> float:
        middle = sum(self.places) / len(self.places)
        return sum((place - middle) ** 2 for place in self.places)


@dataclass(frozen=True, slots=True)
class Choice:
    """Both families fitted to the same points, and which of them is believed.

    ``chosen`` is "polynomial", "exponential" or "undecided"; ``difference`` is the
    AICc of the exponential less that of the power law.
    """

    power: Law
    exponential: Law
    chosen: Literal["polynomial", "exponential", "undecided"]
    difference: float

    @property
    def law(self) -> Law | None:
        """The law that was chosen, None while that is undecided."""
        laws = {"polynomial": self.power, "exponential": self.exponential}
        return laws.get(self.chosen)


@dataclass(frozen=True, slots=True)
class Resampled:
    """Laws fitted to resampled data: row by row an intercept and a slope."""

    family: Family
    log10_factors: np.ndarray
    slopes: np.ndarray
    level: float

    @property
    def rate(self) -> Interval:
        """The exponent k, or the base b: median and percentiles."""
        line = self._interval(self.slopes)
        return line if self.family == "power" else line.power_of_ten()

    def log10_at(self, x: float) -> Interval:
        """log₁₀ of the law at x: median and percentiles."""
        at = _place(self.family, x)
        return self._interval(self.log10_factors + self.slopes * at)

    def at(self, x: float) -> Interval:
        """The law at x: median and percentiles."""
        return self.log10_at(x).power_of_ten()

    def _interval(self, values: np.ndarray) -> Interval:
        middle = float(np.quantile(values, 0.5))
        return Interval(middle, *percentile_interval(values, self.level))


def fit_law(
    family: Family, xs: Sequence[float], ys: Sequence[float], *, level: float = 0.95
) -> Law:
    """Least squares in log space: y = c·xᵏ (``power``) or y = c·bˣ (``exponential``).

    Args: `xs`, `ys`: at least three points, all y (and for a power law all x)
    positive, with two distinct x or more; integers of any size keep an exact logarithm.

    Raises UserInputError for anything else, and for a level outside (0, 1).

    >>> fit_law("exponential", [1, 2, 3, 4], [10**100, 10**200, 10**300, 10**400]).slope
    100.0
    """
    if not 0 < level < 1:
        raise UserInputError(
            f"A level of {level} was given; it has to lie between 0 and 1."
        )
    places, heights = _line(family, xs, ys)
    n, middle, height = len(places), places.mean(), heights.mean()
    slope = float(
        ((places - middle) @ (heights - height)) / np.sum((places - middle) ** 2)
    )
    intercept = float(height - slope * middle)
    residuals = heights - (intercept + slope * places)
    scatter = math.sqrt(float(residuals @ residuals) / (n - 2))
    return Law(family, intercept, slope, scatter, tuple(map(float, places)), level)


def choose_law(
    xs: Sequence[float], ys: Sequence[float], *, level: float = 0.95
) -> Choice:
    """Polynomial or exponential growth, by AICc: see the head of this file.

    Raises UserInputError as `fit_law` does.

    >>> xs = [1, 2, 3, 4, 5, 6]
    >>> choose_law(xs, [x**3 for x in xs]).chosen
    'polynomial'
    >>> choose_law(xs, [7 * 2**x for x in xs]).chosen
    'exponential'
    >>> choose_law([1, 2, 3], [1, 2, 3]).chosen
    'undecided'
    """
    power = fit_law("power", xs, ys, level=level)
    exponential = fit_law("exponential", xs, ys, level=level)
    if len(xs) < 5:
        return Choice(power, exponential, "undecided", 0.0)
    difference = aicc(exponential) - aicc(power)
    if abs(difference) < DECISIVE:
        return Choice(power, exponential, "undecided", difference)
    chosen = "polynomial" if difference > 0 else "exponential"
    return Choice(power, exponential, chosen, difference)


def aicc(law: Law) -> float:
    """The corrected Akaike criterion of a law (Hurvich and Tsai, 1989).

    Comparable between laws of the same points; infinite for fewer than five.
    """
    n, k = len(law.places), 3
    if n - k - 1 <= 0:
        return math.inf
    variance = max(law.scatter, ROUNDING) ** 2 * (n - 2) / n
    return n * math.log(variance) + 2 * k + 2 * k * (k + 1) / (n - k - 1)


def bootstrap_law(
    family: Family,
    xs: Sequence[float],
    samples: Sequence[Sequence[float]],
    rng: np.random.Generator,
    *,
    draws: int = 1000,
    level: float = 0.95,
) -> Resampled:
    """The law refitted to medians of samples drawn again, `draws` times.

    Its intervals hold what the noise of the samples does, and nothing of a law that
    does not fit: compare them with those of `fit_law`, and give the wider.

    Args: `samples`: for each x the raw samples, all positive.

    Raises UserInputError as `fit_law` does, and for an x without samples.
    """
    if not all(len(taken) for taken in samples) or len(samples) != len(xs):
        raise UserInputError(
            f"{len(xs)} places and {len(samples)} lists of samples were given: every "
            "place needs samples of its own."
        )
    drawn = [
        medians(taken, drawn_again(len(taken), rng, resamples=draws))
        for taken in samples
    ]
    places, _ = _line(family, xs, [float(np.median(some)) for some in drawn])
    heights = np.log10(np.stack(drawn, axis=1))
    away = places - places.mean()
    slopes = heights @ away / np.sum(away**2)
    factors = heights.mean(axis=1) - slopes * places.mean()
    return Resampled(family, factors, slopes, level)


def _line(
    family: Family, xs: Sequence[float], ys: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    if len(xs) != len(ys) or len(xs) < 3 or len(set(xs)) < 2:
        raise UserInputError(
            f"A law needs three points or more at two places or more; {len(xs)} x "
            f"({len(set(xs))} distinct) and {len(ys)} y were given."
        )
    positive = all(y > 0 for y in ys) and (family != "power" or all(x > 0 for x in xs))
    if not positive:
        raise UserInputError(
            "A law is fitted to logarithms: every y, and for a power law every x, has "
            "to be positive. Leave out what is not."
        )
    places = np.array([_place(family, x) for x in xs])
    # math.log10 keeps integers that no float can hold.
    return places, np.array([math.log10(y) for y in ys])


def _place(family: Family, x: float) -> float:
    return math.log10(x) if family == "power" else float(x)


def _power_of_ten(exponent: float) -> float:
    return 10.0**exponent if exponent < 308 else math.inf

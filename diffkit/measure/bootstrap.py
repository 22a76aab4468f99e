"""The bootstrap: what the noise of samples does to their median.

Samples drawn with replacement from those at hand stand for samples that might have
been taken instead; the middle of the medians of many such draws is an interval.

Source: Efron, 1979, "Bootstrap methods: another look at the jackknife".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Draws behind an interval, and the seed that makes it the same each time.
RESAMPLES, SEED = 2_000, 0
#: How sure an interval is: one alone, and one of hundreds side by side, of which 95 %
#: would be wrong about dozens.
CONFIDENCE, CONFIDENCE_OF_MANY = 0.95, 0.99


def drawn_again(
    count: int, rng: np.random.Generator, resamples: int = RESAMPLES
) -> np.ndarray:
    """Indexes of ``count`` samples drawn with replacement: a row for each resample.

    Samples that were taken in the same rounds stay paired by the same indexes.

    >>> drawn_again(3, np.random.default_rng(0), resamples=2).shape
    (2, 3)
    """
    return rng.integers(count, size=(resamples, count))


def medians(samples: Sequence[float] | np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The median of each row of ``drawn``, which are indexes of ``samples``.

    >>> medians([5.0, 7.0, 8.0], np.array([[0, 0, 1], [2, 2, 1]])).tolist()
    [5.0, 8.0]
    """
    return np.median(np.asarray(samples, dtype=np.float64)[drawn], axis=1)


def percentile_interval(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """What holds the middle ``confidence`` of the values.

    >>> percentile_interval(np.arange(5.0), 0.5)
    (1.0, 3.0)
    """
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def bootstrap_interval(
    samples: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Percentile interval of the median, the same each time.

    One sample alone is its own interval.

    >>> bootstrap_interval([2.0] * 5 + [3.0])
    (2.0, 2.5)
    """
    drawn = drawn_again(len(samples), np.random.default_rng(SEED))
    return percentile_interval(medians(samples, drawn), confidence)

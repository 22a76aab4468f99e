"""Richardson's extrapolation to step zero, with an error estimate for each entry."""

from __future__ import annotations

import numpy as np


def extrapolate(
    quotients: np.ndarray, noises: np.ndarray, ratio: float
) -> tuple[np.ndarray, np.ndarray]:
    """Limits of quotients whose steps halve from row to row, and their errors.

    `quotients` is (levels, n), `noises` the standard deviation of each from rounding,
    `ratio` what halving the step divides the leading error by: 4 for symmetric
    quotients, whose error is a series in h², 2 for one-sided ones. Neville's tableau
    T(i, j) = T(i, j−1) + (T(i, j−1) − T(i−1, j−1)) / (ratioʲ − 1) is formed, and of all
    its entries the one with the smallest error taken: its larger distance to the two it
    was formed from (Ridders, 1982), plus the noise carried through the tableau.
    Non-finite quotients (steps that left the domain) are passed over; where none can
    be used, the result is NaN and its error infinite.
    """
    levels, count = quotients.shape
    best = np.full(count, np.nan)
    least = np.full(count, np.inf)
    with np.errstate(all="ignore"):
        column = [quotients[i] for i in range(levels)]
        rounding = [noises[i] for i in range(levels)]
        power = ratio
        for _ in range(1, levels):
            finer, carried = [], []
            for i in range(1, len(column)):
                new = column[i] + (column[i] - column[i - 1]) / (power - 1.0)
                noise = (power * rounding[i] + rounding[i - 1]) / (power - 1.0)
                apart = np.maximum(np.abs(new - column[i]), np.abs(new - column[i - 1]))
                error = apart + noise
                better = np.isfinite(new) & (error < least)
                best = np.where(better, new, best)
                least = np.where(better, error, least)
                finer.append(new)
                carried.append(noise)
            column, rounding = finer, carried
            power *= ratio
    return best, least

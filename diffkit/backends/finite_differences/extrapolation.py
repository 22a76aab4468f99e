"""Richardson's extrapolation to step zero, with an error estimate for each entry."""

from __future__ import annotations

import numpy as np


def extrapolate(
    quotients: np.ndarray, noises: np.ndarray, ratio: float
) -> tuple[np.ndarray, np.ndarray]:
    """Limits of quotients whose steps halve from row to row, and their errors.

    `quotients` is (levels, …), `noises` the standard deviation of each from rounding,
    `ratio` what halving the step divides the leading error by: 4 for symmetric
    quotients, whose error is a series in h², 2 for one-sided ones. Neville's tableau
    T(i, j) = T(i, j−1) + (T(i, j−1) − T(i−1, j−1)) / (ratioʲ − 1) is formed, and of all
    its entries the one with the smallest error taken: its larger distance to the two it
    was formed from (Ridders, 1982), plus the noise carried through the tableau.
    Non-finite quotients (steps that left the domain) are passed over; where none can
    be used, the result is NaN and its error infinite.
    """
    levels, shape = len(quotients), (1, *quotients.shape[1:])
    limits, errors = [np.full(shape, np.nan)], [np.full(shape, np.inf)]
    column, rounding, power = quotients, noises, ratio
    with np.errstate(all="ignore"):
        for _ in range(1, levels):
            fine, coarse = column[1:], column[:-1]
            column = fine + (fine - coarse) / (power - 1.0)
            rounding = (power * rounding[1:] + rounding[:-1]) / (power - 1.0)
            apart = np.maximum(np.abs(column - fine), np.abs(column - coarse))
            limits.append(column)
            errors.append(np.where(np.isfinite(column), apart + rounding, np.inf))
            power *= ratio
    claims = np.concatenate(errors)
    claims[np.isnan(claims)] = np.inf
    best = np.argmin(claims, axis=0)[None]
    found = np.take_along_axis(np.concatenate(limits), best, axis=0)[0]
    return found, np.take_along_axis(claims, best, axis=0)[0]

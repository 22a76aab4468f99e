"""How much of a value is rounding: the noise of evaluating, from differences."""

from __future__ import annotations

from collections.abc import Callable
from math import factorial
from typing import Any

import numpy as np

EVALUATIONS = 8
# Small enough that third differences of the function itself vanish (h³ ~ 1e-27),
# large enough that each evaluation rounds on its own.
SPACING = {8: 2.0**-30, 4: 2.0**-9}
# The last rounding of a result alone: uniform within half an ulp.
LEAST = 0.3


def estimate_noise(line: Callable[[float], Any], dtype: np.dtype) -> Any:
    """Standard deviation of the rounding in `line(t)`, t = 0, 1, …, 7 spacings.

    Of one number, or of each of an array of outputs.

    Differences of order k of a smooth function vanish as hᵏ, those of noise ν have
    variance (2k)!/(k!)²·ν²: orders 3 to 6 are compared and the largest taken
    (Hamming, 1971; Moré and Wild, 2011). Never below 0.3 units of roundoff of the
    value itself. Exactly 8 evaluations.
    """
    spacing = SPACING[dtype.itemsize]
    values = np.array([line(i * spacing) for i in range(EVALUATIONS)])
    least = LEAST * float(np.finfo(dtype).eps) * np.abs(values[0])
    levels, table = [least], values
    with np.errstate(all="ignore"):
        for k in range(1, 7):
            table = np.diff(table, axis=0)
            if k >= 3:
                factor = factorial(k) ** 2 / factorial(2 * k)
                levels.append(np.sqrt(factor * np.mean(table * table, axis=0)))
        noise = np.max(levels, axis=0)
    return np.where(np.isfinite(values).all(axis=0), noise, least)[()]

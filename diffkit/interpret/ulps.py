"""Errors in ulps: how many steps of floating point lie between a number and the truth.

One ulp of a true number x is the distance of the floats around it: for 2ᵉ ≤ |x| < 2ᵉ⁺¹
in binary64 it is 2ᵉ⁻⁵², and never less than the smallest subnormal (Muller, 2005).
A correctly rounded result is at most half an ulp off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np
from flint import arb

from diffkit.interpret.exact import working

# Digits of the true value that a report shows: enough to see what float64 cannot hold.
DIGITS = 25
_BITS = 256  # for the differences; the balls carry their own radius


@dataclass(frozen=True, slots=True)
class UlpErrors:
    """Errors of a whole gradient, and the entry where they are worst.

    `ulps` is the worst entry's error in ulps of that entry's true value; `largest_ulps`
    is the largest error of any entry in ulps of the gradient's largest entry (entries
    that cancel to almost nothing are judged by what they were summed from). `name` and
    `index` say where the first is, `given` and `true` what was compared.
    """

    entries: int
    ulps: float
    largest_ulps: float
    name: str
    index: tuple[int, ...]
    given: float
    true: str
    bits: int

    def __str__(self) -> str:
        if not self.entries:
            return "no entries"
        place = f"[{', '.join(map(str, self.index))}]" if self.index else ""
        return (
            f"{self.ulps:.3g} ulps at {self.name}{place}: {self.given!r} against "
            f"{self.true}; {self.largest_ulps:.3g} ulps of the gradient's largest "
            f"entry, over {self.entries} entries"
        )


def ulp(ball: Any, dtype: Any = np.float64) -> float:
    """One ulp of a true number, in the given precision.

    >>> ulp(arb(1)) == 2.0**-52, ulp(arb(0)) == 5e-324
    (True, True)
    """
    kind = np.dtype(dtype).type
    with np.errstate(over="ignore"):
        near = abs(kind(float(ball.mid())))
        # Towards zero: a number just below a power of two keeps its smaller ulp.
        if not np.isfinite(near) or arb(float(near)) > abs(ball.mid()):
            near = np.nextafter(near, kind(0))
        # Measured downwards at the largest float, which has no neighbour above.
        top = near == np.finfo(kind).max
        return float(near - np.nextafter(near, kind(0)) if top else np.spacing(near))


def ulps(given: np.ndarray, true: np.ndarray) -> np.ndarray:
    """|given − true| in ulps of the true number, entry by entry.

    `given` is a float64 or float32 array, `true` an object array of balls of its
    shape; the result is float64, an upper bound that includes the ball's radius. NaN
    and infinities are infinitely far off.

    >>> x = np.array([1.0 + 2.0**-52])
    >>> ulps(x, np.array([arb(1)], dtype=object)).tolist()
    [1.0]
    """
    given = np.asarray(given)
    dtype = given.dtype if given.dtype.kind == "f" else np.dtype(np.float64)
    out = np.zeros(given.shape)
    with working(_BITS):
        for place in np.ndindex(given.shape):
            apart = distance(float(given[place]), true[place])
            out[place] = _quotient(apart, ulp(true[place], dtype))
    return out


def ulp_errors(
    given: Sequence[np.ndarray],
    true: Sequence[np.ndarray],
    names: Sequence[str],
    bits: int = 0,
) -> UlpErrors:
    """The errors of a gradient against its balls, one array per named parameter."""
    worst, found = -1.0, ("", (), 0.0, "")
    farthest, unit, entries = 0.0, 0.0, 0
    for name, mine, balls in zip(names, given, true, strict=True):
        mine = np.asarray(mine)
        errors = ulps(mine, balls)
        entries += errors.size
        with working(_BITS):
            for place in np.ndindex(errors.shape):
                apart = distance(float(mine[place]), balls[place])
                farthest = max(farthest, float(apart) if apart is not None else inf)
                unit = max(unit, ulp(balls[place], mine.dtype))
        if errors.size and np.max(errors) > worst:
            place = np.unravel_index(int(np.argmax(errors)), errors.shape)
            worst, index = float(errors[place]), tuple(int(i) for i in place)
            shown = balls[place].str(DIGITS, radius=False)
            found = (name, index, float(mine[place]), shown)
    largest = farthest / unit if unit else 0.0
    return UlpErrors(entries, max(worst, 0.0), largest, *found, bits)


def distance(given: float, true: Any) -> arb | None:
    """An upper bound of |given − true|, or None where the given is not finite."""
    return abs(arb(given) - true).upper() if isfinite(given) else None


def _quotient(apart: arb | None, unit: float) -> float:
    return inf if apart is None else float(apart / unit)

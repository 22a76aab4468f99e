"""Difference formulas of first order derivatives: where to look, and with what weight.

Weights are whole numbers, so that they carry no rounding of their own; a quotient is
Σ wₖ f(xₖ) / Σ wₖ (xₖ − x), whose divisor uses the points floating point could represent
(Fornberg, 1988, for the weights).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np


@dataclass(frozen=True, slots=True)
class Stencil:
    """Points x + offset·h and their weights; the point itself has minus their sum.

    `truncation` is c in the error c·hᵖ·|f⁽ᵖ⁺¹⁾| of order p; `side` is 0 for a
    symmetric formula, +1 or −1 for one that looks above or below x only.
    """

    order: int
    side: int
    offsets: tuple[int, ...]
    weights: tuple[int, ...]
    truncation: float

    @property
    def reach(self) -> int:
        """The farthest point, in steps."""
        return max(abs(o) for o in self.offsets)

    @property
    def noise(self) -> float:
        """Standard deviation of h times the quotient for evaluations of unit noise."""
        base = sum(self.weights)
        spread = sqrt(sum(w * w for w in self.weights) + base * base)
        moment = sum(w * o for w, o in zip(self.weights, self.offsets, strict=True))
        return spread / abs(moment)

    def points(self, x: np.ndarray, h: np.ndarray) -> np.ndarray:
        """(n, k) points beside n entries, in x's precision."""
        return x[:, None] + h[:, None] * np.asarray(self.offsets, x.dtype)

    def slopes(
        self, x: np.ndarray, points: np.ndarray, values: np.ndarray, base: np.ndarray
    ) -> np.ndarray:
        """The quotients (n, m) in float64 from values (n, k, m) of m outputs.

        `base` is f(x), (m,), unused where symmetric.
        """
        weights = np.asarray(self.weights, np.float64)
        # A power of two: no rounding, and no overflow of weighted values.
        weights /= 2.0 ** sum(map(abs, self.weights)).bit_length()
        with np.errstate(all="ignore"):
            moved = points.astype(np.float64) - x.astype(np.float64)[:, None]
            divisor = (moved @ weights)[:, None]
            if self.side == 0:
                pairs = values[:, 0::2] - values[:, 1::2]
                return weighted(pairs, weights[0::2]) / divisor
            found = weighted(values - base, weights) / divisor
            first = (values[:, 0] - base) / moved[:, :1]
            return np.where(np.isfinite(base), found, first)


def weighted(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sums over the points: (n, k, m) values by k weights give (n, m)."""
    total = values[:, 0] * weights[0]
    for k in range(1, len(weights)):
        total += values[:, k] * weights[k]
    return total


CENTRAL = {
    2: Stencil(2, 0, (1, -1), (1, -1), 1 / 6),
    4: Stencil(4, 0, (1, -1, 2, -2), (8, -8, -1, 1), 1 / 30),
    6: Stencil(6, 0, (1, -1, 2, -2, 3, -3), (45, -45, -9, 9, 1, -1), 1 / 140),
    8: Stencil(
        8,
        0,
        (1, -1, 2, -2, 3, -3, 4, -4),
        (672, -672, -168, 168, 32, -32, -3, 3),
        1 / 630,
    ),
}
_ONE_SIDED = {
    1: (1,),
    2: (4, -1),
    4: (48, -36, 16, -3),
    6: (360, -450, 400, -225, 72, -10),
    8: (6720, -11760, 15680, -14700, 9408, -3920, 960, -105),
}


def one_sided(order: int, side: int) -> Stencil:
    """The formula of an order that looks at p points on one side of x."""
    weights = _ONE_SIDED[order]
    offsets = tuple(side * k for k in range(1, order + 1))
    return Stencil(order, side, offsets, weights, 1 / (order + 1))


# μδᵏ and δ²: h⁻ᵏ times these sums estimates the derivative of order k (its curvature).
CURVATURES: dict[int, tuple[tuple[int, ...], tuple[float, ...]]] = {
    2: ((1, -1), (1, 1)),
    3: ((1, -1, 2, -2), (-1, 1, 0.5, -0.5)),
    5: ((1, -1, 2, -2, 3, -3), (2.5, -2.5, -2, 2, 0.5, -0.5)),
    7: ((1, -1, 2, -2, 3, -3, 4, -4), (-7, 7, 7, -7, -3, 3, 0.5, -0.5)),
    9: (
        (1, -1, 2, -2, 3, -3, 4, -4, 5, -5),
        (21, -21, -24, 24, 13.5, -13.5, -4, 4, 0.5, -0.5),
    ),
}

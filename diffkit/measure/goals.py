"""Figures that are to be reached, judged by intervals and not by medians."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diffkit.measure.bootstrap import bootstrap_interval

REACHED, MISSED, CLOSE = "reached", "**not reached**", "too close to tell"


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound that the median of a measured figure is to keep, from above or below.

    >>> goal = Goal(1.5, at_least=True)
    >>> goal.verdict([1.6] * 9), goal.verdict([1.2] * 9)
    ('reached', '**not reached**')
    >>> goal.verdict([1.4, 1.6, 1.4, 1.6]), str(goal)
    ('too close to tell', '≥ 1.5')
    """

    bound: float
    at_least: bool

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}"

    def verdict(self, samples: Sequence[float]) -> str:
        """Whether the whole 95 % interval of the median keeps the bound, or none of it.

        ``samples`` are of the figure itself: see `bootstrap_interval`.
        """
        low, high = bootstrap_interval(samples)
        worst, best = (low, high) if self.at_least else (-high, -low)
        bound = self.bound if self.at_least else -self.bound
        if worst >= bound:
            return REACHED
        return MISSED if best < bound else CLOSE

"""A method of differences, settled: its formula, its steps, its exact cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diffkit.backends.finite_differences.noise import EVALUATIONS
from diffkit.backends.finite_differences.rules import CANDIDATES
from diffkit.backends.finite_differences.stencils import (
    CENTRAL,
    CURVATURES,
    Stencil,
    one_sided,
)
from diffkit.backends.finite_differences.steps import (
    Adaptive,
    Balanced,
    StepRule,
)

RIDDERS_START = 0.125


@dataclass(frozen=True, slots=True)
class Plan:
    """What one gradient does: method, order p, step rule, and how often it evaluates.

    `automatic` steps may be changed where the domain ends; given ones never are.
    """

    method: str
    order: int
    rule: StepRule
    automatic: bool
    levels: int

    @property
    def stencil(self) -> Stencil:
        """The formula where nothing is in its way."""
        if self.method in ("forward", "backward"):
            return one_sided(self.order, 1 if self.method == "forward" else -1)
        return CENTRAL[self.order]

    @property
    def cost(self) -> tuple[int, int]:
        """Evaluations of a gradient, for each parameter and once."""
        if self.method == "complex":
            return 1, 0
        if self.method == "ridders":
            return 2 * self.levels, EVALUATIONS
        once = 1 if self.stencil.side else 0
        if isinstance(self.rule, Balanced):
            probes = len(CURVATURES[self.order + 1][0])
            return self.order + probes, once + EVALUATIONS
        if isinstance(self.rule, Adaptive):
            return self.order * len(CANDIDATES), once + EVALUATIONS
        return self.order, once

    @property
    def formula(self) -> str:
        """The cost in words: "2P", "P+1"."""
        each, once = self.cost
        return ("P" if each == 1 else f"{each}P") + (f"+{once}" if once else "")

    def evaluations(self, parameters: int) -> int:
        """Evaluations of a gradient by so many parameters."""
        each, once = self.cost
        return each * parameters + once

    def steps(self, x: np.ndarray) -> np.ndarray:
        """The step for each entry of x, in x's precision."""
        if self.method == "ridders" and self.automatic:
            return (RIDDERS_START * np.sqrt(np.maximum(np.abs(x), 1.0))).astype(x.dtype)
        return self.rule.steps(x, self.order)

    def shorter(self, x: np.ndarray) -> np.ndarray | None:
        """What an automatic step may be shortened to, relative to x; None if given."""
        if not self.automatic:
            return None
        size = float(np.finfo(x.dtype).eps) ** (1.0 / (1 + self.order))
        return (size * np.abs(x)).astype(x.dtype)

"""A method of differences, settled: its formula, its steps, its exact cost."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    Automatic,
    Balanced,
    StepRule,
)
from diffkit.graph import Graph, bends

RIDDERS_START = 0.125
# A scale that was read off and not measured may cost one digit, not more.
MOST_BEND = 8.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What one gradient does: method, order p, step rule, and how often it evaluates.

    `automatic` steps may be changed where the domain ends; given ones never are.
    `keeps` says that values from the point itself are used again beside it.
    """

    method: str
    order: int
    rule: StepRule
    automatic: bool
    levels: int
    keeps: bool = False

    @property
    def stencil(self) -> Stencil:
        """The formula where nothing is in its way."""
        if self.method in ("forward", "backward"):
            return one_sided(self.order, 1 if self.method == "forward" else -1)
        return CENTRAL[self.order]

    @property
    def points(self) -> tuple[int, ...]:
        """Points beside each entry, in the order in which they are evaluated."""
        if self.method == "complex":
            return (1,)
        if self.method == "ridders":
            return (2 * self.levels,)
        if isinstance(self.rule, Balanced):
            return len(CURVATURES[self.order + 1][0]), self.order
        if isinstance(self.rule, Adaptive):
            return (self.order * len(CANDIDATES),)
        return (self.order,)

    @property
    def needs_value(self) -> bool:
        """Whether a gradient alone evaluates the point itself."""
        return self.keeps or self.stencil.side != 0

    @property
    def needs_noise(self) -> bool:
        """Whether a gradient alone estimates the noise of evaluating."""
        return self.method == "ridders" or isinstance(self.rule, Adaptive | Balanced)

    @property
    def cost(self) -> tuple[int, int]:
        """Evaluations of a gradient, for each parameter and once."""
        once = EVALUATIONS if self.needs_noise else 0
        return sum(self.points), once + (1 if self.needs_value else 0)

    @property
    def formula(self) -> str:
        """The cost in words: "2P", "P+1"."""
        each, once = self.cost
        return ("P" if each == 1 else f"{each}P") + (f"+{once}" if once else "")

    def evaluations(self, parameters: int) -> int:
        """Evaluations of a gradient by so many parameters."""
        each, once = self.cost
        return each * parameters + once

    def along(self, graph: Graph, leaf: int) -> Plan:
        """The same for one input of a program: the automatic step suits its scale."""
        if not isinstance(self.rule, Automatic):
            return self
        return replace(self, rule=Automatic(min(bends(graph, leaf), MOST_BEND)))

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

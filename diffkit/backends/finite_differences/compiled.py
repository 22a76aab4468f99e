"""A primal program, ready to be differenced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from diffkit.backends.base import Info, Program
from diffkit.backends.finite_differences.plan import Plan
from diffkit.backends.finite_differences.point import Beside, Bounds, Point
from diffkit.backends.finite_differences.quotients import (
    Slopes,
    inside_bounds,
    quotients,
    repair,
)
from diffkit.backends.finite_differences.rules import (
    adaptive_slopes,
    balanced_steps,
    ridders_slopes,
)
from diffkit.backends.finite_differences.steps import Adaptive, Balanced
from diffkit.backends.runtime import Runner


class DifferencesCompiled:
    """A primal program, evaluated beside the point.

    `evaluations_run` counts every evaluation of the primal since it was compiled.
    """

    def __init__(
        self,
        program: Program,
        run: Runner,
        plan: Plan,
        bounds: Sequence[Bounds],
        dtype: np.dtype,
        seconds: dict[str, float],
        details: dict[str, Any],
    ) -> None:
        self._program = program
        self._run = run
        self._plan = plan
        self._bounds = tuple(bounds)
        self._dtype = dtype
        self.evaluations_run = 0
        count = program.parameters
        evaluations = plan.evaluations(count)
        primal = program.graph.size().operations
        # A central gradient needs no value at the point; returning one costs one more.
        together = evaluations if plan.stencil.side else evaluations + 1
        self.info = Info(
            backend="finite_differences",
            seconds=seconds,
            operations=primal * together + 2 * count,
            bytes=run.arena_bytes,
            evaluations=evaluations,
            details={
                **details,
                "order": plan.order,
                "evaluations_formula": plan.formula,
                "evaluations_with_value": together,
                "primal_operations": primal,
            },
        )

    def __call__(
        self, leaves: Sequence[np.ndarray]
    ) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
        at_point = self._run(leaves)
        self._count(1)
        value = at_point[0][()]
        slopes = self._slopes(leaves, False, float(value))
        return value, self._gradients(leaves, slopes), at_point[1:]

    def gradient(self, leaves: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The gradients alone: exactly `info.evaluations` evaluations.

        Other numbers only for entries beside which the bounds or the domain end: a
        rule that probes leaves out probes that bounds forbid, and a one-sided formula
        costs what it evaluates.
        """
        return self._gradients(leaves, self._slopes(leaves, False))

    def error_estimates(self, leaves: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The error claimed for each entry, one float64 array per gradient.

        See `gradient_with_errors`, which gives both.
        """
        return self.gradient_with_errors(leaves)[1]

    def gradient_with_errors(
        self, leaves: Sequence[np.ndarray]
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The gradients, and the absolute error claimed for each entry.

        Claimed is one standard deviation, as it were: the truth is meant to lie within
        three times it in 99 % of entries. Ridders and the adaptive rule know it from
        what they evaluate anyway and the value at the point; the others compare with
        twice the step, which costs the formula once more for each entry, and 9
        evaluations.
        """
        slopes = self._slopes(leaves, True)
        errors = [
            s.errors.reshape(np.shape(leaves[p]))
            for s, p in zip(slopes, self._program.wrt, strict=True)
        ]
        return self._gradients(leaves, slopes), errors

    def value(self, leaves: Sequence[np.ndarray]) -> Any:
        """The primal alone."""
        self._count(1)
        return self._run(leaves)[0][()]

    def _count(self, evaluations: int) -> None:
        self.evaluations_run += evaluations

    def _gradients(
        self, leaves: Sequence[np.ndarray], slopes: Sequence[Slopes]
    ) -> list[np.ndarray]:
        return [
            s.values.astype(self._dtype, copy=False).reshape(np.shape(leaves[p]))
            for s, p in zip(slopes, self._program.wrt, strict=True)
        ]

    def _slopes(
        self,
        leaves: Sequence[np.ndarray],
        want_errors: bool,
        value: float | None = None,
    ) -> list[Slopes]:
        wrt, plan = self._program.wrt, self._plan
        point = Point(
            self._run, leaves, wrt, self._dtype, self._bounds, self._count, value
        )
        if plan.stencil.side:
            _ = point.value  # P+1 evaluations, also where P is 0
        if plan.method == "ridders" or isinstance(plan.rule, Adaptive | Balanced):
            _ = point.noise
        found = []
        for p, bounds in zip(wrt, self._bounds, strict=True):
            beside = Beside(point, p, self._program.names[p], bounds)
            found.append(self._by_entry(beside, want_errors))
        return found

    def _by_entry(self, beside: Beside, want_errors: bool) -> Slopes:
        plan, x = self._plan, beside.x
        with np.errstate(over="ignore", invalid="ignore"):
            h = plan.steps(x)
        if plan.method == "ridders":
            return ridders_slopes(beside, h, plan.levels, plan.automatic, want_errors)
        stencil = plan.stencil
        slopes = Slopes.unknown(x.size)
        if isinstance(plan.rule, Adaptive):
            slopes = adaptive_slopes(beside, stencil, h, want_errors)
        elif isinstance(plan.rule, Balanced):
            h = balanced_steps(beside, stencil, h, plan.rule.typical)
        everything = [(stencil, np.arange(x.size), h)]
        if not beside.bounds.endless:
            everything = inside_bounds(beside, stencil, h, plan.automatic)
        for formula, entries, steps in everything:
            left = np.isnan(slopes.values[entries])
            if left.any():
                chosen = entries[left]
                slopes.put(
                    chosen, quotients(beside, formula, chosen, steps[left], want_errors)
                )
        if not np.isfinite(slopes.values).all():
            repair(beside, stencil, h, slopes, plan.shorter(x), want_errors)
        return slopes

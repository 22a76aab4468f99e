"""A primal program, ready to be differenced."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from diffkit.backends.base import Info, Program
from diffkit.backends.finite_differences.moves import Around, Evaluations
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


class DifferencesCompiled:
    """A primal program, evaluated beside the point.

    The program may have an array for its first output: a gradient then has the shape of
    that output followed by the parameter's, at the same number of evaluations.

    `evaluations_run` counts every evaluation of the primal since it was compiled, one
    for each move of an entry, however little of it is recomputed; `operations_run` the
    scalar operations that the evaluations took.
    """

    def __init__(
        self,
        program: Program,
        evaluations: Evaluations,
        plan: Plan,
        bounds: Sequence[Bounds],
        seconds: dict[str, float],
        details: dict[str, Any],
    ) -> None:
        self._program = program
        self._evaluations = evaluations
        self._plan = plan
        self._plans = tuple(plan.along(program.graph, p) for p in program.wrt)
        self._bounds = tuple(bounds)
        self._dtype = evaluations.dtype
        self.evaluations_run = 0
        self.operations_run = 0
        count = program.parameters
        number = plan.evaluations(count)
        # A central gradient needs no value at the point; returning one costs one more.
        together = number if plan.needs_value else number + 1
        moves, batches = 0, {}
        for p in program.wrt:
            size = program.graph.nodes[program.graph.inputs[p]].elements
            for points in plan.points:
                evaluations.prepare(p, size * points)
                moves += evaluations.operations(p, size * points)
            name = program.names[p]
            batches[name] = evaluations.batch(p, size * plan.points[-1])
        whole = together - sum(plan.points) * count
        primal = evaluations.primal
        quotients = 2 * count * prod(evaluations.shape)
        self.info = Info(
            backend="finite_differences",
            seconds=seconds,
            operations=primal * whole + moves + quotients,
            bytes=evaluations.bytes,
            evaluations=number,
            details={
                **details,
                "order": plan.order,
                "evaluations_formula": plan.formula,
                "evaluations_with_value": together,
                "primal_operations": primal,
                "operations_beside": moves,
                "batch": batches,
            },
        )

    def __call__(
        self, leaves: Sequence[np.ndarray]
    ) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
        around = self._evaluations.at(leaves)
        self._count(1, self._evaluations.primal)
        slopes = self._slopes(leaves, False, around)
        value, *auxiliary = around.outputs
        return value[()], self._gradients(leaves, slopes), auxiliary

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
            self._shaped(s.errors, leaves[p])
            for s, p in zip(slopes, self._program.wrt, strict=True)
        ]
        return self._gradients(leaves, slopes), errors

    def value(self, leaves: Sequence[np.ndarray]) -> Any:
        """The primal alone."""
        self._count(1, self._evaluations.primal)
        return self._evaluations.run(leaves)[0][()]

    def _count(self, evaluations: int, operations: int) -> None:
        self.evaluations_run += evaluations
        self.operations_run += operations

    def _gradients(
        self, leaves: Sequence[np.ndarray], slopes: Sequence[Slopes]
    ) -> list[np.ndarray]:
        return [
            self._shaped(s.values.astype(self._dtype, copy=False), leaves[p])
            for s, p in zip(slopes, self._program.wrt, strict=True)
        ]

    def _shaped(self, by_entry: np.ndarray, leaf: np.ndarray) -> np.ndarray:
        """From (entries, outputs) to the output's shape followed by the input's."""
        shape = (*self._evaluations.shape, *np.shape(leaf))
        return np.ascontiguousarray(by_entry.T).reshape(shape)

    def _slopes(
        self,
        leaves: Sequence[np.ndarray],
        want_errors: bool,
        around: Around | None = None,
    ) -> list[Slopes]:
        wrt, plan = self._program.wrt, self._plan
        point = Point(self._evaluations, leaves, wrt, self._bounds, self._count, around)
        if plan.needs_value:
            _ = point.value  # P+1 evaluations, also where P is 0
        if plan.needs_noise:
            _ = point.noise
        found = []
        for p, bounds, along in zip(wrt, self._bounds, self._plans, strict=True):
            beside = Beside(point, p, self._program.names[p], bounds)
            found.append(_by_entry(along, beside, want_errors))
        return found


def _by_entry(plan: Plan, beside: Beside, want_errors: bool) -> Slopes:
    x = beside.x
    with np.errstate(over="ignore", invalid="ignore"):
        h = plan.steps(x)
    if plan.method == "ridders":
        return ridders_slopes(beside, h, plan.levels, plan.automatic, want_errors)
    stencil = plan.stencil
    slopes = Slopes.unknown(x.size, beside.point.outputs)
    if isinstance(plan.rule, Adaptive):
        slopes = adaptive_slopes(beside, stencil, h, want_errors)
    elif isinstance(plan.rule, Balanced):
        h = balanced_steps(beside, stencil, h, plan.rule.typical)
    everything = [(stencil, np.arange(x.size), h)]
    if not beside.bounds.endless:
        everything = inside_bounds(beside, stencil, h, plan.automatic)
    for formula, entries, steps in everything:
        left = np.isnan(slopes.values[entries]).any(axis=1)
        if left.any():
            chosen = entries[left]
            slopes.fill(
                chosen, quotients(beside, formula, chosen, steps[left], want_errors)
            )
    if not np.isfinite(slopes.values).all():
        repair(beside, stencil, h, slopes, plan.shorter(x), want_errors)
    return slopes

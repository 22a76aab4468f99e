"""The point a program is differentiated at, and evaluations beside it, all counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from diffkit.backends.finite_differences.moves import Around, Evaluations
from diffkit.backends.finite_differences.noise import estimate_noise
from diffkit.errors import UserInputError

Counter = Callable[[int, int], None]  # evaluations, and scalar operations


@dataclass(frozen=True)
class Bounds:
    """Where one input may be evaluated: low ≤ x ≤ high, the same for every entry."""

    low: float = -np.inf
    high: float = np.inf

    @property
    def endless(self) -> bool:
        """Whether there are no bounds at all."""
        return self.low == -np.inf and self.high == np.inf

    def require_inside(self, x: np.ndarray, name: str) -> None:
        """Raise UserInputError where the point itself is outside."""
        outside = np.flatnonzero((x < self.low) | (x > self.high))
        if outside.size:
            raise UserInputError(
                f"{name} at flat index {outside[0]} is {x[outside[0]]}, outside its "
                f"bounds {self.low} to {self.high}. Move the point or the bounds."
            )


class Point:
    """The inputs of a program, with its value there and the noise of evaluating it.

    Both are worked out when first asked for, and counted then: of m outputs, (m,).
    """

    def __init__(
        self,
        evaluations: Evaluations,
        leaves: Sequence[np.ndarray],
        wrt: Sequence[int],
        bounds: Sequence[Bounds],
        count: Counter,
        around: Around | None = None,
    ) -> None:
        self.evaluations, self.leaves, self.wrt = evaluations, leaves, wrt
        self.dtype = evaluations.dtype
        self.outputs = prod(evaluations.shape)
        self.nothing = np.full(self.outputs, np.nan)
        self._bounds = bounds
        self._count = count
        self._around = around

    @property
    def around(self) -> Around:
        """The outputs at the point and what is kept of it: one evaluation, once."""
        if self._around is None:
            self._around = self.evaluations.at(self.leaves)
            self._count(1, self.evaluations.primal)
        return self._around

    @cached_property
    def value(self) -> np.ndarray:
        """f(x): one evaluation, unless it is known already."""
        return _flat(self.around.outputs[0])

    @cached_property
    def noise(self) -> np.ndarray:
        """Standard deviation of the rounding in an evaluation: 8 evaluations."""
        return estimate_noise(self._line, self.dtype)

    def moved(self, leaf: int, positions: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The outputs, (E, m), for each replacement of one entry of one input."""
        work = self.evaluations.work
        found, operations = self.evaluations.moved(
            self.around if work.keeps else None, self.leaves, leaf, positions, values
        )
        self._count(len(positions), operations)
        return found.reshape(len(positions), self.outputs)

    def _line(self, t: float) -> np.ndarray:
        """The function t·|x| away (t at zero), each entry in its own direction."""
        moved = list(self.leaves)
        for p, bounds in zip(self.wrt, self._bounds, strict=True):
            x = np.array(self.leaves[p], self.dtype)
            # Directions between ½ and 1, spread by the golden ratio, sign by turns.
            turn = np.arange(x.size).reshape(x.shape)
            size = 0.5 + 0.5 * np.mod(turn * 0.6180339887498949, 1.0)
            scale = np.where(x == 0, 1.0, np.abs(x))  # stays on its side of zero
            scale = np.where(np.isfinite(x), scale, 0.0)
            with np.errstate(all="ignore"):
                shifted = x + t * np.where(turn % 2, -size, size) * scale
            moved[p] = np.clip(shifted, bounds.low, bounds.high).astype(self.dtype)
        self._count(1, self.evaluations.primal)
        return _flat(self.evaluations.run(moved)[0])


def _flat(output: Any) -> np.ndarray:
    return np.asarray(output, np.float64).reshape(-1)


class Beside:
    """One input of the program, flat, evaluated with one entry moved at a time."""

    def __init__(self, point: Point, leaf: int, name: str, bounds: Bounds) -> None:
        self.point, self.leaf, self.name, self.bounds = point, leaf, name, bounds
        array = np.array(point.leaves[leaf], dtype=point.dtype)
        self.x = array.reshape(-1)
        self.shape = array.shape
        if not bounds.endless:
            bounds.require_inside(self.x, name)

    def room(self, entries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far each entry may go up and down; no end for an entry not finite."""
        x = self.x[entries].astype(np.float64)
        with np.errstate(invalid="ignore"):
            finite = np.isfinite(x)
            above = np.where(finite, self.bounds.high - x, np.inf)
            below = np.where(finite, x - self.bounds.low, np.inf)
        return above, below

    def values(self, entries: np.ndarray, points: np.ndarray) -> np.ndarray:
        """One evaluation for each of the k points of n entries: (n, k, m) float64."""
        found = self.point.moved(
            self.leaf, np.repeat(entries, points.shape[1]), points.reshape(-1)
        )
        return found.reshape(*points.shape, self.point.outputs)

    def points(
        self, entries: np.ndarray, h: np.ndarray, offsets: Sequence[int]
    ) -> np.ndarray:
        """The points x + offset·h in x's precision, (n, k), inside the bounds.

        Raises UserInputError when a step moves an entry nowhere, or no farther than
        another.
        """
        x = self.x[entries]
        with np.errstate(invalid="ignore"):
            moved = x[:, None] + h[:, None] * np.asarray(offsets, x.dtype)
        if not self.bounds.endless:
            np.clip(moved, self.bounds.low, self.bounds.high, out=moved)
        same = moved == x[:, None]
        if moved.shape[1] > 2:  # points farther out must differ among themselves too
            ordered = np.sort(moved, axis=1)
            same = np.column_stack([same, ordered[:, 1:] == ordered[:, :-1]])
        if same.any() and (same.any(axis=1) & np.isfinite(x)).any():
            stuck = np.flatnonzero(same.any(axis=1) & np.isfinite(x))
            entry, step = entries[stuck[0]], h[stuck[0]]
            at = self.x[entry]
            raise UserInputError(
                f"The step {step:.6g} does not change {self.name} at flat index "
                f"{entry}, whose value is {at}: neighbouring numbers there are "
                f"{np.spacing(np.abs(at))} apart. Use a larger step, or step='auto'."
            )
        return moved

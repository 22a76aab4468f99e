"""Derivatives along a direction, and gradients of any size checked by a few of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit.backends.finite_differences.noise import LEAST
from diffkit.errors import ShapeError, UserInputError
from diffkit.graph import trees

EVALUATIONS = 4
# The formula's values cost rounding of more than the last operation; a sum of n terms
# by pairs loses about log₂ n of it.
ROUNDING = 8.0 * LEAST


@dataclass(frozen=True, slots=True)
class Directional:
    """A derivative along one direction, its error, and what it took."""

    value: float
    error: float
    evaluations: int


@dataclass(frozen=True, slots=True)
class Projections:
    """A gradient seen along random directions: g·d against differences of f.

    `given` and `differences` are (n,), one for each direction, `errors` what is claimed
    for the differences. `relative_error` estimates ‖g − ∇f‖₂ / ‖∇f‖₂, as far as it
    stands out of those errors: for directions of independent signs the mean of
    ((g − ∇f)·d)² is ‖g − ∇f‖₂².
    """

    given: np.ndarray
    differences: np.ndarray
    errors: np.ndarray
    evaluations: int
    tolerance: float

    @property
    def relative_error(self) -> float:
        """Root mean square of what the errors do not explain, over that of ∇f·d."""
        apart = np.abs(self.given - self.differences)
        left = np.where(apart <= 3.0 * self.errors, 0.0, apart)
        scale = float(np.sqrt(np.mean(self.differences**2)))
        found = float(np.sqrt(np.mean(left**2)))
        return found if scale == 0.0 else found / scale

    @property
    def resolution(self) -> float:
        """The smallest relative error of a gradient that these differences can see."""
        scale = float(np.sqrt(np.mean(self.differences**2)))
        seen = 3.0 * float(np.sqrt(np.mean(self.errors**2)))
        return seen if scale == 0.0 else seen / scale

    @property
    def passed(self) -> bool:
        """Whether the gradient agrees; NaN never does, nor what cannot be resolved."""
        return bool(
            self.relative_error <= self.tolerance and self.resolution <= self.tolerance
        )

    def __str__(self) -> str:
        verdict = "agrees with" if self.passed else "DISAGREES with"
        if not self.passed and self.relative_error <= self.tolerance:
            verdict = "is NOT RESOLVED by"
        return (
            f"The gradient {verdict} differences along {len(self.given)} random "
            f"directions: relative error {self.relative_error:.2g}, resolution "
            f"{self.resolution:.2g}, tolerance {self.tolerance:.1g}, "
            f"{self.evaluations} evaluations."
        )


def directional(
    f: Callable[..., Any],
    args: Sequence[Any],
    direction: Any,
    argnums: int = 0,
    step: float | None = None,
) -> Directional:
    """The derivative of f along a direction, from exactly 4 evaluations.

    Symmetric quotients at t and 2t, extrapolated, (4·D(t) − D(2t))/3, of error O(t⁴);
    t = ε^(1/4)·max(‖x‖∞, 1)/‖d‖∞ over the entries that move (`step` sets t). The error
    claimed is |D(2t) − D(t)|/15, O(t²) and so a cautious one, plus the rounding of
    four evaluations (Richardson, 1911).

    `f` takes arrays, nested as they like, to one number: a NumPy function or
    `prepared.value`. `direction` is nested as `args[argnums]`.

    Raises ShapeError for another nesting or shape, UserInputError for a direction of
    zeros or a step too small to move anything.

    >>> import numpy as np
    >>> x, d = np.array([0.5, 1.0]), np.array([1.0, -2.0])
    >>> found = directional(lambda x: np.sum(np.sin(x)), (x,), d)
    >>> bool(abs(found.value - np.cos(x) @ d) < 1e-11), found.evaluations
    (True, 4)
    """
    leaves, tree = trees.flatten(args[argnums])
    x = [np.asarray(leaf) for leaf in leaves]
    d = _like(direction, tree, x, "direction")
    moving = [(abs(a), abs(b)) for a, b in zip(x, d, strict=True)]
    largest = max((float(b.max(initial=0.0)) for _, b in moving), default=0.0)
    if not 0.0 < largest < np.inf:
        raise UserInputError(
            "The direction moves no parameter, or one of them infinitely far: there is "
            "no derivative along it. Give a finite direction that is not zero."
        )
    size = max(float(np.max(a, where=b > 0, initial=1.0)) for a, b in moving)
    dtype = np.result_type(*x)
    eps = float(np.finfo(dtype if dtype.kind == "f" else np.float64).eps)
    t = eps**0.25 * size / largest if step is None else float(step)
    if not 0.0 < t < np.inf:
        raise UserInputError(
            f"The step along a direction was {step!r}; it is positive."
        )
    values = []
    for factor in (1.0, -1.0, 2.0, -2.0):
        moved = [
            (a + (factor * t) * b).astype(a.dtype) for a, b in zip(x, d, strict=True)
        ]
        if all(np.array_equal(a, b) for a, b in zip(moved, x, strict=True)):
            raise UserInputError(
                f"The step {t:.6g} along the direction changes no entry in its "
                "precision. Use a larger step, or step=None for the automatic one."
            )
        arguments = list(args)
        arguments[argnums] = trees.unflatten(tree, moved)
        values.append(float(f(*arguments)))
    near = (values[0] - values[1]) / (2.0 * t)
    wide = (values[2] - values[3]) / (4.0 * t)
    best = near + (near - wide) / 3.0
    rounding = ROUNDING * eps * max(map(abs, values)) / t
    return Directional(best, abs(near - wide) / 15.0 + rounding, EVALUATIONS)


def random_projections(
    f: Callable[..., Any],
    args: Sequence[Any],
    gradient: Any,
    rng: np.random.Generator,
    argnums: int = 0,
    directions: int = 3,
    tolerance: float = 1e-6,
) -> Projections:
    """Check a gradient of any size by 4·directions evaluations of f, twelve by default.

    Directions have independent random signs, so that an error anywhere in the
    gradient shows: (g − ∇f)·d has mean square ‖g − ∇f‖₂². What is
    compared is a whole, not entry by entry: an error below `resolution·‖∇f‖₂` stays
    unseen (Hutchinson, 1989, for the estimate; Griewank and Walther, 2008, section 3).

    Raises as `directional` does.

    >>> import numpy as np
    >>> x = np.linspace(-1, 1, 1000)
    >>> f = lambda x: np.sum(np.sin(x))
    >>> seen = random_projections(f, (x,), np.cos(x), np.random.default_rng(0))
    >>> seen.passed, seen.evaluations
    (True, 12)
    >>> wrong = np.cos(x)
    >>> wrong[500] *= -1
    >>> random_projections(f, (x,), wrong, np.random.default_rng(0)).passed
    False
    """
    if directions < 1:
        raise UserInputError(f"directions is at least 1, not {directions}.")
    leaves, tree = trees.flatten(args[argnums])
    x = [np.asarray(leaf) for leaf in leaves]
    g = _like(gradient, tree, x, "gradient")
    given, found = np.empty(directions), []
    for k in range(directions):
        signs = [
            (2.0 * rng.integers(0, 2, a.shape, np.int8) - 1.0).astype(a.dtype)
            for a in x
        ]
        given[k] = sum(
            float(np.sum(a.astype(np.float64) * b))
            for a, b in zip(g, signs, strict=True)
        )
        along = trees.unflatten(tree, signs)
        found.append(directional(f, args, along, argnums))
    return Projections(
        given=given,
        differences=np.array([d.value for d in found]),
        errors=np.array([d.error for d in found]),
        evaluations=EVALUATIONS * directions,
        tolerance=tolerance,
    )


def _like(
    given: Any, tree: Any, x: Sequence[np.ndarray], what: str
) -> list[np.ndarray]:
    leaves, other = trees.flatten(given)
    if other != tree:
        raise ShapeError(
            f"The {what} is nested as {other} and the argument as {tree}. Nest it the "
            "same way."
        )
    arrays = [np.asarray(leaf) for leaf in leaves]
    for a, b in zip(arrays, x, strict=True):
        if a.shape != b.shape:
            raise ShapeError(
                f"The {what} has a part of shape {a.shape} where the argument has "
                f"{b.shape}. They are shaped alike."
            )
    return arrays

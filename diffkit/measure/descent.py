"""A recorded descent: every point and value on the way of an optimizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from diffkit.optim import Optimizer
from diffkit.prepared import Prepared

#: Value and gradient at a flat vector of parameters.
ValueAndGrad = Callable[[np.ndarray], tuple[Any, Any]]
Ended = Literal["reached", "diverged", "steps"]


@dataclass(frozen=True, slots=True)
class Descent:
    """Points of shape (steps + 1, n), the first being the start, and their values.

    `gradients` are those that the steps were taken by, and the one at the last point.
    `ended` says why it stopped: the goal was reached, it left every bound, or the
    steps were used up.
    """

    points: np.ndarray
    values: np.ndarray
    gradients: np.ndarray
    ended: Ended

    @property
    def steps(self) -> int:
        """Steps taken."""
        return len(self.values) - 1

    @property
    def last(self) -> np.ndarray:
        """The point it ended at."""
        return self.points[-1]


def descend(
    value_and_grad: ValueAndGrad,
    optimizer: Optimizer,
    start: Any,
    steps: int,
    *,
    reached: Callable[[np.ndarray, float], bool] = lambda point, value: False,
    bound: float = 1e12,
) -> Descent:
    """Follow an optimizer from `start` for at most `steps` steps, and keep the path.

    Ends early where `reached(point, value)`, and as diverged where a parameter or the
    value is not finite or beyond `bound`.

    >>> from diffkit.optim import sgd
    >>> path = descend(lambda w: ((w[0] - 3) ** 2, 2 * (w - 3)), sgd(0.1), [0.0], 2)
    >>> path.points.round(12).ravel().tolist(), path.ended
    ([0.0, 0.6, 1.08], 'steps')
    """
    w = np.atleast_1d(np.array(start, float))
    state = optimizer.init(w)
    points, values, gradients = [], [], []
    ended: Ended = "steps"
    # Overflow is what divergence looks like; it is recorded, not warned of.
    with np.errstate(all="ignore"):
        for step in range(steps + 1):
            value, gradient = value_and_grad(w)
            points.append(w)
            values.append(float(value))
            gradients.append(np.array(gradient, float))
            if not (abs(values[-1]) <= bound and np.max(np.abs(w)) <= bound):
                ended = "diverged"
                break
            if reached(w, values[-1]):
                ended = "reached"
                break
            if step < steps:
                updates, state = optimizer.update(gradients[-1], state, w)
                w = w + updates
    return Descent(np.array(points), np.array(values), np.array(gradients), ended)


def on_vector(
    prepared: Prepared, params: Any, *data: Any
) -> tuple[np.ndarray, ValueAndGrad, Callable[[np.ndarray], Any]]:
    """Parameters as one vector, the loss over it, and the way back to the nesting.

    >>> from diffkit.transform import prepare
    >>> params = {"b": np.zeros(1), "w": np.ones(2)}
    >>> def loss(p):
    ...     return np.sum(p["w"] ** 2) + np.sum(p["b"])
    >>> vector, value_and_grad, nested = on_vector(prepare(loss, params), params)
    >>> vector.tolist(), value_and_grad(vector)[1].tolist()
    ([0.0, 1.0, 1.0], [1.0, 2.0, 2.0])
    >>> nested(vector)["w"].tolist()
    [1.0, 1.0]
    """

    def value_and_grad(vector: np.ndarray) -> tuple[Any, Any]:
        return prepared.flat(vector, *data)

    return prepared.pack(params), value_and_grad, prepared.unpack


def largest_that(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where a property that holds at `low` and not at `high` ends, by bisection.

    To a relative width of 2⁻⁴⁰. Raises ValueError when the ends do not differ so.

    >>> round(largest_that(lambda x: x * x <= 2, 1.0, 2.0), 9)
    1.414213562
    """
    if not holds(low) or holds(high):
        raise ValueError(f"The property has to hold at {low} and not at {high}.")
    while high - low > 2.0**-40 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low

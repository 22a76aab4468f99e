"""Adam: a step size for each parameter, from running moments of its gradient."""

from __future__ import annotations

from math import sqrt
from typing import Any, NamedTuple

import numpy as np
import optree

from diffkit.optim.optimizer import (
    Optimizer,
    check_alike,
    fraction,
    positive,
    zeros_like,
)


class AdamState(NamedTuple):
    """Steps taken t, and the running first and second moments m and v."""

    step: np.ndarray
    first: Any
    second: Any


def adam(
    rate: float = 1e-3, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> Optimizer:
    """Adam: w ← w − α·m̂/(√v̂ + ε).

    With t counted from 1: m ← b1·m + (1 − b1)·g, v ← b2·v + (1 − b2)·g², and both
    corrected for their start at zero, m̂ = m/(1 − b1ᵗ), v̂ = v/(1 − b2ᵗ). Source: Kingma
    and Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1; ε is
    outside the root, as there and in PyTorch's Adam. The first step has length α
    whatever the scale of the gradient.

    Raises UserInputError for a rate or ε that is not positive, or b1, b2 outside
    [0, 1).

    >>> optimizer = adam(0.1)
    >>> updates, state = optimizer.update(np.array([5.0]), optimizer.init(np.zeros(1)))
    >>> updates.round(6), int(state.step)
    (array([-0.1]), 1)
    """
    rate, eps = positive("adam", "rate", rate), positive("adam", "eps", eps)
    b1, b2 = fraction("adam", "b1", b1), fraction("adam", "b2", b2)

    def init(params: Any) -> AdamState:
        return AdamState(np.array(0), zeros_like(params), zeros_like(params))

    def update(
        grads: Any, state: AdamState, params: Any = None
    ) -> tuple[Any, AdamState]:
        check_alike("gradients", grads, state.first)
        t = int(state.step) + 1
        first = optree.tree_map(lambda m, g: _faded(b1, m, g), state.first, grads)
        second = optree.tree_map(lambda v, g: _faded(b2, v, g * g), state.second, grads)
        length, root = -rate / (1.0 - b1**t), sqrt(1.0 - b2**t)

        def updated(m: Any, v: Any) -> Any:
            scale = np.sqrt(v)
            scale /= root
            scale += eps
            return length * m / scale

        updates = optree.tree_map(updated, first, second)
        return updates, AdamState(np.array(t), first, second)

    return Optimizer(init, update, f"adam({rate:g}, {b1:g}, {b2:g}, {eps:g})")


def _faded(beta: float, mean: Any, new: Any) -> Any:
    """β·mean + (1 − β)·new, with no more arrays than it takes."""
    result = beta * mean
    result += (1.0 - beta) * new
    return result

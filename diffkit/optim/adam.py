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
    needs_params,
    not_negative,
    positive,
    zeros_like,
)
from diffkit.optim.schedules import Schedule, as_schedule, rate_at, said


class AdamState(NamedTuple):
    """Steps taken t, and the running first and second moments m and v."""

    step: np.ndarray
    first: Any
    second: Any


def adam(
    rate: float | Schedule = 1e-3,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
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
    schedule, eps = as_schedule("adam", rate), positive("adam", "eps", eps)
    b1, b2 = fraction("adam", "b1", b1), fraction("adam", "b2", b2)

    def update(
        grads: Any, state: AdamState, params: Any = None
    ) -> tuple[Any, AdamState]:
        alpha = rate_at(schedule, int(state.step))
        return _moved(grads, state, alpha, b1, b2, eps)

    name = f"adam({said(rate)}, {b1:g}, {b2:g}, {eps:g})"
    return Optimizer(_init, update, name, one_vector=True)


def adamw(
    rate: float | Schedule = 1e-3,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
) -> Optimizer:
    """AdamW: Adam's step, and w ← w − α·λ·w beside it, λ the `weight_decay`.

    The decay goes past the moments: with λ·w in the gradient, as an L2 penalty puts it,
    Adam divides it by √v̂ and parameters with large gradients hardly decay. It is
    multiplied by the rate α, and so follows the schedule, as in PyTorch's AdamW; every
    parameter decays, biases too, as there. Source: Loshchilov and Hutter, "Decoupled
    weight decay regularization", ICLR 2019.

    Raises UserInputError for what `adam` refuses, or a negative λ.

    >>> optimizer, w = adamw(0.1, weight_decay=0.5), np.array([2.0])
    >>> updates, state = optimizer.update(np.array([5.0]), optimizer.init(w), w)
    >>> updates.round(6)
    array([-0.2])
    """
    schedule, eps = as_schedule("adamw", rate), positive("adamw", "eps", eps)
    b1, b2 = fraction("adamw", "b1", b1), fraction("adamw", "b2", b2)
    decay = not_negative("adamw", "weight_decay", weight_decay)

    def update(
        grads: Any, state: AdamState, params: Any = None
    ) -> tuple[Any, AdamState]:
        needs_params("adamw", params)
        alpha = rate_at(schedule, int(state.step))
        updates, state = _moved(grads, state, alpha, b1, b2, eps)
        shrink = alpha * decay
        return optree.tree_map(lambda u, w: u - shrink * w, updates, params), state

    name = f"adamw({said(rate)}, {b1:g}, {b2:g}, {eps:g}, {decay:g})"
    return Optimizer(_init, update, name, one_vector=True)


def _init(params: Any) -> AdamState:
    return AdamState(np.array(0), zeros_like(params), zeros_like(params))


def _moved(
    grads: Any, state: AdamState, alpha: float, b1: float, b2: float, eps: float
) -> tuple[Any, AdamState]:
    """Adam's updates and the state after them."""
    check_alike("gradients", grads, state.first)
    t = int(state.step) + 1
    first = optree.tree_map(lambda m, g: _faded(b1, m, g), state.first, grads)
    second = optree.tree_map(lambda v, g: _faded(b2, v, g * g), state.second, grads)
    # √v̂ + ε = (√v + ε·root)/root: the root goes into the numbers, not the arrays.
    root = sqrt(1.0 - b2**t)
    length, floor = -alpha * root / (1.0 - b1**t), eps * root

    def updated(m: Any, v: Any) -> Any:
        scale = np.sqrt(v)
        scale += floor
        return np.divide(length * m, scale, out=scale[...])

    updates = optree.tree_map(updated, first, second)
    return updates, AdamState(np.array(t), first, second)


def _faded(beta: float, mean: Any, new: Any) -> Any:
    """β·mean + (1 − β)·new, with no more arrays than it takes."""
    result = beta * mean
    result += (1.0 - beta) * new
    return result

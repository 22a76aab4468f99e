"""Adam: a step size for each parameter, from running moments of its gradient."""

from __future__ import annotations

from math import sqrt
from typing import Any, NamedTuple

import numpy as np

from diffkit.optim.optimizer import (
    Optimizer,
    fraction,
    not_negative,
    positive,
    zeros_like,
)
from diffkit.optim.schedules import Schedule, as_schedule, rate_at, said
from diffkit.optim.stage import by_rule


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

    def numbers(state: AdamState, grads: Any) -> tuple[float, ...]:
        step = int(state.step)
        return _corrected(rate_at(schedule, step), step + 1, b1, b2, eps)

    name = f"adam({said(rate)}, {b1:g}, {b2:g}, {eps:g})"
    constants = (b1, 1.0 - b1, b2, 1.0 - b2)
    return by_rule(
        "adam", _init, numbers, name, constants=constants, remembers=AdamState
    )


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

    def numbers(state: AdamState, grads: Any) -> tuple[float, ...]:
        step = int(state.step)
        alpha = rate_at(schedule, step)
        return (*_corrected(alpha, step + 1, b1, b2, eps), alpha * decay)

    name = f"adamw({said(rate)}, {b1:g}, {b2:g}, {eps:g}, {decay:g})"
    constants = (b1, 1.0 - b1, b2, 1.0 - b2)
    return by_rule(
        "adamw", _init, numbers, name, constants=constants, remembers=AdamState
    )


def _init(params: Any) -> AdamState:
    return AdamState(np.array(0), zeros_like(params), zeros_like(params))


def _corrected(
    alpha: float, t: int, b1: float, b2: float, eps: float
) -> tuple[float, float]:
    """−α and ε in step t, with the corrections of both moments inside."""
    root = sqrt(1.0 - b2**t)
    return -alpha * root / (1.0 - b1**t), eps * root

"""AdaGrad and RMSProp: rates for each parameter, from the squares of its gradient."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from diffkit.optim.optimizer import (
    Optimizer,
    fraction,
    not_negative,
    zeros_like,
)
from diffkit.optim.schedules import Schedule, as_schedule, rate_at, said
from diffkit.optim.stage import by_rule


class SquaresState(NamedTuple):
    """Steps taken, and the sum or running mean of squared gradients."""

    step: np.ndarray
    squares: Any


def adagrad(rate: float | Schedule = 0.01, eps: float = 1e-10) -> Optimizer:
    """AdaGrad: s ← s + g², then w ← w − α·g/(√s + ε), starting from s = 0.

    s only grows, so the rate α/√s of each parameter decays to 0: under a steady
    gradient the step after k of them is α/√k. PyTorch's Adagrad(lr=α, eps=ε). Source:
    Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and
    stochastic optimization", JMLR 2011.

    Raises UserInputError for a rate that is not positive or a negative ε.

    >>> optimizer, w = adagrad(0.1), np.zeros(1)
    >>> first, state = optimizer.update(np.array([3.0]), optimizer.init(w))
    >>> second, state = optimizer.update(np.array([3.0]), state)
    >>> first.round(6), second.round(6)
    (array([-0.1]), array([-0.070711]))
    """
    schedule, eps = as_schedule("adagrad", rate), not_negative("adagrad", "eps", eps)

    def numbers(state: SquaresState, grads: Any) -> tuple[float, ...]:
        return (-rate_at(schedule, int(state.step)),)

    name = f"adagrad({said(rate)}, {eps:g})"
    return by_rule(
        "adagrad", _init, numbers, name, constants=(eps,), remembers=SquaresState
    )


def rmsprop(
    rate: float | Schedule = 0.01, beta: float = 0.99, eps: float = 1e-8
) -> Optimizer:
    """RMSProp: v ← β·v + (1 − β)·g², then w ← w − α·g/(√v + ε), starting from v = 0.

    PyTorch's RMSprop(lr=α, alpha=β, eps=ε), ε outside the root. v starts at zero and is
    not corrected for it: the first step has length α/√(1 − β), ten times α by default.
    `eps=0` is allowed, to show what ε is for: a parameter whose gradient has been 0
    since the start divides 0 by 0. Source: Tieleman and Hinton, lecture 6.5 of "Neural
    networks for machine learning", 2012.

    Raises UserInputError for a rate that is not positive, β outside [0, 1), or a
    negative ε.

    >>> optimizer, w = rmsprop(0.1, 0.75), np.zeros(1)
    >>> updates, state = optimizer.update(np.array([3.0]), optimizer.init(w))
    >>> updates.round(6)
    array([-0.2])
    """
    schedule = as_schedule("rmsprop", rate)
    beta = fraction("rmsprop", "beta", beta)
    eps = not_negative("rmsprop", "eps", eps)

    def numbers(state: SquaresState, grads: Any) -> tuple[float, ...]:
        return (-rate_at(schedule, int(state.step)),)

    name = f"rmsprop({said(rate)}, {beta:g}, {eps:g})"
    constants = (eps, beta, 1.0 - beta)
    return by_rule(
        "rmsprop", _init, numbers, name, constants=constants, remembers=SquaresState
    )


def _init(params: Any) -> SquaresState:
    return SquaresState(np.array(0), zeros_like(params))

"""Gradient descent, plain and with momentum."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from diffkit.optim.optimizer import (
    Optimizer,
    check_parameters,
    fraction,
    zeros_like,
)
from diffkit.optim.schedules import Schedule, as_schedule, rate_at, said
from diffkit.optim.stage import by_rule


class SgdState(NamedTuple):
    """Steps taken."""

    step: np.ndarray


def sgd(rate: float | Schedule) -> Optimizer:
    """Gradient descent: w ← w − α·g, with α the `rate`, a number or a schedule.

    Stochastic when the gradients are those of mini-batches. Source: Robbins and Monro,
    "A stochastic approximation method", 1951. Same as PyTorch's SGD(lr=rate).

    Raises UserInputError unless `rate` is positive and finite.

    >>> optimizer = sgd(0.1)
    >>> updates, state = optimizer.update(np.array([2.0]), optimizer.init(np.zeros(1)))
    >>> updates
    array([-0.2])
    """
    schedule = as_schedule("sgd", rate)

    def init(params: Any) -> SgdState:
        check_parameters(params)
        return SgdState(np.array(0))

    def numbers(state: SgdState, grads: Any) -> tuple[float, ...]:
        return (-rate_at(schedule, int(state.step)),)

    name = f"sgd({said(rate)})"
    return by_rule("scaled", init, numbers, name, remembers=SgdState)


class MomentumState(NamedTuple):
    """Steps taken, and the velocity v of each parameter."""

    step: np.ndarray
    velocity: Any


def momentum(rate: float | Schedule, beta: float = 0.9) -> Optimizer:
    """Heavy ball: v ← β·v + g, then w ← w − α·v, starting from v = 0.

    Of the two textbook forms this is the one that sums gradients (PyTorch's
    SGD(momentum=β)): under a steady gradient v tends to g/(1 − β), so its effective
    rate is α/(1 − β). `averaged_momentum` is the other. Source: Polyak, "Some methods
    of speeding up the convergence of iteration methods", 1964, written there as
    w ← w − α·g + β·(w − w_before), which is the same for a constant rate.

    Raises UserInputError unless `rate` is positive and 0 ≤ `beta` < 1.

    >>> optimizer, w = momentum(0.1, 0.5), np.zeros(1)
    >>> first, state = optimizer.update(np.array([1.0]), optimizer.init(w))
    >>> second, state = optimizer.update(np.array([1.0]), state)
    >>> first, second
    (array([-0.1]), array([-0.15]))
    """
    beta = fraction("momentum", "beta", beta)
    return _with_velocity("momentum", rate, beta)


def averaged_momentum(rate: float | Schedule, beta: float = 0.9) -> Optimizer:
    """The other textbook form: v ← β·v + (1 − β)·g, then w ← w − α·v, from v = 0.

    v is a running average of gradients, so that under a steady gradient it tends to g
    and the effective rate is α itself: 1/(1 − β) times less than `momentum` with the
    same numbers. `averaged_momentum(α/(1 − β), β)` and `momentum(α, β)` take the same
    path. PyTorch's SGD(momentum=β, dampening=1 − β) differs in its first step, which is
    not dampened.

    Raises UserInputError unless `rate` is positive and 0 ≤ `beta` < 1.

    >>> optimizer, w = averaged_momentum(0.1, 0.5), np.zeros(1)
    >>> first, state = optimizer.update(np.array([1.0]), optimizer.init(w))
    >>> second, state = optimizer.update(np.array([1.0]), state)
    >>> first, second
    (array([-0.05]), array([-0.075]))
    """
    beta = fraction("averaged_momentum", "beta", beta)
    return _with_velocity("averaged_momentum", rate, beta, 1.0 - beta)


def nesterov(rate: float | Schedule, beta: float = 0.9) -> Optimizer:
    """Nesterov's momentum: v ← β·v + g, then w ← w − α·(g + β·v), from v = 0.

    The form of Sutskever et al., "On the importance of initialization and momentum in
    deep learning", 2013, rewritten for the point looked ahead to, so that the gradient
    is taken at the parameters themselves: PyTorch's SGD(momentum=β, nesterov=True).
    The effective rate under a steady gradient is α/(1 − β), as of `momentum`. Source:
    Nesterov, "A method of solving a convex programming problem with convergence rate
    O(1/k²)", 1983.

    Raises UserInputError unless `rate` is positive and 0 ≤ `beta` < 1.

    >>> optimizer, w = nesterov(0.1, 0.5), np.zeros(1)
    >>> first, state = optimizer.update(np.array([1.0]), optimizer.init(w))
    >>> second, state = optimizer.update(np.array([1.0]), state)
    >>> first.round(6), second.round(6)
    (array([-0.15]), array([-0.175]))
    """
    beta = fraction("nesterov", "beta", beta)
    return _with_velocity("nesterov", rate, beta)


def _with_velocity(rule: str, rate: float | Schedule, *constants: float) -> Optimizer:
    """Step by the rule, whose numbers are −α and the constants, β the first."""
    schedule = as_schedule(rule, rate)

    def init(params: Any) -> MomentumState:
        return MomentumState(np.array(0), zeros_like(params))

    def numbers(state: MomentumState, grads: Any) -> tuple[float, ...]:
        return (-rate_at(schedule, int(state.step)),)

    name = f"{rule}({said(rate)}, {constants[0]:g})"
    return by_rule(
        rule, init, numbers, name, constants=constants, remembers=MomentumState
    )

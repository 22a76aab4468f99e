"""Gradient descent, plain and with momentum."""

from __future__ import annotations

from typing import Any, NamedTuple

import optree

from diffkit.optim.optimizer import (
    Optimizer,
    check_alike,
    check_parameters,
    fraction,
    positive,
    zeros_like,
)


def sgd(rate: float) -> Optimizer:
    """Gradient descent: w ← w − α·g, with α the `rate`; no state.

    Stochastic when the gradients are those of mini-batches. Source: Robbins and Monro,
    "A stochastic approximation method", 1951. Same as PyTorch's SGD(lr=rate).

    Raises UserInputError unless `rate` is positive and finite.

    >>> import numpy as np
    >>> optimizer = sgd(0.1)
    >>> updates, state = optimizer.update(np.array([2.0]), optimizer.init(np.zeros(1)))
    >>> updates
    array([-0.2])
    """
    rate = positive("sgd", "rate", rate)

    def init(params: Any) -> tuple[()]:
        check_parameters(params)
        return ()

    def update(grads: Any, state: tuple[()], params: Any = None) -> tuple[Any, Any]:
        if params is not None:
            check_alike("gradients", grads, params)
        return optree.tree_map(lambda g: -rate * g, grads), state

    return Optimizer(init, update, f"sgd({rate:g})")


class MomentumState(NamedTuple):
    """The velocity v of each parameter."""

    velocity: Any


def momentum(rate: float, beta: float = 0.9) -> Optimizer:
    """Heavy ball: v ← β·v + g, then w ← w − α·v, starting from v = 0.

    Of the two textbook forms this is the one that sums gradients (PyTorch's
    SGD(momentum=β)): under a steady gradient v tends to g/(1 − β), so its effective
    rate is α/(1 − β). The form that averages them, v ← β·v + (1 − β)·g, takes the
    same path with a rate larger by 1/(1 − β). Source: Polyak, "Some methods of
    speeding up the convergence of iteration methods", 1964, written there as
    w ← w − α·g + β·(w − w_before), which is the same for a constant rate.

    Raises UserInputError unless `rate` is positive and 0 ≤ `beta` < 1.

    >>> import numpy as np
    >>> optimizer, w = momentum(0.1, 0.5), np.zeros(1)
    >>> first, state = optimizer.update(np.array([1.0]), optimizer.init(w))
    >>> second, state = optimizer.update(np.array([1.0]), state)
    >>> first, second
    (array([-0.1]), array([-0.15]))
    """
    rate = positive("momentum", "rate", rate)
    beta = fraction("momentum", "beta", beta)

    def init(params: Any) -> MomentumState:
        return MomentumState(zeros_like(params))

    def update(
        grads: Any, state: MomentumState, params: Any = None
    ) -> tuple[Any, MomentumState]:
        check_alike("gradients", grads, state.velocity)
        velocity = optree.tree_map(lambda v, g: beta * v + g, state.velocity, grads)
        return optree.tree_map(lambda v: -rate * v, velocity), MomentumState(velocity)

    return Optimizer(init, update, f"momentum({rate:g}, {beta:g})")

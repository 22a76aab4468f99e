"""Losses for numbers: squared, absolute, and Huber's between the two."""

from __future__ import annotations

from typing import Any

import numpy as np

from diffkit.losses.support import check_number, pair, reduce


def mse(prediction: Any, target: Any, reduction: str = "mean") -> Any:
    """Mean squared error: (ŷ − y)² over all m elements, gradient (2/m)(ŷ − y).

    m counts every element, rows times outputs, as in PyTorch's mse_loss and
    scikit-learn; there is no factor 1/2. `reduction` is "mean", "sum" or "none".

    Raises ShapeError unless both have the same shape.

    >>> float(mse([1.0, 2.0], [0.0, 4.0]))
    2.5
    """
    prediction, target = pair("mse", prediction, target)
    return reduce(np.square(prediction - target), reduction)


def mae(prediction: Any, target: Any, reduction: str = "mean") -> Any:
    """Mean absolute error: |ŷ − y| over all m elements, gradient sign(ŷ − y)/m.

    The gradient is 0 where ŷ = y, as in PyTorch's l1_loss.

    Raises ShapeError unless both have the same shape.

    >>> float(mae([1.0, 2.0], [0.0, 4.0]))
    1.5
    """
    prediction, target = pair("mae", prediction, target)
    return reduce(np.abs(prediction - target), reduction)


def huber(
    prediction: Any, target: Any, reduction: str = "mean", *, delta: float = 1.0
) -> Any:
    """½e² where |e| = |ŷ − y| ≤ δ, and δ(|e| − ½δ) beyond; the mean over all elements.

    Value (½δ²) and slope (δ) of the two pieces agree at |e| = δ. With the plain square
    e² inside, as the formula is sometimes printed, the loss would jump there by ½δ².
    Written as q(|e| − ½q) with q = min(|e|, δ): no overflow of the piece not taken.
    The values are PyTorch's huber_loss (its smooth_l1_loss divides by δ). Source:
    Huber, "Robust estimation of a location parameter", Annals of Mathematical
    Statistics 35, 1964.

    Raises ShapeError unless both have the same shape, UserInputError for a δ that is
    not above 0.

    >>> huber([0.5, 1.0, 3.0], [0.0, 0.0, 0.0], "none").tolist()
    [0.125, 0.5, 2.5]
    """
    delta = check_number("huber", "delta", delta, 0.0, above=True)
    prediction, target = pair("huber", prediction, target)
    distance = np.abs(prediction - target)
    q = np.minimum(distance, delta)
    return reduce(q * (distance - 0.5 * q), reduction)

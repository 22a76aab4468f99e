"""Losses for yes or no: cross-entropy from probabilities and logits, and focal."""

from __future__ import annotations

from typing import Any

import numpy as np

from diffkit.functions import softplus
from diffkit.losses.support import (
    check_number,
    check_probabilities,
    check_targets,
    log,
    pair,
    reduce,
)

_TARGETS = "They are 0, 1 or a probability between."


def binary_cross_entropy(
    probabilities: Any,
    targets: Any,
    reduction: str = "mean",
    *,
    positive_weight: float = 1.0,
) -> Any:
    """−(w·t·log p + (1 − t)·log(1 − p)), the mean over all elements.

    `targets` t are 0, 1 or between; `positive_weight` w makes rare positives count
    more. As in PyTorch's binary_cross_entropy, logarithms are held above −100; the
    derivative there is taken as 0, where PyTorch's is up to 1e12. A saturated sigmoid
    therefore stops learning: prefer `binary_cross_entropy_with_logits`.

    Raises ShapeError unless both have the same shape, UserInputError for a negative
    weight, and for values outside 0 to 1 where they are known.

    >>> binary_cross_entropy([0.5, 0.0], [1.0, 1.0], "none").round(4).tolist()
    [0.6931, 100.0]
    """
    loss = "binary_cross_entropy"
    w = check_number(loss, "positive_weight", positive_weight, 0.0)
    p, t = pair(loss, probabilities, targets)
    check_probabilities("probabilities", p, "Logits go to the ..._with_logits loss.")
    check_targets(t, _TARGETS)
    return reduce(-(w * t * log(p) + (1.0 - t) * log(1.0 - p)), reduction)


def binary_cross_entropy_with_logits(
    logits: Any,
    targets: Any,
    reduction: str = "mean",
    *,
    positive_weight: float = 1.0,
) -> Any:
    """Binary cross-entropy of σ(z): w·t·softplus(−z) + (1 − t)·softplus(z), the mean.

    No overflow for any z, and full relative precision in both tails for t = 0 and 1.
    For the weight w = 1 the gradient is σ(z) − t. PyTorch's
    binary_cross_entropy_with_logits has the same value; w is its pos_weight.

    Raises ShapeError unless both have the same shape, UserInputError for a negative
    weight, and for targets outside 0 to 1 where they are known.

    >>> z = np.array([1000.0, -1000.0])
    >>> binary_cross_entropy_with_logits(z, np.array([0.0, 0.0]), "none").tolist()
    [1000.0, 0.0]
    """
    loss = "binary_cross_entropy_with_logits"
    w = check_number(loss, "positive_weight", positive_weight, 0.0)
    z, t = pair(loss, logits, targets)
    check_targets(t, _TARGETS)
    return reduce(w * t * softplus(-z) + (1.0 - t) * softplus(z), reduction)


def focal(
    logits: Any,
    targets: Any,
    reduction: str = "mean",
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
) -> Any:
    """Binary focal loss: cross-entropy times (1 − p of the truth)^γ, the mean.

    With p = σ(z): α·t·(1 − p)^γ·(−log p) + (1 − α)·(1 − t)·p^γ·(−log(1 − p)). What is
    classified well already counts less; γ = 0 is the cross-entropy. `alpha` weights
    positives against negatives; None weights neither. (1 − p)^γ is e^(−γ·softplus(z)),
    stable for any z. For targets 0 and 1 this is torchvision's sigmoid_focal_loss,
    whose defaults are α = 0.25 and no reduction; soft targets mix the two terms here,
    and the probabilities there. Source: Lin, Goyal, Girshick, He and Dollár, "Focal
    loss for dense object detection", ICCV 2017.

    Raises ShapeError unless both have the same shape, UserInputError for γ < 0, for α
    outside 0 to 1, and for targets outside 0 to 1 where they are known.

    >>> focal([0.0, 1000.0, -1000.0], [1.0, 1.0, 1.0], "none").round(4).tolist()
    [0.1733, 0.0, 1000.0]
    """
    gamma = check_number("focal", "gamma", gamma, 0.0)
    z, t = pair("focal", logits, targets)
    check_targets(t, _TARGETS)
    for_ones = for_zeros = 1.0
    if alpha is not None:
        for_ones = check_number("focal", "alpha", alpha, 0.0)
        for_zeros = check_number("focal", "1 - alpha", 1.0 - alpha, 0.0)
    up, down = softplus(z), softplus(-z)
    ones = for_ones * t * (np.exp(-gamma * up) * down)
    zeros = for_zeros * (1.0 - t) * (np.exp(-gamma * down) * up)
    return reduce(ones + zeros, reduction)

"""Losses: how wrong a prediction is, as one number.

Each is a function loss(prediction, target, reduction="mean"), on arrays and on traced
values alike. Shapes must agree exactly: a column (n, 1) against a vector (n,) would
broadcast to (n, n) without a word, and is refused. Values are checked where they are
known; inside a traced program only shapes are. Options are keywords: `get` fixes them,
so that the result is again a function of prediction and target.
"""

from diffkit.losses.binary import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    focal,
)
from diffkit.losses.categorical import (
    cross_entropy,
    cross_entropy_from_probabilities,
    focal_cross_entropy,
    kl_divergence,
    nll,
)
from diffkit.losses.penalties import l2_penalty
from diffkit.losses.registry import LOSSES, get
from diffkit.losses.regression import huber, mae, mse
from diffkit.losses.support import Loss

__all__ = [
    "LOSSES",
    "Loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "cross_entropy_from_probabilities",
    "focal",
    "focal_cross_entropy",
    "get",
    "huber",
    "kl_divergence",
    "l2_penalty",
    "mae",
    "mse",
    "nll",
]

"""Losses by name."""

from __future__ import annotations

from functools import partial
from inspect import signature
from typing import Any

from diffkit.errors import unknown_name
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
from diffkit.losses.regression import huber, mae, mse
from diffkit.losses.support import Loss

LOSSES: dict[str, Loss] = {
    loss.__name__: loss
    for loss in (
        mse,
        mae,
        huber,
        binary_cross_entropy,
        binary_cross_entropy_with_logits,
        focal,
        cross_entropy,
        cross_entropy_from_probabilities,
        focal_cross_entropy,
        nll,
        kl_divergence,
    )
}


def get(name: str, **options: Any) -> Loss:
    """A loss by its name, with options such as delta, gamma or weights fixed.

    Raises UnknownNameError with the nearest name, for a loss or an option.

    >>> from diffkit import losses
    >>> losses.get("mse") is losses.mse
    True
    >>> float(losses.get("huber", delta=0.5)([2.0], [0.0]))
    0.875
    """
    if name not in LOSSES:
        raise unknown_name("loss", name, LOSSES)
    loss = LOSSES[name]
    known = list(signature(loss).parameters)[2:]
    for option in options:
        if option not in known:
            raise unknown_name(f"option of {name}", option, known)
    return partial(loss, **options) if options else loss

"""Penalties on parameters, to be added to a loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from diffkit.errors import UserInputError
from diffkit.graph import trees
from diffkit.losses.support import check_number


def l2_penalty(
    params: Any, strength: float, include: Callable[[str], bool] | None = None
) -> Any:
    """(strength/2)·Σ w² over all parameters, with gradient strength·w.

    With plain gradient descent it is weight decay of that strength (PyTorch's
    weight_decay in SGD); with adaptive optimizers the two differ, see AdamW. `include`
    chooses parameters by dotted name: `lambda name: name.endswith("weight")` leaves the
    biases out.

    Raises UserInputError for a negative strength, and when nothing is chosen.

    >>> float(l2_penalty({"weight": np.array([1.0, 2.0])}, 0.1))
    0.25
    """
    strength = check_number("l2_penalty", "strength", strength, 0.0)
    names = [".".join(map(str, a.path)) for a in trees.accessors(params)]
    chosen = [
        leaf
        for name, leaf in zip(names, trees.leaves(params), strict=True)
        if include is None or include(name)
    ]
    if not chosen:
        raise UserInputError(
            f"l2_penalty chose none of the parameters {', '.join(names) or '(none)'}."
        )
    total = np.sum(np.square(chosen[0]))
    for leaf in chosen[1:]:
        total = total + np.sum(np.square(leaf))
    return 0.5 * strength * total

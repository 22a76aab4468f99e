"""What to say when training diverges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import optree

from diffkit.errors import DivergenceError

_ADVICE = (
    "Use a smaller rate, check the scale of the inputs, or a loss that takes logits."
)


def lost_loss(
    where: str, value: float, before: float | None, grads: Any
) -> DivergenceError:
    """The error for a loss that is not finite, with the largest gradient by name."""
    sizes = {name: np.max(np.abs(leaf), initial=0) for name, leaf in _named(grads)}
    # NaN first: it is what spreads.
    largest = max(sizes, key=lambda name: (np.isnan(sizes[name]), sizes[name]))
    said = "" if before is None else f" A step before it was {before:.6g}."
    return DivergenceError(
        f"Training diverged at {where}: the loss is {value}.{said} "
        f"The largest gradient is {sizes[largest]:.3g}, of {largest}. {_ADVICE}"
    )


def check_finite(epoch: int, step: int, params: Any) -> None:
    """Raise DivergenceError, naming it, for a parameter that is not finite."""
    for name, leaf in _named(params):
        if not np.isfinite(leaf).all():
            raise DivergenceError(
                f"Training diverged in epoch {epoch}: {name} is no longer finite after "
                f"step {step}. {_ADVICE}"
            )


def _named(tree: Any) -> Iterator[tuple[str, np.ndarray]]:
    accessors, leaves, _ = optree.tree_flatten_with_accessor(tree)
    for accessor, leaf in zip(accessors, leaves, strict=True):
        yield accessor.codify("params"), np.asarray(leaf)

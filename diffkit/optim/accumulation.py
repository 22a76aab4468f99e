"""Gradients of several small batches made into that of a large one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import optree

from diffkit.errors import UserInputError
from diffkit.optim.optimizer import check_alike, zeros_like


class Accumulated(NamedTuple):
    """Σ nᵢ·gᵢ and Σ nᵢ over the batches since the start, nᵢ their rows."""

    total: Any
    rows: float


def start_accumulating(params: Any) -> Accumulated:
    """Nothing yet: what to go back to after every step of the optimizer.

    Raises DtypeError for parameters that are not floating point.
    """
    return Accumulated(zeros_like(params), 0.0)


def accumulate(so_far: Accumulated, grads: Any, rows: float = 1.0) -> Accumulated:
    """Add the gradient of a batch of `rows` rows; arguments are not modified.

    The sum belongs to one step of the optimizer. A loop that goes on with it after the
    step instead of starting again hands over, after k equal batches, k times their
    gradient: what forgetting `zero_grad()` does in frameworks whose gradients are kept
    in the parameters.

    >>> g, so_far = np.array([1.0, -2.0]), start_accumulating(np.zeros(2))
    >>> for k in range(3):  # and never started again
    ...     so_far = accumulate(so_far, g)
    >>> so_far.total
    array([ 3., -6.])
    >>> mean_gradient(so_far)
    array([ 1., -2.])

    Raises ShapeError for gradients nested or shaped otherwise.
    """
    check_alike("gradients", grads, so_far.total)
    total = optree.tree_map(lambda s, g: s + rows * g, so_far.total, grads)
    return Accumulated(total, so_far.rows + rows)


def mean_gradient(accumulated: Accumulated) -> Any:
    """Σ nᵢ·gᵢ / Σ nᵢ: for a loss that is a mean over rows, that of all rows at once.

    Raises UserInputError when nothing was accumulated.
    """
    if not accumulated.rows > 0:
        raise UserInputError(
            "Nothing was accumulated since the start, so there is no mean gradient. "
            "Call accumulate(so_far, grads, rows) first."
        )
    rows = accumulated.rows
    return optree.tree_map(
        lambda s: np.divide(s, rows, dtype=s.dtype), accumulated.total
    )

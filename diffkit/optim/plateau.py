"""Lowering the rate when the loss stops falling."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from diffkit.errors import UserInputError
from diffkit.optim.optimizer import (
    Optimizer,
    check_parameters,
    fraction,
    not_negative,
)
from diffkit.optim.stage import by_rule


class PlateauState(NamedTuple):
    """The factor now, the best loss seen, and how long ago that was."""

    factor: np.ndarray
    best: np.ndarray
    waited: np.ndarray
    cooling: np.ndarray


def reduce_on_plateau(
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    cooldown: int = 0,
    smallest: float = 0.0,
) -> Optimizer:
    """Multiply updates by a number that falls when the loss stops falling.

    Place it after the optimizer: `chain(adam(1e-3), reduce_on_plateau())`. It is told
    each loss by `observe(state, loss)`; `train.fit` does so after each epoch, with the
    validation loss, or the training loss where there is no validation. A loss is
    better than the best when below best·(1 − threshold). After more than `patience`
    worse ones in a row the number is multiplied by `factor`, not below `smallest`, and
    worse losses are not counted for the next `cooldown` calls.

    PyTorch's ReduceLROnPlateau(mode="min", threshold_mode="rel", eps=0), with
    min_lr = smallest·rate: multiplying the update of any optimizer here is the same as
    multiplying its rate, AdamW's decay included. For a negative loss the relative
    threshold works against it, as PyTorch's does.

    Raises UserInputError for numbers out of range.

    >>> optimizer = reduce_on_plateau(0.5, patience=1)
    >>> state = optimizer.init(np.ones(1))
    >>> for loss in (1.0, 1.0, 1.0):  # the second and the third are no better
    ...     state = optimizer.observe(state, loss)
    >>> optimizer.update(np.ones(1), state)[0]
    array([0.5])
    """
    name = "reduce_on_plateau"
    factor = fraction(name, "factor", factor)
    threshold = fraction(name, "threshold", threshold)
    smallest = not_negative(name, "smallest", smallest)
    for what, value in (("patience", patience), ("cooldown", cooldown)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise UserInputError(
                f"{name}: {what} must be a number of epochs, an integer from 0, and is "
                f"{value!r}."
            )

    def init(params: Any) -> PlateauState:
        check_parameters(params)
        return PlateauState(np.array(1.0), np.array(np.inf), np.array(0), np.array(0))

    def numbers(state: PlateauState, grads: Any) -> tuple[float, ...] | None:
        now = float(state.factor)
        return None if now == 1 else (now,)

    def observe(state: PlateauState, loss: float) -> PlateauState:
        now, best = float(state.factor), float(state.best)
        waited, cooling = int(state.waited), int(state.cooling)
        # Not `loss < best`: infinity times anything is infinity, and NaN is no better.
        if loss < best * (1.0 - threshold):
            best, waited = float(loss), 0
        else:
            waited += 1
        if cooling > 0:
            cooling, waited = cooling - 1, 0
        if waited > patience:
            now, waited, cooling = max(now * factor, smallest), 0, cooldown
        return PlateauState(
            np.array(now), np.array(best), np.array(waited), np.array(cooling)
        )

    shown = f"{name}({factor:g}, {patience}, {threshold:g}, {cooldown}, {smallest:g})"
    return by_rule("scaled", init, numbers, shown, observe=observe)

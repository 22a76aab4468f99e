"""What is differentiated: network and loss as one function of the parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from diffkit.errors import ShapeError, UserInputError
from diffkit.train.inputs import Pair


@dataclass(frozen=True)
class Objective:
    """A network and a loss.

    In training the network may take masks and give a new state, by `apply_training`; a
    network without either needs only `apply`.
    """

    net: Any
    loss: Callable[[Any, Any], Any]

    @cached_property
    def stateful(self) -> bool:
        """Whether the network has state beside its parameters."""
        return bool(getattr(self.net, "stateful", False))

    @cached_property
    def stochastic(self) -> bool:
        """Whether training draws masks."""
        return bool(getattr(self.net, "stochastic", False))

    def first_state(self, dtype: np.dtype) -> Any:
        """The network's state before training."""
        return self.net.init_state(dtype) if self.stateful else ()

    def masks(self, rng: np.random.Generator, x: np.ndarray) -> Any:
        """The masks of one step for these rows."""
        if not self.stochastic:
            return ()
        width = x.shape[-1] if x.ndim > 1 else None
        return self.net.masks(rng, x.shape[:-1], x.dtype, features=width)

    def training(self, params: Any, x: Any, y: Any, state: Any, masks: Any) -> Any:
        """The loss as it is in training; with the new state, where there is state."""
        if not (self.stateful or self.stochastic):
            return self.loss(self.net.apply(params, x), y)
        outputs, state = self.net.apply_training(params, x, state, masks)
        value = self.loss(outputs, y)
        return (value, state) if self.stateful else value

    def outputs(self, params: Any, x: Any, state: Any) -> Any:
        """The predictions, as they are when evaluated."""
        return (
            self.net.apply(params, x, state)
            if self.stateful
            else self.net.apply(params, x)
        )

    def check(self, params: Any, state: Any, data: Pair, size: int) -> None:
        """One forward pass over all rows in plain NumPy, where values are known.

        Labels out of range and shapes that do not fit are found here, by name, before
        anything is traced.
        """
        x, y = data
        for i in range(0, len(x), size):
            with np.errstate(all="ignore"):
                outputs = self.outputs(params, x[i : i + size], state)
                value = self.loss(outputs, y[i : i + size])
            if np.shape(value) != ():
                raise ShapeError(
                    f"The loss has shape {np.shape(value)}; training needs one number. "
                    "Use reduction='mean' or 'sum'."
                )

    def check_mean(self, what: str, params: Any, state: Any, data: Pair) -> None:
        """Raise UserInputError unless the loss of rows said twice is the same.

        Averaging the gradients of parts is the whole's only for a mean over rows.
        """
        x, y = (part[:8] for part in data)
        with np.errstate(all="ignore"):
            once = float(self.loss(self.outputs(params, x, state), y))
            x, y = np.concatenate([x, x]), np.concatenate([y, y])
            twice = float(self.loss(self.outputs(params, x, state), y))
        if abs(twice - once) > 1e-3 * abs(once):
            raise UserInputError(
                f"{what} averages the gradients of parts of a batch, which is the "
                "batch's own only for a loss that is a mean over rows. The same rows "
                f"twice change this loss from {once:.6g} to {twice:.6g}: use "
                "reduction='mean'."
            )

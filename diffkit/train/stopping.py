"""The best parameters seen, and stopping when no better ones come."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal

from diffkit.errors import UserInputError, unknown_name


@dataclass(frozen=True, slots=True)
class Best:
    """The parameters with the best validation loss (or metric) so far."""

    epoch: int
    value: float
    params: Any = field(repr=False)
    net_state: Any = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """Stop when the validation loss has not improved for `patience` epochs.

    An improvement is by more than `min_delta`. `monitor` is "loss" or the name of one
    of the metrics, `mode` whether small ("min") or large ("max") is good. The
    parameters before the first epoch take part: training that only does harm gives them
    back. However training ends, `fit` then returns the best parameters. Source:
    Prechelt, "Early stopping - but when?", 1998.

    Raises UserInputError for a patience that is not a positive integer, a negative
    `min_delta`, another mode.

    >>> EarlyStopping(patience=3).better(0.9, 1.0)
    True
    """

    patience: int = 10
    min_delta: float = 0.0
    monitor: str = "loss"
    mode: Literal["min", "max"] = "min"

    def __post_init__(self) -> None:
        whole = isinstance(self.patience, int) and not isinstance(self.patience, bool)
        if not whole or self.patience < 1:
            raise UserInputError(
                "EarlyStopping: patience must be a positive integer, a number of "
                f"epochs, and is {self.patience!r}."
            )
        if not (isfinite(self.min_delta) and self.min_delta >= 0):
            raise UserInputError(
                "EarlyStopping: min_delta must be a number from 0 and is "
                f"{self.min_delta!r}."
            )
        if self.mode not in ("min", "max"):
            raise UserInputError(
                f"EarlyStopping: mode must be 'min' or 'max' and is {self.mode!r}."
            )

    def better(self, value: float, best: float | None) -> bool:
        """Whether a value improves on the best so far. NaN improves on nothing."""
        if value != value:
            return False
        if best is None:
            return True
        gain = best - value if self.mode == "min" else value - best
        return gain > self.min_delta

    def check(self, metrics: Any, validated: bool) -> None:
        """Raise UserInputError when what is monitored is never measured."""
        if not validated:
            raise UserInputError(
                "early_stopping watches the validation loss, and there is no "
                "validation. Give validation=0.2, or a pair (x, y)."
            )
        known = ["loss", *metrics]
        if self.monitor not in known:
            raise unknown_name("metric to monitor", self.monitor, known)

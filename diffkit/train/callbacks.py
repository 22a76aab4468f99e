"""What a callback is told after each epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One finished epoch of `epochs`.

    `measured` has, for "train" and (where there is one) "validation", the loss under
    "loss" and each metric under its name. `improved` says that these are the best
    parameters so far. `params` and `net_state` are copies, to do with as one likes.
    """

    epoch: int
    epochs: int
    step: int
    seconds: float
    measured: Mapping[str, Mapping[str, float]]
    improved: bool
    params: Any = field(repr=False)
    net_state: Any = field(repr=False)


#: Called after each epoch; training stops when it returns True.
Callback = Callable[[EpochReport], Any]

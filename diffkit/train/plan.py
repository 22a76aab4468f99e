"""What a training is to do, all of it decided before the first step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diffkit.train.batches import Batches
from diffkit.train.callbacks import Callback
from diffkit.train.gradients import Gradients
from diffkit.train.inputs import Pair
from diffkit.train.layout import Layout
from diffkit.train.objective import Objective
from diffkit.train.parts import InitUpdate
from diffkit.train.stopping import EarlyStopping
from diffkit.train.updates import Updates

Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]
Metrics = Mapping[str, Callable[[Any, Any], Any]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training is to do; nothing in it changes."""

    objective: Objective
    optimizer: InitUpdate
    layout: Layout
    gradients: Gradients
    updates: Updates
    training: Pair
    held_out: Pair | None
    batches: Batches
    epochs: int
    accumulate: int
    metrics: Metrics
    augment: Augment | None
    stopping: EarlyStopping | None
    callbacks: tuple[Callback, ...]
    folder: Path | None
    every: int
    settings: Mapping[str, str]
    metadata: Mapping[str, Any]

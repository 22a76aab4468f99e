"""Optimizers as values: two pure functions, `init` and `update`.

>>> import numpy as np
>>> optimizer, w = sgd(0.1), np.array(0.0)
>>> state = optimizer.init(w)
>>> for _ in range(2):  # minimise (w − 3)²
...     updates, state = optimizer.update(2 * (w - 3), state, w)
...     w = apply_updates(w, updates)
>>> round(float(w), 12)
1.08

A rate is a number or a schedule; transforms join by `chain`:

>>> rate = schedules.WarmupCosine(0.01, warmup=100, steps=1000)
>>> print(chain(clip_by_global_norm(1.0), nesterov(rate)).name[:36])
chain(clip_by_global_norm(1), nester
"""

from diffkit.optim import schedules
from diffkit.optim.accumulation import (
    Accumulated,
    accumulate,
    mean_gradient,
    start_accumulating,
)
from diffkit.optim.adam import AdamState, adam, adamw
from diffkit.optim.adaptive import SquaresState, adagrad, rmsprop
from diffkit.optim.optimizer import Optimizer, apply_updates
from diffkit.optim.plateau import PlateauState, reduce_on_plateau
from diffkit.optim.schedules import Schedule
from diffkit.optim.sgd import (
    MomentumState,
    SgdState,
    averaged_momentum,
    momentum,
    nesterov,
    sgd,
)
from diffkit.optim.transforms import (
    chain,
    clip_by_global_norm,
    clip_by_value,
    global_norm,
    scale,
    weight_decay,
)

__all__ = [
    "Accumulated",
    "AdamState",
    "MomentumState",
    "Optimizer",
    "PlateauState",
    "Schedule",
    "SgdState",
    "SquaresState",
    "accumulate",
    "adagrad",
    "adam",
    "adamw",
    "apply_updates",
    "averaged_momentum",
    "chain",
    "clip_by_global_norm",
    "clip_by_value",
    "global_norm",
    "mean_gradient",
    "momentum",
    "nesterov",
    "reduce_on_plateau",
    "rmsprop",
    "scale",
    "schedules",
    "sgd",
    "start_accumulating",
    "weight_decay",
]

"""Optimizers as values: two pure functions, `init` and `update`.

>>> import numpy as np
>>> optimizer, w = sgd(0.1), np.array(0.0)
>>> state = optimizer.init(w)
>>> for _ in range(2):  # minimise (w − 3)²
...     updates, state = optimizer.update(2 * (w - 3), state, w)
...     w = apply_updates(w, updates)
>>> round(float(w), 12)
1.08
"""

from diffkit.optim.adam import AdamState, adam
from diffkit.optim.optimizer import Optimizer, apply_updates
from diffkit.optim.sgd import MomentumState, momentum, sgd

__all__ = [
    "AdamState",
    "MomentumState",
    "Optimizer",
    "adam",
    "apply_updates",
    "momentum",
    "sgd",
]

"""How far a gradient reaches: its size at every layer of a network."""

from __future__ import annotations

from typing import Any

import numpy as np

from diffkit.losses import cross_entropy
from diffkit.nn.parameters import named_leaves
from diffkit.train.objective import Objective
from diffkit.transform import prepare


def gradient_of(net: Any, params: Any, x: np.ndarray, labels: np.ndarray) -> Any:
    """The gradient of a network's cross-entropy in training, nested as `params`."""
    objective = Objective(net, cross_entropy)
    state = objective.first_state(x.dtype)
    masks = objective.masks(np.random.default_rng(0), x)
    arguments = (params, x, labels, state, masks)
    prepared = prepare(
        objective.training,
        *arguments,
        backend="autodiff",
        has_aux=objective.stateful,
        nonfinite="allow",
    )
    with np.errstate(all="ignore"):
        return prepared(*arguments)[1]


def weight_norms(tree: Any) -> list[float]:
    """‖W‖ (Frobenius) of each weight matrix, from the input to the output.

    >>> weight_norms(({"weight": np.full((2, 2), 3.0), "bias": np.ones(2)}, ()))
    [6.0]
    """
    return [float(np.linalg.norm(w)) for w in matrices(tree)]


def matrices(tree: Any) -> list[np.ndarray]:
    """The weight matrices of nested parameters, in order."""
    return [
        np.asarray(leaf)
        for name, leaf in named_leaves(tree).items()
        if name.rpartition(".")[2] == "weight" and np.ndim(leaf) == 2
    ]

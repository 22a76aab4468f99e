"""Transforms of gradients and updates, and the chain that joins them."""

from __future__ import annotations

from math import isfinite, sqrt
from typing import Any

import numpy as np
import optree

from diffkit.errors import UserInputError
from diffkit.optim.optimizer import (
    Optimizer,
    check_parameters,
    not_negative,
    positive,
)
from diffkit.optim.stage import Numbers, by_rule


def chain(*transforms: Optimizer) -> Optimizer:
    """Each transform's updates are the next one's gradients; states in a tuple.

    Clipping comes before the optimizer that it is to clip for, `reduce_on_plateau`
    after it.

    Raises UserInputError for no transform, or something that is none.

    >>> optimizer = chain(clip_by_value(1.0), scale(-0.1))
    >>> grads = np.array([5.0, -0.5])
    >>> optimizer.update(grads, optimizer.init(grads))[0]
    array([-0.1 ,  0.05])
    """
    if not transforms:
        raise UserInputError("chain needs at least one transform.")
    for place, part in enumerate(transforms):
        if not (hasattr(part, "init") and hasattr(part, "update")):
            raise UserInputError(
                f"chain: transform {place} is {part!r}, which has no init and update. "
                "Give values such as optim.clip_by_global_norm(1.0), optim.adam(1e-3)."
            )

    def init(params: Any) -> tuple[Any, ...]:
        return tuple(part.init(params) for part in transforms)

    def update(
        grads: Any, state: tuple[Any, ...], params: Any = None
    ) -> tuple[Any, tuple[Any, ...]]:
        after = []
        for part, own in zip(transforms, state, strict=True):
            grads, own = part.update(grads, own, params)
            after.append(own)
        return grads, tuple(after)

    def observe(state: tuple[Any, ...], loss: float) -> tuple[Any, ...]:
        return tuple(
            observes(own, loss) if observes else own
            for observes, own in zip(watching, state, strict=True)
        )

    watching = [getattr(part, "observe", None) for part in transforms]
    stages = tuple(getattr(part, "stages", None) for part in transforms)
    return Optimizer(
        init,
        update,
        f"chain({', '.join(map(str, transforms))})",
        observe=observe if any(watching) else None,
        one_vector=all(getattr(part, "one_vector", False) for part in transforms),
        stages=None if any(stage is None for stage in stages) else stages,
    )


def scale(factor: float) -> Optimizer:
    """Multiply by a number: g ← factor·g. `scale(-0.1)` alone is `sgd(0.1)`.

    >>> scale(-0.1).update(np.array([5.0]), ())[0]
    array([-0.5])
    """
    if not isfinite(factor):
        raise UserInputError(f"scale: factor must be finite and is {factor!r}.")
    numbers = (float(factor),)
    return _stateless("scaled", lambda state, grads: numbers, f"scale({factor:g})")


def weight_decay(penalty: float) -> Optimizer:
    """Add λ·w to the gradient, λ the `penalty`: that of ½λ‖w‖².

    Placed before an optimizer this is PyTorch's weight_decay of SGD and Adam; AdamW's
    decoupled decay is another thing (see `adamw`).

    Raises UserInputError for a negative λ.

    >>> optimizer, w = chain(weight_decay(0.5), scale(-0.1)), np.array([2.0])
    >>> optimizer.update(np.array([1.0]), optimizer.init(w), w)[0]
    array([-0.2])
    """
    numbers = (not_negative("weight_decay", "penalty", penalty),)
    name = f"weight_decay({penalty:g})"
    return _stateless("weight_decay", lambda state, grads: numbers, name)


def clip_by_value(limit: float) -> Optimizer:
    """Each element held between −limit and limit. It can turn the direction.

    PyTorch's clip_grad_value_. NaN stays NaN.

    Raises UserInputError unless `limit` is positive and finite.

    >>> clip_by_value(1.0).update(np.array([-3.0, 0.5]), ())[0]
    array([-1. ,  0.5])
    """
    limit = positive("clip_by_value", "limit", limit)
    name = f"clip_by_value({limit:g})"
    return _stateless("clip", lambda state, grads: (-limit, limit), name)


def clip_by_global_norm(limit: float) -> Optimizer:
    """Shorten the whole gradient to length `limit` if it is longer: g·limit/‖g‖₂.

    The norm is over all parameters together, so the direction is kept. PyTorch's
    clip_grad_norm_ divides by ‖g‖ + 10⁻⁶, and clips to just below the limit. Source:
    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural
    networks", ICML 2013. A gradient that is not finite is passed on as it is, for the
    trainer to see.

    Raises UserInputError unless `limit` is positive and finite.

    >>> clipped, _ = clip_by_global_norm(1.0).update([np.array(3.0), np.array(4.0)], ())
    >>> [float(g.round(6)) for g in clipped]
    [0.6, 0.8]
    """
    limit = positive("clip_by_global_norm", "limit", limit)

    def numbers(state: Any, grads: Any) -> tuple[float, ...] | None:
        norm = global_norm(grads)
        return (limit / norm,) if limit < norm < np.inf else None

    return _stateless("scaled", numbers, f"clip_by_global_norm({limit:g})")


def global_norm(tree: Any) -> float:
    """√Σg² over every element of every leaf.

    >>> global_norm({"w": np.array([3.0, 0.0]), "b": np.array(4.0)})
    5.0
    """
    leaves = [np.ravel(leaf) for leaf in optree.tree_leaves(tree)]
    if not leaves:
        return 0.0
    # As one vector, so that the sum does not depend on how it was cut into leaves.
    vector = leaves[0] if len(leaves) == 1 else np.concatenate(leaves)
    vector = vector.astype(np.float64, copy=False)
    with np.errstate(all="ignore"):
        squares = float(np.dot(vector, vector))
    if 1e-200 < squares < 1e200:
        return sqrt(squares)
    # Squares left the range, or nearly; or all is zero, or something is not finite.
    largest = float(np.max(np.abs(vector), initial=0.0))
    if largest == 0 or not isfinite(largest):
        return largest
    vector = vector / largest
    return largest * sqrt(float(np.dot(vector, vector)))


def _stateless(rule: str, numbers: Numbers, name: str) -> Optimizer:
    def init(params: Any) -> tuple[()]:
        check_parameters(params)
        return ()

    return by_rule(rule, init, numbers, name)

"""What an optimizer is, and what all of them share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np
import optree

from diffkit.errors import DtypeError, ShapeError, UserInputError


@dataclass(frozen=True, slots=True)
class Optimizer:
    """A pair of pure functions; what it remembers lives in the state it hands out.

    `init(params)` gives the first state. `update(grads, state, params)` gives
    (updates, state): add the updates to the parameters with `apply_updates`. Arguments
    are never modified; parameters, gradients and updates are nested alike, and the
    state is a nested structure of arrays too, so that it can be saved.

    `observe(state, loss)`, where there is one, gives the state after a validation loss
    was seen (`reduce_on_plateau` has it); `train.fit` calls it after each epoch.
    `one_vector` says that all parameters may be handed over as one flat vector and the
    results are the same numbers: true of everything here, and to be claimed by your own
    optimizer only if it treats no leaf apart from the others. `stages` says the same
    step as passes of the engine over that vector: a `Stage`, or a tuple of such for a
    state that is a tuple. An optimizer without them is stepped by its `update`.
    """

    init: Callable[[Any], Any] = field(repr=False)
    update: Callable[..., tuple[Any, Any]] = field(repr=False)
    name: str = "optimizer"
    observe: Callable[[Any, float], Any] | None = field(default=None, repr=False)
    one_vector: bool = field(default=False, repr=False)
    stages: Any = field(default=None, repr=False)

    def __str__(self) -> str:
        return self.name


def apply_updates(params: Any, updates: Any) -> Any:
    """New parameters: params + updates, leaf by leaf, in the parameters' precision.

    Raises ShapeError when the two are nested differently or a leaf's shape differs.

    >>> apply_updates({"w": np.ones(2)}, {"w": np.array([0.5, -1.0])})
    {'w': array([1.5, 0. ])}
    """
    check_alike("updates", updates, params)
    return optree.tree_map(_added, params, updates)


def _added(p: Any, u: Any) -> Any:
    return np.add(p, u, dtype=np.asarray(p).dtype)


def zeros_like(params: Any) -> Any:
    """Zeros nested and shaped as the parameters are, in their precision.

    Raises DtypeError, naming the leaf, for parameters that are not floating point.
    """
    check_parameters(params)
    return optree.tree_map(np.zeros_like, params)


def check_parameters(params: Any) -> None:
    """Raise DtypeError, naming the first leaf that is not an array of floats."""
    accessors, leaves, _ = optree.tree_flatten_with_accessor(params)
    for accessor, leaf in zip(accessors, leaves, strict=True):
        dtype = np.asarray(leaf).dtype
        if dtype.kind != "f":
            name = accessor.codify("params")
            raise DtypeError(
                f"{name} has dtype {dtype}; a step of gradient descent needs floating "
                f"point. Convert it with np.asarray({name}, dtype=float)."
            )


def check_alike(what: str, tree: Any, params: Any) -> None:
    """Raise ShapeError, naming the leaf, unless nested and shaped as params."""
    if _are_arrays(tree, params) and tree.shape == params.shape:
        return  # One flat vector: the common case of training.
    leaves, structure = optree.tree_flatten(tree)
    others, wanted = optree.tree_flatten(params)
    if structure != wanted:
        raise ShapeError(
            f"The {what} are nested as {structure} and the parameters as {wanted}. "
            "Both must come from the same network."
        )
    for place, (leaf, other) in enumerate(zip(leaves, others, strict=True)):
        if _shape(leaf) != _shape(other):
            name = optree.tree_accessors(params)[place].codify("params")
            raise ShapeError(
                f"The {what} for {name} have shape {np.shape(leaf)}, and {name} has "
                f"shape {np.shape(other)}. They must be the same."
            )


def _are_arrays(one: Any, other: Any) -> bool:
    return type(one) is np.ndarray and type(other) is np.ndarray


def _shape(leaf: Any) -> tuple[int, ...]:
    # np.shape itself costs as much as a small step.
    return leaf.shape if isinstance(leaf, np.ndarray) else np.shape(leaf)


def needs_params(optimizer: str, params: Any) -> None:
    """Raise UserInputError for an update that was not given the parameters."""
    if params is None:
        raise UserInputError(
            f"{optimizer}: its update needs the parameters themselves. Call "
            "update(grads, state, params)."
        )


def positive(optimizer: str, name: str, value: float) -> float:
    """The number, or UserInputError unless it is positive and finite."""
    if not is_number(value) or not isfinite(value) or value <= 0:
        raise UserInputError(
            f"{optimizer}: {name} must be a positive number and is {value!r}. "
            "Common values are 0.001 to 0.1 for a rate."
        )
    return float(value)


def not_negative(optimizer: str, name: str, value: float) -> float:
    """The number, or UserInputError unless it is finite and at least 0."""
    if not is_number(value) or not isfinite(value) or value < 0:
        raise UserInputError(
            f"{optimizer}: {name} must be a number from 0 and is {value!r}."
        )
    return float(value)


def fraction(optimizer: str, name: str, value: float) -> float:
    """The number, or UserInputError unless it is at least 0 and below 1."""
    if not is_number(value) or not 0 <= value < 1:
        raise UserInputError(
            f"{optimizer}: {name} must be at least 0 and below 1 and is {value!r}; at "
            "1 the past would never fade. Common values are 0.9 to 0.999."
        )
    return float(value)


def is_number(value: Any) -> bool:
    """Whether it is one real number; True and False are not meant as such."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)

"""What is handed to the trainer, checked before anything is computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree

from diffkit.errors import DtypeError, ShapeError, UserInputError
from diffkit.graph.trace import as_array, require_finite

Pair = tuple[np.ndarray, np.ndarray]


def check_params(params: Any) -> np.dtype:
    """The precision of the parameters, which the whole training runs in.

    Raises UserInputError for none, DtypeError, naming the leaf, for integers or a
    mixture of precisions, NonFiniteError for NaN and infinity.
    """
    accessors, leaves, _ = optree.tree_flatten_with_accessor(params)
    if not leaves:
        raise UserInputError("The network has no parameters to train.")
    first: np.dtype | None = None
    for accessor, leaf in zip(accessors, leaves, strict=True):
        name = accessor.codify("params")
        array = as_array(leaf, name)
        if array.dtype.kind != "f" or (first is not None and array.dtype != first):
            raise DtypeError(
                f"{name} has dtype {array.dtype}; parameters must be all float64 or "
                "all float32. Convert them with .astype, or draw them with net.init."
            )
        first = array.dtype
        require_finite(array, name)
    assert first is not None
    return first


def check_pair(data: Any, dtype: np.dtype, what: str = "data") -> Pair:
    """Inputs x and targets y as arrays: floats in `dtype`, rows alike, all finite.

    x must be floating point. y may be floating point, integers (class labels, kept as
    they are) or booleans (which become 0.0 and 1.0). Floats of another precision are
    converted to that of the parameters.

    Raises UserInputError for what is no pair or has no rows, ShapeError for rows that
    differ in number, DtypeError for integers in x, text and ragged rows, NonFiniteError
    with the index of a NaN or infinity.
    """
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise UserInputError(
            f"{what} must be a pair (x, y) of arrays with a row for each sample and is "
            f"{type(data).__name__}"
            + (f" of {len(data)}." if isinstance(data, tuple | list) else ".")
        )
    prefix = "" if what == "data" else f"{what} "
    x, y = (
        as_array(part, prefix + name) for part, name in zip(data, "xy", strict=True)
    )
    for array, name in ((x, "x"), (y, "y")):
        if array.ndim == 0 or array.size == 0:
            raise UserInputError(
                f"{prefix}{name} has shape {array.shape}: there is no sample in it. "
                "Samples are rows, along the first axis."
            )
    if len(x) != len(y):
        raise ShapeError(
            f"{prefix}x has {len(x)} rows and {prefix}y has {len(y)}. Each sample "
            "needs one row in both."
        )
    if x.dtype.kind != "f":
        raise DtypeError(
            f"{prefix}x has dtype {x.dtype}; inputs of a network are floating point. "
            "Convert them with x.astype(float), and scale them while at it."
        )
    require_finite(x, prefix + "x")
    require_finite(y, prefix + "y")
    if y.dtype.kind in "fb":
        y = y.astype(dtype, copy=False)
    return x.astype(dtype, copy=False), y


def check_validation(
    validation: Any, data: Pair, dtype: np.dtype, rng: np.random.Generator
) -> tuple[Pair, Pair | None]:
    """Training and validation data: given apart, or a fraction drawn from the data.

    Raises UserInputError for a fraction that leaves either part without a row,
    ShapeError for validation samples shaped unlike the training samples.
    """
    if validation is None:
        return data, None
    if isinstance(validation, int | float | np.number):
        n = len(data[0])
        held_out = round(n * float(validation)) if 0 < validation < 1 else 0
        if not 0 < held_out < n:
            raise UserInputError(
                f"validation={validation!r} of {n} rows leaves {held_out} for "
                "validation. Give a fraction between 0 and 1 that leaves rows in both "
                "parts, or a pair (x, y)."
            )
        order = rng.permutation(n)
        kept, apart = np.sort(order[held_out:]), np.sort(order[:held_out])
        x, y = data
        return (x[kept], y[kept]), (x[apart], y[apart])
    pair = check_pair(validation, dtype, "validation")
    for name, own, other in zip("xy", pair, data, strict=True):
        if own.shape[1:] != other.shape[1:]:
            raise ShapeError(
                f"Rows of validation {name} have shape {own.shape[1:]} and rows of "
                f"{name} have shape {other.shape[1:]}. They must be alike."
            )
    return data, pair


def generator_from(rng: Any) -> np.random.Generator:
    """The generator itself, or a fresh one from a seed.

    Raises UserInputError for anything else: a run that cannot be repeated is no use.
    """
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, bool) or not isinstance(rng, int | np.integer) or rng < 0:
        raise UserInputError(
            "rng must be a numpy.random.Generator or a seed, an integer from 0, and "
            f"is {rng!r}."
        )
    return np.random.default_rng(int(rng))


def positive_integer(name: str, value: Any) -> int:
    """The number, or UserInputError unless it is a positive integer."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise UserInputError(f"{name} must be a positive integer and is {value!r}.")
    return int(value)

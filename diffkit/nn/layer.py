"""What a layer is, and the checks that all layers share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from diffkit.errors import DtypeError, ShapeError, UserInputError, nearest
from diffkit.nn.initializers import Rule


class Layer(Protocol):
    """A frozen value that draws parameters and applies itself; it holds no arrays.

    Parameters, state and masks are nested dicts, lists or tuples of arrays, and `()`
    where a layer has none. Parameters are trained. State is what training leaves behind
    for evaluation, such as running means: it goes in and comes out, and is hidden
    nowhere. Masks are the random numbers of one training step, drawn before the program
    runs and an input of it, so that every backend sees the same ones.
    """

    @property
    def parameter_count(self) -> int:
        """How many scalars `init` draws."""
        ...

    @property
    def stateful(self) -> bool:
        """Whether it has state."""
        ...

    @property
    def stochastic(self) -> bool:
        """Whether training draws masks."""
        ...

    def initializer_before(self, following: Rule) -> Rule:
        """The initialiser for weights just before it, given the one for just after.

        A layer that passes its input's scale through returns `following`.
        """
        ...

    def features(self, given: int | None) -> int | None:
        """Length of the last axis of the output for that of the input.

        None stands for not known. Raises ShapeError when `given` does not fit.
        """
        ...

    def init(
        self,
        rng: np.random.Generator,
        dtype: Any = np.float64,
        *,
        default: Rule = "xavier",
    ) -> Any:
        """Fresh parameters; `default` is the initialiser where none was chosen."""
        ...

    def init_state(self, dtype: Any = np.float64) -> Any:
        """The state before any training."""
        ...

    def masks(
        self,
        rng: np.random.Generator,
        batch: int | Sequence[int],
        dtype: Any = np.float64,
        *,
        features: int | None = None,
    ) -> Any:
        """Masks for one training step.

        `batch` is the number of rows, or all axes of the input but the last; `features`
        is the length of the last, where it is known.
        """
        ...

    def apply(self, params: Any, x: Any, state: Any = ()) -> Any:
        """The output for an input of shape (..., features), as it is when evaluated."""
        ...

    def apply_training(
        self, params: Any, x: Any, state: Any = (), masks: Any = ()
    ) -> tuple[Any, Any]:
        """The output as it is in training, and the state after it."""
        ...


def check_generator(rng: Any, method: str = "init") -> None:
    """Raise UserInputError for anything but a NumPy generator."""
    if not isinstance(rng, np.random.Generator):
        raise UserInputError(
            f"{method} needs a numpy.random.Generator and was given {rng!r}: "
            "randomness has one visible source. Write "
            f"net.{method}(np.random.default_rng(0)"
            + (")." if method == "init" else ", rows).")
        )


def check_float(dtype: Any) -> np.dtype:
    """float64 or float32 as a dtype; raise DtypeError for any other."""
    precision = np.dtype(dtype)
    if precision.name not in ("float64", "float32"):
        raise DtypeError(
            f"Parameters are float64 or float32, not {precision}: derivatives need "
            "floating point, and programs run in these two."
        )
    return precision


def check_size(layer: str, name: str, n: Any) -> None:
    """Raise UserInputError unless the number of features is a positive integer."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise UserInputError(
            f"{layer}: {name} must be a positive integer, the number of features."
        )


def leading_axes(batch: int | Sequence[int]) -> tuple[int, ...]:
    """All axes of an input but the last; UserInputError unless they are positive.

    >>> leading_axes(32), leading_axes((2, 5))
    ((32,), (2, 5))
    """
    given: Any = batch
    axes = tuple(given) if isinstance(given, tuple | list) else (given,)
    for n in axes or (0,):
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise UserInputError(
                f"batch={batch!r} must be a positive number of rows, or a tuple of all "
                "axes of the input but the last."
            )
    return tuple(int(n) for n in axes)


def check_features(layer: Any, given: int | None, wanted: int) -> None:
    """Raise ShapeError for another number of features than the layer was made for."""
    if given is not None and given != wanted:
        raise ShapeError(f"{layer}, expects {wanted} features and was given {given}.")


def check_input(layer: Any, x: Any, wanted: int) -> None:
    """Raise ShapeError unless the last axis of `x` has the wanted length."""
    shape = np.shape(x)
    if not shape or shape[-1] != wanted:
        raise ShapeError(
            f"{layer}, expects {wanted} features and was given "
            + (f"{shape[-1]} (input of shape {shape})." if shape else "a scalar.")
            + f" The last axis of the input must have length {wanted}."
        )


def check_arrays(
    layer: Any,
    given: Any,
    wanted: Mapping[str, tuple[int, ...]],
    what: str = "parameters",
    source: str = "init",
) -> None:
    """Raise ShapeError unless `given` is a dict of arrays of the wanted shapes."""
    found = (
        {name: np.shape(array) for name, array in given.items()}
        if isinstance(given, Mapping)
        else type(given).__name__
    )
    if found == dict(wanted):
        return
    hint = ""
    if isinstance(given, Mapping):
        for name in given:
            close = nearest(str(name), wanted) if name not in wanted else None
            if close is not None:
                hint = f" Did you mean {close!r} for {name!r}?"
    raise ShapeError(
        f"{layer}, has {what} {dict(wanted)} and was given {found}.{hint} Use the "
        f"{what} that this network's {source} drew."
    )


def check_none(layer: Any, **given: Any) -> None:
    """Raise ShapeError for parameters, state or masks of a layer that has none."""
    for what, value in given.items():
        if not (isinstance(value, tuple | list) and len(value) == 0):
            raise ShapeError(
                f"{layer}, has no {what} and was given {type(value).__name__}; its "
                f"entry is (). Use the {what} that this network itself gave."
            )

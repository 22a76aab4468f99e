"""What a layer is, and the checks that all layers share."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from diffkit.errors import DtypeError, UserInputError


class Layer(Protocol):
    """A frozen value that draws parameters and applies itself; it holds no arrays.

    The parameters of a layer are a nested dict, list or tuple of arrays, `()` for a
    layer that has none.
    """

    @property
    def parameter_count(self) -> int:
        """How many scalars `init` draws."""
        ...

    @property
    def initializer_before(self) -> str | None:
        """The initialiser that suits weights just before this layer, if it cares."""
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
        default: str = "xavier",
    ) -> Any:
        """Fresh parameters; `default` is the initialiser where none was chosen."""
        ...

    def apply(self, params: Any, x: Any) -> Any:
        """The output for an input of shape (..., features), arrays or traced values."""
        ...


def check_generator(rng: Any) -> None:
    """Raise UserInputError for anything but a NumPy generator."""
    if not isinstance(rng, np.random.Generator):
        raise UserInputError(
            f"init needs a numpy.random.Generator and was given {rng!r}: randomness "
            "has one visible source. Write net.init(np.random.default_rng(0))."
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

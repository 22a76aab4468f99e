"""The affine layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit.errors import ShapeError, UserInputError
from diffkit.nn.initializers import Initializer, get_initializer
from diffkit.nn.layer import check_float, check_generator


@dataclass(frozen=True, slots=True)
class Linear:
    """x @ W + b for inputs of shape (..., n_in): rows are samples.

    Parameters: {"weight": (n_in, n_out), "bias": (n_out,)}; PyTorch keeps the transpose
    of this weight. `initializer` is a name or a function (generator, n_in, n_out) for
    the weight; None takes the rule that suits the activation that follows in a
    `Sequential`, and Xavier elsewhere. The bias starts at zero.

    Raises UserInputError for sizes that are not positive integers, UnknownNameError for
    an unknown initialiser.

    >>> layer = Linear(2, 3)
    >>> params = layer.init(np.random.default_rng(0))
    >>> layer.apply(params, np.zeros((5, 2))).shape, layer.parameter_count
    ((5, 3), 9)
    """

    n_in: int
    n_out: int
    bias: bool = True
    initializer: str | Initializer | None = None

    def __post_init__(self) -> None:
        for name, n in (("n_in", self.n_in), ("n_out", self.n_out)):
            if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
                raise UserInputError(
                    f"Linear({self.n_in!r}, {self.n_out!r}): {name} must be a positive "
                    "integer, the number of features."
                )
        if self.initializer is not None:
            get_initializer(self.initializer)

    def __str__(self) -> str:
        return f"Linear({self.n_in}, {self.n_out}{'' if self.bias else ', bias=False'})"

    @property
    def parameter_count(self) -> int:
        """n_in·n_out weights and n_out biases."""
        return int(self.n_in * self.n_out + (self.n_out if self.bias else 0))

    @property
    def initializer_before(self) -> str | None:
        """It does not care what weights come before."""
        return None

    def features(self, given: int | None) -> int | None:
        """n_out; raises ShapeError unless it is given n_in."""
        if given is not None and given != self.n_in:
            raise ShapeError(
                f"{self}, expects {self.n_in} features and was given {given}."
            )
        return self.n_out

    def init(
        self,
        rng: np.random.Generator,
        dtype: Any = np.float64,
        *,
        default: str = "xavier",
    ) -> dict[str, np.ndarray]:
        """Weights by the initialiser, biases zero.

        Drawn in float64 and rounded, so that a seed means the same in both precisions.
        """
        check_generator(rng)
        dtype = check_float(dtype)
        draw = get_initializer(self.initializer or default)
        weight = np.asarray(draw(rng, self.n_in, self.n_out))
        if weight.shape != (self.n_in, self.n_out):
            raise ShapeError(
                f"The initializer of {self} gave shape {weight.shape}; it must give "
                f"({self.n_in}, {self.n_out}), a row for each input."
            )
        params = {"weight": weight.astype(dtype)}
        if self.bias:
            params["bias"] = np.zeros(self.n_out, dtype)
        return params

    def apply(self, params: Any, x: Any) -> Any:
        """The product with the weight, plus the bias.

        Raises ShapeError when `x` does not end in n_in features or `params` are not
        this layer's.
        """
        self._check_params(params)
        shape = np.shape(x)
        if not shape or shape[-1] != self.n_in:
            raise ShapeError(
                f"{self}, expects {self.n_in} features and was given "
                + (f"{shape[-1]} (input of shape {shape})." if shape else "a scalar.")
                + f" The last axis of the input must have length {self.n_in}."
            )
        y = x @ params["weight"]
        return y + params["bias"] if self.bias else y

    def _check_params(self, params: Any) -> None:
        wanted: dict[str, tuple[int, ...]] = {"weight": (self.n_in, self.n_out)}
        if self.bias:
            wanted["bias"] = (self.n_out,)
        given = (
            {name: np.shape(array) for name, array in params.items()}
            if isinstance(params, Mapping)
            else type(params).__name__
        )
        if given != wanted:
            raise ShapeError(
                f"{self}, has parameters {wanted} and was given {given}. Use the "
                "parameters that this network's init drew."
            )

"""The affine layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit.errors import ShapeError
from diffkit.nn.initializers import Initializer, Rule, get_initializer
from diffkit.nn.layer import (
    check_arrays,
    check_features,
    check_float,
    check_generator,
    check_input,
    check_none,
    check_size,
)


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
        said = f"Linear({self.n_in!r}, {self.n_out!r})"
        check_size(said, "n_in", self.n_in)
        check_size(said, "n_out", self.n_out)
        if self.initializer is not None:
            get_initializer(self.initializer)

    def __str__(self) -> str:
        return f"Linear({self.n_in}, {self.n_out}{'' if self.bias else ', bias=False'})"

    @property
    def parameter_count(self) -> int:
        """n_in·n_out weights and n_out biases."""
        return int(self.n_in * self.n_out + (self.n_out if self.bias else 0))

    @property
    def stateful(self) -> bool:
        """It has no state."""
        return False

    @property
    def stochastic(self) -> bool:
        """Nothing in it is random."""
        return False

    def initializer_before(self, following: Rule) -> Rule:
        """Xavier: an affine layer has the slope 1 that the rule assumes."""
        return "xavier"

    def features(self, given: int | None) -> int | None:
        """n_out; raises ShapeError unless it is given n_in."""
        check_features(self, given, self.n_in)
        return self.n_out

    def init(
        self,
        rng: np.random.Generator,
        dtype: Any = np.float64,
        *,
        default: Rule = "xavier",
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

    def init_state(self, dtype: Any = np.float64) -> tuple[()]:
        """None."""
        return ()

    def masks(
        self,
        rng: np.random.Generator,
        batch: int | Sequence[int],
        dtype: Any = np.float64,
        *,
        features: int | None = None,
    ) -> tuple[()]:
        """None, and nothing drawn."""
        return ()

    def apply(self, params: Any, x: Any, state: Any = ()) -> Any:
        """The product with the weight, plus the bias.

        Raises ShapeError when `x` does not end in n_in features or `params` are not
        this layer's.
        """
        check_arrays(self, params, self._shapes())
        check_none(self, state=state)
        check_input(self, x, self.n_in)
        y = x @ params["weight"]
        return y + params["bias"] if self.bias else y

    def apply_training(
        self, params: Any, x: Any, state: Any = (), masks: Any = ()
    ) -> tuple[Any, tuple[()]]:
        """The same as in evaluation."""
        check_none(self, masks=masks)
        return self.apply(params, x, state), ()

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        weight = {"weight": (int(self.n_in), int(self.n_out))}
        return {**weight, "bias": (int(self.n_out),)} if self.bias else weight

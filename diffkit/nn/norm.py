"""Normalisation: over the batch, with state, and over the features, without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, prod
from typing import Any

import numpy as np

from diffkit.errors import ShapeError, UserInputError
from diffkit.nn.initializers import Rule
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
class BatchNorm:
    """(x − mean)/√(variance + ε)·weight + bias, each feature over the batch.

    x has shape (..., n): all axes but the last are the batch (PyTorch's BatchNorm1d
    wants the features of an (N, C, L) input second). In training, mean and variance
    are those of this batch, the variance divided by its m rows, and derivatives go
    through both. In evaluation they are the running ones:

        running ← (1 − momentum)·running + momentum·batch,

    with the batch variance divided by m − 1, as in PyTorch, whose `momentum` is this
    one; TensorFlow's is 1 minus it. They start at 0 and 1. State is a value: it goes
    into `apply_training` and a new one comes out.

    Parameters: {"weight": (n,), "bias": (n,)}, ones and zeros. State: {"mean": (n,),
    "variance": (n,)}. Source: Ioffe and Szegedy, "Batch normalization", ICML 2015.

    Raises UserInputError for sizes, momentum or ε that make no sense.

    >>> layer = BatchNorm(1)
    >>> params, state = layer.init(np.random.default_rng(0)), layer.init_state()
    >>> y, state = layer.apply_training(params, np.array([[1.0], [3.0]]), state)
    >>> y.round(3).tolist(), state["mean"].round(3), state["variance"].round(3)
    ([[-1.0], [1.0]], array([0.2]), array([1.1]))
    """

    n: int
    momentum: float = 0.1
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        check_size(f"BatchNorm({self.n!r})", "n", self.n)
        _check_epsilon(self, self.epsilon)
        if not 0 <= self.momentum <= 1:
            raise UserInputError(
                f"{self}: momentum is {self.momentum!r}. It is the part of a running "
                "statistic that each batch replaces, from 0 to 1 (0.1 is usual)."
            )

    def __str__(self) -> str:
        return f"BatchNorm({self.n})"

    @property
    def parameter_count(self) -> int:
        """A weight and a bias for each feature: 2n. Running statistics are state."""
        return 2 * int(self.n)

    @property
    def stateful(self) -> bool:
        """It keeps running statistics."""
        return True

    @property
    def stochastic(self) -> bool:
        """Nothing in it is random."""
        return False

    def initializer_before(self, following: Rule) -> Rule:
        """The rule of the activation after it."""
        return following

    def features(self, given: int | None) -> int | None:
        """The n it was made for; raises ShapeError for another number."""
        check_features(self, given, self.n)
        return self.n

    def init(
        self,
        rng: np.random.Generator,
        dtype: Any = np.float64,
        *,
        default: Rule = "xavier",
    ) -> dict[str, np.ndarray]:
        """Weights 1 and biases 0; nothing is drawn."""
        return _ones_and_zeros(rng, self.n, dtype)

    def init_state(self, dtype: Any = np.float64) -> dict[str, np.ndarray]:
        """Running mean 0 and running variance 1."""
        dtype = check_float(dtype)
        return {"mean": np.zeros(self.n, dtype), "variance": np.ones(self.n, dtype)}

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
        """Normalise by the running statistics.

        Raises ShapeError for inputs, parameters or state that do not fit.
        """
        self._check(params, x, state)
        deviation = np.sqrt(state["variance"] + float(self.epsilon))
        return (x - state["mean"]) / deviation * params["weight"] + params["bias"]

    def apply_training(
        self, params: Any, x: Any, state: Any = (), masks: Any = ()
    ) -> tuple[Any, dict[str, Any]]:
        """Normalise by the statistics of this batch; the state after it.

        Raises ShapeError as `apply` does, and for a batch of one row, which has no
        variance.
        """
        self._check(params, x, state)
        check_none(self, masks=masks)
        rows = prod(np.shape(x)[:-1])
        if rows < 2:
            raise ShapeError(
                f"{self}, needs two rows or more in training and was given {rows} "
                f"(input of shape {np.shape(x)}): the variance of one row is 0. Drop "
                "the last partial batch, or evaluate with apply."
            )
        axes = tuple(range(len(np.shape(x)) - 1))
        mean, centred, variance = _moments(x, axes)
        y = centred / np.sqrt(variance + float(self.epsilon))
        y = y * params["weight"] + params["bias"]
        kept, m = 1.0 - self.momentum, self.momentum
        shape = (int(self.n),)
        unbiased = np.reshape(variance, shape) * (m * rows / (rows - 1))
        after = {
            "mean": kept * state["mean"] + m * np.reshape(mean, shape),
            "variance": kept * state["variance"] + unbiased,
        }
        return y, after

    def _check(self, params: Any, x: Any, state: Any) -> None:
        shape = (int(self.n),)
        check_arrays(self, params, {"weight": shape, "bias": shape})
        statistics = {"mean": shape, "variance": shape}
        check_arrays(self, state, statistics, "state", "init_state")
        check_input(self, x, self.n)


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """(x − mean)/√(variance + ε)·weight + bias, each sample over its n features.

    The same in training and evaluation, for a batch of any size: no state. The variance
    is divided by n, as in PyTorch's LayerNorm, whose values these are.

    Parameters: {"weight": (n,), "bias": (n,)}, ones and zeros. Source: Ba, Kiros and
    Hinton, "Layer normalization", 2016.

    Raises UserInputError for a size or an ε that makes no sense.

    >>> layer = LayerNorm(2)
    >>> params = layer.init(np.random.default_rng(0))
    >>> layer.apply(params, np.array([[1.0, 3.0]])).round(3).tolist()
    [[-1.0, 1.0]]
    """

    n: int
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        check_size(f"LayerNorm({self.n!r})", "n", self.n)
        _check_epsilon(self, self.epsilon)

    def __str__(self) -> str:
        return f"LayerNorm({self.n})"

    @property
    def parameter_count(self) -> int:
        """A weight and a bias for each feature: 2n."""
        return 2 * int(self.n)

    @property
    def stateful(self) -> bool:
        """It has no state."""
        return False

    @property
    def stochastic(self) -> bool:
        """Nothing in it is random."""
        return False

    def initializer_before(self, following: Rule) -> Rule:
        """The rule of the activation after it."""
        return following

    def features(self, given: int | None) -> int | None:
        """The n it was made for; raises ShapeError for another number."""
        check_features(self, given, self.n)
        return self.n

    def init(
        self,
        rng: np.random.Generator,
        dtype: Any = np.float64,
        *,
        default: Rule = "xavier",
    ) -> dict[str, np.ndarray]:
        """Weights 1 and biases 0; nothing is drawn."""
        return _ones_and_zeros(rng, self.n, dtype)

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
        """Normalise every sample by itself.

        Raises ShapeError for inputs or parameters that do not fit.
        """
        shape = (int(self.n),)
        check_arrays(self, params, {"weight": shape, "bias": shape})
        check_none(self, state=state)
        check_input(self, x, self.n)
        _, centred, variance = _moments(x, (len(np.shape(x)) - 1,))
        y = centred / np.sqrt(variance + float(self.epsilon))
        return y * params["weight"] + params["bias"]

    def apply_training(
        self, params: Any, x: Any, state: Any = (), masks: Any = ()
    ) -> tuple[Any, tuple[()]]:
        """The same as in evaluation."""
        check_none(self, masks=masks)
        return self.apply(params, x, state), ()


def _moments(x: Any, axes: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """Mean, x − mean and mean of its square, with the axes kept.

    By two passes and not as mean(x²) − mean(x)², which cancels where |mean| is large.
    """
    mean = np.mean(x, axis=axes, keepdims=True)
    centred = x - mean
    return mean, centred, np.mean(np.square(centred), axis=axes, keepdims=True)


def _ones_and_zeros(rng: Any, n: int, dtype: Any) -> dict[str, np.ndarray]:
    check_generator(rng)
    dtype = check_float(dtype)
    return {"weight": np.ones(n, dtype), "bias": np.zeros(n, dtype)}


def _check_epsilon(layer: Any, epsilon: float) -> None:
    if not (epsilon > 0 and isfinite(epsilon)):
        raise UserInputError(
            f"{layer}: epsilon is {epsilon!r}. It keeps the square root away from 0, "
            "where its derivative is infinite: give a small positive number (1e-5)."
        )

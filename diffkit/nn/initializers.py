"""Initialisers: how the weights of a layer are drawn before training.

Each is a function (generator, n_in, n_out) -> float64 array of shape (n_in, n_out), so
that any function of the user's own serves as well. Variances, not deviations: N(0, v)
has variance v throughout. U(−a, a) has variance a²/3, so the normal and the uniform
form of a rule with the same variance differ in their tails only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np

from diffkit.errors import UserInputError, unknown_name

Initializer = Callable[[np.random.Generator, int, int], np.ndarray]
Rule = str | Initializer


def zeros(generator: np.random.Generator, n_in: int, n_out: int) -> np.ndarray:
    """All weights zero: every unit of a layer then stays the same as its neighbours.

    >>> zeros(np.random.default_rng(0), 2, 3).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    return np.zeros((n_in, n_out))


def uniform(generator: np.random.Generator, n_in: int, n_out: int) -> np.ndarray:
    """U(−1, 1), whatever the size of the layer: variance 1/3, so that n_in/3 > 1 grows.

    >>> abs(uniform(np.random.default_rng(0), 100, 100)).max() < 1
    np.True_
    """
    return generator.uniform(-1.0, 1.0, (n_in, n_out))


def xavier(generator: np.random.Generator, n_in: int, n_out: int) -> np.ndarray:
    """N(0, 2/(n_in + n_out)): keeps variances level through tanh and sigmoid layers.

    The mean of the two conditions 1/n_in (forward) and 1/n_out (backward). Source:
    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010, there in its uniform form; PyTorch's xavier_normal_ with
    gain 1.

    >>> float(xavier(np.random.default_rng(0), 300, 100).var().round(4))  # 2/400
    0.005
    """
    return _normal(generator, n_in, n_out, 2.0 / (n_in + n_out))


def xavier_uniform(generator: np.random.Generator, n_in: int, n_out: int) -> np.ndarray:
    """U(−a, a) with a = √(6/(n_in + n_out)): the variance of `xavier`, no tails.

    Source: Glorot and Bengio (2010), equation 16; PyTorch's xavier_uniform_ with gain
    1.

    >>> abs(xavier_uniform(np.random.default_rng(0), 3, 3)).max() < 1  # √(6/6)
    np.True_
    """
    return _uniform(generator, n_in, n_out, 2.0 / (n_in + n_out))


@dataclass(frozen=True, slots=True)
class He:
    """N(0, 2/((1 + slope²)·n_in)) for a leaky relu with that slope; relu has slope 0.

    relu removes half of the second moment, a leaky one (1 − slope²)/2: it is put back.
    With `shape` "uniform" it is U(−a, a) of the same variance. Source: He, Zhang, Ren
    and Sun, "Delving deep into rectifiers", ICCV 2015, equation 15; PyTorch's
    kaiming_normal_ and kaiming_uniform_ with fan_in and `a` the slope.

    Raises UserInputError for a slope that is not finite or another shape.

    >>> float(He(slope=1.0)(np.random.default_rng(0), 400, 100).var().round(4))
    0.0025
    """

    slope: float = 0.0
    shape: str = "normal"

    def __post_init__(self) -> None:
        if not isfinite(self.slope):
            raise UserInputError(f"He(slope={self.slope!r}): the slope must be finite.")
        if self.shape not in ("normal", "uniform"):
            raise unknown_name("shape of He", self.shape, ("normal", "uniform"))

    def __call__(
        self, generator: np.random.Generator, n_in: int, n_out: int
    ) -> np.ndarray:
        """Weights of shape (n_in, n_out)."""
        draw = _normal if self.shape == "normal" else _uniform
        return draw(generator, n_in, n_out, 2.0 / ((1.0 + self.slope**2) * n_in))


def he(generator: np.random.Generator, n_in: int, n_out: int) -> np.ndarray:
    """N(0, 2/n_in): the half of the variance that relu removes is put back.

    Source: He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015; PyTorch's
    kaiming_normal_ with its fan_in.

    >>> float(he(np.random.default_rng(0), 400, 100).var().round(4))  # 2/400
    0.005
    """
    return _normal(generator, n_in, n_out, 2.0 / n_in)


def he_uniform(generator: np.random.Generator, n_in: int, n_out: int) -> np.ndarray:
    """U(−a, a) with a = √(6/n_in): the variance of `he`; PyTorch's kaiming_uniform_.

    >>> abs(he_uniform(np.random.default_rng(0), 6, 3)).max() < 1  # √(6/6)
    np.True_
    """
    return _uniform(generator, n_in, n_out, 2.0 / n_in)


@dataclass(frozen=True, slots=True)
class Constant:
    """All weights the same number: no better than zeros, as a layer's units stay alike.

    Raises UserInputError for a value that is not finite.

    >>> Constant(0.5)(np.random.default_rng(0), 1, 2).tolist()
    [[0.5, 0.5]]
    """

    value: float

    def __post_init__(self) -> None:
        if not isfinite(self.value):
            raise UserInputError(f"Constant({self.value!r}): the value must be finite.")

    def __call__(
        self, generator: np.random.Generator, n_in: int, n_out: int
    ) -> np.ndarray:
        """Weights of shape (n_in, n_out); nothing is drawn."""
        return np.full((n_in, n_out), float(self.value))


@dataclass(frozen=True, slots=True)
class Normal:
    """N(0, variance), whatever the size of the layer.

    Raises UserInputError for a variance that is negative or not finite.

    >>> float(Normal(4.0)(np.random.default_rng(0), 200, 200).var().round(1))
    4.0
    """

    variance: float

    def __post_init__(self) -> None:
        if not (self.variance >= 0 and isfinite(self.variance)):
            raise UserInputError(
                f"Normal({self.variance!r}): the variance must be finite and at least "
                "0. It is a variance, the square of the standard deviation."
            )

    def __call__(
        self, generator: np.random.Generator, n_in: int, n_out: int
    ) -> np.ndarray:
        """Weights of shape (n_in, n_out)."""
        return _normal(generator, n_in, n_out, self.variance)


def _normal(
    generator: np.random.Generator, n_in: int, n_out: int, variance: float
) -> np.ndarray:
    return generator.standard_normal((n_in, n_out)) * sqrt(variance)


def _uniform(
    generator: np.random.Generator, n_in: int, n_out: int, variance: float
) -> np.ndarray:
    return generator.uniform(-1.0, 1.0, (n_in, n_out)) * sqrt(3.0 * variance)


INITIALIZERS: dict[str, Initializer] = {
    "zeros": zeros,
    "uniform": uniform,
    "xavier": xavier,
    "xavier_uniform": xavier_uniform,
    "he": he,
    "he_uniform": he_uniform,
}

# What needs a number and has none that goes without saying.
_WITH_A_NUMBER = {"constant": "nn.Constant(0.5)", "normal": "nn.Normal(0.01)"}


def get_initializer(initializer: Rule) -> Initializer:
    """An initialiser by its name; a function is returned as it is.

    Raises UnknownNameError with the nearest name, UserInputError for what is neither a
    name nor a function.

    >>> get_initializer("xavier") is xavier
    True
    """
    if isinstance(initializer, str):
        if initializer in _WITH_A_NUMBER:
            raise UserInputError(
                f"The initializer {initializer!r} needs a number: give the value "
                f"{_WITH_A_NUMBER[initializer]} in place of its name."
            )
        if initializer not in INITIALIZERS:
            raise unknown_name("initializer", initializer, INITIALIZERS)
        return INITIALIZERS[initializer]
    if not callable(initializer):
        raise UserInputError(
            f"{initializer!r} is not an initializer. Give a name "
            f"({', '.join(sorted(INITIALIZERS))}) or a function of "
            "(generator, n_in, n_out)."
        )
    return initializer

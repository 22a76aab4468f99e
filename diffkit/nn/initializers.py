"""Initialisers: how the weights of a layer are drawn before training.

Each is a function (generator, n_in, n_out) -> float64 array of shape (n_in, n_out), so
that any function of the user's own serves as well. Variances, not deviations: N(0, v)
has variance v throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

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
    networks", AISTATS 2010, there in its uniform form; PyTorch's xavier_normal_.

    >>> float(xavier(np.random.default_rng(0), 300, 100).var().round(4))  # 2/400
    0.005
    """
    return _normal(generator, n_in, n_out, 2.0 / (n_in + n_out))


def he(generator: np.random.Generator, n_in: int, n_out: int) -> np.ndarray:
    """N(0, 2/n_in): the half of the variance that relu removes is put back.

    Source: He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015; PyTorch's
    kaiming_normal_ with its fan_in.

    >>> float(he(np.random.default_rng(0), 400, 100).var().round(4))  # 2/400
    0.005
    """
    return _normal(generator, n_in, n_out, 2.0 / n_in)


def _normal(
    generator: np.random.Generator, n_in: int, n_out: int, variance: float
) -> np.ndarray:
    return generator.standard_normal((n_in, n_out)) * sqrt(variance)


INITIALIZERS: dict[str, Initializer] = {
    "zeros": zeros,
    "uniform": uniform,
    "xavier": xavier,
    "he": he,
}


def get_initializer(initializer: str | Initializer) -> Initializer:
    """An initialiser by its name; a function is returned as it is.

    Raises UnknownNameError with the nearest name, UserInputError for what is neither a
    name nor a function.

    >>> get_initializer("xavier") is xavier
    True
    """
    if isinstance(initializer, str):
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

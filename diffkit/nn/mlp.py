"""The multilayer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from diffkit.errors import UserInputError
from diffkit.nn.activations import get_activation
from diffkit.nn.initializers import Initializer
from diffkit.nn.layer import Layer
from diffkit.nn.linear import Linear
from diffkit.nn.sequential import Sequential


def mlp(
    sizes: Sequence[int],
    activation: str = "tanh",
    output: str = "identity",
    initializer: str | Initializer | None = None,
    bias: bool = True,
) -> Sequential:
    """A multilayer perceptron: `sizes` (4, 16, 3) means 4 inputs, 16 hidden, 3 outputs.

    `activation` follows each hidden layer and `output` the last one; the output
    "identity" adds no layer. `initializer` and `bias` are those of `Linear`.

    Raises UserInputError for fewer than two sizes, UnknownNameError for an unknown
    activation or initialiser.

    >>> mlp((2, 8, 1))
    Sequential(Linear(2, 8), Tanh(), Linear(8, 1))
    >>> mlp((10, 64, 32, 1), "relu").parameter_count
    2817
    """
    sizes = tuple(sizes)
    if len(sizes) < 2:
        raise UserInputError(
            f"sizes={sizes} has no layer: give at least the numbers of inputs and "
            "outputs, such as (4, 16, 3)."
        )
    hidden, last = get_activation(activation), get_activation(output)
    layers: list[Layer] = []
    for n_in, n_out in pairwise(sizes[:-1]):
        layers += [Linear(n_in, n_out, bias, initializer), hidden]
    layers.append(Linear(sizes[-2], sizes[-1], bias, initializer))
    if output != "identity":
        layers.append(last)
    return Sequential(*layers)

"""Layers one after another, and the multilayer perceptron made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from diffkit.errors import ShapeError, UserInputError
from diffkit.nn.activations import get_activation
from diffkit.nn.initializers import Initializer
from diffkit.nn.layer import Layer, check_float, check_generator
from diffkit.nn.linear import Linear


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Sequential:
    """The layers applied in order; itself a layer. Parameters: a tuple, one per layer.

    Layers are numbered from 0, as their parameters are: `params[2]["weight"]` belongs
    to layer 2, and so do its error messages. A layer without an initialiser of its own
    takes the one that suits the activation after it: Xavier before tanh and sigmoid,
    He before relu.

    Raises ShapeError when two layers do not fit, UserInputError for no layers or for
    something that is no layer.

    >>> net = Sequential(Linear(4, 16), get_activation("tanh"), Linear(16, 3))
    >>> params = net.init(np.random.default_rng(0))
    >>> net.apply(params, np.zeros((5, 4))).shape, net.parameter_count
    ((5, 3), 131)
    """

    layers: tuple[Layer, ...]

    def __init__(self, *layers: Layer) -> None:
        if not layers:
            raise UserInputError("Sequential needs at least one layer.")
        for i, layer in enumerate(layers):
            if isinstance(layer, type) or not hasattr(layer, "features"):
                raise UserInputError(
                    f"layer {i} of Sequential is {layer!r}, which is not a layer. Give "
                    "values such as nn.Linear(4, 16) and nn.Tanh(), with parentheses."
                )
        object.__setattr__(self, "layers", tuple(layers))
        self.features(None)

    def __len__(self) -> int:
        return len(self.layers)

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(str, self.layers))})"

    @property
    def parameter_count(self) -> int:
        """The sum over the layers."""
        return sum(layer.parameter_count for layer in self.layers)

    @property
    def initializer_before(self) -> str | None:
        """What its first layer wants."""
        return self.layers[0].initializer_before

    def features(self, given: int | None) -> int | None:
        """Carry a number of features through all layers."""
        before = "the input"
        for i, layer in enumerate(self.layers):
            try:
                after = layer.features(given)
            except ShapeError as problem:
                raise ShapeError(
                    f"layer {i}, {problem} That is what comes out of {before}."
                ) from None
            if after != given:
                before = f"layer {i}, {layer}"
            given = after
        return given

    def init(
        self,
        rng: np.random.Generator,
        dtype: Any = np.float64,
        *,
        default: str = "xavier",
    ) -> tuple[Any, ...]:
        """Fresh parameters for every layer, drawn in order from one generator."""
        check_generator(rng)
        dtype = check_float(dtype)
        rules = [layer.initializer_before for layer in self.layers[1:]] + [default]
        return tuple(
            layer.init(rng, dtype, default=rule or default)
            for layer, rule in zip(self.layers, rules, strict=True)
        )

    def apply(self, params: Any, x: Any) -> Any:
        """The output of the last layer.

        Raises ShapeError, naming the layer, for inputs or parameters that do not fit.
        """
        if not isinstance(params, Sequence) or len(params) != len(self.layers):
            given = (
                f"{len(params)}" if isinstance(params, Sequence) else repr(type(params))
            )
            raise ShapeError(
                f"A network of {len(self.layers)} layers needs one entry of parameters "
                f"for each and was given {given}. Use what this network's init drew."
            )
        for i, (layer, own) in enumerate(zip(self.layers, params, strict=True)):
            try:
                x = layer.apply(own, x)
            except ShapeError as problem:
                raise ShapeError(f"layer {i}, {problem}") from None
        return x


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

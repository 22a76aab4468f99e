"""Networks as values: layers draw parameters and apply themselves, and hold none."""

from diffkit.nn.activations import (
    ACTIVATIONS,
    Activation,
    Identity,
    ReLU,
    Sigmoid,
    Softmax,
    Softplus,
    Tanh,
    get_activation,
)
from diffkit.nn.initializers import (
    INITIALIZERS,
    Initializer,
    get_initializer,
    he,
    uniform,
    xavier,
    zeros,
)
from diffkit.nn.layer import Layer
from diffkit.nn.linear import Linear
from diffkit.nn.sequential import Sequential, mlp

__all__ = [
    "ACTIVATIONS",
    "INITIALIZERS",
    "Activation",
    "Identity",
    "Initializer",
    "Layer",
    "Linear",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "get_activation",
    "get_initializer",
    "he",
    "mlp",
    "uniform",
    "xavier",
    "zeros",
]

"""Networks as values: layers draw parameters and apply themselves, and hold none."""

from diffkit.nn.activations import (
    ACTIVATIONS,
    ELU,
    GELU,
    Activation,
    Identity,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
    get_activation,
)
from diffkit.nn.dropout import Dropout
from diffkit.nn.initializers import (
    INITIALIZERS,
    Constant,
    He,
    Initializer,
    Normal,
    get_initializer,
    he,
    he_uniform,
    uniform,
    xavier,
    xavier_uniform,
    zeros,
)
from diffkit.nn.layer import Layer
from diffkit.nn.linear import Linear
from diffkit.nn.mlp import mlp
from diffkit.nn.norm import BatchNorm, LayerNorm
from diffkit.nn.residual import Residual
from diffkit.nn.sequential import Sequential
from diffkit.nn.summary import LayerRow, Summary

__all__ = [
    "ACTIVATIONS",
    "ELU",
    "GELU",
    "INITIALIZERS",
    "Activation",
    "BatchNorm",
    "Constant",
    "Dropout",
    "He",
    "Identity",
    "Initializer",
    "Layer",
    "LayerNorm",
    "LayerRow",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "Normal",
    "ReLU",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Summary",
    "Tanh",
    "get_activation",
    "get_initializer",
    "he",
    "he_uniform",
    "mlp",
    "uniform",
    "xavier",
    "xavier_uniform",
    "zeros",
]

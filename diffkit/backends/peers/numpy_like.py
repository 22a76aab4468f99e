"""Makers for libraries whose functions are called and behave as NumPy's do."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from diffkit.backends.peers.reading import (
    Apply,
    Maker,
    elementwise,
    reduced,
    scatter_by_gathers,
)
from diffkit.ops import numpy_key

SAME_NAME = [
    "negative",
    "exp",
    "expm1",
    "exp2",
    "log",
    "log1p",
    "log2",
    "sqrt",
    "square",
    "reciprocal",
    "abs",
    "sign",
    "sin",
    "cos",
    "tan",
    "arcsin",
    "arccos",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "add",
    "subtract",
    "multiply",
    "divide",
    "power",
    "maximum",
    "minimum",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "logical_not",
    "logical_and",
    "logical_or",
    "logical_xor",
    "where",
    "matmul",
]
REDUCTIONS = ("sum", "mean", "prod", "max", "min")


def numpy_like_rows(
    library: Any, logsumexp: Apply, activations: Mapping[str, Apply]
) -> dict[str, Maker]:
    """Makers of all rows, from a module that has NumPy's names.

    `logsumexp` takes `axis` and `keepdims`; `activations` has the functions of one
    array that NumPy lacks: sigmoid, softplus, relu, erf.
    """
    n = library
    rows = {name: elementwise(getattr(n, name)) for name in SAME_NAME}
    rows |= {name: elementwise(function) for name, function in activations.items()}
    rows |= {name: _reduction(getattr(n, name)) for name in REDUCTIONS}
    rows["logsumexp"] = _logsumexp(n, logsumexp)
    rows["cumsum"] = lambda node, _: partial(n.cumsum, axis=node.attribute("axis"))
    rows["transpose"] = lambda node, _: partial(
        n.transpose, axes=node.attribute("axes")
    )
    rows["reshape"] = lambda node, _: lambda x: n.reshape(x, node.shape)
    rows["broadcast"] = lambda node, _: lambda x: n.broadcast_to(x, node.shape)
    rows["concatenate"] = lambda node, _: (
        lambda *x: n.concatenate(x, axis=node.attribute("axis"))
    )
    rows["stack"] = lambda node, _: lambda *x: n.stack(x, axis=node.attribute("axis"))
    rows["index"] = _index
    rows["scatter"] = lambda node, _: _scatter(n, node)
    return rows


def _index(node: Any, shapes: Any) -> Apply:
    key = numpy_key(node.attribute("key"))
    return lambda x: x[key]


def _reduction(function: Apply) -> Maker:
    def make(node: Any, shapes: Any) -> Apply:
        axes, keepdims, _ = reduced(node, shapes)
        if not axes:  # no axes mean no reduction here, and all of them elsewhere
            return lambda x: x
        return partial(function, axis=axes, keepdims=keepdims)

    return make


def _logsumexp(library: Any, function: Apply) -> Maker:
    def make(node: Any, shapes: Any) -> Apply:
        axes, keepdims, count = reduced(node, shapes)
        if not axes:
            return lambda x: x
        if not count:
            return lambda x: library.full(node.shape, -np.inf, x.dtype)
        return partial(function, axis=axes, keepdims=keepdims)

    return make


def _scatter(library: Any, node: Any) -> Apply:
    plans = scatter_by_gathers(node)

    def scatter(*arrays: Any) -> Any:
        zero = library.zeros(1, arrays[0].dtype)
        parts = [library.reshape(array, (-1,)) for array in arrays]
        joined = library.concatenate([*parts, zero])
        total = joined[plans[0]]
        for plan in plans[1:]:
            total = total + joined[plan]
        return library.reshape(total, node.shape)

    return scatter

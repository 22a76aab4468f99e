"""PyTorch's meaning of every row, where its names and habits are not NumPy's."""

from __future__ import annotations

from functools import partial
from math import inf, prod
from typing import Any

import numpy as np

from diffkit.backends.peers.reading import (
    Apply,
    ArrayFunctions,
    Maker,
    elementwise,
    gathered,
    reduced,
    scattered,
)
from diffkit.ops import Span

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
    "maximum",
    "minimum",
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
    "sigmoid",
    "relu",
    "erf",
]
# Beyond it torch's softplus is x itself: exact in both precisions from 37 on.
SOFTPLUS_THRESHOLD = 40.0


def torch_functions(torch: Any, dtype: np.dtype) -> ArrayFunctions:
    """PyTorch's functions by row, for programs of one precision."""
    rows: dict[str, Maker] = {
        name: elementwise(getattr(torch, name)) for name in SAME_NAME
    }
    rows["equal"] = elementwise(torch.eq)
    rows["power"] = elementwise(torch.pow)
    rows["softplus"] = elementwise(
        partial(torch.nn.functional.softplus, threshold=SOFTPLUS_THRESHOLD)
    )
    rows["sum"] = _over_axes(torch.sum)
    rows["mean"] = _over_axes(torch.mean)
    rows["max"] = _over_axes(torch.amax)
    rows["min"] = _over_axes(torch.amin)
    rows["prod"] = _product(torch)
    rows["logsumexp"] = _logsumexp(torch)
    rows["cumsum"] = lambda node, _: partial(torch.cumsum, dim=node.attribute("axis"))
    rows["transpose"] = lambda node, _: partial(
        torch.permute, dims=node.attribute("axes")
    )
    rows["reshape"] = lambda node, _: partial(torch.reshape, shape=node.shape)
    rows["broadcast"] = lambda node, _: partial(torch.broadcast_to, size=node.shape)
    rows["concatenate"] = lambda node, _: (
        lambda *x: torch.cat(x, dim=node.attribute("axis"))
    )
    rows["stack"] = lambda node, _: (
        lambda *x: torch.stack(x, dim=node.attribute("axis"))
    )
    rows["index"] = lambda node, shapes: _index(torch, node, shapes)
    rows["scatter"] = lambda node, _: _scatter(torch, node)
    real = getattr(torch, dtype.name)
    return ArrayFunctions(
        peer="torch",
        rows=rows,
        constant=torch.tensor,
        as_real=lambda x: x.to(real),
        as_boolean=lambda x: x != 0,
    )


def _over_axes(function: Apply) -> Maker:
    def make(node: Any, shapes: Any) -> Apply:
        axes, keepdims, _ = reduced(node, shapes)
        if not axes:  # no axes mean no reduction here, and all of them to torch
            return lambda x: x
        return partial(function, dim=axes, keepdim=keepdims)

    return make


def _product(torch: Any) -> Maker:
    """torch.prod takes one axis: those to be joined are made into one, at the end."""

    def make(node: Any, shapes: Any) -> Apply:
        axes, _, count = reduced(node, shapes)
        kept = [i for i in range(len(shapes[0])) if i not in axes]
        order = (*kept, *axes)
        joined = (*(shapes[0][i] for i in kept), count)
        return lambda x: torch.prod(
            x.permute(order).reshape(joined), dim=len(kept)
        ).reshape(node.shape)

    return make


def _logsumexp(torch: Any) -> Maker:
    def make(node: Any, shapes: Any) -> Apply:
        axes, keepdims, count = reduced(node, shapes)
        if not axes:
            return lambda x: x
        if not count:
            return lambda x: torch.full(node.shape, -inf, dtype=x.dtype)
        return partial(torch.logsumexp, dim=axes, keepdim=keepdims)

    return make


def _index(torch: Any, node: Any, shapes: Any) -> Apply:
    """A view where torch has one; it has no steps backwards, so those are gathered."""
    key = node.attribute("key")
    views = all(
        item is None
        or isinstance(item, int)
        or (isinstance(item, Span) and item.step > 0)
        for item in key
    )
    if views:
        slices = tuple(i.slice() if isinstance(i, Span) else i for i in key)
        return lambda x: x[slices]
    places = torch.from_numpy(gathered(node, shapes[0]).reshape(-1).astype(np.int64))
    return lambda x: x.reshape(-1)[places].reshape(node.shape)


def _scatter(torch: Any, node: Any) -> Apply:
    targets = torch.from_numpy(scattered(node).astype(np.int64))
    size = prod(node.shape)

    def scatter(*arrays: Any) -> Any:
        parts = torch.cat([array.reshape(-1) for array in arrays])
        empty = torch.zeros(size, dtype=parts.dtype)
        return empty.index_add(0, targets, parts).reshape(node.shape)

    return scatter

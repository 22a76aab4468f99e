"""How large a program is: with its sharing, and written out as a tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from diffkit.graph.node import Node
from diffkit.ops import numpy_key

# Rows whose result is the same memory seen otherwise: no bytes are moved.
VIEWS = frozenset({"input", "constant", "reshape", "transpose", "broadcast"})
BYTES_PER_SCALAR = 8


@dataclass(frozen=True, slots=True)
class Size:
    """Exact counts of a program.

    `operations` counts scalar operations, each node's once (that is what sharing
    means); `flops` weights them by the row's cost; `bytes` is what float64 operands
    and results weigh; `tree_operations` is the number of operations in the outputs
    written out as formulas, in which a value used twice is written twice (a Python
    integer, exact however large).
    """

    nodes: int
    operations: int
    flops: int
    bytes: int
    tree_operations: int

    @property
    def shared_operations(self) -> int:
        """Scalar operations with the sharing kept: the same as `operations`."""
        return self.operations


def measure(
    nodes: Sequence[Node], outputs: Sequence[int], alive: Sequence[bool]
) -> Size:
    """Count the nodes that are alive; `Graph.size()` is how users reach it."""
    count = operations = flops = moved = 0
    for node, needed in zip(nodes, alive, strict=True):
        if not needed:
            continue
        done = operations_of(nodes, node)
        count += 1
        operations += done
        flops += done * node.op.flops
        if node.op.name not in VIEWS:
            scalars = node.elements + sum(nodes[i].elements for i in node.inputs)
            moved += scalars * BYTES_PER_SCALAR
    tree = tree_operations(nodes, outputs, alive)
    return Size(count, operations, flops, moved, tree)


def operations_of(nodes: Sequence[Node], node: Node) -> int:
    """Scalar operations of one node, from its row."""
    shapes = (nodes[i].shape for i in node.inputs)
    return node.op.operations(node.shape, *shapes, **node.keywords)


def tree_operations(
    nodes: Sequence[Node], outputs: Sequence[int], alive: Sequence[bool]
) -> int:
    """Operations of all outputs written out as scalar formulas, exactly.

    For each node an array of Python integers, one per element, kept at length one
    along the axes where all are equal (so a wide layer costs what a narrow one does).
    """
    counts: dict[int, np.ndarray] = {}
    last_use = _last_uses(nodes, outputs)
    for here, node in enumerate(nodes):
        if not alive[here]:
            continue
        if node.op.family == "leaf":
            counts[here] = _uniform(0, len(node.shape))
        else:
            shapes = [nodes[i].shape for i in node.inputs]
            counts[here] = _count(node, [counts[i] for i in node.inputs], shapes)
        for i in node.inputs:
            if last_use[i] == here:
                counts.pop(i, None)
    return sum(_total(counts[o], nodes[o].shape) for o in outputs)


def _last_uses(nodes: Sequence[Node], outputs: Sequence[int]) -> list[int]:
    last = list(range(len(nodes)))
    for here, node in enumerate(nodes):
        for i in node.inputs:
            last[i] = here
    for o in outputs:
        last[o] = len(nodes)
    return last


def _uniform(value: int, ndim: int) -> np.ndarray:
    return np.full((1,) * ndim, value, dtype=object)


def _objects(counts: Any) -> np.ndarray:
    """An object array even where NumPy handed back a bare Python integer."""
    array = np.empty(np.shape(counts), dtype=object)
    array[...] = counts
    return array


def _total(counts: np.ndarray, shape: tuple[int, ...]) -> int:
    repeated = prod(n for n, m in zip(shape, counts.shape, strict=True) if m != n)
    return int(np.sum(counts)) * repeated if prod(shape) else 0


def _expand(counts: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(counts, shape)


def _compress(counts: np.ndarray) -> np.ndarray:
    for axis in range(counts.ndim):
        first = counts.take([0], axis) if counts.shape[axis] else counts
        if counts.shape[axis] > 1 and bool(np.all(counts == first)):
            counts = first
    return counts


def _sum_axes(
    counts: np.ndarray, shape: tuple[int, ...], axes: tuple[int, ...]
) -> np.ndarray:
    """Sum over axes, where an axis of length one stands for its full length."""
    repeated = prod(shape[i] for i in axes if counts.shape[i] == 1)
    return np.sum(counts, axis=axes, keepdims=True) * repeated


def _count(node: Node, inputs: list[np.ndarray], shapes: list[Any]) -> np.ndarray:
    if node.elements == 0:
        return _uniform(0, len(node.shape))
    if node.op.family == "elementwise":
        total = inputs[0] if len(inputs) == 1 else sum(inputs[1:], inputs[0])
        ndim = len(node.shape)
        shape = (1,) * (ndim - np.ndim(total)) + np.shape(total)
        return _objects(total + 1).reshape(shape)
    return _RULES[node.op.name](node, inputs, shapes)


def _matmul(node: Node, inputs: list[np.ndarray], shapes: list[Any]) -> np.ndarray:
    (a, b), k = inputs, shapes[0][-1]
    rows = _sum_axes(a, shapes[0], (a.ndim - 1,))
    columns = _sum_axes(b, shapes[1], (b.ndim - 2,))
    return rows + columns + max(2 * k - 1, 0)


def _reduction(node: Node, inputs: list[np.ndarray], shapes: list[Any]) -> np.ndarray:
    axes = node.attribute("axes")
    own = node.op.operations(node.shape, *shapes, **node.keywords) // node.elements
    total = _objects(_sum_axes(inputs[0], shapes[0], axes) + own)
    if node.attribute("keepdims"):
        return total
    return _objects(np.squeeze(total, axis=axes))


def _cumsum(node: Node, inputs: list[np.ndarray], shapes: list[Any]) -> np.ndarray:
    axis = node.attribute("axis")
    full = list(inputs[0].shape)
    full[axis] = node.shape[axis]
    steps = np.arange(node.shape[axis]).astype(object)
    along = [1] * len(full)
    along[axis] = node.shape[axis]
    return np.cumsum(_expand(inputs[0], tuple(full)), axis) + steps.reshape(along)


def _transpose(node: Node, inputs: list[np.ndarray], shapes: list[Any]) -> np.ndarray:
    return np.transpose(inputs[0], node.attribute("axes"))


def _reshape(node: Node, inputs: list[np.ndarray], shapes: list[Any]) -> np.ndarray:
    if inputs[0].size == 1:
        return inputs[0].reshape((1,) * len(node.shape))
    return _compress(_expand(inputs[0], shapes[0]).reshape(node.shape))


def _broadcast(node: Node, inputs: list[np.ndarray], shapes: list[Any]) -> np.ndarray:
    missing = len(node.shape) - inputs[0].ndim
    return inputs[0].reshape((1,) * missing + inputs[0].shape)


def _index(node: Node, inputs: list[np.ndarray], shapes: list[Any]) -> np.ndarray:
    if inputs[0].size == 1:
        return inputs[0].reshape((1,) * len(node.shape))
    chosen = _expand(inputs[0], shapes[0])[numpy_key(node.attribute("key"))]
    return _compress(_objects(chosen))


def _scatter(node: Node, inputs: list[np.ndarray], shapes: list[Any]) -> np.ndarray:
    """N contributions to one element are joined by n−1 additions."""
    pieces = [_expand(c, s) + 1 for c, s in zip(inputs, shapes, strict=True)]
    placed = node.op.numpy(*pieces, **node.keywords)
    return _compress(placed - (placed > 0).astype(object))


def _joined(node: Node, inputs: list[np.ndarray], shapes: list[Any]) -> np.ndarray:
    full = [_expand(c, s) for c, s in zip(inputs, shapes, strict=True)]
    return _compress(node.op.numpy(*full, **node.keywords))


_RULES: dict[str, Callable[..., np.ndarray]] = {
    "matmul": _matmul,
    "cumsum": _cumsum,
    "transpose": _transpose,
    "reshape": _reshape,
    "broadcast": _broadcast,
    "index": _index,
    "scatter": _scatter,
    "concatenate": _joined,
    "stack": _joined,
    **dict.fromkeys(("sum", "mean", "prod", "max", "min", "logsumexp"), _reduction),
}

"""The same program with less in it: dead code, constants, and steps that do nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from diffkit.graph.graph import CONSTANT, INPUT, Builder, Graph
from diffkit.graph.node import Node
from diffkit.ops import TABLE

NEGATIVE, TRANSPOSE, RESHAPE, BROADCAST = (
    TABLE[name] for name in ("negative", "transpose", "reshape", "broadcast")
)
# A folded constant larger than this many elements would cost more than its operation.
FOLD_LIMIT = 4096


def simplify(graph: Graph) -> Graph:
    """An equal program: dead code gone, constants folded, equal nodes made once.

    Rewrites only what is exact in floating point for every input, NaN and infinity
    included: x·1, x/1, x−0, −(−x), a transpose or reshape that undoes or repeats
    another, choices with a known condition. x + 0 stays (it turns −0 into 0), and so
    does x·0 (NaN·0 is NaN). Inputs keep their positions.
    """
    builder = Builder()
    alive = graph.live()
    renamed: dict[int, int] = {}
    for p in graph.inputs:
        node = graph.nodes[p]
        renamed[p] = builder.input(node.shape, node.kind, node.attribute("name"))
    for here, node in enumerate(graph.nodes):
        if not alive[here] or node.op is INPUT:
            continue
        inputs = [renamed[i] for i in node.inputs]
        renamed[here] = _simplest(builder, node, inputs)
    return _without_dead_code(builder.graph([renamed[o] for o in graph.outputs]))


def _without_dead_code(graph: Graph) -> Graph:
    """Only the inputs and what an output needs."""
    alive = graph.live()
    for p in graph.inputs:
        alive[p] = True
    if all(alive):
        return graph
    places: dict[int, int] = {}
    kept: list[Node] = []
    for here, node in enumerate(graph.nodes):
        if alive[here]:
            places[here] = len(kept)
            kept.append(replace(node, inputs=tuple(places[i] for i in node.inputs)))
    return Graph(
        tuple(kept),
        tuple(places[p] for p in graph.inputs),
        tuple(places[o] for o in graph.outputs),
    )


def _simplest(builder: Builder, node: Node, inputs: list[int]) -> int:
    """The cheapest equal of one node, whose inputs are simplified already."""
    if node.op is CONSTANT:
        return builder.copy_of(node, ())
    values = [_constant_of(builder.nodes[i]) for i in inputs]
    if all(v is not None for v in values) and node.elements <= FOLD_LIMIT:
        return _fold(builder, node, values)
    rewrite = _REWRITES.get(node.op.name)
    found = rewrite(builder, node, inputs, values) if rewrite else None
    return builder.copy_of(node, inputs) if found is None else found


def _constant_of(node: Node) -> np.ndarray | None:
    return node.attribute("value").array if node.op is CONSTANT else None


def _fold(builder: Builder, node: Node, values: list[Any]) -> int:
    if node.op.kind == "real" and not node.op.keeps_boolean:
        values = [v.astype(np.float64) if v.dtype == bool else v for v in values]
    with np.errstate(all="ignore"):
        return builder.constant(node.op.numpy(*values, **node.keywords))


def _is(value: np.ndarray | None, number: float) -> bool:
    return value is not None and value.shape == () and float(value) == number


def _plus_zero(value: np.ndarray | None) -> bool:
    return _is(value, 0.0) and not np.signbit(value).item()  # type: ignore[arg-type]


def _same_shape(builder: Builder, node: Node, i: int) -> bool:
    return builder.nodes[i].shape == node.shape and builder.nodes[i].kind == "real"


def _multiply(b: Builder, node: Node, i: list[int], v: list[Any]) -> int | None:
    if _is(v[1], 1.0) and _same_shape(b, node, i[0]):
        return i[0]
    if _is(v[0], 1.0) and _same_shape(b, node, i[1]):
        return i[1]
    return None


def _divide(b: Builder, node: Node, i: list[int], v: list[Any]) -> int | None:
    return i[0] if _is(v[1], 1.0) and _same_shape(b, node, i[0]) else None


def _subtract(b: Builder, node: Node, i: list[int], v: list[Any]) -> int | None:
    return i[0] if _plus_zero(v[1]) and _same_shape(b, node, i[0]) else None


def _negative(b: Builder, node: Node, i: list[int], v: list[Any]) -> int | None:
    inner = b.nodes[i[0]]
    if inner.op is NEGATIVE and _same_shape(b, node, inner.inputs[0]):
        return inner.inputs[0]
    return None


def _transpose(b: Builder, node: Node, i: list[int], v: list[Any]) -> int | None:
    inner, axes = b.nodes[i[0]], node.attribute("axes")
    source = i[0]
    if inner.op is TRANSPOSE:
        source = inner.inputs[0]
        axes = tuple(inner.attribute("axes")[a] for a in axes)
    if axes == tuple(range(len(axes))):
        return source
    return b.apply(TRANSPOSE, [source], axes=axes) if source != i[0] else None


def _reshape(b: Builder, node: Node, i: list[int], v: list[Any]) -> int | None:
    inner = b.nodes[i[0]]
    source = inner.inputs[0] if inner.op is RESHAPE else i[0]
    if b.nodes[source].shape == node.shape:
        return source
    if source != i[0]:
        return b.apply(RESHAPE, [source], shape=node.shape)
    return None


def _broadcast(b: Builder, node: Node, i: list[int], v: list[Any]) -> int | None:
    inner = b.nodes[i[0]]
    if inner.shape == node.shape:
        return i[0]
    if inner.op is BROADCAST:
        return b.apply(BROADCAST, [inner.inputs[0]], shape=node.shape)
    return None


def _where(b: Builder, node: Node, i: list[int], v: list[Any]) -> int | None:
    if v[0] is None or v[0].size == 0:
        return None
    if v[0].all() and _same_shape(b, node, i[1]):
        return i[1]
    if not v[0].any() and _same_shape(b, node, i[2]):
        return i[2]
    return None


_REWRITES: dict[str, Callable[..., int | None]] = {
    "multiply": _multiply,
    "divide": _divide,
    "subtract": _subtract,
    "negative": _negative,
    "transpose": _transpose,
    "reshape": _reshape,
    "broadcast": _broadcast,
    "where": _where,
}

"""A traced graph read into a peer's own array functions.

A peer gives a maker for each row of the table: `make(node, shapes)` returns the
function of the inputs' arrays, with everything that is known when a program is
prepared (attributes, index lists, shapes) worked out already. The reading then is a
loop over calls of the peer's functions and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from diffkit.errors import LackingOperationError
from diffkit.graph import Graph, Node
from diffkit.ops import numpy_key
from diffkit.ops.op import Shape

Array = Any
Apply = Callable[..., Array]
Maker = Callable[[Node, Sequence[Shape]], Apply]


@dataclass(frozen=True, slots=True)
class ArrayFunctions:
    """What a peer reads a graph with.

    `rows` has a maker by the name of a row; `constant` takes a NumPy array (boolean, or
    of the program's precision) in; `as_real` turns booleans into 0 and 1 and
    `as_boolean` numbers into whether they are not 0.
    """

    peer: str
    rows: Mapping[str, Maker]
    constant: Callable[[np.ndarray], Array]
    as_real: Callable[[Array], Array]
    as_boolean: Callable[[Array], Array]


def elementwise(function: Apply) -> Maker:
    """The maker of a row that needs nothing known beforehand."""
    return lambda node, shapes: function


def read(
    graph: Graph, functions: ArrayFunctions, dtype: np.dtype
) -> Callable[[Sequence[Array]], list[Array]]:
    """The graph as a function from a list of a peer's arrays to a list of outputs.

    Raises LackingOperationError, naming the operation, where the peer lacks one.
    """
    alive = graph.live()
    constants: dict[int, Array] = {}
    steps: list[tuple[Apply, tuple[int, ...], int]] = []
    for here, node in enumerate(graph.nodes):
        if not alive[here] or node.op.name == "input":
            continue
        if node.op.name == "constant":
            array = node.attribute("value").array
            kind = np.dtype(bool) if node.kind == "boolean" else dtype
            constants[here] = functions.constant(np.array(array, dtype=kind))
            continue
        steps.append((_apply(graph, node, functions), node.inputs, here))
    count, inputs, outputs = len(graph.nodes), graph.inputs, graph.outputs

    def run(arrays: Sequence[Array]) -> list[Array]:
        values: list[Array] = [None] * count
        for place, array in zip(inputs, arrays, strict=True):
            values[place] = array
        for place, array in constants.items():
            values[place] = array
        for apply, operands, place in steps:
            values[place] = apply(*[values[i] for i in operands])
        return [values[place] for place in outputs]

    return run


def _apply(graph: Graph, node: Node, functions: ArrayFunctions) -> Apply:
    """One node as a function of its inputs' arrays, of the kinds that it expects."""
    make = functions.rows.get(node.op.name)
    if make is None:
        raise LackingOperationError(
            f"The backend {functions.peer!r} has no {node.op.name!r}, which the "
            "program uses. Use another backend, or write the program without it."
        )
    operands = [graph.nodes[i] for i in node.inputs]
    apply = make(node, [operand.shape for operand in operands])
    changes: list[Apply | None] = []
    for position, operand in enumerate(operands):
        logical = node.op.name.startswith("logical_") or (
            node.op.name == "where" and position == 0
        )
        if operand.kind == "real" and logical:
            changes.append(functions.as_boolean)
        elif operand.kind == "boolean" and node.kind == "real" and not logical:
            changes.append(functions.as_real)
        else:
            changes.append(None)
    if not any(changes):
        return apply

    def changed(*arrays: Array) -> Array:
        return apply(
            *[
                change(array) if change else array
                for change, array in zip(changes, arrays, strict=True)
            ]
        )

    return changed


def reduced(node: Node, shapes: Sequence[Shape]) -> tuple[tuple[int, ...], bool, int]:
    """Of a reduction: its axes, whether they are kept, elements joined into one."""
    axes = node.attribute("axes")
    return axes, node.attribute("keepdims"), prod(shapes[0][i] for i in axes)


def gathered(node: Node, shape: Shape) -> np.ndarray:
    """For an operation that moves elements: flat position in its input, by output."""
    places = np.arange(prod(shape), dtype=np.intp).reshape(shape)
    return np.asarray(node.op.numpy(places, **node.keywords))


def scattered(node: Node) -> np.ndarray:
    """For a scatter: flat position in the output of every element of every input."""
    shape = node.attribute("shape")
    places = np.arange(prod(shape), dtype=np.intp).reshape(shape)
    parts = [places[numpy_key(key)].reshape(-1) for key in node.attribute("keys")]
    return np.concatenate([np.zeros(0, np.intp), *parts])


def scatter_by_gathers(node: Node) -> list[np.ndarray]:
    """A scatter as a sum of gathers, for peers that cannot add at positions.

    Each list has, for every output element, the flat position of one contribution in
    the inputs joined end to end, or the position after the last, which is to hold 0.

    >>> from diffkit.graph import trace
    >>> graph = trace(lambda x: np.diag(x), np.ones(2))
    >>> scatter_by_gathers(graph.nodes[graph.outputs[0]])
    [array([0, 2, 2, 1])]
    """
    targets = scattered(node)
    order = np.argsort(targets, kind="stable")
    ordered = targets[order]
    ranks = np.arange(targets.size) - np.searchsorted(ordered, ordered)
    deepest = int(ranks.max()) + 1 if targets.size else 1
    plans = np.full((deepest, prod(node.shape)), targets.size, np.intp)
    plans[ranks, ordered] = order
    return list(plans)

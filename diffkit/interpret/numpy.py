"""The definition of every operation: a graph read by NumPy, slow and plain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from diffkit.errors import ShapeError
from diffkit.graph import Graph
from diffkit.ops import TABLE

INPUT, CONSTANT = TABLE["input"], TABLE["constant"]


def evaluate(
    graph: Graph, leaves: Sequence[Any], dtype: Any = None
) -> list[np.ndarray]:
    """The outputs of a program at the given inputs, in their order.

    `dtype` is float64, float32 or complex128 (for the complex step); by default
    complex128 when an input is complex and float64 otherwise. Arithmetic on booleans
    treats them as 0 and 1. Floating-point warnings are silent, as in the engine.

    Raises ShapeError when an input's shape is not the traced one.
    """
    arrays = [np.asarray(leaf) for leaf in leaves]
    if dtype is None:
        is_complex = any(a.dtype.kind == "c" for a in arrays)
        dtype = np.complex128 if is_complex else np.float64
    dtype = np.dtype(dtype)
    values: list[np.ndarray | None] = [None] * len(graph.nodes)
    _check_shapes(graph, arrays)
    for place, array in zip(graph.inputs, arrays, strict=True):
        boolean = graph.nodes[place].kind == "boolean"
        values[place] = array.astype(bool if boolean else dtype, copy=False)
    last_use = {i: here for here, n in enumerate(graph.nodes) for i in n.inputs}
    kept = {*graph.outputs, *graph.inputs}
    alive = graph.live()
    with np.errstate(all="ignore"):
        for here, node in enumerate(graph.nodes):
            if not alive[here] or node.op is INPUT:
                continue
            if node.op is CONSTANT:
                array = node.attribute("value").array
                kind = bool if node.kind == "boolean" else dtype
                values[here] = array.astype(kind, copy=False)
                continue
            operands: list[Any] = [values[i] for i in node.inputs]
            if node.op.kind == "real" and not node.op.keeps_boolean:
                operands = [v.astype(dtype) if v.dtype == bool else v for v in operands]
            result = node.op.numpy(*operands, **node.keywords)
            values[here] = np.asarray(result)
            for i in node.inputs:
                if last_use[i] == here and i not in kept:
                    values[i] = None
    return [np.array(values[o]) for o in graph.outputs]


def _check_shapes(graph: Graph, arrays: list[np.ndarray]) -> None:
    if len(arrays) != len(graph.inputs):
        raise ShapeError(
            f"The program takes {len(graph.inputs)} inputs and was given {len(arrays)}."
        )
    for place, array in zip(graph.inputs, arrays, strict=True):
        node = graph.nodes[place]
        if node.shape != array.shape:
            raise ShapeError(
                f"{node.attribute('name')} was traced with shape {node.shape} and was "
                f"given shape {array.shape}. Trace the function again for new shapes."
            )

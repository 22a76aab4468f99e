"""Derivatives inside a trace: their nodes join the program being traced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from diffkit.backends import Backend
from diffkit.errors import BackendError, ShapeError
from diffkit.graph import Builder, Graph, Traced, forward, reverse, trees
from diffkit.graph.traced import common_builder, lift
from diffkit.ops import TABLE
from diffkit.transform.maps import TracedMap, contracted, splice, trace_map

RESHAPE, CONCATENATE = TABLE["reshape"], TABLE["concatenate"]


def require_exact(backend: Backend, what: str) -> None:
    """Raise BackendError for a backend whose result has no exact program.

    Inside a trace every exact backend's derivative is the derived program of the graph:
    they agree up to rounding, and it can be differentiated again by any of them.
    Differences, solvers and the like have no such program.
    """
    if not backend.capabilities.exact:
        raise BackendError(
            f"{what} was asked of the backend {backend.name!r}, which is approximate. "
            "Inside another traced function use backend='autodiff': the outer "
            "derivative may be any backend's."
        )


def stand_in(leaf: Any) -> Any:
    """Zeros without memory, for tracing at a traced value's shape."""
    if isinstance(leaf, Traced):
        return np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape)
    return leaf


def jvp_inline(
    f: Callable[..., Any], primals: Any, tangents: Any, backend: Backend
) -> tuple[Any, Any]:
    """`jvp` as part of an outer program."""
    require_exact(backend, "A jvp inside a trace")
    outer, inputs, traced = _traced(f, primals, tangents)
    moved, tree = trees.flatten(tuple(tangents))
    if tree != traced.inputs:
        raise ShapeError(f"The tangents are nested as {tree}, not {traced.inputs}.")
    directions = [lift(outer, leaf) for leaf in moved]
    for direction, p in zip(directions, traced.wrt, strict=True):
        if direction.shape != traced.specs[p].shape:
            raise ShapeError(
                f"The tangent of {traced.specs[p].name} has shape {direction.shape}; "
                f"it has to have the shape {traced.specs[p].shape} of the primal."
            )
    places = [*inputs, *(d.index for d in directions)]
    y, tangent = splice(outer, forward(traced.graph, traced.wrt), places)
    return _unpack(traced, y), _unpack(traced, tangent)


def vjp_inline(
    f: Callable[..., Any], primals: Any, backend: Backend
) -> tuple[Any, Callable[[Any], Any]]:
    """`vjp` as part of an outer program."""
    require_exact(backend, "A vjp inside a trace")
    outer, inputs, traced = _traced(f, primals, ())
    (y,) = splice(outer, traced.graph, inputs)
    pulled: Graph = reverse(contracted(traced.graph), traced.wrt)

    def pullback(cotangent: Any) -> Any:
        leaves, tree = trees.flatten(cotangent)
        if tree != traced.result:
            raise ShapeError(f"The cotangent is nested as {tree}, not {traced.result}.")
        parts: list[Any] = []
        for leaf, shape in zip(leaves, traced.shapes, strict=True):
            part = lift(outer, leaf)
            if part.shape != shape:
                raise ShapeError(
                    f"A cotangent has shape {part.shape}; its output has {shape}."
                )
            parts.append(RESHAPE(part, shape=(part.size,)))
        w = parts[0] if len(parts) == 1 else CONCATENATE(*parts, axis=0)
        outputs = splice(outer, pulled, [*inputs, w.index])
        return trees.unflatten(traced.inputs, outputs[1 : 1 + len(traced.wrt)])

    return _unpack(traced, y), pullback


def _traced(
    f: Callable[..., Any], primals: Any, others: Any
) -> tuple[Builder, list[int], TracedMap]:
    leaves, tree = trees.flatten(tuple(primals))
    outer = common_builder([*leaves, *trees.leaves(others)])
    shaped = trees.unflatten(tree, [stand_in(leaf) for leaf in leaves])
    traced = trace_map(f, shaped, tuple(range(len(shaped))), "allow")
    return outer, [lift(outer, leaf).index for leaf in leaves], traced


def _unpack(traced: TracedMap, flat: Traced) -> Any:
    parts: list[Any] = []
    start = 0
    for shape in traced.shapes:
        end = start + int(np.prod(shape))
        parts.append(np.reshape(flat[start:end], shape))
        start = end
    return trees.unflatten(traced.result, parts)

"""A function of arrays as a linear map at a point: what it does to directions.

A backend gives gradients of scalar programs, and nothing else is asked of it. Vector
functions reach it by composing graphs: outputs are packed into one flat y of length m,
and

* a pullback, wᵀJ, is the gradient of ⟨w, F(x)⟩, one gradient in n variables;
* a pushforward, J v, is the tangent program (`graph.forward`) on the backend's runtime
  where the backend is forward-mode; for one that takes array outputs the derivative of
  F(x + (t−1) v) by the one variable t; elsewhere that of ⟨w, F(x + (t−1) v)⟩ for each
  unit w: m gradients in one variable;
* the whole of J is one gradient of F for a backend that takes array outputs.

Griewank and Walther (2008), chapter 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from diffkit.backends import Backend, Compiled, Program
from diffkit.backends.formula import count
from diffkit.errors import BackendError
from diffkit.graph import Builder, Graph, Traced, forward, reverse, trees
from diffkit.graph.graph import INPUT
from diffkit.graph.traced import lift
from diffkit.ops import TABLE
from diffkit.prepared import LeafSpec, NonFinite, trace_inputs

RESHAPE, CONCATENATE, SUM = TABLE["reshape"], TABLE["concatenate"], TABLE["sum"]


@dataclass(frozen=True, slots=True)
class TracedMap:
    """A user's function as a program with one flat output, and the nesting around it.

    `graph` takes the leaves and gives y, a vector of all outputs one after another.
    `result` nests the outputs, whose shapes are `shapes`; `inputs` nests the leaves in
    `wrt`.
    """

    graph: Graph
    wrt: tuple[int, ...]
    specs: tuple[LeafSpec, ...]
    dtype: np.dtype
    inputs: Any
    result: Any
    shapes: tuple[tuple[int, ...], ...]

    @property
    def n(self) -> int:
        """Scalars put in."""
        return sum(prod(self.specs[p].shape) for p in self.wrt)

    @property
    def m(self) -> int:
        """Scalars that come out."""
        return sum(prod(shape) for shape in self.shapes)

    def unpack(self, flat: np.ndarray) -> Any:
        """A vector like y, nested as the function's result is."""
        ends = np.cumsum([prod(shape) for shape in self.shapes])[:-1]
        parts = np.split(flat, ends) if self.shapes else []
        pairs = zip(parts, self.shapes, strict=True)
        return trees.unflatten(self.result, [p.reshape(s)[()] for p, s in pairs])

    def gradient(self) -> TracedMap:
        """The map from x to the gradient of this map's one scalar, nested as x is."""
        builder = Builder(self.graph)
        scalar = RESHAPE(Traced(builder, self.graph.outputs[0]), shape=())
        slopes = reverse(builder.graph([scalar.index]), self.wrt)
        graph = pack(Graph(slopes.nodes, slopes.inputs, slopes.outputs[1:]))
        shapes = tuple(self.specs[p].shape for p in self.wrt)
        return TracedMap(
            graph, self.wrt, self.specs, self.dtype, self.inputs, self.inputs, shapes
        )


def trace_map(
    f: Callable[..., Any],
    args: Sequence[Any],
    argnums: int | Sequence[int],
    nonfinite: NonFinite = "raise",
) -> TracedMap:
    """Trace a function of any outputs for differentiation by some of its arguments."""
    tracing, inputs = trace_inputs(f, args, argnums, nonfinite)
    shapes = tuple(tracing.graph.nodes[o].shape for o in tracing.graph.outputs)
    return TracedMap(
        pack(tracing.graph),
        inputs.wrt,
        inputs.specs,
        inputs.dtype,
        inputs.tree,
        tracing.result,
        shapes,
    )


def pack(graph: Graph) -> Graph:
    """The same program with all outputs in one vector, booleans as 0 and 1."""
    builder = Builder(graph)
    parts: list[Any] = []
    for o in graph.outputs:
        value: Any = Traced(builder, o)
        if value.node.kind == "boolean":
            value = value * 1.0
        parts.append(RESHAPE(value, shape=(value.size,)))
    if not parts:
        return builder.graph([builder.constant(np.zeros(0))])
    flat = parts[0] if len(parts) == 1 else CONCATENATE(*parts, axis=0)
    return builder.graph([flat.index])


def contracted(graph: Graph) -> Graph:
    """⟨w, y⟩ and y, with the vector w as one more input."""
    builder = Builder(graph)
    y = Traced(builder, graph.outputs[0])
    w: Any = Traced(builder, builder.input(y.shape, name="cotangent"))
    return builder.graph([SUM(w * y, axes=(0,), keepdims=False).index, y.index])


def along_a_line(graph: Graph, wrt: Sequence[int]) -> Graph:
    """Y = F(x + (t−1) v): more inputs, the number t, and v for each wrt.

    An affine change of variables, after which one variable is left. The point is at
    t = 1, where steps relative to t exist, and t−1 is exact for every t near it.
    """
    builder = Builder()
    inputs: list[Any] = []
    for p in graph.inputs:
        node = graph.nodes[p]
        place = builder.input(node.shape, node.kind, node.attribute("name"))
        inputs.append(Traced(builder, place))
    t: Any = Traced(builder, builder.input((), name="t"))
    for p in wrt:
        name = f"tangent of {graph.nodes[graph.inputs[p]].attribute('name')}"
        v = Traced(builder, builder.input(inputs[p].shape, name=name))
        inputs[p] = inputs[p] + (t - 1.0) * v
    y = splice(builder, graph, [x.index for x in inputs])[0]
    return builder.graph([y.index])


def splice(outer: Builder, graph: Graph, inputs: Sequence[int]) -> list[Traced]:
    """Copy a program into another builder, its inputs replaced; gives its outputs."""
    places: list[int] = []
    for node in graph.nodes:
        if node.op is INPUT:
            places.append(inputs[node.attribute("position")])
        else:
            places.append(outer.copy_of(node, [places[i] for i in node.inputs]))
    return [Traced(outer, places[o]) for o in graph.outputs]


@dataclass(frozen=True)
class LinearMap:
    """The derivative of a traced map on a backend, as products with vectors.

    `leaves` are always the whole point; programs are compiled when first used.
    `pull(leaves, w)` gives (y, [one array per wrt]); `push(leaves, vs)` gives (y, J v).
    """

    traced: TracedMap
    backend: Backend

    @property
    def native(self) -> bool:
        """Whether a pushforward is one run of the tangent program."""
        return self.backend.capabilities.forward_mode

    @property
    def by_arrays(self) -> bool:
        """Whether the backend differentiates all outputs at once."""
        return self.backend.capabilities.vector

    def pull(
        self, leaves: Sequence[np.ndarray], w: np.ndarray
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """wᵀJ, by one gradient of ⟨w, F(x)⟩."""
        _, gradients, aux = self._pull([*leaves, w])
        return aux[0], gradients

    def push(
        self, leaves: Sequence[np.ndarray], vs: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """J v: the tangent program once, or one line derivative for each output."""
        if self.native:
            _, _, (y, tangent) = self._push([*leaves, *vs])
            return y, tangent
        dtype, m = self.traced.dtype, self.traced.m
        scale = self._scale(leaves, vs)
        point = [*leaves, np.ones((), dtype), *((v / scale).astype(dtype) for v in vs)]
        if self.by_arrays:
            y, (slope,), _ = self._push(point)
            return y, slope * dtype.type(scale)
        y, tangent = np.zeros(0, dtype), np.zeros(m, dtype)
        for k in range(m):
            _, (slope,), (y,) = self._push([*point, unit(m, k, dtype)])
            tangent[k] = slope * scale
        return y, tangent

    def whole(self, leaves: Sequence[np.ndarray]) -> np.ndarray:
        """J, (m, n), of a backend that takes array outputs: one gradient of F."""
        _, blocks, _ = self._whole(leaves)
        m = self.traced.m
        return np.concatenate([b.reshape(m, prod(b.shape[1:])) for b in blocks], 1)

    def cheaper(self) -> str:
        """The mode that gives the whole Jacobian with fewer evaluations."""
        if self.by_arrays:
            return "forward"
        n, m = self.traced.n, self.traced.m
        formula = self.backend.capabilities.evaluations
        by_columns = n if self.native else n * m * max(count(formula, P=1), 1)
        by_rows = m * max(count(formula, P=n), 1)
        return "forward" if by_columns <= by_rows else "reverse"

    def _scale(self, leaves: Sequence[np.ndarray], vs: Sequence[np.ndarray]) -> float:
        """A power of two that makes t = 1 a step as large as the point, at most.

        Differences choose their step in t by the size of t, which is 1; measured so, it
        is the step they would choose in x. A power of two loses no digit.
        """
        largest = 0.0
        for p, v in zip(self.traced.wrt, vs, strict=True):
            beside = np.abs(v) / np.maximum(np.abs(leaves[p]), 1.0)
            largest = max(largest, float(np.max(beside, initial=0.0)))
        if not 0.0 < largest < np.inf:
            return 1.0
        return float(2.0 ** np.ceil(np.log2(largest)))

    @cached_property
    def _pull(self) -> Compiled:
        return self._compile(contracted(self.traced.graph), self.traced.wrt)

    @cached_property
    def _whole(self) -> Compiled:
        return self._compile(self.traced.graph, self.traced.wrt)

    @cached_property
    def _push(self) -> Compiled:
        graph, wrt = self.traced.graph, self.traced.wrt
        if not self.native:
            line = along_a_line(graph, wrt)
            if not self.by_arrays:
                line = contracted(line)
            return self._compile(line, (len(graph.inputs),))
        tangents = forward(graph, wrt)
        builder = Builder(tangents)
        nothing = lift(builder, 0.0).index
        program = builder.graph([nothing, *tangents.outputs])
        return self._compile(program, ())

    def _compile(self, graph: Graph, wrt: tuple[int, ...]) -> Compiled:
        program = Program(graph, wrt, graph.input_names, self.traced.dtype)
        return self.backend.compile(program)


def unit(size: int, place: int, dtype: np.dtype) -> np.ndarray:
    """The vector of zeros with a one at `place`."""
    out = np.zeros(size, dtype)
    out[place] = 1.0
    return out


def require(backend: Backend, derivative: str) -> None:
    """Raise BackendError when a backend says that it does not give a derivative."""
    if derivative not in backend.capabilities.derivatives:
        given = ", ".join(backend.capabilities.derivatives)
        raise BackendError(
            f"The backend {backend.name!r} does not give {derivative}; it gives "
            f"{given}. print(diffkit.capabilities()) shows which backends do."
        )

"""The program: an immutable list of nodes in topological order, and its builder."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from diffkit.errors import ShapeError
from diffkit.graph.node import Node
from diffkit.graph.size import Size, measure
from diffkit.ops import TABLE, Constant, Op
from diffkit.ops.op import Kind, Shape

INPUT, CONSTANT = TABLE["input"], TABLE["constant"]


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A traced program: `nodes` in topological order, its `inputs` and its `outputs`.

    `inputs[p]` is the node of the p-th argument, `outputs` are nodes as well. The
    only thing that any backend ever sees of a user's function.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def __post_init__(self) -> None:
        for here, node in enumerate(self.nodes):
            assert all(0 <= i < here for i in node.inputs), "not topological"
        assert all(0 <= i < len(self.nodes) for i in (*self.inputs, *self.outputs))

    def __repr__(self) -> str:
        shapes = [self.nodes[i].shape for i in self.inputs]
        return (
            f"Graph({len(self.nodes)} nodes, inputs {shapes}, "
            f"outputs {[self.nodes[i].shape for i in self.outputs]})"
        )

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs by position."""
        return tuple(self.nodes[i].attribute("name") for i in self.inputs)

    def size(self) -> Size:
        """Exact counts: operations, flops, bytes, and operations as a tree.

        >>> from diffkit.graph import trace
        >>> def squared_eight_times(x):
        ...     for _ in range(8):
        ...         x = x * x
        ...     return x
        >>> counted = trace(squared_eight_times, 1.0).size()
        >>> counted.shared_operations, counted.tree_operations
        (8, 255)
        """
        return measure(self.nodes, self.outputs, self.live())

    def listing(self) -> str:
        """The program as text, one node a line."""
        lines = []
        for here, node in enumerate(self.nodes):
            values = ", ".join(f"%{i}" for i in node.inputs)
            words = ", ".join(f"{k}={v}" for k, v in node.attributes)
            call = ", ".join(part for part in (values, words) if part)
            mark = " -> output" if here in self.outputs else ""
            lines.append(f"%{here} = {node.op.name}({call}) {node.shape}{mark}")
        return "\n".join(lines)

    def live(self) -> list[bool]:
        """For each node, whether an output needs it."""
        alive = [False] * len(self.nodes)
        for i in self.outputs:
            alive[i] = True
        for here in range(len(self.nodes) - 1, -1, -1):
            if alive[here]:
                for i in self.nodes[here].inputs:
                    alive[i] = True
        return alive

    def depends_on(self, positions: Iterable[int]) -> list[bool]:
        """For each node, whether it depends on one of the inputs at `positions`."""
        reached = [False] * len(self.nodes)
        for p in positions:
            reached[self.inputs[p]] = True
        for here, node in enumerate(self.nodes):
            if not reached[here]:
                reached[here] = any(reached[i] for i in node.inputs)
        return reached


class Builder:
    """Grows a graph node by node; equal nodes are made once (hash-consing).

    The only mutable thing in this room. `graph(outputs)` gives the finished value.
    """

    def __init__(self, graph: Graph | None = None) -> None:
        self.nodes: list[Node] = list(graph.nodes) if graph else []
        self.inputs: list[int] = list(graph.inputs) if graph else []
        self._known: dict[Node, int] = {node: i for i, node in enumerate(self.nodes)}

    def input(self, shape: Shape, kind: Kind = "real", name: str = "") -> int:
        """A new argument of the program."""
        position = len(self.inputs)
        words = (("position", position), ("name", name or f"argument {position}"))
        index = self._place(Node(INPUT, (), words, tuple(shape), kind))
        self.inputs.append(index)
        return index

    def constant(self, value: Any) -> int:
        """An array that is part of the program; integers enter as reals."""
        array = np.asarray(value)
        kind: Kind = "boolean" if array.dtype == bool else "real"
        if kind == "real" and array.dtype != np.float64:
            value = array.astype(np.float64)
        held = Constant.of(value)
        return self._place(Node(CONSTANT, (), (("value", held),), array.shape, kind))

    def apply(self, op: Op, inputs: Sequence[int], **attributes: Hashable) -> int:
        """One operation on earlier nodes; its shape follows from the row.

        Raises ShapeError when the inputs' shapes do not fit the operation.
        """
        shapes = [self.nodes[i].shape for i in inputs]
        try:
            shape = op.infer(*shapes, **attributes)
        except ValueError as problem:
            raise ShapeError(
                f"{op.name} cannot take the shapes {', '.join(map(str, shapes))}: "
                f"{problem}. Check the arguments' shapes."
            ) from problem
        kind = op.kind
        if op.keeps_boolean and all(self.nodes[i].kind == "boolean" for i in inputs):
            kind = "boolean"
        words = tuple(sorted(attributes.items()))
        return self._place(Node(op, tuple(inputs), words, tuple(shape), kind))

    def copy_of(
        self, node: Node, inputs: Sequence[int], again: int | None = None
    ) -> int:
        """A node of another graph with its inputs renamed to this builder's."""
        if again is None:
            again = node.again
        return self._place(replace(node, inputs=tuple(inputs), again=again))

    def graph(self, outputs: Sequence[int]) -> Graph:
        """The finished program."""
        return Graph(tuple(self.nodes), tuple(self.inputs), tuple(outputs))

    def _place(self, node: Node) -> int:
        found = self._known.get(node)
        if found is None:
            found = self._known[node] = len(self.nodes)
            self.nodes.append(node)
        return found

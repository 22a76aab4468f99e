"""From a graph to scalars: whole columns of a batch where possible, else element by
element.

One symbol stands for a whole column: an element of a data input without its batch axis.
The reading follows the batch axis through the graph. An array that carries it holds
the elements of *one* sample (the axis has length one); a sum or mean over it becomes a
sum over the batch, after which the value is the same for all samples, and may be used
sample by sample again (batch normalisation). Where samples meet in any other way
(sorted along the batch, one sample indexed, a maximum over it), `read` writes every
sample's elements out: longer, and right for every program.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Protocol

import numpy as np

from diffkit.backends.symbolic.scalars import Leaf, MixedBatchError, Output, Scalars
from diffkit.graph import Graph, Node
from diffkit.interpret import sympy as reading


class Writer(reading.Algebra, Protocol):
    """An algebra that can also name leaves and sum over the batch."""

    def symbol(self, name: str, batched: bool) -> Any:
        """The element of a named leaf; `batched` when it is a column."""
        ...

    def batch_sum(self, element: Any, batch: int) -> Any:
        """Σ of an element over the samples."""
        ...

    def identical(self, a: Any, b: Any) -> bool:
        """Whether two elements are known to be the same."""
        ...


@dataclass(slots=True)
class Held:
    """An array of elements (object dtype) or of numbers, and its batch axis, if any."""

    array: np.ndarray
    axis: int | None = None


@dataclass(slots=True)
class Reader:
    """One attempt at reading a graph, for one batch size (None: written out)."""

    writer: Writer
    batch: int | None
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)  # of the inputs of the node at hand

    def graph(
        self, graph: Graph, wrt: Sequence[int], reasons: Sequence[str] = ()
    ) -> Scalars:
        """Read all nodes; raises MixedBatchError where columns cannot carry them."""
        held: list[Held] = []
        leaves = []
        positions = {place: position for position, place in enumerate(graph.inputs)}
        for place, node in enumerate(graph.nodes):
            if node.op.name == "input":
                position = positions[place]
                leaf, value = self._leaf(position, node, position in wrt)
                leaves.append(leaf)
            elif node.op.name == "constant":
                value = Held(node.attribute("value").array)
            else:
                self.kinds = [graph.nodes[i].kind for i in node.inputs]
                value = self._node(node, [held[i] for i in node.inputs])
            held.append(value)
        outputs = []
        for i in graph.outputs:
            array = self._lift(held[i].array)
            elements = tuple(array.ravel().tolist())
            node = graph.nodes[i]
            outputs.append(Output(elements, node.shape, held[i].axis, node.kind))
        if outputs[0].axis is not None:
            raise MixedBatchError("the value itself differs from sample to sample")
        why = f"columns of {self.batch} samples"
        if self.batch is None:
            why = "; ".join(["every element written out", *reasons])
        leaves.sort(key=lambda leaf: leaf.position)
        return Scalars(tuple(outputs), tuple(leaves), self.columns, self.batch, why)

    def _leaf(self, position: int, node: Node, wanted: bool) -> tuple[Leaf, Held]:
        batch = self.batch
        batched = bool(batch and not wanted and node.shape and node.shape[0] == batch)
        shape = (1, *node.shape[1:]) if batched else node.shape
        names = tuple(f"x{position}_{i}" for i in range(prod(shape)))
        array = reading.elements_of(
            [self.writer.symbol(name, batched) for name in names], shape
        )
        leaf = Leaf(position, node.shape, batched, names)
        return leaf, Held(array, 0 if batched else None)

    def _lift(self, array: np.ndarray) -> np.ndarray:
        return reading.lift(array, self.writer)

    def _node(self, node: Node, inputs: list[Held]) -> Held:
        if all(held.axis is None for held in inputs):
            if node.op.name in GATHERS:
                return Held(reading.move(node, inputs[0].array))
            return self._read(node, [held.array for held in inputs], None)
        name = node.op.name
        if node.op.family == "elementwise":
            return self._elementwise(node, inputs)
        if name in GATHERS:
            return self._gather(node, inputs[0])
        if name == "matmul":
            return self._matmul(node, *inputs)
        if name == "concatenate":
            return self._concatenate(node, inputs)
        if name == "stack":
            return self._stack(node, inputs)
        if name == "cumsum":
            if inputs[0].axis == node.attribute("axis"):
                raise MixedBatchError("cumsum along the batch")
            return self._read(node, [inputs[0].array], inputs[0].axis)
        if node.op.family == "reduce":
            return self._reduce(node, inputs[0])
        raise MixedBatchError(f"{name} of a batched value")

    def _read(self, node: Node, arrays: Sequence[np.ndarray], axis: int | None) -> Held:
        lifted = [self._lift(array) for array in arrays]
        return Held(reading.read(node, self.kinds, lifted, self.writer), axis)

    def _elementwise(self, node: Node, inputs: list[Held]) -> Held:
        ndim = len(node.shape)
        axes = {h.axis + ndim - h.array.ndim for h in inputs if h.axis is not None}
        if len(axes) > 1:
            raise MixedBatchError(f"{node.op.name} of two different batch axes")
        (axis,) = axes
        arrays = [
            h.array
            if h.axis is not None
            else self._one_sample(h.array, axis - ndim + h.array.ndim, node.op.name)
            for h in inputs
        ]
        return self._read(node, arrays, axis)

    def _one_sample(self, array: np.ndarray, axis: int, name: str) -> np.ndarray:
        """An array that has the batch written out along `axis`, as seen by a sample."""
        if axis < 0 or array.shape[axis] == 1:
            return array
        first = array.take([0], axis=axis)
        if array.strides[axis] == 0:
            return first
        columns = np.moveaxis(array, axis, -1)
        if array.dtype != object:
            flat = columns.reshape(-1, array.shape[axis])
            elements = [self._column(column) for column in flat]
            return reading.elements_of(elements, first.shape)
        same = self.writer.identical
        for column in columns.reshape(-1, array.shape[axis]).tolist():
            if not all(same(column[0], other) for other in column):
                raise MixedBatchError(
                    f"{name} pairs each sample with an element of its own"
                )
        return first

    def _column(self, values: np.ndarray) -> Any:
        """A column of numbers that are part of the program."""
        if (values == values[0]).all():
            return self.writer.number(float(values[0]))
        name = f"k{len(self.columns)}"
        self.columns[name] = np.array(values)
        return self.writer.symbol(name, batched=True)

    def _gather(self, node: Node, held: Held) -> Held:
        """transpose, reshape, broadcast, index: every element comes from one place."""
        assert held.axis is not None
        assert self.batch is not None
        array, axis, batch = held.array, held.axis, self.batch
        shape = (*array.shape[:axis], batch, *array.shape[axis + 1 :])
        places = np.arange(prod(shape)).reshape(shape)
        source = node.op.numpy(places, **node.keywords)
        inner = prod(shape[axis + 1 :])
        sample = source // inner % batch
        place = source // (inner * batch) * inner + source % inner
        flat = self._lift(array).ravel()
        for out in range(source.ndim):
            if source.shape[out] != batch:
                continue
            samples = np.moveaxis(sample, out, -1)
            if not (samples == np.arange(batch)).all():
                continue
            return Held(self._pick(np.moveaxis(place, out, -1), flat, out), out)
        raise MixedBatchError(f"{node.op.name} moves elements between samples")

    def _pick(self, places: np.ndarray, flat: np.ndarray, axis: int) -> np.ndarray:
        """The element at each place; where it depends on the sample, a choice."""
        shape = (*places.shape[:-1],)
        elements = []
        for column in places.reshape(-1, places.shape[-1]):
            distinct = np.unique(column)
            element = flat[distinct[-1]]
            for place in distinct[-2::-1]:
                chosen = self._column((column == place).astype(float))
                element = self.writer.apply("where", chosen, flat[place], element)
            elements.append(element)
        array = reading.elements_of(elements, shape)
        return np.expand_dims(array, axis)

    def _reduce(self, node: Node, held: Held) -> Held:
        axes, keepdims = node.attribute("axes"), node.attribute("keepdims")
        assert held.axis is not None
        assert self.batch is not None
        if held.axis not in axes:
            axis = held.axis
            if not keepdims:
                axis -= sum(i < axis for i in axes)
            return self._read(node, [held.array], axis)
        if node.op.name not in {"sum", "mean"}:
            raise MixedBatchError(f"{node.op.name} over the batch")
        per_sample = self._read(node, [held.array], None).array
        divide = self.writer.number(self.batch)
        out = []
        for element in per_sample.ravel().tolist():
            total = self.writer.batch_sum(element, self.batch)
            if node.op.name == "mean":
                total = self.writer.apply("divide", total, divide)
            out.append(total)
        return Held(reading.elements_of(out, per_sample.shape))

    def _matmul(self, node: Node, a: Held, b: Held) -> Held:
        assert self.batch is not None
        ndim = len(node.shape)
        rows, inner = a.array.ndim - 2, a.array.ndim - 1
        name = "matmul"
        contracted = a.axis == inner or b.axis == b.array.ndim - 2
        if contracted:
            left = (
                a.array if a.axis == inner else self._one_sample(a.array, inner, name)
            )
            if (a.axis not in {None, inner}) or (
                b.axis not in {None, b.array.ndim - 2}
            ):
                raise MixedBatchError("matmul of two different batch axes")
            right = (
                b.array
                if b.axis is not None
                else self._one_sample(b.array, b.array.ndim - 2, name)
            )
            products = self._read(node, [left, right], None).array
            sums = [
                self.writer.batch_sum(element, self.batch)
                for element in products.ravel().tolist()
            ]
            return Held(reading.elements_of(sums, products.shape))
        if b.axis == b.array.ndim - 1:
            if a.axis is not None:
                raise MixedBatchError("matmul of samples with samples")
            return self._read(node, [a.array, b.array], ndim - 1)
        if a.axis == rows:
            if b.axis is not None:
                raise MixedBatchError("matmul of samples with samples")
            return self._read(node, [a.array, b.array], ndim - 2)
        axes = {h.axis + ndim - h.array.ndim for h in (a, b) if h.axis is not None}
        if len(axes) > 1:
            raise MixedBatchError("matmul of two different batch axes")
        (axis,) = axes
        arrays = [
            h.array
            if h.axis is not None
            else self._one_sample(h.array, axis - ndim + h.array.ndim, name)
            for h in (a, b)
        ]
        return self._read(node, arrays, axis)

    def _concatenate(self, node: Node, inputs: list[Held]) -> Held:
        axes = {h.axis for h in inputs if h.axis is not None}
        (axis, *others) = axes
        if others or axis == node.attribute("axis"):
            raise MixedBatchError("concatenate along the batch")
        arrays = [self._sample(h, axis, "concatenate") for h in inputs]
        return self._read(node, arrays, axis)

    def _stack(self, node: Node, inputs: list[Held]) -> Held:
        axis, *others = {h.axis for h in inputs if h.axis is not None}
        if others:
            raise MixedBatchError("stack of two different batch axes")
        arrays = [self._sample(h, axis, "stack") for h in inputs]
        moved = axis + (node.attribute("axis") <= axis)
        return self._read(node, arrays, moved)

    def _sample(self, held: Held, axis: int, name: str) -> np.ndarray:
        if held.axis is not None:
            return held.array
        return self._one_sample(held.array, axis, name)


GATHERS = frozenset({"transpose", "reshape", "broadcast", "index"})


def batch_sizes(graph: Graph, wrt: Sequence[int]) -> list[int]:
    """Batch sizes worth trying: leading dimensions of the data, commonest first."""
    lengths = Counter(
        graph.nodes[place].shape[0]
        for position, place in enumerate(graph.inputs)
        if position not in wrt and graph.nodes[place].shape
    )
    return [n for n, _ in lengths.most_common() if n > 1]

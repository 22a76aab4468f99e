"""A graph read as families of scalars, where all elements of an array are alike.

Two passes. The first follows indices: axes that are paired by an operation carry the
same label. The second makes one row for each array. What is not uniform (a slice of a
layer, a maximum over units, an axis paired with itself) raises NotUniformError by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from diffkit.backends.symbolic.families import BATCH, NONE, Families, Labels
from diffkit.graph import Graph, Node
from diffkit.ops import Span

Axes = tuple[int | None, ...]  # the label of each axis; None where nothing varies


class NotUniformError(Exception):
    """Elements of an array that are not written alike (internal)."""


@dataclass(slots=True)
class Read:
    """The families of a program: outputs, and the leaves differentiated by."""

    families: Families
    outputs: list[int]
    counts: list[int]  # members of each output
    leaves: list[int]


class Labelling:
    """Which axes of which arrays are one index (union–find over labels)."""

    def __init__(self, graph: Graph, wrt: Sequence[int], batch: int | None) -> None:
        self.graph, self.batch = graph, batch
        self.parent = [BATCH]
        self.sizes = {BATCH: 1}
        self.axes: list[Axes] = []
        data = {p for i, p in enumerate(graph.inputs) if i not in wrt}
        for place, node in enumerate(graph.nodes):
            self.axes.append(self._axes(node, place in data))

    def find(self, label: int) -> int:
        """The label that stands for all that were paired with this one."""
        while self.parent[label] != label:
            self.parent[label] = self.parent[self.parent[label]]
            label = self.parent[label]
        return label

    def of(self, place: int) -> Axes:
        """The labels of an array's axes, after all pairing."""
        axes = tuple(x if x is None else self.find(x) for x in self.axes[place])
        named = [x for x in axes if x is not None]
        if len(set(named)) < len(named):
            name = self.graph.nodes[place].op.name
            raise NotUniformError(f"{name} has an axis that is paired with itself")
        return axes

    def _new(self, size: int) -> int | None:
        if size == 1:
            return None
        label = len(self.parent)
        self.parent.append(label)
        self.sizes[label] = size
        return label

    def _pair(self, labels: Sequence[int | None]) -> int | None:
        found = [self.find(x) for x in labels if x is not None]
        for label in found[1:]:
            first, second = sorted((found[0], self.find(label)))
            if first == BATCH and second != BATCH:
                raise NotUniformError("samples are paired with units")
            self.parent[second] = first
            found[0] = first
        return found[0] if found else None

    def _axes(self, node: Node, data: bool) -> Axes:
        name, shape = node.op.name, node.shape
        if name == "input":
            batched = bool(data and self.batch and shape and shape[0] == self.batch)
            new = [self._new(n) for n in shape[batched:]]
            return (*([BATCH] if batched else []), *new)
        if name == "constant":
            array = node.attribute("value").array
            if array.size and (array != array.flat[0]).any():
                raise NotUniformError("a constant whose entries differ")
            return (None,) * len(shape)
        x = [self.axes[i] for i in node.inputs]
        if node.op.family == "elementwise":
            ndim = len(shape)
            full = [(None,) * (ndim - len(a)) + a for a in x]
            return tuple(self._pair(labels) for labels in zip(*full, strict=True))
        if name == "matmul":
            if len(x[0]) != 2 or len(x[1]) != 2:
                raise NotUniformError("matmul of a stack of matrices")
            if self._pair([x[0][1], x[1][0]]) == BATCH:
                raise NotUniformError("matmul over the samples")
            return (x[0][0], x[1][1])
        if name in {"sum", "mean"}:
            axes, keep = node.attribute("axes"), node.attribute("keepdims")
            kept = [None if i in axes else a for i, a in enumerate(x[0])]
            return tuple(a for i, a in enumerate(kept) if keep or i not in axes)
        if name == "transpose":
            return tuple(x[0][i] for i in node.attribute("axes"))
        if name == "broadcast":
            return (None,) * (len(shape) - len(x[0])) + x[0]
        if name == "reshape":
            return self._reshape(self.graph.nodes[node.inputs[0]].shape, x[0], shape)
        if name == "index" and self.graph.nodes[node.inputs[0]].op.name == "input":
            return self._index(node, x[0])
        raise NotUniformError(f"{name} does not treat all elements alike")

    def _reshape(self, before: Sequence[int], axes: Axes, after: Sequence[int]) -> Axes:
        long = [(n, a) for n, a in zip(before, axes, strict=True) if n != 1]
        if [n for n, _ in long] != [n for n in after if n != 1]:
            raise NotUniformError("reshape joins or splits axes")
        labels = iter(long)
        return tuple(None if n == 1 else next(labels)[1] for n in after)

    def _index(self, node: Node, axes: Axes) -> Axes:
        """A member of a stack of parameters: an array of its own."""
        kept: list[int | None] = []
        shape = self.graph.nodes[node.inputs[0]].shape
        ends = False
        for key, n, label in zip(node.attribute("key"), shape, axes, strict=True):
            whole = isinstance(key, Span) and (key.start, key.step, key.length) == (
                0,
                1,
                n,
            )
            if (not whole and (ends or not isinstance(key, int))) or label == BATCH:
                raise NotUniformError("index takes a part of an axis")
            if whole:
                ends = True
                kept.append(self._new(n))
        return tuple(kept)


def read_uniform(graph: Graph, wrt: Sequence[int], batch: int | None) -> Read:
    """The families of a graph; raises NotUniformError where there are none."""
    labelling = Labelling(graph, wrt, batch)
    families = Families(labelling.sizes)
    rows: list[int] = []
    leaves: list[int] = []
    wanted = {graph.inputs[p] for p in wrt}
    indexed = {n.inputs[0] for n in graph.nodes if n.op.name == "index"}
    for place in indexed & wanted:
        _check_members(graph, place)
    for place, node in enumerate(graph.nodes):
        axes = labelling.of(place)
        varies: Labels = frozenset(x for x in axes if x is not None)
        name = node.op.name
        x = [rows[i] for i in node.inputs]
        if name in {"input", "index"}:
            row = families.raw("symbol", (), place, varies)
            source = place if name == "input" else node.inputs[0]
            if source in wanted and not (name == "input" and place in indexed):
                leaves.append(row)
        elif name == "constant":
            row = families.number(float(node.attribute("value").array.flat[0]))
        elif node.op.family == "elementwise":
            kinds = {graph.nodes[i].kind for i in node.inputs}
            if node.kind == "real" and "boolean" in kinds and name != "where":
                raise NotUniformError("arithmetic on booleans")
            row = families.apply(str(node.op.sympy), *x)
        elif name == "matmul":
            inner = labelling.of(node.inputs[0])[1]
            if inner is None:
                inner = labelling.of(node.inputs[1])[0]
            many = graph.nodes[node.inputs[0]].shape[1]
            product = families.apply("multiply", *x)
            contracted = NONE if inner is None else frozenset({inner})
            row = families.add([(product, many)], contracted)
        elif name in {"sum", "mean"}:
            row = _total(families, node, x[0], graph, labelling, batch)
        else:
            row = x[0]
        rows.append(row)
    outputs = [rows[i] for i in graph.outputs]
    counts = [
        prod(
            n
            for n, label in zip(graph.nodes[i].shape, labelling.of(i), strict=True)
            if label != BATCH
        )
        for i in graph.outputs
    ]
    return Read(families, outputs, counts, leaves)


def _check_members(graph: Graph, place: int) -> None:
    """Raise unless a stack of parameters is used member by member, each of them."""
    shape = graph.nodes[place].shape
    members: set[tuple[int, ...]] = set()
    for node in graph.nodes:
        if place not in node.inputs:
            continue
        if node.op.name != "index":
            raise NotUniformError("index of an array that is used whole too")
        key = zip(node.attribute("key"), shape, strict=False)
        members.add(tuple(k % n for k, n in key if isinstance(k, int)))
    deep = {len(member) for member in members}
    if len(deep) > 1 or len(members) < prod(shape[: deep.pop()]):
        raise NotUniformError("index takes some members of a stack and not others")


def _total(
    families: Families,
    node: Node,
    row: int,
    graph: Graph,
    labelling: Labelling,
    batch: int | None,
) -> int:
    place = node.inputs[0]
    axes, shape = labelling.of(place), graph.nodes[place].shape
    many, over_batch, contracted = 1, False, set[int]()
    for axis in node.attribute("axes"):
        label = axes[axis]
        if label == BATCH:
            over_batch = True
        else:
            many *= shape[axis]
            if label is not None:
                contracted.add(label)
    mean = node.op.name == "mean"
    total = families.add([(row, many)], frozenset(contracted))
    if mean:
        total = families.apply("divide", total, families.number(many))
    if over_batch:
        samples = families.number(batch or 1)
        total = families.make("batch_sum", [total, samples])
        if mean:
            total = families.apply("divide", total, samples)
    return total

"""Scalar rows as a graph of scalars and columns, so that the engine can run them.

A row is a node of shape () or, where it differs from sample to sample, (B,). The same
rows that are printed as source for NumPy: only what runs the arithmetic is another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from diffkit.backends.symbolic.rows import Rows
from diffkit.backends.symbolic.scalars import Scalars
from diffkit.backends.symbolic.size import needed_rows
from diffkit.graph import Builder, Graph
from diffkit.ops import TABLE, Span


class Columns:
    """Grows the graph; `nodes` says where each row went."""

    def __init__(self, rows: Rows, graph: Graph, scalars: Scalars) -> None:
        self.rows = rows
        self.scalars = scalars
        self.builder = Builder()
        self.nodes: dict[int, int] = {}
        self.leaves: dict[str, tuple[int, int]] = {}  # name -> input, element
        self.inputs: list[int] = []
        for leaf, place in zip(scalars.leaves, graph.inputs, strict=True):
            node = graph.nodes[place]
            name = node.attribute("name")
            self.inputs.append(self.builder.input(node.shape, node.kind, name))
            for element, symbol in enumerate(leaf.names):
                self.leaves[symbol] = (leaf.position, element)

    def graph(self, outputs: Sequence[int], wrt: Sequence[int]) -> Graph:
        """The graph of value, gradients and other outputs, shaped as the program's."""
        for row in needed_rows(self.rows, outputs):
            self.nodes[row] = self._row(row)
        found = [self.nodes[row] for row in outputs]
        arrays = [found[0]]
        place = 1
        for position in wrt:
            shape = self.scalars.leaves[position].shape
            count = prod(shape)
            arrays.append(self._array(found[place : place + count], shape, None))
            place += count
        for output in self.scalars.outputs[1:]:
            count = len(output.elements)
            entries = found[place : place + count]
            if output.kind == "boolean":
                entries = [self._boolean(entry) for entry in entries]
            arrays.append(self._array(entries, output.shape, output.axis))
            place += count
        return self.builder.graph(arrays)

    # ---- one row --------------------------------------------------------------

    def _row(self, row: int) -> int:
        head, payload = self.rows.heads[row], self.rows.payloads[row]
        if head == "number":
            return self.builder.constant(float(payload))
        if head == "symbol":
            return self._symbol(payload)
        arguments = self.rows.arguments[row]
        x = [self.nodes[i] for i in arguments]
        if head == "power":
            return self._power(x[0], self.rows.payloads[arguments[1]])
        if head == "multiply":
            return self._product(arguments)
        if head == "batch_sum":
            if not self.rows.batched[arguments[0]]:
                return self._apply("multiply", x[1], x[0])
            return self._apply("sum", x[0], axes=(0,), keepdims=False)
        return BY_HEAD[head](self._apply, *x)

    def _apply(self, name: str, *inputs: Any, **attributes: Any) -> int:
        """A row of the table on nodes; numbers among the inputs become constants."""
        places = [
            self.builder.constant(x) if isinstance(x, float) else x for x in inputs
        ]
        return self.builder.apply(TABLE[name], places, **attributes)

    def _symbol(self, name: str) -> int:
        if name in {"nan", "inf"}:
            return self.builder.constant(float(name))
        if name in self.scalars.columns:
            return self.builder.constant(self.scalars.columns[name])
        position, element = self.leaves[name]
        leaf = self.scalars.leaves[position]
        shape = leaf.shape
        key: list[Any] = []
        if leaf.batched:
            key.append(Span(0, 1, shape[0]))
            shape = shape[1:]
        if not shape:
            return self.inputs[position]
        key += [int(i) for i in np.unravel_index(element, shape)]
        return self._apply("index", self.inputs[position], key=tuple(key))

    def _power(self, base: int, exponent: int) -> int:
        n = abs(exponent)
        power, square = None, base
        while n:
            if n & 1:
                power = (
                    square if power is None else self._apply("multiply", power, square)
                )
            n >>= 1
            if n:
                square = self._apply("square", square)
        assert power is not None
        return power if exponent > 0 else self._apply("reciprocal", power)

    def _product(self, arguments: Sequence[int]) -> int:
        """A product, with inverse factors as divisions and −1 as a sign."""
        rows = self.rows
        above: list[int] = []
        below: list[int] = []
        negative = False
        for i in arguments:
            if rows.heads[i] == "number" and rows.payloads[i] == -1:
                negative = not negative
            elif rows.heads[i] == "power" and rows.payloads[rows.arguments[i][1]] == -1:
                below.append(self.nodes[rows.arguments[i][0]])
            else:
                above.append(self.nodes[i])
        product: Any = above[0] if above else 1.0
        for factor in above[1:]:
            product = self._apply("multiply", product, factor)
        for factor in below:
            product = self._apply("divide", product, factor)
        return self._apply("negative", product) if negative else product

    def _boolean(self, entry: int) -> int:
        if self.builder.nodes[entry].kind == "boolean":
            return entry
        return self._apply("not_equal", entry, 0.0)

    def _array(
        self, entries: list[int], shape: tuple[int, ...], axis: int | None
    ) -> int:
        """Entries, scalars or columns, as an array; columns lie along `axis`."""
        if not entries:
            return self.builder.constant(np.zeros(shape))
        if axis is None:
            if not shape:
                return entries[0]
            return self._apply("reshape", self._stack(entries), shape=shape)
        batch = shape[axis]
        columns = [
            entry
            if self.builder.nodes[entry].shape
            else self._apply("broadcast", entry, shape=(batch,))
            for entry in entries
        ]
        rest = shape[:axis] + shape[axis + 1 :]
        stacked = self._apply("reshape", self._stack(columns), shape=(*rest, batch))
        order = list(range(len(rest)))
        order.insert(axis, len(rest))
        return self._apply("transpose", stacked, axes=tuple(order))

    def _stack(self, entries: Sequence[int]) -> int:
        return self._apply("stack", *entries, axis=0)


Apply = Callable[..., int]


def _chain(name: str) -> Callable[..., int]:
    def combine(apply: Apply, first: int, *others: int) -> int:
        for other in others:
            first = apply(name, first, other)
        return first

    return combine


def _ties(apply: Apply, extreme: int, *x: int) -> int:
    return _chain("add")(
        apply, *[apply("where", apply("equal", i, extreme), 1.0, 0.0) for i in x]
    )


def _logsumexp(apply: Apply, *x: int) -> int:
    """Stable by its largest term, as the row is: m + log Σ exp(x − m)."""
    largest = _chain("maximum")(apply, *x)
    finite = apply("less", apply("abs", largest), float("inf"))
    shift = apply("where", finite, largest, 0.0)
    terms = [apply("exp", apply("subtract", i, shift)) for i in x]
    return apply("add", apply("log", _chain("add")(apply, *terms)), shift)


def _where_positive(apply: Apply, x: int) -> int:
    return apply("where", apply("greater", x, 0.0), x, 1.0)


BY_HEAD: Mapping[str, Callable[..., int]] = {
    **{
        name: lambda apply, *x, name=name: apply(name, *x)
        for name, op in TABLE.items()
        if op.family == "elementwise" and op.sympy == name
    },
    "add": _chain("add"),
    "asin": lambda apply, x: apply("arcsin", x),
    "acos": lambda apply, x: apply("arccos", x),
    "atan": lambda apply, x: apply("arctan", x),
    "absolute": lambda apply, x: apply("abs", x),
    "real_power": lambda apply, x, b: apply("power", x, b),
    "largest": _chain("maximum"),
    "smallest": _chain("minimum"),
    "logsumexp": _logsumexp,
    "ties": _ties,
    "same": lambda apply, a, b: apply("where", apply("equal", a, b), 1.0, 0.0),
    "step": lambda apply, x: apply("where", apply("greater", x, 0.0), 1.0, 0.0),
    "exponent_below": lambda apply, b: apply(
        "where", apply("equal", b, 0.0), 1.0, apply("subtract", b, 1.0)
    ),
    "positive_log": lambda apply, x: apply("log", _where_positive(apply, x)),
}

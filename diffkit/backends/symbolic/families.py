"""Families of scalar expressions that differ in their indices only.

All entries of a weight matrix, all units of a layer, all their derivatives are written
alike: one row stands for a whole family, and `labels` are the indices that tell its
members apart (a sum over an index takes its label away). So the size of a layer's
formulas is counted in steps that do not depend on how wide it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

from diffkit.backends.symbolic.templates import Template, meaning_of, replayed

Labels = frozenset[int]
Argument = tuple[int, int]  # a row, and how many of its members are joined

BATCH = 0  # the label of samples: a column stands for all of them
NONE: Labels = frozenset()


class Families:
    """A growing table like `Rows`, of families. Folds numbers away as `Rows` does."""

    __slots__ = (
        "_known",
        "arguments",
        "contracted",
        "heads",
        "labels",
        "payloads",
        "sizes",
        "templates",
    )  # fmt: skip

    def __init__(self, sizes: dict[int, int]) -> None:
        self.sizes = sizes  # of labels
        self.heads: list[str] = []
        self.arguments: list[tuple[Argument, ...]] = []
        self.payloads: list[Any] = []
        self.labels: list[Labels] = []
        self.contracted: list[Labels] = []  # labels that the row sums over
        self._known: dict[Any, int] = {}
        self.templates: dict[Any, Template] = {}

    def count(self, labels: Iterable[int]) -> int:
        """How many members indices with these labels tell apart."""
        return prod(self.sizes[label] for label in labels if label != BATCH)

    def raw(
        self,
        head: str,
        arguments: tuple[Argument, ...] = (),
        payload: Any = None,
        labels: Labels = NONE,
        contracted: Labels = NONE,
    ) -> int:
        """The row with exactly this head and arguments."""
        key = (head, arguments, payload, type(payload), contracted)
        row = self._known.get(key)
        if row is None:
            row = self._known[key] = len(self.heads)
            self.heads.append(head)
            self.arguments.append(arguments)
            self.payloads.append(payload)
            own = labels.union(*(self.labels[i] for i, _ in arguments)) - contracted
            self.labels.append(own - {BATCH} if head == "batch_sum" else own)
            self.contracted.append(contracted)
        return row

    def number(self, value: float) -> int:
        """The row of a number; whole numbers are kept exact."""
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            value = int(value)
        return self.raw("number", (), value)

    def make(self, head: str, rows: Sequence[int], payload: Any = None) -> int:
        """A row of single members, with 0, 1 and numbers folded away."""
        if head == "add":
            return self.add([(row, 1) for row in rows])
        if head == "multiply":
            return self._multiply(rows)
        if head == "power":
            return self._power(*rows)
        if head == "batch_sum" and BATCH not in self.labels[rows[0]]:
            return self._multiply(rows)
        return self.raw(head, tuple((row, 1) for row in rows), payload)

    def add(self, terms: Iterable[Argument], contracted: Labels = NONE) -> int:
        """A sum of terms, each so many members of a family."""
        total: Any = 0
        joined: dict[int, int] = {}
        for row, many in terms:
            if self.heads[row] == "number":
                total = total + self.payloads[row] * many
            else:
                joined[row] = joined.get(row, 0) + many
        if total or not joined:
            joined[self.number(total)] = 1
        if sum(joined.values()) == 1:
            return next(iter(joined))
        return self.raw("add", tuple(sorted(joined.items())), None, NONE, contracted)

    def _multiply(self, rows: Sequence[int]) -> int:
        product: Any = 1
        others: list[int] = []
        for row in rows:
            if self.heads[row] == "number":
                product = product * self.payloads[row]
            else:
                others.append(row)
        if product == 0:
            return self.number(0)
        if product != 1 or not others:
            others.append(self.number(product))
        if len(others) == 1:
            return others[0]
        return self.raw("multiply", tuple((row, 1) for row in sorted(others)))

    def _power(self, base: int, exponent: int) -> int:
        n = self.payloads[exponent]
        if n == 1:
            return base
        if n == 0:
            return self.number(1)
        if self.heads[base] == "number":
            return self.number(float(self.payloads[base]) ** n)
        if self.heads[base] == "power":
            (base, _), (inner, _) = self.arguments[base]
            exponent = self.number(self.payloads[inner] * n)
        return self.raw("power", ((base, 1), (exponent, 1)))

    def apply(self, name: str, *rows: int) -> int:
        """The op row `name` (what `op.sympy` names), member by member."""
        return self.replay(meaning_of(self, name, rows), rows)

    def replay(self, template: Template, rows: Sequence[int]) -> int:
        """Append a template's rows with the given rows in its slots."""
        return replayed(self, template, rows)

"""Scalar expressions as rows of one table: hash-consed, so equal ones are one row.

A row is a head and the rows it is applied to: `number`, `symbol`, `add` and `multiply`
(any number of arguments), `power` (integer exponent), `batch_sum`, or the name of a
function of `diffkit.interpret.sympy_functions`. A row's arguments come before it. The
table is a straight-line program (every row a named intermediate) and at the same time
the shared form of the expressions written out: sizes, derivatives and source are read
from it, none of them by recursion.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import fsum, isfinite
from typing import Any

from diffkit.backends.symbolic.templates import (
    Number,
    Template,
    head_of,
    meaning_of,
    plain_number,
    replayed,
    unseen,
)


class Rows:
    """A growing table of scalar rows. `make` simplifies; `raw` keeps what it is given.

    `heads[i]`, `arguments[i]` and `payloads[i]` describe row i; `batched[i]` says that
    its value differs from sample to sample (it depends on a symbol that is a column).
    """

    __slots__ = (
        "_known",
        "arguments",
        "batch",
        "batched",
        "heads",
        "payloads",
        "templates"
    )  # fmt: skip

    def __init__(self, batch: int = 1) -> None:
        self.batch = batch  # samples in a column
        self.heads: list[str] = []
        self.arguments: list[tuple[int, ...]] = []
        self.payloads: list[Any] = []
        self.batched: list[bool] = []
        self._known: dict[Any, int] = {}
        self.templates: dict[Any, Template] = {}

    def __len__(self) -> int:
        return len(self.heads)

    def raw(
        self,
        head: str,
        arguments: tuple[int, ...] = (),
        payload: Any = None,
        batched: bool = False,
    ) -> int:
        """The row with exactly this head and arguments."""
        key = (head, arguments, payload, type(payload))
        row = self._known.get(key)
        if row is None:
            row = self._known[key] = len(self.heads)
            self.heads.append(head)
            self.arguments.append(arguments)
            self.payloads.append(payload)
            if head != "batch_sum":
                flags = self.batched
                batched = batched or any(flags[i] for i in arguments)
            self.batched.append(batched)
        return row

    def symbol(self, name: str, batched: bool = False) -> int:
        """The row of a named leaf; `batched` when it is a column of the batch."""
        return self.raw("symbol", (), name, batched)

    def number(self, value: Number) -> int:
        """The row of a number; whole numbers are kept exact."""
        if isinstance(value, float):
            if value.is_integer() and abs(value) < 2**53:
                value = int(value)
            elif value != value:
                return self.raw("symbol", (), "nan")
        return self.raw("number", (), value)

    def make(self, head: str, arguments: Sequence[int], payload: Any = None) -> int:
        """A row, with 0, 1 and numbers folded away as SymPy folds them."""
        if head == "add":
            return self._add(arguments)
        if head == "multiply":
            return self._multiply(arguments)
        if head == "power":
            return self._power(*arguments)
        if head == "batch_sum" and not self.batched[arguments[0]]:
            return self._multiply(arguments)  # the same in every sample
        return self.raw(head, tuple(arguments), payload)

    def _split(self, arguments: Iterable[int]) -> tuple[list[Number], list[int]]:
        heads, payloads = self.heads, self.payloads
        numbers: list[Number] = []
        others: list[int] = []
        for row in arguments:
            if heads[row] == "number":
                numbers.append(payloads[row])
            else:
                others.append(row)
        return numbers, others

    def _add(self, arguments: Iterable[int]) -> int:
        numbers, others = self._split(arguments)
        if numbers:
            total = sum(numbers) if len(numbers) < 3 else _sum(numbers)
            if total or not others:
                others.append(self.number(total))
        if len(others) == 1:
            return others[0]
        if not others:
            return self.number(0)
        others.sort()
        return self.raw("add", tuple(others))

    def _multiply(self, arguments: Iterable[int]) -> int:
        numbers, others = self._split(arguments)
        if numbers:
            product: Number = 1
            for number in numbers:
                product = product * number
            if product == 0 and all(isfinite(n) for n in numbers):
                return self.number(0)
            if product != 1 or not others:
                others.append(self.number(product))
        if len(others) == 1:
            return others[0]
        if not others:
            return self.number(1)
        others.sort()
        return self.raw("multiply", tuple(others))

    def _power(self, base: int, exponent: int) -> int:
        n = self.payloads[exponent]
        if n == 1:
            return base
        if n == 0:
            return self.number(1)
        if self.heads[base] == "number":
            value = self.payloads[base]
            if value and abs(value) < 1e30 and abs(n) < 10:
                exact = Fraction(value) ** n
                return self.number(
                    int(exact) if exact.denominator == 1 else float(exact)
                )
        if self.heads[base] == "power":  # (x^a)^b = x^(ab) for whole a and b
            base, inner = self.arguments[base]
            return self.raw("power", (base, self.number(self.payloads[inner] * n)))
        return self.raw("power", (base, exponent))

    def join(self, name: str, elements: Sequence[int]) -> int:
        """`add`, `largest`, `smallest` or `logsumexp` of one row or more."""
        if len(elements) == 1:
            return elements[0]
        return self.make(name, elements)

    def batch_sum(self, element: int, batch: int) -> int:
        """Σ of a row over the samples of the batch."""
        return self.make("batch_sum", (element, self.number(batch)))

    def identical(self, a: int, b: int) -> bool:
        """Whether two rows are one: equal expressions are."""
        return a == b

    # ---- from SymPy ------------------------------------------------------------

    def convert(
        self,
        expressions: Iterable[Any],
        batched: frozenset[str] = frozenset(),
        named: Mapping[Any, int] | None = None,
    ) -> list[int]:
        """Rows of SymPy expressions, node for node, each distinct node once.

        `batched` are the names of symbols that are columns; `named` gives the rows of
        symbols that stand for something already in the table.
        """
        named = named or {}
        rows: dict[int, int] = {}
        alive: list[Any] = []  # an id is only a name while its object lives
        out = []
        for expression in expressions:
            for node in unseen(expression, rows):
                alive.append(node)
                if node.is_Symbol and node in named:
                    rows[id(node)] = named[node]
                else:
                    arguments = tuple(rows[id(a)] for a in node.args)
                    rows[id(node)] = self._convert_node(node, arguments, batched)
            out.append(rows[id(expression)])
        return out

    def _convert_node(
        self, node: Any, arguments: tuple[int, ...], batched: frozenset[str]
    ) -> int:
        if node.is_Symbol:
            return self.symbol(node.name, node.name in batched)
        if node.is_Number:
            return self.raw("number", (), plain_number(node))
        return self.raw(head_of(node), arguments)

    # ---- meanings, read off SymPy once a name ----------------------------------

    def apply(self, name: str, *arguments: int) -> int:
        """The op row `name` (what `op.sympy` names) applied to rows."""
        return self.replay(meaning_of(self, name, arguments), arguments)

    def replay(self, template: Template, arguments: Sequence[int]) -> int:
        """Append a template's rows with the given rows in its slots."""
        return replayed(self, template, arguments)


def _sum(numbers: Sequence[Number]) -> Number:
    if all(isinstance(n, int) for n in numbers):
        return sum(numbers)
    return fsum(numbers) if all(isfinite(n) for n in numbers) else sum(numbers)

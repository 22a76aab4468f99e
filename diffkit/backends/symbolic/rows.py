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
from typing import Any, Protocol

import sympy

from diffkit.interpret.sympy import exact_number
from diffkit.interpret.sympy_functions import MEANINGS, BatchSum
from diffkit.interpret.sympy_functions import power as power_meaning

Number = int | float
Step = tuple[str, tuple[int, ...], Any]  # head, argument slots, payload
Template = tuple[tuple[Step, ...], int]  # steps, and the slot of the result


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


class Table(Protocol):
    """Rows that templates can be read into: of scalars, or of families of them."""

    heads: list[str]
    payloads: list[Any]
    templates: dict[Any, Template]

    def number(self, value: Any) -> int:
        """The row of a number."""
        ...

    def make(self, head: str, rows: Sequence[int], payload: Any, /) -> int:
        """The row of a head applied to rows."""
        ...


def meaning_of(table: Table, name: str, arguments: Sequence[int]) -> Template:
    """The template of the op row `name`, read off SymPy once a table."""
    exponent = None
    if name == "power" and table.heads[arguments[1]] == "number":
        exponent = table.payloads[arguments[1]]
    key = (name, len(arguments), exponent)
    template = table.templates.get(key)
    if template is None:
        slots = dummies(len(arguments))
        if exponent is not None:
            expression = power_meaning(slots[0], exact_number(exponent))
        else:
            expression = MEANINGS[name](*slots)
        template = table.templates[key] = template_of(expression, slots)
    return template


def replayed(table: Table, template: Template, arguments: Sequence[int]) -> int:
    """Append a template's rows to a table; the row of its result."""
    steps, result = template
    slots = list(arguments)
    for head, inputs, payload in steps:
        if head == "number":
            slots.append(table.number(payload))
        else:
            slots.append(table.make(head, [slots[i] for i in inputs], payload))
    return slots[result]


def _sum(numbers: Sequence[Number]) -> Number:
    if all(isinstance(n, int) for n in numbers):
        return sum(numbers)
    return fsum(numbers) if all(isfinite(n) for n in numbers) else sum(numbers)


def plain_number(node: Any) -> Number:
    """A SymPy number as a Python integer, or the nearest float64.

    >>> plain_number(sympy.Rational(1, 4)), plain_number(sympy.Integer(3))
    (0.25, 3)
    """
    return int(node) if node.is_Integer else float(node)


def dummies(count: int) -> tuple[Any, ...]:
    """Placeholders for the arguments of a template."""
    return tuple(sympy.Symbol(f"_{i}", real=True) for i in range(count))


def unseen(expression: Any, seen: dict[Any, Any]) -> list[Any]:
    """The nodes below `expression` whose id is not a key of `seen`, arguments first."""
    order: list[Any] = []
    placed: set[int] = set()
    stack = [expression]
    while stack:
        node = stack[-1]
        if id(node) in placed or id(node) in seen:
            stack.pop()
            continue
        waiting = [a for a in node.args if id(a) not in placed and id(a) not in seen]
        if waiting:
            stack.extend(waiting)
            continue
        stack.pop()
        placed.add(id(node))
        order.append(node)
    return order


def template_of(expression: Any, slots: Sequence[Any]) -> Template:
    """A small SymPy expression in `slots` as steps that `Rows.replay` can append."""
    slot_of = {slot: i for i, slot in enumerate(slots)}
    steps: list[Step] = []
    for node in unseen(expression, {}):
        if node in slot_of:
            continue
        inputs = tuple(slot_of[a] for a in node.args)
        if node.is_Number:
            step: Step = ("number", (), plain_number(node))
        else:
            step = (head_of(node), inputs, None)
        slot_of[node] = len(slots) + len(steps)
        steps.append(step)
    return tuple(steps), slot_of[expression]


def head_of(node: Any) -> str:
    """The head of a SymPy node that has arguments."""
    if node.is_Add:
        return "add"
    if node.is_Mul:
        return "multiply"
    if node.is_Pow:
        if not node.exp.is_Integer:
            raise AssertionError("only whole powers are written as Pow")
        return "power"
    return "batch_sum" if isinstance(node, BatchSum) else type(node).__name__

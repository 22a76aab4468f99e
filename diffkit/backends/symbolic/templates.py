"""Small SymPy expressions as steps that a table of rows can append again and again.

What SymPy says of an operation or of its derivative is read off once, and replayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import sympy

from diffkit.interpret.sympy import exact_number
from diffkit.interpret.sympy_functions import MEANINGS, BatchSum
from diffkit.interpret.sympy_functions import power as power_meaning

Number = int | float
Step = tuple[str, tuple[int, ...], Any]  # head, argument slots, payload
Template = tuple[tuple[Step, ...], int]  # steps, and the slot of the result


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

"""Derivatives of scalar expressions: written out, by `sympy.diff`, or kept shared.

`memoised` and `stock` give, parameter by parameter, the expression that the textbook
writes down; `reverse` keeps every intermediate a named row, differentiates each row
with respect to its own arguments, and accumulates from the loss backwards: keeping the
sharing *turns symbolic differentiation into reverse mode* (Laue, 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import sympy
from sympy import Add, Mul, Pow, S

from diffkit.backends.symbolic.rows import Rows
from diffkit.backends.symbolic.templates import Template, dummies, template_of, unseen
from diffkit.interpret import sympy_functions
from diffkit.interpret.sympy import exact_number
from diffkit.interpret.sympy_functions import BatchSum

Check = Callable[[], None]  # raises when the time budget is spent


def stock(expression: Any, symbols: Sequence[Any], check: Check) -> list[Any]:
    """∂expression/∂symbol for each symbol by SymPy's `diff`, which walks the tree."""
    derivatives = []
    for symbol in symbols:
        check()
        derivatives.append(sympy.diff(expression, symbol))
    return derivatives


def memoised(expression: Any, symbols: Sequence[Any], check: Check) -> list[Any]:
    """∂expression/∂symbol for each symbol: SymPy's rules, each distinct node once.

    Structurally equal to `sympy.diff`, which forgets what it has seen: it applies the
    same rules (sum, product, power, chain) in the same order, over the nodes in
    topological order instead of by recursion, and skips nodes free of the symbol.
    """
    order = unseen(expression, {})
    place = {id(node): i for i, node in enumerate(order)}
    inputs = [[place[id(a)] for a in node.args] for node in order]
    bit = {symbol: 1 << i for i, symbol in enumerate(symbols)}
    masks: list[int] = []
    for node, arguments in zip(order, inputs, strict=True):
        mask = bit.get(node, 0) if not arguments else 0
        for i in arguments:
            mask |= masks[i]
        masks.append(mask)
    slopes: dict[tuple[int, int], Any] = {}
    derivatives = []
    for symbol in symbols:
        wanted = bit[symbol]
        found: dict[int, Any] = {}
        for i, mask in enumerate(masks):
            if mask & wanted:
                if i % 64 == 0:
                    check()
                found[i] = _rule(order[i], i, inputs[i], found, slopes)
        derivatives.append(found.get(len(order) - 1, S.Zero))
    return derivatives


def _rule(
    node: Any,
    place: int,
    inputs: list[int],
    found: dict[int, Any],
    slopes: dict[tuple[int, int], Any],
) -> Any:
    if not inputs:
        return S.One
    if node.is_Add:
        return Add(*[found[i] for i in inputs if i in found])
    if node.is_Mul:
        factors = list(node.args)
        terms = []
        for position, i in enumerate(inputs):
            d = found.get(i)
            if d:
                rest = [*factors[:position], d, *factors[position + 1 :]]
                terms.append(reduce(lambda x, y: x * y, rest, S.One))
        return Add.fromiter(terms)
    if node.is_Pow:
        base, exponent = node.args
        d = found[inputs[0]]
        return node * (d * exponent / base)
    if isinstance(node, BatchSum):
        return BatchSum(found[inputs[0]], node.args[1])
    terms = []
    for position, i in enumerate(inputs):
        d = found.get(i)
        if d:
            slope = slopes.get((place, position))
            if slope is None:
                slope = slopes[place, position] = node.fdiff(position + 1)
            terms.append(slope * d)
    return Add(*terms)


class Slopes:
    """∂(row)/∂(its argument) as templates, derived by SymPy once a kind of row."""

    __slots__ = ("_templates",)

    def __init__(self) -> None:
        self._templates: dict[Any, Template] = {}

    def template(self, rows: Rows, row: int, position: int) -> Template:
        """The derivative of `row` in its argument number `position`."""
        head, arguments = rows.heads[row], rows.arguments[row]
        exponent: Any = rows.payloads[arguments[1]] if head == "power" else None
        key = (head, len(arguments), position, exponent)
        template = self._templates.get(key)
        if template is None:
            template = slope_template(head, len(arguments), position, exponent)
            self._templates[key] = template
        return template


def slope_template(head: str, arity: int, position: int, exponent: Any) -> Template:
    """The derivative of a kind of row in one of its arguments, by SymPy.

    `exponent` is the whole power of a row `power`, otherwise None.
    """
    slots = dummies(arity)
    if head == "power":
        expression = Pow(slots[0], exact_number(exponent))
    elif head == "multiply":
        expression = Mul(*slots)
    else:
        expression = CLASSES[head](*slots)
    return template_of(sympy.diff(expression, slots[position]), slots)


def reverse(rows: Rows, value: int, wrt: Sequence[int], check: Check) -> list[int]:
    """Rows of ∂value/∂wrt, appended to the table: reverse mode on named scalars.

    A row that is the same for the whole batch and is used by rows that differ from
    sample to sample receives the sum of their contributions over the batch.
    """
    reaches = [False] * (value + 1)
    for row in wrt:
        if row <= value:
            reaches[row] = True
    everything = rows.arguments
    for row in range(value + 1):
        if not reaches[row]:
            reaches[row] = any(reaches[i] for i in everything[row])
    slopes = Slopes()
    leaves = set(wrt)
    gradients: dict[int, int] = {}
    # row -> contributions from rows of its own kind, and from per-sample rows
    waiting: dict[int, tuple[list[int], list[int]]] = {value: ([rows.number(1)], [])}
    for row in range(value, -1, -1):
        contributions = waiting.pop(row, None)
        if contributions is None:
            continue
        if row % 256 == 0:
            check()
        direct, summed = contributions
        if summed:
            size = rows.number(rows.batch)
            direct.append(rows.make("batch_sum", (rows.make("add", summed), size)))
        cotangent = rows.make("add", direct)
        if row in leaves:
            gradients[row] = cotangent
            continue
        head = rows.heads[row]
        for position, argument in enumerate(everything[row]):
            if not reaches[argument]:
                continue
            if head in {"add", "batch_sum"}:
                part = cotangent
            else:
                slope = rows.replay(
                    slopes.template(rows, row, position), everything[row]
                )
                part = rows.make("multiply", (cotangent, slope))
            if rows.heads[part] == "number" and rows.payloads[part] == 0:
                continue
            collected = waiting.setdefault(argument, ([], []))
            over_batch = rows.batched[row] and not rows.batched[argument]
            collected[over_batch].append(part)
    zero = rows.number(0)
    return [gradients.get(row, zero) for row in wrt]


# Function classes by the name that their rows carry.
CLASSES: dict[str, Any] = {
    found.__name__: found
    for found in vars(sympy_functions).values()
    if isinstance(found, type)
    and issubclass(found, sympy.Function)
    and found.__module__ == sympy_functions.__name__
}

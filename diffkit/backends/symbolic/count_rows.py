"""Sizes counted row by row: right for every program, as far as it is small.

The textbook's derivative of every row by every parameter is one row of a table, however
long it is written out; so sizes stay exact far beyond what could be printed.
"""

from __future__ import annotations

from collections.abc import Sequence

from diffkit.backends.symbolic.derive import read_scalars
from diffkit.backends.symbolic.differentiate import Slopes, reverse
from diffkit.backends.symbolic.rows import Rows
from diffkit.backends.symbolic.size import Count, Size, measure, needed_rows
from diffkit.errors import ExpressionBudgetError
from diffkit.graph import Graph

# Derivatives of a row by a parameter: some seconds of work.
LARGEST = 300_000


def count_rows(graph: Graph, wrt: Sequence[int]) -> tuple[Count, Count]:
    """Sizes of the forms `expanded` and `shared`, each with equal parts merged.

    Raises ExpressionBudgetError for a program of more than `LARGEST` derivatives.
    """
    scalars, rows = read_scalars(graph, wrt, "auto", by_rows=True, check=_check)
    assert isinstance(rows, Rows)
    value = scalars.value[0]
    names = [name for p in wrt for name in scalars.leaves[p].names]
    parameters = [rows.symbol(name) for name in names]
    outputs = [element for output in scalars.outputs for element in output.elements]
    written = _written_out(rows, value, parameters)
    gradients = reverse(rows, value, parameters, lambda: None)
    return (
        _count(measure(rows, [*outputs, *written])),
        _count(measure(rows, [*outputs, *gradients])),
    )


def _check(needed: int) -> None:
    if needed > LARGEST:
        raise ExpressionBudgetError("derivatives of rows", LARGEST, needed, _ADVICE)


_ADVICE = "Each row is differentiated by every parameter that it depends on."


def _count(size: Size) -> Count:
    return Count(
        size.tree_operations,
        size.tree_nodes,
        size.shared_operations,
        size.shared_nodes,
        size.height,
        "row by row",
    )


def _written_out(rows: Rows, value: int, parameters: Sequence[int]) -> list[int]:
    """D(value) by every parameter that it depends on, by the rules of `count_expanded`.

    Terms whose slope is 0 (of a choice by its condition) are left out.
    """
    slopes = Slopes()
    derivatives = []
    for parameter, dependent in _dependent(rows, value, parameters):
        found = {parameter: rows.number(1)}
        for row in dependent:
            terms = _terms(rows, row, found, slopes)
            if len(terms) > 1:
                found[row] = rows.raw("add", tuple(terms))
            elif terms:
                found[row] = terms[0]
        if value in found:
            derivatives.append(found[value])
    return derivatives


def _terms(rows: Rows, row: int, found: dict[int, int], slopes: Slopes) -> list[int]:
    head, arguments = rows.heads[row], rows.arguments[row]
    terms = []
    for position, argument in enumerate(arguments):
        below = found.get(argument)
        if below is None:
            continue
        if head == "add":
            terms.append(below)
        elif head == "batch_sum":
            terms.append(rows.raw("batch_sum", (below, rows.number(rows.batch))))
        else:
            slope = rows.replay(slopes.template(rows, row, position), arguments)
            if _is_number(rows, slope, 0):
                continue
            one = _is_number(rows, below, 1)
            terms.append(slope if one else rows.raw("multiply", (slope, below)))
    return terms


def _is_number(rows: Rows, row: int, number: int) -> bool:
    return rows.heads[row] == "number" and rows.payloads[row] == number


def _dependent(
    rows: Rows, value: int, parameters: Sequence[int]
) -> list[tuple[int, list[int]]]:
    """Each parameter with the rows between it and the value, in order."""
    order = needed_rows(rows, [value])
    bits = {parameter: 1 << place for place, parameter in enumerate(parameters)}
    masks: dict[int, int] = {}
    needed = 0
    for row in order:
        mask = bits.get(row, 0)
        for i in rows.arguments[row]:
            mask |= masks[i]
        masks[row] = mask
        needed += mask.bit_count()
    _check(needed)
    dependent: list[list[int]] = [[] for _ in parameters]
    for row in order:
        mask = 0 if row in bits else masks[row]
        while mask:
            lowest = mask & -mask
            dependent[lowest.bit_length() - 1].append(row)
            mask ^= lowest
    return list(zip(parameters, dependent, strict=True))

"""`sympy.simplify` on gradient entries: optional, bounded, never trusted blindly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sympy

from diffkit.backends.symbolic.rows import Rows
from diffkit.backends.symbolic.size import measure
from diffkit.errors import ExpressionBudgetError

# sympy.simplify tries everything it knows: 1 s for the seven entries of a 1-2-1 net.
MOST_OPERATIONS = 100


def simplified(expressions: Sequence[Any], check: Callable[[], None]) -> list[Any]:
    """Each expression simplified, where the result is shorter and can be printed.

    Raises ExpressionBudgetError for an expression of more than 100 operations: SymPy
    cannot be stopped once it has begun.
    """
    sizes = [_operations(expression) for expression in expressions]
    needed = max(sizes, default=0)
    if needed > MOST_OPERATIONS:
        raise ExpressionBudgetError(
            "operations in one entry to simplify",
            MOST_OPERATIONS,
            needed,
            "Leave simplify=False: SymPy would take minutes or for ever.",
        )
    made = []
    for expression, size in zip(expressions, sizes, strict=True):
        check()
        found = sympy.simplify(expression)
        try:
            shorter = _operations(found) <= size
        except (AssertionError, TypeError, ValueError):  # a form that is not printed
            shorter = False
        made.append(found if shorter else expression)
    return made


def _operations(expression: Any) -> int:
    rows = Rows()
    return measure(rows, rows.convert([expression])).tree_operations

"""Sharing found afterwards: common parts of written-out formulas become statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy
from sympy.utilities.iterables import numbered_symbols

from diffkit.backends.symbolic.rows import Rows
from diffkit.backends.symbolic.size import Size

# `sympy.cse(order="none")` also finds common partial sums and products: half the
# operations that are left when equal subexpressions are merged. It recurses, and its
# time grows faster than the expression: measured 0.3 s at 7,700 operations, 4.3 s at
# 55,000, 28 s at 163,000, where merging equal rows takes 0.5 s.
MOST_OPERATIONS = 60_000
DEEPEST = 150


def share(
    expressions: Sequence[Any], batched: frozenset[str], batch: int, size: Size
) -> tuple[Rows, list[int], str]:
    """Rows with common parts written once, the outputs in them, and how it was done."""
    rows = Rows(batch)
    if size.shared_operations <= MOST_OPERATIONS and size.height <= DEEPEST:
        try:
            parts, reduced = sympy.cse(
                list(expressions),
                symbols=numbered_symbols("part", cls=sympy.Dummy),
                order="none",
            )
        except RecursionError:
            parts, reduced = [], None
        if reduced is not None:
            named: dict[Any, int] = {}
            for symbol, part in parts:
                (named[symbol],) = rows.convert([part], batched, named)
            outputs = rows.convert(reduced, batched, named)
            return rows, outputs, "sympy.cse(order='none')"
    return rows, rows.convert(expressions, batched), "equal subexpressions merged"

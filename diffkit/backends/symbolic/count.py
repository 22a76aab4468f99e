"""Sizes of the three forms without making them: exact for networks of any size.

Counts are those of families (`families`), one step for a whole layer: `count_shared`,
`count_expanded`. Programs whose elements are not written alike (a maximum, slices, a
concatenation) are counted row by row (`count_rows`), as far as they are small.
"""

from __future__ import annotations

from diffkit.backends.base import Program
from diffkit.backends.symbolic.count_expanded import count_expanded
from diffkit.backends.symbolic.count_families import Table
from diffkit.backends.symbolic.count_rows import count_rows
from diffkit.backends.symbolic.count_shared import count_shared
from diffkit.backends.symbolic.read import batch_sizes
from diffkit.backends.symbolic.size import Count
from diffkit.backends.symbolic.uniform import NotUniformError, read_uniform
from diffkit.errors import ExpressionBudgetError, UserInputError
from diffkit.graph import simplify


def count_forms(program: Program) -> dict[str, Count]:
    """Sizes of the forms `expanded`, `cse` and `shared` of a program.

    By layers where it is uniform: all elements of an array are written alike, as in
    dense networks of any width and depth with a summed or averaged loss. Otherwise row
    by row, up to `count_rows.LARGEST` rows. `cse` is the textbook's formula with equal
    parts written once, so its tree is that of `expanded`.

    Raises UserInputError for larger programs that are not uniform, naming what is not:
    derive those within a budget, and read `info.details`.
    """
    graph = simplify(program.graph)
    reasons: list[str] = []
    for batch in [*batch_sizes(graph, program.wrt), None]:
        try:
            read = read_uniform(graph, program.wrt, batch)
            table = Table(read.families)
            # The written-out form first: it reads the table of the value alone.
            tree = count_expanded(read, table)
            shared = count_shared(read, table, batch or 1)
        except NotUniformError as error:
            reasons.append(str(error))
        else:
            return {"expanded": tree, "cse": tree, "shared": shared}
    try:
        tree, shared = count_rows(graph, program.wrt)
    except ExpressionBudgetError as error:
        raise UserInputError(
            "The sizes of this program cannot be counted layer by layer: "
            f"{'; '.join(dict.fromkeys(reasons))}; and it is too large to be counted "
            f"row by row: {error} Derive it with the backend 'symbolic' within a "
            "budget, and read the sizes from info.details."
        ) from None
    return {"expanded": tree, "cse": tree, "shared": shared}

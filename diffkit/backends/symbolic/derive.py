"""From a graph to the scalar expressions of its value, gradient and other outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from diffkit.backends.symbolic.by_symengine import by_symengine
from diffkit.backends.symbolic.differentiate import memoised, reverse, stock
from diffkit.backends.symbolic.expressions import ColumnExpressions
from diffkit.backends.symbolic.read import Reader, batch_sizes
from diffkit.backends.symbolic.rows import Rows
from diffkit.backends.symbolic.scalars import MixedBatchError, Scalars
from diffkit.backends.symbolic.size import measure
from diffkit.errors import ExpressionBudgetError, UserInputError
from diffkit.graph import Graph

# SymPy compares and sorts by recursion; deeper than this it may reach Python's limit.
DEEPEST_SYMPY = 300

Derived = tuple[Any, list[Any], list[Any]]  # value, gradient entries, other outputs


def read_scalars(
    graph: Graph,
    wrt: Sequence[int],
    batch: str,
    by_rows: bool,
    check: Callable[[int], None],
) -> tuple[Scalars, Rows | ColumnExpressions]:
    """Read a graph by columns of its batch if it can be, else element by element.

    Elements are rows (`by_rows`) or SymPy expressions. `check` is told, before any
    is made, how many operations the value has at least, and may raise. Raises
    UserInputError when `batch` is "columns" and the program has none to carry.
    """
    reasons: list[str] = []
    sizes: list[int | None] = []
    if batch != "written_out":
        sizes += batch_sizes(graph, wrt)
    if batch != "columns":
        sizes.append(None)
    operations = graph.size().operations
    for samples in sizes:
        check(operations // (samples or 1))
        writer = Rows(samples or 1) if by_rows else ColumnExpressions()
        try:
            return Reader(writer, samples).graph(graph, wrt, reasons), writer
        except MixedBatchError as error:
            reasons.append(f"no columns of {samples} samples: {error}")
        except RecursionError:
            raise _too_deep(None) from None
    raise UserInputError(
        "batch='columns' needs a data input whose first axis is the batch, and a "
        "program in which samples meet only in sums and means over it. Use "
        "batch='auto' to write every sample out. " + "; ".join(reasons)
    )


def derive(
    scalars: Scalars,
    writer: Rows | ColumnExpressions,
    wrt: Sequence[int],
    differ: str,
    check: Callable[[], None],
) -> Derived:
    """Value, gradient entries in order of `wrt`, entries of the other outputs.

    On rows by reverse accumulation, on expressions parameter by parameter (`differ`).
    Raises ExpressionBudgetError when the time is spent, or SymPy cannot go so deep.
    """
    value = scalars.outputs[0].elements[0]
    names = [name for p in wrt for name in scalars.leaves[p].names]
    others = [e for output in scalars.outputs[1:] for e in output.elements]
    symbols = [writer.symbol(name, batched=False) for name in names]
    if isinstance(writer, Rows):
        return value, reverse(writer, value, symbols, check), others
    try:
        return value, DIFFERS[differ](value, symbols, check), others
    except RecursionError:
        raise _too_deep(value) from None


def _too_deep(value: Any) -> ExpressionBudgetError:
    height = None
    if value is not None:
        rows = Rows()
        height = measure(rows, rows.convert([value])).height
    return ExpressionBudgetError(
        "levels of nesting",
        DEEPEST_SYMPY,
        height,
        "SymPy handles nested expressions by recursion, and this one is too deep for "
        "it. Use the form 'shared', which nests nothing.",
    )


DIFFERS = {"memoised": memoised, "sympy": stock, "symengine": by_symengine}

"""Exact sizes of expressions, written out and shared, counted without writing them.

Every distinct row is counted once; what it would come to written out is a Python
integer of any size: tree(row) = own(row) + Σ tree(arguments).

What counts as an operation: joining n terms of a sum, a product, a largest, smallest
or logsumexp is n − 1; a power, a function, a comparison or a choice is 1; a sum over
the batch is 1 in the mathematics, and B − 1 when it is evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from diffkit.backends.symbolic.rows import Rows

LEAVES = frozenset({"symbol", "number"})
JOINS = frozenset({"add", "multiply", "largest", "smallest", "logsumexp", "ties"})


@dataclass(frozen=True, slots=True)
class Size:
    """How large some expressions are, together.

    `tree_*` counts them written out, `shared_*` with equal parts written once;
    `*_evaluated` counts the operations that run for a whole batch.
    """

    tree_operations: int
    tree_nodes: int
    shared_operations: int
    shared_nodes: int
    tree_evaluated: int
    shared_evaluated: int
    height: int

    def with_shared(self, other: Size) -> Size:
        """The same written-out counts, with the shared counts of another size."""
        return replace(
            self,
            shared_operations=other.shared_operations,
            shared_nodes=other.shared_nodes,
            shared_evaluated=other.shared_evaluated,
        )

    @property
    def sharing_ratio(self) -> float:
        """Tree nodes per shared node; infinite past the range of a float."""
        return _ratio(self.tree_nodes, self.shared_nodes)


@dataclass(frozen=True, slots=True)
class Count:
    """The mathematical size of value and gradient in one form (integers, any size).

    `counted` says how: `by layers` or `row by row`.
    """

    tree_operations: int
    tree_nodes: int
    shared_operations: int
    shared_nodes: int
    height: int
    counted: str = "by layers"

    @property
    def sharing_ratio(self) -> float:
        """Tree nodes per shared node; infinite past the range of a float."""
        return _ratio(self.tree_nodes, self.shared_nodes)


def _ratio(tree: int, shared: int) -> float:
    try:
        return tree / max(shared, 1)
    except OverflowError:
        return float("inf")


def own_operations(head: str, arity: int) -> int:
    """Operations of one row, not counting those of its arguments.

    >>> own_operations("add", 3), own_operations("tanh", 1), own_operations("symbol", 0)
    (2, 1, 0)
    """
    if head in LEAVES:
        return 0
    return max(arity - 1, 1) if head in JOINS else 1


def needed_rows(rows: Rows, outputs: Iterable[int]) -> list[int]:
    """The rows that the outputs need, in order."""
    outputs = list(outputs)
    if not outputs:
        return []
    top = max(outputs)
    needed = bytearray(top + 1)
    for row in outputs:
        needed[row] = 1
    arguments = rows.arguments
    for row in range(top, -1, -1):
        if needed[row]:
            for i in arguments[row]:
                needed[i] = 1
    return [row for row in range(top + 1) if needed[row]]


def measure(rows: Rows, outputs: Sequence[int]) -> Size:
    """The exact size of the expressions `outputs`, each written out in full.

    >>> rows = Rows()
    >>> x = rows.symbol("x")
    >>> y = rows.make("add", (x, rows.make("tanh", (x,))))
    >>> size = measure(rows, [rows.make("multiply", (y, y))])
    >>> size.tree_operations, size.shared_operations, size.tree_nodes, size.height
    (5, 3, 9, 3)
    """
    operations: dict[int, int] = {}
    nodes: dict[int, int] = {}
    evaluated: dict[int, int] = {}
    heights: dict[int, int] = {}
    shared = shared_evaluated = 0
    order = needed_rows(rows, outputs)
    for row in order:
        head, arguments = rows.heads[row], rows.arguments[row]
        own = own_operations(head, len(arguments))
        runs = own * rows.batch if rows.batched[row] else own
        if head == "batch_sum" and rows.batched[arguments[0]]:
            runs = max(rows.batch - 1, 1)
        shared += own
        shared_evaluated += runs
        tree, count, run, height = own, 1, runs, 0
        for i in arguments:
            tree += operations[i]
            count += nodes[i]
            run += evaluated[i]
            if heights[i] >= height:
                height = heights[i] + 1
        operations[row], nodes[row] = tree, count
        evaluated[row], heights[row] = run, height
    return Size(
        tree_operations=sum(operations[row] for row in outputs),
        tree_nodes=sum(nodes[row] for row in outputs),
        shared_operations=shared,
        shared_nodes=len(order),
        tree_evaluated=sum(evaluated[row] for row in outputs),
        shared_evaluated=shared_evaluated,
        height=max((heights[row] for row in outputs), default=0),
    )

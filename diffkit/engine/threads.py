"""A program for several threads: each has instructions of its own, and they meet.

Large instructions are cut into parts, one for each thread; the others run on the first
thread alone. Before and after either kind all threads meet at a `barrier` instruction.
Every element is computed by the same operations in the same order whatever the number
of threads is, so results are the same to the bit. (Products that BLAS computes are not
cut, for that reason.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from diffkit.engine.fusion import Item
from diffkit.engine.instructions import NONE
from diffkit.engine.kernels import ELEMENTWISE, KERNELS, OPCODES
from diffkit.engine.kernels.fields import (
    A_INNER,
    A_OUTER,
    A_ROW,
    A_STACK,
    A_STEP_INNER,
    A_STEP_OUTER,
    B_COLUMN,
    B_STACK,
    COLUMNS,
    COUNT,
    DEPTH,
    INNER,
    LENGTH,
    OPCODE,
    OUT,
    OUT_ROW,
    OUTER,
    REDUCED,
    ROOM,
    ROWS,
    STACK,
    WIDTH,
    A,
    B,
    C,
)
from diffkit.engine.kernels.packed import scratch_elements
from diffkit.engine.kernels.tile import TALL_ROWS, VECTOR_BYTES

# What is worth a meeting of the threads, and what a whole program must have of it to be
# worth waking them, in nanoseconds of one thread; and how many multiplications of a
# product one takes. Rough on purpose: the measured borders are flat.
LEAST_PART = 1 << 14
LEAST_PROGRAM = 1 << 17
MULTIPLICATIONS = 32

Row = list[int]
Placed = tuple[Row, tuple[int, int, int, int]]
_NAMES = list(KERNELS)
_OPERANDS = 3


def divide(
    items: Sequence[Item], threads: int, item_bytes: int, cell: int
) -> list[list[Placed]] | None:
    """The rows of each thread, with their buffers; None where one is as good.

    `cell` is the buffer of the counter at which threads meet.
    """
    parts = [_cut(item, threads, item_bytes) for item in items]
    divided = [item for item, part in zip(items, parts, strict=True) if part]
    if sum(map(_work, divided)) < LEAST_PROGRAM:
        return None
    tables: list[list[Placed]] = [[] for _ in range(threads)]
    met = (_meeting(threads), (cell, NONE, NONE, NONE))
    before: bool | None = None  # whether the item before was cut
    for item, part in zip(items, parts, strict=True):
        if before or (part and before is not None):
            for table in tables:
                table.append(met)
        before = part is not None
        buffers = item.table_buffers()
        if part is None:
            tables[0] += zip(item.table_rows(), buffers, strict=True)
        else:
            for table, rows in zip(tables, part, strict=True):
                table += zip(rows, buffers, strict=True)
    for table in tables:
        table.append(met)
    return tables


def _cut(item: Item, threads: int, item_bytes: int) -> list[list[Row]] | None:
    """The rows of each thread's part of an item, or None where it stays whole."""
    if _work(item) < LEAST_PART:
        return None
    if item.is_group:
        return _cut_group(item, threads)
    (row,) = item.rows
    name = _NAMES[row[OPCODE]]
    if name in _CUTS:
        parts = _CUTS[name](row, threads, item_bytes)
    elif name in ELEMENTWISE:
        parts = _cut_elementwise(row, threads, item_bytes)
    else:
        parts = None
    return None if parts is None else [[part] for part in parts]


def _work(item: Item) -> int:
    """Nanoseconds that an item takes, roughly, if it is one that can be cut."""
    if item.is_group:
        columns = 1 if item.along_inner else item.rows[0][INNER]
        return item.length * columns * len(item.rows)
    (row,) = item.rows
    name = _NAMES[row[OPCODE]]
    if name in ("product_packed", "product_small"):
        products = row[STACK] * row[ROWS] * row[COLUMNS] * row[DEPTH]
        return products // MULTIPLICATIONS
    if name in ELEMENTWISE:
        return row[OUTER] * row[INNER]
    if name in _CUTS:
        return row[OUTER] * row[INNER] * row[REDUCED]
    return 0


def _ranges(count: int, threads: int, multiple: int) -> list[tuple[int, int]]:
    """Count, cut into one range for each thread, each but the last of whole multiples.

    >>> _ranges(100, 2, 16)
    [(0, 48), (48, 100)]
    """
    blocks = count // multiple
    ends = [blocks * (t + 1) // threads * multiple for t in range(threads)]
    ends[-1] = count
    return [(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _moved(row: Row, shifts: dict[int, int], **sizes: int) -> Row:
    """The row with some fields shifted, and others set."""
    part = list(row)
    for where, by in shifts.items():
        part[where] += by
    for name, size in sizes.items():
        part[_FIELDS[name]] = size
    return part


_FIELDS = {
    "outer": OUTER,
    "inner": INNER,
    "rows": ROWS,
    "columns": COLUMNS,
    "stack": STACK,
}


def _cut_group(item: Item, threads: int) -> list[list[Row]]:
    columns = 1 if item.along_inner else item.rows[0][INNER]
    head, *members = item.table_rows()
    parts = []
    for t, (first, last) in enumerate(_ranges(item.length, threads, item.step)):
        own = [_moved(head, {})]
        own[0][LENGTH] = last - first
        for row in members:
            shifts = {}
            for k in range(_OPERANDS + 1):
                if row[ROOM] & (1 << k):
                    shifts[OUT + k] = t * item.room
                elif k == 0:
                    shifts[OUT] = first * columns
                else:
                    strides = A_INNER if item.along_inner else A_OUTER
                    shifts[OUT + k] = first * row[strides + k - 1]
            own.append(_moved(row, shifts))
        parts.append(own)
    return parts


def _cut_elementwise(row: Row, threads: int, item_bytes: int) -> list[Row] | None:
    outer, inner = row[OUTER], row[INNER]
    lanes = VECTOR_BYTES // item_bytes
    parts = []
    if outer >= 2 * threads:
        for first, last in _ranges(outer, threads, 1):
            shifts = {A + k: first * row[A_OUTER + k] for k in range(_OPERANDS)}
            shifts[OUT] = first * inner
            parts.append(_moved(row, shifts, outer=last - first))
    elif outer == 1:
        for first, last in _ranges(inner, threads, 8 * lanes):
            shifts = {A + k: first * row[A_INNER + k] for k in range(_OPERANDS)}
            shifts[OUT] = first
            parts.append(_moved(row, shifts, inner=last - first))
    else:
        return None
    return parts


def _cut_reduction(row: Row, threads: int, item_bytes: int) -> list[Row] | None:
    """By the elements that are kept: each sum is one thread's."""
    outer, inner = row[OUTER], row[INNER]
    if outer >= 2 * threads:
        return [
            _moved(
                row,
                {OUT: first * inner, A: first * row[A_STEP_OUTER]},
                outer=last - first,
            )
            for first, last in _ranges(outer, threads, 1)
        ]
    lanes = VECTOR_BYTES // item_bytes
    if outer == 1 and inner >= 2 * threads * lanes:
        return [
            _moved(row, {OUT: first, A: first * row[A_STEP_INNER]}, inner=last - first)
            for first, last in _ranges(inner, threads, lanes)
        ]
    return None


def _cut_small(row: Row, threads: int, item_bytes: int) -> list[Row] | None:
    rows, columns = row[ROWS], row[COLUMNS]
    if row[STACK] >= threads:
        return _cut_stack(row, threads, rows * columns)
    if row[STACK] > 1 or rows < 2 * threads * TALL_ROWS:
        return None
    return [
        _moved(row, {OUT: first * columns, A: first * row[A_ROW]}, rows=last - first)
        for first, last in _ranges(rows, threads, TALL_ROWS)
    ]


def _cut_packed(row: Row, threads: int, item_bytes: int) -> list[Row] | None:
    """By columns or by rows, whichever are more; each thread packs for itself."""
    rows, columns = row[ROWS], row[COLUMNS]
    room = scratch_elements(rows, row[DEPTH], item_bytes)
    if row[STACK] >= threads:
        parts = _cut_stack(row, threads, rows * row[OUT_ROW])
    elif row[STACK] > 1:
        return None
    elif columns >= rows:
        width = 2 * (VECTOR_BYTES // item_bytes)
        parts = [
            _moved(row, {OUT: first, B: first * row[B_COLUMN]}, columns=last - first)
            for first, last in _ranges(columns, threads, width)
        ]
    else:
        parts = [
            _moved(
                row,
                {OUT: first * row[OUT_ROW], A: first * row[A_ROW]},
                rows=last - first,
            )
            for first, last in _ranges(rows, threads, TALL_ROWS)
        ]
    return [_moved(part, {C: t * room}) for t, part in enumerate(parts)]


def _cut_stack(row: Row, threads: int, size: int) -> list[Row]:
    return [
        _moved(
            row,
            {OUT: first * size, A: first * row[A_STACK], B: first * row[B_STACK]},
            stack=last - first,
        )
        for first, last in _ranges(row[STACK], threads, 1)
    ]


_CUTS: dict[str, Callable[[Row, int, int], list[Row] | None]] = {
    "product_packed": _cut_packed,
    "product_small": _cut_small,
    **dict.fromkeys(("sum", "mean", "prod", "max", "min", "logsumexp"), _cut_reduction),
}


def _meeting(threads: int) -> Row:
    """The instruction at which all threads wait for each other."""
    row = [0] * WIDTH
    row[OPCODE], row[COUNT] = OPCODES["barrier"], threads
    return row

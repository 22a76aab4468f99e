"""Kernels that move elements: strided copies, gathers, scatters; and prefetching."""

from __future__ import annotations

from diffkit.engine.jit import kernel
from diffkit.engine.kernels.fields import COUNT, LIST, OUT, RANK, A
from diffkit.engine.kernels.memory import (
    fetch,
    keep_apart,
    load,
    number,
    offset_pointer,
    store,
)
from diffkit.engine.kernels.tile import TURN, turn

# Side of the square tiles in which a transposing copy walks, so that both the rows
# read and the rows written stay in cache.
TILE = 16


@kernel
def _turned(out, out_row, a, a_row, rows, columns):
    """out[i, j] = a[j, i], both with their columns along memory."""
    whole_rows = rows - rows % TURN
    whole_columns = columns - columns % TURN
    for i in range(0, whole_rows, TURN):
        for j in range(0, whole_columns, TURN):
            corner = offset_pointer(out, i * out_row + j)
            turn(corner, out_row, offset_pointer(a, j * a_row + i), a_row)
    for i in range(rows):
        for j in range(whole_columns if i < whole_rows else 0, columns):
            out[i * out_row + j] = a[j * a_row + i]


def strided(accumulate):
    """The kernel out[…] = a[…], or += , over any strides on both sides.

    The list holds the dimensions, then the strides of a, then those of out; at least
    two dimensions. The last two are walked in tiles, the others counted.
    """

    @kernel
    def run(arena, row, lists):
        keep_apart()
        rank = row[RANK]
        dimensions = row[LIST]
        a_steps = dimensions + rank
        out_steps = a_steps + rank
        rows = lists[dimensions + rank - 2]
        columns = lists[dimensions + rank - 1]
        a_row = lists[a_steps + rank - 2]
        a_column = lists[a_steps + rank - 1]
        out_row = lists[out_steps + rank - 2]
        out_column = lists[out_steps + rank - 1]
        for block in range(row[COUNT]):
            out = row[OUT]
            a = row[A]
            rest = block
            for d in range(rank - 3, -1, -1):
                size = lists[dimensions + d]
                index = rest % size
                rest = rest // size
                a += index * lists[a_steps + d]
                out += index * lists[out_steps + d]
            if a_column == 1 and out_column == 1:
                for i in range(rows):
                    x = a + i * a_row
                    y = out + i * out_row
                    for j in range(columns):
                        value = load(arena, x + j)
                        if accumulate:
                            value = value + arena[y + j]
                        store(arena, y + j, value)
            elif not accumulate and a_row == 1 and out_column == 1:
                target, source = offset_pointer(arena, out), offset_pointer(arena, a)
                _turned(target, out_row, source, a_column, rows, columns)
            else:
                for first_row in range(0, rows, TILE):
                    for first in range(0, columns, TILE):
                        last = min(first + TILE, columns)
                        for i in range(first_row, min(first_row + TILE, rows)):
                            x = a + i * a_row
                            y = out + i * out_row
                            for j in range(first, last):
                                value = load(arena, x + j * a_column)
                                if accumulate:
                                    value = value + arena[y + j * out_column]
                                store(arena, y + j * out_column, value)

    return run


copy = strided(False)
accumulate = strided(True)


@kernel
def fill_zero(arena, row, lists):
    """out[j] = 0."""
    keep_apart()
    zero = number(arena, 0)
    for j in range(row[OUT], row[OUT] + row[COUNT]):
        arena[j] = zero


@kernel
def gather(arena, row, lists):
    """out[j] = a[list[j]]."""
    keep_apart()
    out = row[OUT]
    a = row[A]
    indices = row[LIST]
    for j in range(row[COUNT]):
        arena[out + j] = arena[a + lists[indices + j]]


@kernel
def scatter(arena, row, lists):
    """out[list[j]] += a[j]; duplicates accumulate in order."""
    keep_apart()
    out = row[OUT]
    a = row[A]
    indices = row[LIST]
    for j in range(row[COUNT]):
        arena[out + lists[indices + j]] += arena[a + j]


@kernel
def prefetch(arena, row, lists):
    """Ask for a stretch of memory to be brought into the second-level cache."""
    keep_apart()
    # Eight elements are at most one line of 64 bytes.
    for j in range(row[A], row[A] + row[COUNT], 8):
        fetch(arena, j)

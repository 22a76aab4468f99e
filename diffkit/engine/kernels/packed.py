"""Large products: both operands packed into panels that the caches hold.

    for every block of the depth:              out += a[:, block] @ b[block, :]
        for every block of rows:               packed a: second-level cache
            for every panel of columns:        packed b: first-level cache
                for every tile of rows:        sums: registers

Method: Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", ACM
Transactions on Mathematical Software 34(3), 2008. Panels are padded with zeros, so
that every tile is a whole one; those at the edges are computed beside the output. An
element is summed in the same order however a product is cut into parts.
"""

from __future__ import annotations

from typing import Final

from diffkit.engine.jit import kernel, scalar
from diffkit.engine.kernels.fields import (
    A_COLUMN,
    A_ROW,
    A_STACK,
    B_COLUMN,
    B_ROW,
    B_STACK,
    COLUMNS,
    DEPTH,
    OUT,
    OUT_ROW,
    ROWS,
    STACK,
    A,
    B,
    C,
)
from diffkit.engine.kernels.memory import fetch, keep_apart, number, offset_pointer
from diffkit.engine.kernels.tile import (
    TALL_ROWS,
    TURN,
    VECTOR_BYTES,
    lanes_of,
    tile,
    turn,
)

# The depth of a block: a panel of b, two registers wide, is 24 KiB with AVX-512.
DEPTH_BLOCK: Final = 192
# The rows of a block: with float64, 576 KiB of packed a in the second-level cache.
ROW_BLOCK: Final = 384
# So many steps ahead elements are asked for, when they are packed and when packed a is
# multiplied. (Asking for the next panel of b meanwhile gained nothing.)
AHEAD: Final = 24
TILE_AHEAD: Final = 12

_first = tile(TALL_ROWS, 2, ahead=TILE_AHEAD)
_more = tile(TALL_ROWS, 2, more=True, ahead=TILE_AHEAD)


def scratch_elements(rows: int, depth: int, item_bytes: int) -> int:
    """Elements that one product needs beside its operands: two packs and a tile."""
    width = 2 * (VECTOR_BYTES // item_bytes)
    block = min(depth, DEPTH_BLOCK)
    tall = min(-(-rows // TALL_ROWS) * TALL_ROWS, ROW_BLOCK)
    return (tall + width) * block + TALL_ROWS * width


@scalar
def _pack(target, source, step, depth_step, count, depth, panel):
    """Panels of `panel` rows (of a) or columns (of b), each along the depth.

    Element q of step k lies at source[q·step + k·depth_step] and is put to
    target[k·panel + q] of its panel; what a panel has too many is zero.
    """
    zero = number(target, 0)
    for first in range(0, count, panel):
        width = min(panel, count - first)
        place = offset_pointer(target, first * depth)
        origin = offset_pointer(source, first * step)
        if width == panel and step == 1:
            for k in range(depth):
                fetch(origin, (k + AHEAD) * depth_step)
                for q in range(panel):
                    place[k * panel + q] = origin[k * depth_step + q]
        elif width == panel and depth_step == 1:
            whole = depth - depth % TURN
            for k in range(0, whole, TURN):
                for q in range(0, panel, TURN):
                    corner = offset_pointer(place, k * panel + q)
                    turn(corner, panel, offset_pointer(origin, q * step + k), step)
            for k in range(whole, depth):
                for q in range(panel):
                    place[k * panel + q] = origin[q * step + k]
        else:
            for k in range(depth):
                for q in range(width):
                    place[k * panel + q] = origin[q * step + k * depth_step]
                for q in range(width, panel):
                    place[k * panel + q] = zero


@kernel
def _pack_rows(target, source, step, depth_step, count, depth):
    _pack(target, source, step, depth_step, count, depth, TALL_ROWS)


@kernel
def _pack_columns(target, source, step, depth_step, count, depth):
    _pack(target, source, step, depth_step, count, depth, 2 * lanes_of(target))


@kernel
def _panel(out, out_row, a, b, edge, rows, columns, depth, more):
    """All rows of one panel of columns, tile by tile."""
    width = 2 * lanes_of(out)
    for i in range(0, rows, TALL_ROWS):
        target = offset_pointer(out, i * out_row)
        tall = offset_pointer(a, i * depth)
        if columns == width and i + TALL_ROWS <= rows:
            if more:
                _more(target, out_row, tall, 1, TALL_ROWS, b, width, depth)
            else:
                _first(target, out_row, tall, 1, TALL_ROWS, b, width, depth)
        else:
            _first(edge, width, tall, 1, TALL_ROWS, b, width, depth)
            for r in range(min(TALL_ROWS, rows - i)):
                for q in range(columns):
                    value = edge[r * width + q]
                    if more:
                        value += target[r * out_row + q]
                    target[r * out_row + q] = value


@kernel
def packed(arena, row, lists):
    """out[s] = a[s] @ b[s] for any strides; c is room for the packs."""
    keep_apart()
    rows, columns, depth = row[ROWS], row[COLUMNS], row[DEPTH]
    a_row, a_column = row[A_ROW], row[A_COLUMN]
    b_row, b_column = row[B_ROW], row[B_COLUMN]
    out_row = row[OUT_ROW]
    width = 2 * lanes_of(arena)
    b_pack = offset_pointer(arena, row[C])
    edge = offset_pointer(b_pack, width * min(depth, DEPTH_BLOCK))
    a_pack = offset_pointer(edge, TALL_ROWS * width)
    for s in range(row[STACK]):
        out = offset_pointer(arena, row[OUT] + s * rows * out_row)
        a = offset_pointer(arena, row[A] + s * row[A_STACK])
        b = offset_pointer(arena, row[B] + s * row[B_STACK])
        for p in range(0, depth, DEPTH_BLOCK):
            deep = min(DEPTH_BLOCK, depth - p)
            for i in range(0, rows, ROW_BLOCK):
                tall = min(ROW_BLOCK, rows - i)
                source = offset_pointer(a, i * a_row + p * a_column)
                _pack_rows(a_pack, source, a_row, a_column, tall, deep)
                for j in range(0, columns, width):
                    wide = min(width, columns - j)
                    source = offset_pointer(b, p * b_row + j * b_column)
                    _pack_columns(b_pack, source, b_column, b_row, wide, deep)
                    target = offset_pointer(out, i * out_row + j)
                    _panel(
                        target, out_row, a_pack, b_pack, edge, tall, wide, deep, p > 0
                    )

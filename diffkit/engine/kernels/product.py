"""Products of matrices: who multiplies, small ones in register tiles, BLAS for others.

Lowering asks `multiplier`. Operands have any row and column stride, so
transposed matrices are never copied for BLAS, nor for packed products (`packed.py`);
our small tiles want the rows of b along memory.
"""

from __future__ import annotations

from typing import Final

from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.np.linalg import ensure_blas

from diffkit.engine.jit import intrinsic, kernel, summing_kernel
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
    ROWS,
    STACK,
    A,
    B,
)
from diffkit.engine.kernels.memory import (
    keep_apart,
    number,
    offset_pointer,
)
from diffkit.engine.kernels.tile import TALL_ROWS, VECTOR_BYTES, lanes_of, tile

# Where a tile of 8 rows by two registers fits the register file, panels of our own are
# faster than BLAS. Measured with SciPy's OpenBLAS 0.3 on AVX-512, one thread, float64,
# GFLOP/s of tiles / panels / BLAS: 128³ 78/67/51, 200³ 81/71/62, 128×512×512 28/54/55,
# 64×784×512 27/61/49, 512³ 30/66/64; of few rows or columns: 8×1024×1024 24/19/14,
# 16×1024×1024 21/41/25, 1024×1024×16 62/32/30, 784×32×512 38/53/35.
PACKS: Final = VECTOR_BYTES == 64
PACKED_MULTIPLICATIONS: Final = 160**3
PACKED_ROWS: Final = 16
PACKED_COLUMNS: Final = 32
# Elsewhere larger products than this are BLAS's.
BLAS_MULTIPLICATIONS: Final = 256**3


def multiplier(rows: int, depth: int, columns: int) -> str:
    """The kernel that multiplies (rows, depth) by (depth, columns) fastest."""
    size = rows * depth * columns
    if not PACKS:
        return "product_blas" if size > BLAS_MULTIPLICATIONS else "product_small"
    wide = rows >= PACKED_ROWS and columns >= PACKED_COLUMNS
    if wide and size > PACKED_MULTIPLICATIONS:
        return "product_packed"
    return "product_small"


@intrinsic
def blas_product(
    typingctx, out, a, b, rows, columns, depth, a_leading, b_leading, a_turned, b_turned
):
    """Out = a @ b (row-major) by SciPy's BLAS; `turned` operands are stored transposed.

    The call Numba's `np.dot` makes, without the arrays: a row-major product is the
    column-major product of the transposes, b first.
    """
    ensure_blas()

    def codegen(context, builder, signature, arguments):
        out, a, b, rows, columns, depth, a_leading, b_leading, a_t, b_t = arguments
        byte, whole = ir.IntType(8), ir.IntType(64)
        pointer = byte.as_pointer()
        element = context.get_value_type(signature.args[0].dtype)
        is_double = isinstance(element, ir.DoubleType)
        kind = ir.FunctionType(
            ir.IntType(32),
            [
                *(byte, byte, byte),  # precision, transposition of each
                *(whole, whole, whole, pointer),  # sizes, alpha
                *(pointer, whole, pointer, whole, pointer),  # operands, beta
                *(pointer, whole),  # result
            ],
        )
        function = get_or_insert_function(builder.module, kind, "numba_xxgemm")
        one = builder.alloca(element)
        builder.store(ir.Constant(element, 1.0), one)
        none = builder.alloca(element)
        builder.store(ir.Constant(element, 0.0), none)

        def letter(turned):
            flag = builder.icmp_signed("!=", turned, ir.Constant(turned.type, 0))
            return builder.select(
                flag, ir.Constant(byte, ord("t")), ir.Constant(byte, ord("n"))
            )

        def bare(value):
            return builder.bitcast(value, pointer)

        letter_of_kind = ir.Constant(byte, ord("d" if is_double else "s"))
        builder.call(
            function,
            [
                *(letter_of_kind, letter(b_t), letter(a_t)),
                *(columns, rows, depth, bare(one)),
                *(bare(b), b_leading, bare(a), a_leading, bare(none)),
                *(bare(out), columns),
            ],
        )
        return context.get_dummy_value()

    size = types.int64
    return types.void(out, a, b, size, size, size, size, size, size, size), codegen


def _panel(vectors, vector_bytes):
    """Some columns of a product, all rows: tall tiles, or of 4 rows, or of 1.

    The last tile may overlap the one before: it computes some rows twice and alike,
    and needs no masks.
    """
    tall = tile(TALL_ROWS, vectors, vector_bytes)
    short = tile(4, vectors, vector_bytes)
    flat = tile(1, vectors, vector_bytes)

    @kernel
    def run(out, out_row, a, a_row, a_column, b, b_row, rows, depth):
        height = TALL_ROWS if rows >= TALL_ROWS else (4 if rows >= 4 else 1)
        for i in range(0, rows, height):
            first = min(i, rows - height)
            target = offset_pointer(out, first * out_row)
            source = offset_pointer(a, first * a_row)
            if height == TALL_ROWS:
                tall(target, out_row, source, a_row, a_column, b, b_row, depth)
            elif height == 4:
                short(target, out_row, source, a_row, a_column, b, b_row, depth)
            else:
                flat(target, out_row, source, a_row, a_column, b, b_row, depth)

    return run


_double = _panel(2, VECTOR_BYTES)
_single = _panel(1, VECTOR_BYTES)
_half = _panel(1, VECTOR_BYTES // 2)
_quarter = _panel(1, VECTOR_BYTES // 4)
_eighth = _panel(1, VECTOR_BYTES // 8)


@kernel
def _panels(out, columns, a, a_row, a_column, b, b_row, rows, depth):
    """A product, panel of columns by panel; the last may overlap the one before.

    A panel of b is walked by all rows of a while it is in the first-level cache.
    """
    lanes = lanes_of(out)
    width = 2 * lanes
    while width > columns:
        width //= 2
    for j in range(0, columns, width):
        first = min(j, columns - width)
        c = offset_pointer(out, first)
        panel = offset_pointer(b, first)
        if width == 2 * lanes:
            _double(c, columns, a, a_row, a_column, panel, b_row, rows, depth)
        elif width == lanes:
            _single(c, columns, a, a_row, a_column, panel, b_row, rows, depth)
        elif 2 * width == lanes:
            _half(c, columns, a, a_row, a_column, panel, b_row, rows, depth)
        elif 4 * width == lanes:
            _quarter(c, columns, a, a_row, a_column, panel, b_row, rows, depth)
        else:
            _eighth(c, columns, a, a_row, a_column, panel, b_row, rows, depth)


@summing_kernel
def _narrow(out, columns, a, a_row, a_column, b, b_row, b_column, depth, rows):
    """Products with few columns, or with b turned: one inner product an element."""
    for i in range(rows):
        for j in range(columns):
            x = offset_pointer(a, i * a_row)
            y = offset_pointer(b, j * b_column)
            total = number(out, 0)
            if a_column == 1 and b_row == 1:
                for k in range(depth):
                    total += x[k] * y[k]
            else:
                for k in range(depth):
                    total += x[k * a_column] * y[k * b_row]
            out[i * columns + j] = total


@kernel
def small(arena, row, lists):
    """out[s] = a[s] @ b[s] in tiles of our own."""
    keep_apart()
    rows, columns, depth = row[ROWS], row[COLUMNS], row[DEPTH]
    a_row, a_column = row[A_ROW], row[A_COLUMN]
    b_row, b_column = row[B_ROW], row[B_COLUMN]
    for s in range(row[STACK]):
        out = offset_pointer(arena, row[OUT] + s * rows * columns)
        a = offset_pointer(arena, row[A] + s * row[A_STACK])
        b = offset_pointer(arena, row[B] + s * row[B_STACK])
        if b_column != 1 or columns == 1:
            _narrow(out, columns, a, a_row, a_column, b, b_row, b_column, depth, rows)
        else:
            _panels(out, columns, a, a_row, a_column, b, b_row, rows, depth)


@kernel
def blas(arena, row, lists):
    """out[s] = a[s] @ b[s] by BLAS; a and b each have one stride of 1."""
    keep_apart()
    rows, columns, depth = row[ROWS], row[COLUMNS], row[DEPTH]
    a_turned = row[A_COLUMN] != 1
    b_turned = row[B_COLUMN] != 1
    a_leading = row[A_COLUMN] if a_turned else row[A_ROW]
    b_leading = row[B_COLUMN] if b_turned else row[B_ROW]
    for s in range(row[STACK]):
        blas_product(
            offset_pointer(arena, row[OUT] + s * rows * columns),
            offset_pointer(arena, row[A] + s * row[A_STACK]),
            offset_pointer(arena, row[B] + s * row[B_STACK]),
            rows,
            columns,
            depth,
            a_leading,
            b_leading,
            a_turned,
            b_turned,
        )

"""Products of matrices: register tiles of our own for small ones, BLAS for large ones.

Lowering chooses (`CROSSOVER`). Operands have any row and column stride, so transposed
matrices are never copied for BLAS; our tiles want the rows of b along memory.
"""

from __future__ import annotations

from typing import Final

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
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

# Products of at most this many multiplications run in our own tiles. Measured with
# SciPy's OpenBLAS 0.3 on AVX-512, one thread, float64: tiles 118 GFLOP/s from 32³ to
# 128³ and 98 at 256³, BLAS 39 to 52; at 128×784×512, out of the second-level cache,
# 46 against 42 and falling.
CROSSOVER: Final = 256 * 256 * 256


def _registers() -> tuple[int, int]:
    """Bytes of the widest vector register, and rows of a tile that registers hold."""
    try:
        features = get_host_cpu_features()
    except RuntimeError:  # LLVM cannot tell on this system: what every CPU has.
        return 16, 4
    if features.get("avx512f"):
        return 64, 8
    if features.get("avx"):
        return 32, 4
    return 16, 8 if features.get("neon") else 4


VECTOR_BYTES, TALL_ROWS = _registers()


def _fmuladd(builder, x, y, z):
    kind = x.type
    name = f"llvm.fmuladd.v{kind.count}{'f64' if _bytes(kind.element) == 8 else 'f32'}"
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(
            builder.module, ir.FunctionType(kind, [kind, kind, kind]), name
        )
    return builder.call(function, [x, y, z])


def _bytes(element):
    return 8 if isinstance(element, ir.DoubleType) else 4


def _splat(builder, scalar, lanes):
    vector = ir.VectorType(scalar.type, lanes)
    first = builder.insert_element(
        ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0)
    )
    mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(first, first, mask)


def _tile(rows, vectors, vector_bytes):
    """An intrinsic: out tile = a rows × b columns, accumulated in registers.

    `rows` by `vectors` registers of columns; all of them exist. Written as LLVM vectors
    because the loop vectoriser cannot keep a two-dimensional tile in registers.
    """

    @intrinsic
    def run(typingctx, out, out_row, a, a_row, a_column, b, b_row, depth):
        def codegen(context, builder, signature, arguments):
            out, out_row, a, a_row, a_column, b, b_row, depth = arguments
            element = context.get_value_type(signature.args[0].dtype)
            lanes = max(vector_bytes // _bytes(element), 1)
            vector = ir.VectorType(element, lanes)
            whole = ir.IntType(64)
            before = builder.block
            loop = builder.append_basic_block("tile.loop")
            after = builder.append_basic_block("tile.done")
            zero = ir.Constant(whole, 0)
            nothing = ir.Constant(vector, [0.0] * lanes)
            rows_of_a = [
                builder.gep(a, [builder.mul(a_row, ir.Constant(whole, r))])
                for r in range(rows)
            ]
            builder.branch(loop)
            builder.position_at_end(loop)
            k = builder.phi(whole)
            k.add_incoming(zero, before)
            sums = [builder.phi(vector) for _ in range(rows * vectors)]
            for s in sums:
                s.add_incoming(nothing, before)
            line = builder.gep(b, [builder.mul(k, b_row)])
            lines = []
            for v in range(vectors):
                place = builder.gep(line, [ir.Constant(whole, v * lanes)])
                place = builder.bitcast(place, vector.as_pointer())
                lines.append(builder.load(place, align=_bytes(element)))
            column = builder.mul(k, a_column)
            news = []
            for r in range(rows):
                factor = builder.load(builder.gep(rows_of_a[r], [column]))
                factor = _splat(builder, factor, lanes)
                news += [
                    _fmuladd(builder, factor, lines[v], sums[r * vectors + v])
                    for v in range(vectors)
                ]
            following = builder.add(k, ir.Constant(whole, 1))
            k.add_incoming(following, loop)
            for s, new in zip(sums, news, strict=True):
                s.add_incoming(new, loop)
            builder.cbranch(builder.icmp_signed("<", following, depth), loop, after)
            builder.position_at_end(after)
            for r in range(rows):
                start = builder.gep(out, [builder.mul(out_row, ir.Constant(whole, r))])
                for v in range(vectors):
                    place = builder.gep(start, [ir.Constant(whole, v * lanes)])
                    place = builder.bitcast(place, vector.as_pointer())
                    builder.store(news[r * vectors + v], place, align=_bytes(element))
            return context.get_dummy_value()

        size = types.int64
        return types.void(out, size, a, size, size, b, size, size), codegen

    return run


@intrinsic
def lanes_of(typingctx, pointer):
    """Elements of the arena's dtype in one register."""

    def codegen(context, builder, signature, arguments):
        element = context.get_value_type(signature.args[0].dtype)
        return ir.Constant(ir.IntType(64), VECTOR_BYTES // _bytes(element))

    return types.int64(pointer), codegen


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
        kind = ir.FunctionType(
            ir.IntType(32),
            [
                *(byte, byte, byte),  # precision, transposition of each
                *(whole, whole, whole, pointer),  # sizes, alpha
                *(pointer, whole, pointer, whole, pointer),  # operands, beta
                *(pointer, whole),  # result
            ],
        )
        function = builder.module.globals.get("numba_xxgemm")
        if function is None:
            function = ir.Function(builder.module, kind, "numba_xxgemm")
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

        letter_of_kind = ir.Constant(byte, ord("d" if _bytes(element) == 8 else "s"))
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
    tall = _tile(TALL_ROWS, vectors, vector_bytes)
    short = _tile(4, vectors, vector_bytes)
    flat = _tile(1, vectors, vector_bytes)

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

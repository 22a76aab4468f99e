"""Tiles of a product in registers, and tiles turned in registers, in LLVM's vectors.

Written as vectors because the loop vectoriser can neither keep a two-dimensional tile
in registers nor turn one.
"""

from __future__ import annotations

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core.cgutils import get_or_insert_function

from diffkit.engine.jit import intrinsic
from diffkit.engine.kernels.memory import prefetch


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
# Side of the square tiles that are turned; it divides every panel's width.
TURN = 8 if VECTOR_BYTES == 64 else 4


def tile(rows, vectors, vector_bytes=VECTOR_BYTES, *, more=False, ahead=0):
    """An intrinsic: out tile = a rows × b columns, accumulated in registers.

    `rows` by `vectors` registers of columns; all of them exist. With `more` the tile
    is added to what is there.
    """

    @intrinsic
    def run(typingctx, out, out_row, a, a_row, a_column, b, b_row, depth):
        def codegen(context, builder, signature, arguments):
            out, out_row, a, a_row, a_column, b, b_row, depth = arguments
            element = context.get_value_type(signature.args[0].dtype)
            lanes = max(vector_bytes // bytes_of(element), 1)
            vector = ir.VectorType(element, lanes)
            whole = ir.IntType(64)
            loop = builder.append_basic_block("tile.loop")
            after = builder.append_basic_block("tile.done")
            places = []
            for r in range(rows):
                start = builder.gep(out, [builder.mul(out_row, ir.Constant(whole, r))])
                for v in range(vectors):
                    place = builder.gep(start, [ir.Constant(whole, v * lanes)])
                    places.append(builder.bitcast(place, vector.as_pointer()))
            if more:
                # Asked for now and added at the end: the sums need not wait for it.
                for place in places:
                    prefetch(builder, place, locality=3)
            nothing = ir.Constant(vector, [0.0] * lanes)
            rows_of_a = [
                builder.gep(a, [builder.mul(a_row, ir.Constant(whole, r))])
                for r in range(rows)
            ]
            before = builder.block
            builder.branch(loop)
            builder.position_at_end(loop)
            k = builder.phi(whole)
            k.add_incoming(ir.Constant(whole, 0), before)
            sums = [builder.phi(vector) for _ in places]
            for s in sums:
                s.add_incoming(nothing, before)
            line = builder.gep(b, [builder.mul(k, b_row)])
            lines = []
            for v in range(vectors):
                place = builder.gep(line, [ir.Constant(whole, v * lanes)])
                place = builder.bitcast(place, vector.as_pointer())
                lines.append(builder.load(place, align=bytes_of(element)))
            column = builder.mul(k, a_column)
            if ahead:
                step = builder.mul(a_column, ir.Constant(whole, ahead))
                far = builder.gep(rows_of_a[0], [builder.add(column, step)])
                prefetch(builder, far, locality=3)
            news = []
            for r in range(rows):
                factor = builder.load(builder.gep(rows_of_a[r], [column]))
                factor = splat(builder, factor, lanes)
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
            for new, place in zip(news, places, strict=True):
                if more:
                    there = builder.load(place, align=bytes_of(element))
                    new = builder.fadd(new, there)
                builder.store(new, place, align=bytes_of(element))
            return context.get_dummy_value()

        size = types.int64
        return types.void(out, size, a, size, size, b, size, size), codegen

    return run


@intrinsic
def turn(typingctx, out, out_row, a, a_row):
    """out[j, i] = a[i, j] for one tile of TURN by TURN elements, rows along memory.

    Blocks of 1, 2, 4 … elements change places across the diagonal: log₂ TURN steps of
    TURN shuffles.
    """

    def codegen(context, builder, signature, arguments):
        out, out_row, a, a_row = arguments
        element = context.get_value_type(signature.args[0].dtype)
        vector = ir.VectorType(element, TURN)
        whole = ir.IntType(64)

        def place(pointer, step, i):
            row = builder.gep(pointer, [builder.mul(step, ir.Constant(whole, i))])
            return builder.bitcast(row, vector.as_pointer())

        lines = [
            builder.load(place(a, a_row, i), align=bytes_of(element))
            for i in range(TURN)
        ]
        side = 1
        while side < TURN:
            for i in range(TURN):
                if i & side:
                    continue
                first, second = lines[i], lines[i + side]
                upper = [TURN + j - side if j & side else j for j in range(TURN)]
                lower = [TURN + j if j & side else j + side for j in range(TURN)]
                lines[i] = _shuffled(builder, first, second, upper)
                lines[i + side] = _shuffled(builder, first, second, lower)
            side *= 2
        for j, line in enumerate(lines):
            builder.store(line, place(out, out_row, j), align=bytes_of(element))
        return context.get_dummy_value()

    size = types.int64
    return types.void(out, size, a, size), codegen


@intrinsic
def lanes_of(typingctx, pointer):
    """Elements of the arena's dtype in one register."""

    def codegen(context, builder, signature, arguments):
        element = context.get_value_type(signature.args[0].dtype)
        return ir.Constant(ir.IntType(64), VECTOR_BYTES // bytes_of(element))

    return types.int64(pointer), codegen


def _shuffled(builder, first, second, order):
    kind = ir.VectorType(ir.IntType(32), len(order))
    return builder.shuffle_vector(first, second, ir.Constant(kind, order))


def splat(builder, scalar, lanes):
    """A number in every lane of a vector."""
    vector = ir.VectorType(scalar.type, lanes)
    first = builder.insert_element(
        ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0)
    )
    return _shuffled(builder, first, first, [0] * lanes)


def _fmuladd(builder, x, y, z):
    kind = x.type
    name = (
        f"llvm.fmuladd.v{kind.count}{'f64' if bytes_of(kind.element) == 8 else 'f32'}"
    )
    three = ir.FunctionType(kind, [kind, kind, kind])
    function = get_or_insert_function(builder.module, three, name)
    return builder.call(function, [x, y, z])


def bytes_of(element):
    """Of a float64 or a float32, by its type."""
    return 8 if isinstance(element, ir.DoubleType) else 4

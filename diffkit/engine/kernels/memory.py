"""How kernels see memory: bare pointers into the arena, without Numba's array headers.

A kernel is called as `kernel(arena, row, lists)`: a pointer to float64 or float32, a
pointer to one instruction (int64 fields), and a pointer to the program's index lists.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function

from diffkit.engine.jit import intrinsic


def _address_cast(pointee):
    def codegen(context, builder, signature, arguments):
        return builder.inttoptr(
            arguments[0], context.get_value_type(signature.return_type)
        )

    return types.CPointer(pointee)(types.int64), codegen


@intrinsic
def float64_pointer(typingctx, address):
    """The pointer to float64 at an address."""
    return _address_cast(types.float64)


@intrinsic
def float32_pointer(typingctx, address):
    """The pointer to float32 at an address."""
    return _address_cast(types.float32)


@intrinsic
def int64_pointer(typingctx, address):
    """The pointer to int64 at an address."""
    return _address_cast(types.int64)


@intrinsic
def int32_pointer(typingctx, address):
    """The pointer to int32 at an address."""
    return _address_cast(types.int32)


@intrinsic
def uint8_pointer(typingctx, address):
    """The pointer to bytes at an address."""
    return _address_cast(types.uint8)


@intrinsic
def offset_pointer(typingctx, pointer, elements):
    """The pointer some elements further on."""

    def codegen(context, builder, signature, arguments):
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.int64), codegen


def _scopes(module):
    """Alias metadata saying: what `store` writes, `load` does not read."""
    domain = module.add_metadata([ir.MetaDataString(module, "diffkit arena")])
    scope = module.add_metadata([ir.MetaDataString(module, "diffkit output"), domain])
    return module.add_metadata([scope])


def read(builder, pointer, index):
    """The instructions of `load`."""
    value = builder.load(builder.gep(pointer, [index]))
    value.set_metadata("noalias", _scopes(builder.module))
    return value


def written(builder, pointer, index, value):
    """The instructions of `store`."""
    instruction = builder.store(value, builder.gep(pointer, [index]))
    instruction.set_metadata("alias.scope", _scopes(builder.module))


def apart(function):
    """Make an LLVM function one that is called, not copied, and has wide loops.

    LLVM takes half of 512-bit registers unless told otherwise, for CPUs of 2017 that
    slowed their clock for whole ones.
    """
    function.attributes.add("noinline")
    # llvmlite's own `add` knows attributes of one word only.
    set.add(function.attributes, '"prefer-vector-width"="512"')


@intrinsic
def load(typingctx, pointer, index):
    """`pointer[index]`, promised not to depend on an earlier `store` of the same loop.

    Elementwise loops read element j before they write element j and no other, so an
    output may lie on top of an input; the promise spares LLVM the overlap tests whose
    slow branch an in-place operation would always take.
    """

    def codegen(context, builder, signature, arguments):
        return read(builder, *arguments)

    return pointer.dtype(pointer, types.int64), codegen


@intrinsic
def store(typingctx, pointer, index, value):
    """`pointer[index] = value`, rounded to the arena's dtype; see `load`."""

    def codegen(context, builder, signature, arguments):
        to, place, given = arguments
        number = context.cast(builder, given, signature.args[2], pointer.dtype)
        written(builder, to, place, number)
        return context.get_dummy_value()

    return types.void(pointer, types.int64, value), codegen


def prefetch(builder, place, locality=2):
    """Emit a prefetch of a line, into the second-level cache (2) or the first (3)."""
    byte, small = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, small, small, small])
    function = get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    read, wanted, data = (ir.Constant(small, n) for n in (0, locality, 1))
    builder.call(function, [builder.bitcast(place, byte), read, wanted, data])


@intrinsic
def fetch(typingctx, pointer, index):
    """A hint that the line of `pointer[index]` will be wanted; never faults."""

    def codegen(context, builder, signature, arguments):
        prefetch(builder, builder.gep(arguments[0], [arguments[1]]))
        return context.get_dummy_value()

    return types.void(pointer, types.int64), codegen


@intrinsic
def number(typingctx, pointer, value):
    """A value in the arena's dtype."""

    def codegen(context, builder, signature, arguments):
        return context.cast(builder, arguments[1], signature.args[1], pointer.dtype)

    return pointer.dtype(pointer, value), codegen


@intrinsic
def keep_apart(typingctx):
    """Put the calling kernel's code in the machine once, never copied into callers."""

    def codegen(context, builder, signature, arguments):
        apart(builder.function)
        return context.get_dummy_value()

    return types.void(), codegen

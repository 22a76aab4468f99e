"""Reading the system's monotonic clock between the instructions of a program."""

from __future__ import annotations

from llvmlite import ir
from numba import types

from diffkit.engine.jit import intrinsic, kernel
from diffkit.engine.kernels.fields import ADDRESS, LIST, WHICH
from diffkit.engine.kernels.memory import keep_apart, offset_pointer


@intrinsic
def _read(typingctx, address, which, place):
    """Call `int clock_gettime(which, place)` of the C library, found at `address`.

    By address and not by name: a system without it can still compile the machine.
    """

    def codegen(context, builder, signature, arguments):
        address, which, place = arguments
        small = ir.IntType(32)
        kind = ir.FunctionType(small, [small, place.type])
        function = builder.inttoptr(address, kind.as_pointer())
        builder.call(function, [builder.trunc(which, small), place])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, place), codegen


@kernel
def clock(arena, row, lists):
    """Write the time to the lists: seconds, and nanoseconds beside them."""
    keep_apart()
    _read(row[ADDRESS], row[WHICH], offset_pointer(lists, row[LIST]))

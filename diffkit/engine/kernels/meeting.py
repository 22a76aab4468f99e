"""Where threads wait for each other."""

from __future__ import annotations

import sys

from llvmlite import ir
from llvmlite.binding import get_process_triple
from numba import types
from numba.core.cgutils import get_or_insert_function

from diffkit.engine.jit import intrinsic, kernel
from diffkit.engine.kernels.fields import COUNT, OUT
from diffkit.engine.kernels.memory import keep_apart, offset_pointer

# Looks at the counter before a waiting thread lets others have its core.
PATIENCE = 2048


@intrinsic
def _arrive(typingctx, cell):
    """Add one to the counter at `cell`; gives what it was before."""

    def codegen(context, builder, signature, arguments):
        whole = ir.IntType(64)
        place = builder.bitcast(arguments[0], whole.as_pointer())
        one = ir.Constant(whole, 1)
        return builder.atomic_rmw("add", place, one, "seq_cst")

    return types.int64(cell), codegen


@intrinsic
def _arrived(typingctx, cell):
    """What the counter at `cell` is now."""

    def codegen(context, builder, signature, arguments):
        place = builder.bitcast(arguments[0], ir.IntType(64).as_pointer())
        return builder.load_atomic(place, "seq_cst", 8)

    return types.int64(cell), codegen


@intrinsic
def _breathe(typingctx):
    """Tell the core that this is a loop that waits."""

    def codegen(context, builder, signature, arguments):
        if get_process_triple().startswith(("x86_64", "i686", "amd64")):
            kind = ir.FunctionType(ir.VoidType(), [])
            name = "llvm.x86.sse2.pause"
            builder.call(get_or_insert_function(builder.module, kind, name), [])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def _give_way(typingctx):
    """Let another thread have the core, where the system has a call for it."""

    def codegen(context, builder, signature, arguments):
        if sys.platform != "win32":
            kind = ir.FunctionType(ir.IntType(32), [])
            name = "sched_yield"
            builder.call(get_or_insert_function(builder.module, kind, name), [])
        return context.get_dummy_value()

    return types.void(), codegen


@kernel
def barrier(arena, row, lists):
    """Wait until all threads are here: the counter only grows, one for each arrival."""
    keep_apart()
    cell = offset_pointer(arena, row[OUT])
    threads = row[COUNT]
    wanted = (_arrive(cell) // threads + 1) * threads
    looked = 0
    while _arrived(cell) < wanted:
        looked += 1
        if looked % PATIENCE == 0:
            _give_way()
        else:
            _breathe()

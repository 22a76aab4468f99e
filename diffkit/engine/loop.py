"""The interpreter: one native function that runs any program over an arena.

Compiled once per dtype, for whatever network: a program is data to it.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba import typeof
from numba.core.imputils import impl_ret_untracked

from diffkit.engine.jit import intrinsic, kernel
from diffkit.engine.kernels import KERNELS
from diffkit.engine.kernels.fields import OPCODE, WIDTH
from diffkit.engine.kernels.memory import (
    float32_pointer,
    float64_pointer,
    int64_pointer,
    offset_pointer,
)

# The control block: everything a run needs, as int64; addresses are in bytes.
ARENA: Final = 0
INSTRUCTIONS: Final = 1
INSTRUCTION_COUNT: Final = 2
LISTS: Final = 3
# Repeated runs with one element of the arena replaced (`Machine.perturbed`).
REPEATS: Final = 4
LEAF: Final = 5
POSITIONS: Final = 6
VALUES: Final = 7
OUTPUT: Final = 8
RESULTS: Final = 9
OUTPUT_SIZE: Final = 10
CONTROL_WIDTH: Final = 11


@intrinsic
def _call_kernel(typingctx, opcode, arena, row, lists):
    """Call the kernel of an opcode: one jump through a table."""
    kernels: list[Any] = [typeof(function) for function in KERNELS.values()]
    signatures = [k.get_call_type(typingctx, (arena, row, lists), {}) for k in kernels]

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        opcode, *operands = arguments
        after = builder.append_basic_block("kernel.done")
        choice = builder.switch(opcode, after)
        for place, (function, kind) in enumerate(zip(kernels, signatures, strict=True)):
            block = builder.append_basic_block(f"kernel.{place}")
            choice.add_case(ir.Constant(opcode.type, place), block)
            builder.position_at_end(block)
            context.get_function(function, kind)(builder, operands)
            builder.branch(after)
        builder.position_at_end(after)
        return impl_ret_untracked(
            context, builder, signature.return_type, context.get_dummy_value()
        )

    return signatures[0].return_type(opcode, arena, row, lists), codegen


@kernel
def _execute(arena, instructions, count, lists):
    for i in range(count):
        row = offset_pointer(instructions, i * WIDTH)
        _call_kernel(row[OPCODE], arena, row, lists)


@kernel
def _run(arena, control):
    instructions = int64_pointer(control[INSTRUCTIONS])
    lists = int64_pointer(control[LISTS])
    count = control[INSTRUCTION_COUNT]
    repeats = control[REPEATS]
    if repeats < 0:
        _execute(arena, instructions, count, lists)
        return
    positions = int64_pointer(control[POSITIONS])
    values = float64_pointer(control[VALUES])
    results = float64_pointer(control[RESULTS])
    size = control[OUTPUT_SIZE]
    for e in range(repeats):
        place = control[LEAF] + positions[e]
        original = arena[place]
        arena[place] = values[e]
        _execute(arena, instructions, count, lists)
        for k in range(size):
            results[e * size + k] = arena[control[OUTPUT] + k]
        arena[place] = original


def run_float64(address):
    """Run the program described by the control block at `address`, in float64."""
    control = int64_pointer(address)
    _run(float64_pointer(control[ARENA]), control)


def run_float32(address):
    """Run the program described by the control block at `address`, in float32."""
    control = int64_pointer(address)
    _run(float32_pointer(control[ARENA]), control)

"""The interpreter: one native function that runs any program over an arena.

Compiled once per dtype, for whatever network: a program is data to it.
"""

from __future__ import annotations

from typing import Final

from diffkit.engine.jit import kernel
from diffkit.engine.jump import jump_table
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


_call_kernel = jump_table(KERNELS)


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

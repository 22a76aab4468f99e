"""The interpreter: one native function that runs any program over an arena.

Compiled once per dtype, for whatever network: a program is data to it.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba.core import cgutils

from diffkit.engine.jit import inlined, intrinsic
from diffkit.engine.jump import jump_table
from diffkit.engine.kernels import BLOCKS, KERNELS
from diffkit.engine.kernels.fields import (
    A_INNER,
    A_OUTER,
    A_STEP_REDUCED,
    ALONG_INNER,
    GOES_ON,
    INNER,
    LENGTH,
    MEMBERS,
    OPCODE,
    OUT,
    OUTER,
    REDUCED,
    ROOM,
    STEP,
    WIDTH,
    A,
)
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


@intrinsic
def _own_row(typingctx, row):
    """Room for one instruction on the stack of whoever asks."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return cgutils.alloca_once(builder, ir.IntType(64), size=WIDTH)

    return row(row), codegen


@inlined
def _call(arena, row, lists):
    _call_kernel(row[OPCODE], arena, row, lists)


@inlined
def _shift(own, row, first, taken, along_inner):
    """The part of an instruction that begins at row or element `first`."""
    for f in range(WIDTH):
        own[f] = row[f]
    if row[GOES_ON] != 0:
        own[REDUCED] = taken
        if row[ROOM] == 0:
            own[A] += first * row[A_STEP_REDUCED]
        if first > 0:
            own[OPCODE] = row[GOES_ON]
        return
    step = 1 if along_inner else row[INNER]
    if along_inner:
        own[INNER] = taken
    else:
        own[OUTER] = taken
    for k in range(4):
        if row[ROOM] & (1 << k) == 0:
            if k > 0:
                step = row[A_INNER + k - 1] if along_inner else row[A_OUTER + k - 1]
            own[OUT + k] += first * step


@inlined
def _run_blocks(arena, head, lists):
    """Run the members of a group, all of them for one block before the next."""
    own = _own_row(head)
    length, step = head[LENGTH], head[STEP]
    for first in range(0, length, step):
        taken = min(step, length - first)
        for m in range(1, head[MEMBERS] + 1):
            row = offset_pointer(head, m * WIDTH)
            _shift(own, row, first, taken, head[ALONG_INNER] != 0)
            _call(arena, own, lists)


@inlined
def _execute(arena, instructions, count, lists):
    i = 0
    while i < count:
        row = offset_pointer(instructions, i * WIDTH)
        if row[OPCODE] == BLOCKS:
            _run_blocks(arena, row, lists)
            i += row[MEMBERS]
        else:
            _call(arena, row, lists)
        i += 1


@inlined
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

"""A program with the clock read between its instructions.

Every instruction is timed where it stands: after the ones before it, with its operands
as warm as they leave them, in place where it is in place. Reading the clock costs tens
of nanoseconds; what it costs is read in the same run, one reading after another, and
taken off. Out of this come differences of one clock within one run, so instructions
that a processor would overlap are kept apart by the readings.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from diffkit.engine.kernels import OPCODES
from diffkit.engine.kernels.fields import ADDRESS, LIST, OPCODE, WHICH, WIDTH
from diffkit.engine.machine import Machine
from diffkit.engine.program import Program
from diffkit.errors import ClockError

#: Readings after the last instruction, by which the clock's own cost is known.
EMPTY = 16


class ClockedMachine:
    """A machine that says how long each stretch of its program took.

    `stops` are the instructions (their numbers, ascending) before which a stretch ends;
    the last one is the number of instructions. The machine has an arena of its own, and
    one caller at a time.

    Raises ClockError on a system without a clock that native code can read.
    """

    def __init__(self, machine: Machine, stops: Sequence[int]) -> None:
        program, self._start = _with_readings(machine.program, stops)
        self._stretches = len(stops)
        self._lists = program.lists
        self.machine = Machine(machine.graph, program, machine.seconds)

    def run(self, leaves: Sequence[np.ndarray]) -> tuple[np.ndarray, float]:
        """Seconds of every stretch of one run, and of reading the clock, not taken off.

        float64 (stretches,), and the median of the empty stretches at the end.
        """
        self.machine(leaves)
        stamps = self._lists[self._start :].reshape(-1, 2)
        nanoseconds = stamps[:, 0] * 1_000_000_000 + stamps[:, 1]
        apart = np.diff(nanoseconds) * 1e-9
        return apart[: self._stretches], float(np.median(apart[self._stretches :]))


def _with_readings(program: Program, stops: Sequence[int]) -> tuple[Program, int]:
    """The program with readings of the clock, and where they begin in its lists."""
    address, which = _system_clock()
    before = [0, *stops, *[len(program.table)] * EMPTY]
    start = len(program.lists)
    readings = np.zeros((len(before), WIDTH), np.int64)
    readings[:, OPCODE] = OPCODES["clock"]
    readings[:, ADDRESS] = address
    readings[:, WHICH] = which
    readings[:, LIST] = start + 2 * np.arange(len(before))
    table = np.insert(program.table, before, readings, axis=0)
    clocked = replace(
        program,
        table=table,
        tables=(table,),  # one thread's, whatever the machine's number of threads
        lists=np.concatenate([program.lists, np.zeros(2 * len(before), np.int64)]),
        nodes=np.insert(program.nodes, before, -1),
    )
    return clocked, start


def _system_clock() -> tuple[int, int]:
    """The address of the C library's clock_gettime, and its monotonic clock."""
    try:
        function = ctypes.CDLL(None).clock_gettime
        which = time.CLOCK_MONOTONIC
    except (AttributeError, TypeError, OSError):
        function, which = None, 0
    # It writes two words of 64 bits only where time_t is that wide.
    if function is None or sys.maxsize < 2**32:
        raise ClockError(
            "This system has no clock_gettime that native code can read, so that "
            "instructions cannot be timed one by one. Time whole calls instead, for "
            "example with timeit."
        )
    return int(ctypes.cast(function, ctypes.c_void_p).value or 0), int(which)

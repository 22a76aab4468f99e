"""What one call of a program needs for itself: an arena, and tables that point into it.

Large inputs need not be copied into the arena: instructions count from the arena's
first element, in elements, so they reach any array of the process. A workspace of a
program with large inputs or outputs has instructions of its own, and a list of the
fields that say where those lie (`enter.py` writes them).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from diffkit.engine import enter, loop
from diffkit.engine.cache import direct
from diffkit.engine.kernels.fields import OUT, C
from diffkit.engine.lines import empty_on_a_line
from diffkit.engine.pool import together
from diffkit.engine.program import Program


class Workspace:
    """One arena and everything prepared on it, so that a call allocates nothing."""

    __slots__ = (
        "_fields",
        "_originals",
        "_places",
        "_run",
        "_starts",
        "_tables",
        "address",
        "addresses",
        "arena",
        "controls",
        "first",
        "leaves",
        "outputs",
    )

    def __init__(self, program: Program) -> None:
        plan, dtype = program.plan, program.dtype
        self.arena = empty_on_a_line(plan.elements, dtype)
        for start, values in program.constants:
            self.arena[start : start + values.size] = values
        self.leaves = [
            self.arena[slot.start : slot.start + slot.elements].reshape(slot.shape)
            for slot in program.inputs
        ]
        self.outputs = [
            self.arena[slot.start : slot.start + slot.elements].reshape(slot.shape)
            for slot in program.outputs
        ]
        self.first: Any = self.outputs[0] if self.outputs else None
        self._run = direct(program.dtype.name)
        self._originals = self._tables = program.tables
        self._point(program)
        self.controls = [self.controlled(program, table) for table in self._tables]
        self.addresses = [int(control.ctypes.data) for control in self.controls]
        self.address = self.addresses[0]

    def run(self) -> None:
        """Run every instruction, each thread its own."""
        if len(self.addresses) == 1:
            self._run(self.address)
        else:
            together(self._run, self.addresses)

    def controlled(self, program: Program, table: np.ndarray) -> np.ndarray:
        """A control block for a table of instructions over this arena."""
        arrays = len(self.leaves) + len(self.outputs)
        control = np.zeros(enter.STRETCHES + enter.STRETCH_WIDTH * arrays, np.int64)
        control[loop.ARENA] = self.arena.ctypes.data
        control[loop.INSTRUCTIONS] = table.ctypes.data
        control[loop.INSTRUCTION_COUNT] = len(table)
        control[loop.LISTS] = program.lists.ctypes.data
        control[loop.REPEATS] = -1
        control[enter.FIELDS] = self._fields.ctypes.data
        control[enter.PLACES] = self._places.ctypes.data
        return control

    def own_inputs(self) -> None:
        """Have the instructions read and write the arena alone, as they were lowered.

        Whoever fills `leaves` must ask for it first.
        """
        if np.array_equal(self._places[:, enter.PLACE], self._starts):
            return
        for table, original in zip(self._tables, self._originals, strict=True):
            table[:] = original
        self._places[:, enter.PLACE] = self._starts

    def _point(self, program: Program) -> None:
        """Find the fields that say where each large input and output lies."""
        slots = [*program.inputs, *program.outputs]
        self._starts = np.array([slot.start for slot in slots], np.int64)
        self._places = np.zeros((len(slots), enter.PLACE_WIDTH), np.int64)
        self._places[:, enter.PLACE] = self._starts
        rows: list[np.ndarray] = []
        large = [p for p, slot in enumerate(slots) if program.is_large(slot)]
        if large:
            self._tables = tuple(table.copy() for table in program.tables)
        for p in large:
            slot = slots[p]
            self._places[p, enter.FIRST_FIELD] = sum(map(len, rows))
            for table in self._tables:
                places = table[:, OUT : C + 1]
                inside = (places >= slot.start) & (places < slot.start + slot.elements)
                where = np.argwhere(inside)
                steps = where[:, 0] * table.strides[0] + (where[:, 1] + OUT) * 8
                found = np.empty((len(where), enter.FIELD_WIDTH), np.int64)
                found[:, enter.FIELD_ADDRESS] = table.ctypes.data + steps
                found[:, enter.FIELD_OFFSET] = places[inside] - slot.start
                rows.append(found)
            end = sum(map(len, rows))
            self._places[p, enter.FIELD_COUNT] = (
                end - self._places[p, enter.FIRST_FIELD]
            )
        empty = np.zeros((0, enter.FIELD_WIDTH), np.int64)
        self._fields = np.ascontiguousarray(np.concatenate([empty, *rows]))


class Workspaces:
    """Those that no call is using: concurrent calls are each given their own."""

    __slots__ = ("_program", "free")

    def __init__(self, program: Program) -> None:
        self._program = program
        self.free: list[Workspace] = []

    def borrow(self) -> Workspace:
        """One that no other call is using; it is given back by `free.append`."""
        # list.pop is atomic: no two threads are given the same workspace.
        try:
            return self.free.pop()
        except IndexError:
            return Workspace(self._program)

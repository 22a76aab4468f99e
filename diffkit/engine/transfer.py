"""Which arrays a call is given and what goes where: a plan for `enter`, made once.

Arguments one by one, arguments in one vector, and results in the caller's own arrays
are the same mechanism with other plans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit.engine import enter, native_arrays
from diffkit.engine.cache import address, direct
from diffkit.engine.program import Program, Slot
from diffkit.engine.workspace import Workspace, Workspaces

# What can be read into an arena of either dtype; others go through Python.
CONVERSIONS = {
    np.dtype(np.float64): enter.FLOAT64,
    np.dtype(np.float32): enter.FLOAT32,
    np.dtype(np.int64): enter.INT64,
    np.dtype(np.int32): enter.INT32,
    np.dtype(np.bool_): enter.BOOLEAN,
}


@dataclass(frozen=True, slots=True)
class Part:
    """An array of a call: its dtype, and the inputs (or outputs) that it holds.

    The one input itself or, as a `vector`, any number of them end to end, each in C
    order.
    """

    dtype: np.dtype
    positions: tuple[int, ...]
    vector: bool = False

    def shape(self, slots: Sequence[Slot]) -> tuple[int, ...]:
        """The shape that the array must have."""
        if not self.vector:
            return slots[self.positions[0]].shape
        return (sum(slots[p].elements for p in self.positions),)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a call is refused for, beside arrays that do not fit.

    `apart`: an array that is written shares memory with another of the list; `finite`:
    the first output is not finite.
    """

    apart: bool = False
    finite: bool = False


class Transfer:
    """A native call of a program on the arrays of one list.

    Called with the list of all arrays, those that are read and those that are written,
    it gives True; or False, with nothing written, where one is not a C-contiguous array
    of its dtype and shape, or the settings refuse it.
    """

    def __init__(
        self,
        program: Program,
        read: Sequence[Part],
        written: Sequence[Part],
        settings: Settings,
        workspaces: Workspaces,
    ) -> None:
        self._enter = direct("enter")
        self._free, self._borrow = workspaces.free, workspaces.borrow
        kinds = [
            *_kinds(read, program.inputs, native_arrays.READ_FLAGS),
            *_kinds(written, program.outputs, native_arrays.WRITE_FLAGS),
        ]
        # A call that promises to write nothing in some case may not write in place.
        in_place = not (settings.apart and settings.finite)
        references = _References(program)
        copies_in = _copies(
            read, program.inputs, program.dtype, 0, references.of_inputs
        )
        copies_out = _copies(
            *(written, program.outputs, program.dtype, len(read)),
            references.of_outputs if in_place else {},
        )
        # The plan holds the addresses of these: they live as long as it does.
        self._tables = [
            _table(rows) for rows in (kinds, copies_in, copies_out, references.rows)
        ]
        self._plan = np.zeros(enter.PLAN_WIDTH, np.int64)
        self._plan[enter.RUN] = address(program.dtype.name)
        self._plan[enter.ITEM_BYTES] = program.dtype.itemsize
        self._plan[enter.ARRAY_TYPE] = id(np.ndarray)
        self._plan[enter.ARRAYS] = len(kinds)
        self._plan[enter.READ] = len(read)
        self._plan[enter.APART] = settings.apart
        self._plan[enter.FINITE] = program.outputs[0].start if settings.finite else -1
        places = (enter.KINDS, enter.COPIES_IN, enter.COPIES_OUT, enter.REFERENCES)
        for place, table in zip(places, self._tables, strict=True):
            self._plan[place] = table.ctypes.data
        self._plan[enter.KIND_WIDTH] = self._tables[0].shape[1]
        self._plan[enter.COPIES_IN_COUNT] = len(copies_in)
        self._plan[enter.COPIES_OUT_COUNT] = len(copies_out)
        self._plan[enter.REFERENCES_COUNT] = len(references.rows)
        self._address = int(self._plan.ctypes.data)
        self._shared = len(program.tables) > 1
        if self._shared:
            self._before, self._after = self._steps()

    def __call__(self, arrays: list[Any]) -> bool:
        workspace = self._borrow()
        try:
            return not self._entered(workspace, id(arrays))
        finally:
            self._free.append(workspace)

    def valued(self) -> Callable[[list[Any]], Any]:
        """The same call for a program whose first output is a scalar: that, or None.

        What is written need not hold the first output.
        """
        if self._shared:
            return self._shared_value
        # A closure finds all that a call needs faster than attributes. It keeps the
        # transfer, and with it the tables that the plan points to.
        run, plan = self._enter, self._address
        take, give_back, borrow = self._free.pop, self._free.append, self._borrow

        def value(arrays: list[Any], kept: Transfer = self) -> Any:
            try:
                workspace = take()
            except IndexError:
                workspace = borrow()
            try:
                if run(workspace.address, plan, id(arrays)):
                    return None
                return workspace.first[()]
            finally:
                give_back(workspace)

        return value

    def _shared_value(self, arrays: list[Any]) -> Any:
        workspace = self._borrow()
        try:
            status = self._entered(workspace, id(arrays))
            return None if status else workspace.first[()]
        finally:
            self._free.append(workspace)

    def _entered(self, workspace: Workspace, arrays: int) -> int:
        """Copy in, run, copy out; where threads share the run, in three steps."""
        if not self._shared:
            return self._enter(workspace.address, self._address, arrays)
        status = self._enter(workspace.address, self._before, arrays)
        if status:
            return status
        workspace.run()
        return self._enter(workspace.address, self._after, arrays)

    def _steps(self) -> tuple[int, int]:
        """The plans of what comes before and after a run."""
        before, after = self._plan.copy(), self._plan.copy()
        before[enter.RUN] = after[enter.RUN] = 0
        before[enter.FINITE], before[enter.COPIES_OUT_COUNT] = -1, 0
        after[[enter.APART, enter.COPIES_IN_COUNT, enter.REFERENCES_COUNT]] = 0
        self._tables += [before, after]
        return int(before.ctypes.data), int(after.ctypes.data)


class _References:
    """A row for every large input and output: in the arena, until it is said where."""

    def __init__(self, program: Program) -> None:
        slots = [*program.inputs, *program.outputs]
        large = {p: slot for p, slot in enumerate(slots) if program.is_large(slot)}
        by_slot = {p: [p, -1, 0, slot.start] for p, slot in large.items()}
        count = len(program.inputs)
        self.rows = list(by_slot.values())
        self.of_inputs = {p: row for p, row in by_slot.items() if p < count}
        self.of_outputs = {p - count: r for p, r in by_slot.items() if p >= count}


def can_transfer(
    program: Program, read: Sequence[Part], written: Sequence[Part]
) -> bool:
    """Whether native code can read arrays here, and convert these."""
    return (
        native_arrays.headers_are_known()
        and all(part.dtype in CONVERSIONS for part in read)
        and all(_can_hold(program, part) for part in written)
    )


def _can_hold(program: Program, part: Part) -> bool:
    """Whether an array of the part's dtype is given its outputs unconverted."""
    dtypes = {
        np.dtype(np.bool_) if program.outputs[p].boolean else program.dtype
        for p in part.positions
    }
    return dtypes <= {part.dtype}


def _kinds(parts: Sequence[Part], slots: Sequence[Slot], flags: int) -> list[list[int]]:
    rows = []
    for part in parts:
        shape = part.shape(slots)
        # Of each built-in dtype there is one object, which arrays refer to.
        dtype = np.dtype(part.dtype.char)
        rows.append([id(dtype), flags, dtype.itemsize, len(shape), *shape])
    return rows


def _copies(
    parts: Sequence[Part],
    slots: Sequence[Slot],
    dtype: np.dtype,
    first: int,
    large: Mapping[int, list[int]],
) -> list[list[int]]:
    """A row for each stretch; those that are neighbours on both sides are one.

    What is `large` is not copied where it need not be converted: its reference is told
    which array it is in.
    """
    rows: list[list[int]] = []
    for number, part in enumerate(parts, start=first):
        conversion = enter.SAME if part.dtype == dtype else CONVERSIONS[part.dtype]
        offset = 0
        for position in part.positions:
            slot = slots[position]
            row = [number, offset, slot.start, slot.elements, conversion]
            if conversion == enter.SAME and position in large:
                large[position][enter.REFERENCE_ARRAY] = number
                large[position][enter.REFERENCE_OFFSET] = offset
                row[enter.COPY_ELEMENTS] = 0
            offset += slot.elements
            if not row[enter.COPY_ELEMENTS]:
                continue
            if rows and _continues(rows[-1], row):
                rows[-1][enter.COPY_ELEMENTS] += slot.elements
            else:
                rows.append(row)
    return rows


def _continues(before: list[int], row: list[int]) -> bool:
    end = before[enter.COPY_ELEMENTS]
    return (
        before[enter.COPY_ARRAY] == row[enter.COPY_ARRAY]
        and before[enter.COPY_OFFSET] + end == row[enter.COPY_OFFSET]
        and before[enter.COPY_PLACE] + end == row[enter.COPY_PLACE]
    )


def _table(rows: list[list[int]]) -> np.ndarray:
    """Rows of one width, the short ones filled with zeros."""
    width = max(map(len, rows), default=1)
    table = np.zeros((len(rows), width), np.int64)
    for number, row in enumerate(rows):
        table[number, : len(row)] = row
    return table

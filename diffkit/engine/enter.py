"""A call of the machine from Python: check the arrays, copy in, run, copy out.

One native function for both dtypes, apart from the interpreter, which it calls by its
address. What is copied where is data: a plan of int64, the same for any number of runs
and threads (`transfer.py` writes it).
"""

from __future__ import annotations

from math import isfinite
from typing import Final

from diffkit.engine.jit import kernel
from diffkit.engine.kernels.memory import (
    float32_pointer,
    float64_pointer,
    int32_pointer,
    int64_pointer,
    offset_pointer,
    uint8_pointer,
)
from diffkit.engine.loop import ARENA, CONTROL_WIDTH
from diffkit.engine.native_arrays import (
    SHAPE,
    call_native,
    copy_bytes,
    data_address,
    elements,
    is_array,
    list_item,
    list_length,
    rank,
)

# The plan. Addresses are in bytes, offsets and places in elements.
RUN: Final = 0  # the interpreter's native code, or 0: copy only
ITEM_BYTES: Final = 1  # of the arena's dtype
ARRAY_TYPE: Final = 2
ARRAYS: Final = 3  # those that are read, then those that are written
READ: Final = 4  # how many are read
KINDS: Final = 5  # a row for each array
KIND_WIDTH: Final = 6
APART: Final = 7  # 1 if arrays that are written may share no memory with any other
FINITE: Final = 8  # the place of an output that must be finite, or −1
COPIES_IN: Final = 9
COPIES_IN_COUNT: Final = 10
COPIES_OUT: Final = 11
COPIES_OUT_COUNT: Final = 12
REFERENCES: Final = 13
REFERENCES_COUNT: Final = 14
PLAN_WIDTH: Final = 15

# What an array must be: a row of the kinds; its dimensions follow.
KIND_DTYPE: Final = 0
KIND_FLAGS: Final = 1
KIND_ITEM_BYTES: Final = 2
KIND_RANK: Final = 3
KIND_SHAPE: Final = 4

# A copy between an array and the arena.
COPY_ARRAY: Final = 0
COPY_OFFSET: Final = 1
COPY_PLACE: Final = 2
COPY_ELEMENTS: Final = 3
COPY_CONVERSION: Final = 4
COPY_WIDTH: Final = 5

# An input or output that instructions can reach where it is: the array it is in, or −1
# where it is in the arena this time.
REFERENCE_SLOT: Final = 0
REFERENCE_ARRAY: Final = 1
REFERENCE_OFFSET: Final = 2
REFERENCE_PLACE: Final = 3  # in the arena
REFERENCE_WIDTH: Final = 4

# Of a workspace, a row for each input and output: where it is said to lie now, and
# which of the workspace's fields say so.
PLACE: Final = 0
FIRST_FIELD: Final = 1
FIELD_COUNT: Final = 2
PLACE_WIDTH: Final = 3
# A field of an instruction: its address, and how far into the array it points.
FIELD_ADDRESS: Final = 0
FIELD_OFFSET: Final = 1
FIELD_WIDTH: Final = 2

# Between the arena's dtype and the array's.
SAME: Final = 0
FLOAT64: Final = 1
FLOAT32: Final = 2
INT64: Final = 3
INT32: Final = 4
BOOLEAN: Final = 5

# A stretch of memory, to be compared with others: after the control block's fields.
FROM: Final = 0
TO: Final = 1
WRITTEN: Final = 2
STRETCH_WIDTH: Final = 3
FIELDS: Final = CONTROL_WIDTH
PLACES: Final = CONTROL_WIDTH + 1
STRETCHES: Final = CONTROL_WIDTH + 2

DONE: Final = 0
MISFIT: Final = 1
NOT_FINITE: Final = 2


@kernel
def _fits(item, kind, array_type):
    if not is_array(item, array_type, kind[KIND_DTYPE], kind[KIND_FLAGS]):
        return False
    axes = kind[KIND_RANK]
    if rank(item) != axes:
        return False
    shape = int64_pointer(int64_pointer(item)[SHAPE])
    same = True
    for axis in range(axes):
        same = same and shape[axis] == kind[KIND_SHAPE + axis]
    return same


@kernel
def _all_fit(plan, address):
    count = plan[ARRAYS]
    if list_length(address) != count:
        return False
    kinds = int64_pointer(plan[KINDS])
    for i in range(count):
        kind = offset_pointer(kinds, i * plan[KIND_WIDTH])
        if not _fits(list_item(address, i), kind, plan[ARRAY_TYPE]):
            return False
    return True


@kernel
def _stretches(stretches, plan, address):
    """The memory of every array that has any; how many those are."""
    kinds = int64_pointer(plan[KINDS])
    count = 0
    for i in range(plan[ARRAYS]):
        item = list_item(address, i)
        size = elements(item) * kinds[i * plan[KIND_WIDTH] + KIND_ITEM_BYTES]
        if size:
            row = offset_pointer(stretches, count * STRETCH_WIDTH)
            row[FROM] = data_address(item)
            row[TO] = row[FROM] + size
            row[WRITTEN] = 1 if i >= plan[READ] else 0
            count += 1
    return count


@kernel
def _sort(stretches, count):
    """By where they begin; Shell's method (1959), which needs no memory."""
    gap = 1
    while gap < count // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, count):
            row = offset_pointer(stretches, i * STRETCH_WIDTH)
            begin, end, written = row[FROM], row[TO], row[WRITTEN]
            j = i
            while j >= gap and stretches[(j - gap) * STRETCH_WIDTH + FROM] > begin:
                before = offset_pointer(stretches, (j - gap) * STRETCH_WIDTH)
                here = offset_pointer(stretches, j * STRETCH_WIDTH)
                here[FROM] = before[FROM]
                here[TO] = before[TO]
                here[WRITTEN] = before[WRITTEN]
                j -= gap
            here = offset_pointer(stretches, j * STRETCH_WIDTH)
            here[FROM] = begin
            here[TO] = end
            here[WRITTEN] = written
        gap //= 3


@kernel
def _apart(stretches, plan, address):
    """Whether no array that is written shares memory with another."""
    count = _stretches(stretches, plan, address)
    _sort(stretches, count)
    end = 0
    written_end = 0
    for i in range(count):
        row = offset_pointer(stretches, i * STRETCH_WIDTH)
        if row[FROM] < written_end:
            return False
        if row[WRITTEN] and row[FROM] < end:
            return False
        end = max(end, row[TO])
        if row[WRITTEN]:
            written_end = max(written_end, row[TO])
    return True


@kernel
def _convert(arena, place, source, offset, count):
    for k in range(count):
        arena[place + k] = source[offset + k]


@kernel
def _copy_in(arena, plan, address, arena_address):
    rows = int64_pointer(plan[COPIES_IN])
    width = plan[ITEM_BYTES]
    for i in range(plan[COPIES_IN_COUNT]):
        row = offset_pointer(rows, i * COPY_WIDTH)
        data = data_address(list_item(address, row[COPY_ARRAY]))
        offset, place, count = row[COPY_OFFSET], row[COPY_PLACE], row[COPY_ELEMENTS]
        conversion = row[COPY_CONVERSION]
        if conversion == SAME:
            copy_bytes(
                arena_address + width * place, data + width * offset, width * count
            )
        elif conversion == FLOAT64:
            _convert(arena, place, float64_pointer(data), offset, count)
        elif conversion == FLOAT32:
            _convert(arena, place, float32_pointer(data), offset, count)
        elif conversion == INT64:
            _convert(arena, place, int64_pointer(data), offset, count)
        elif conversion == INT32:
            _convert(arena, place, int32_pointer(data), offset, count)
        else:
            truth = uint8_pointer(data)
            for k in range(count):
                arena[place + k] = truth[offset + k] != 0


@kernel
def _copy_out(arena, plan, address, arena_address):
    rows = int64_pointer(plan[COPIES_OUT])
    width = plan[ITEM_BYTES]
    for i in range(plan[COPIES_OUT_COUNT]):
        row = offset_pointer(rows, i * COPY_WIDTH)
        data = data_address(list_item(address, row[COPY_ARRAY]))
        offset, place, count = row[COPY_OFFSET], row[COPY_PLACE], row[COPY_ELEMENTS]
        if row[COPY_CONVERSION] == SAME:
            copy_bytes(
                data + width * offset, arena_address + width * place, width * count
            )
        else:
            truth = uint8_pointer(data)
            for k in range(count):
                truth[offset + k] = arena[place + k] != 0


@kernel
def _refer(control, plan, address, arena_address):
    """Have the instructions find large arrays where they are.

    Every one of them is said anew: the array of an earlier call may be gone.
    """
    rows = int64_pointer(plan[REFERENCES])
    places = int64_pointer(control[PLACES])
    fields = int64_pointer(control[FIELDS])
    for i in range(plan[REFERENCES_COUNT]):
        row = offset_pointer(rows, i * REFERENCE_WIDTH)
        place = row[REFERENCE_PLACE]
        if row[REFERENCE_ARRAY] >= 0:
            data = data_address(list_item(address, row[REFERENCE_ARRAY]))
            # Both are aligned to the items, and // rounds down for either sign.
            place = (data - arena_address) // plan[ITEM_BYTES] + row[REFERENCE_OFFSET]
        about = offset_pointer(places, row[REFERENCE_SLOT] * PLACE_WIDTH)
        if about[PLACE] != place:
            about[PLACE] = place
            for k in range(about[FIELD_COUNT]):
                field = offset_pointer(fields, (about[FIRST_FIELD] + k) * FIELD_WIDTH)
                int64_pointer(field[FIELD_ADDRESS])[0] = place + field[FIELD_OFFSET]


@kernel
def _copied(arena, control_address, plan, list_address):
    """Copy in, run, copy out."""
    control = int64_pointer(control_address)
    arena_address = control[ARENA]
    _refer(control, plan, list_address, arena_address)
    _copy_in(arena, plan, list_address, arena_address)
    if plan[RUN]:
        call_native(plan[RUN], control_address)
    watched = plan[FINITE]
    if watched >= 0 and not isfinite(arena[watched]):
        return NOT_FINITE
    _copy_out(arena, plan, list_address, arena_address)
    return DONE


def enter(control_address, plan_address, list_address):
    """Run a program on the arrays of a list: DONE, or why nothing was written.

    The three are addresses: of a workspace's control block, of a plan, and of a Python
    list of the arrays that are read followed by those that are written.
    """
    control = int64_pointer(control_address)
    plan = int64_pointer(plan_address)
    if not _all_fit(plan, list_address):
        return MISFIT
    stretches = offset_pointer(control, STRETCHES)
    if plan[APART] and not _apart(stretches, plan, list_address):
        return MISFIT
    arena = control[ARENA]
    if plan[ITEM_BYTES] == 8:
        return _copied(float64_pointer(arena), control_address, plan, list_address)
    return _copied(float32_pointer(arena), control_address, plan, list_address)

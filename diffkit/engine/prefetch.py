"""Fetching ahead: programs larger than the second-level cache ask early for memory.

The program is straight, so what it will touch is known. Where a buffer was last
touched so long ago that it has left the cache, a `prefetch` instruction is put a few
instructions before its use, and the wait overlaps with arithmetic. Nothing is
computed; smaller programs are left as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from diffkit.engine.kernels import OPCODES
from diffkit.engine.kernels.fields import COUNT, OPCODE, WIDTH, A

# Bytes touched since a buffer's last use after which it is taken to be gone: half of
# a common second-level cache.
COLD_BYTES = 512 * 1024
# How far ahead to ask, in bytes touched meanwhile: about two microseconds.
AHEAD_BYTES = 48 * 1024
# Longer stretches are left to the hardware, which follows them well.
LARGEST_BYTES = 64 * 1024
SMALLEST_BYTES = 1024


def with_prefetches(
    table: np.ndarray,
    uses: Sequence[tuple[int, ...]],
    lengths: Sequence[int],
    sizes: Sequence[int],
    offsets: np.ndarray,
    arena_bytes: int,
    item_bytes: int,
) -> np.ndarray:
    """The table with prefetch instructions; `uses[i]` are the buffers of item i.

    An item is an instruction or a group of them, `lengths[i]` rows of the table.
    """
    if arena_bytes <= COLD_BYTES:
        return table
    places = offsets.tolist()
    touched = [0] * (len(uses) + 1)  # bytes touched before item i
    starts = [0, *accumulate(lengths)]
    last_touch: dict[int, int] = {}
    before: list[int] = []
    rows: list[tuple[int, int]] = []
    clock = 0
    ahead = 0
    for i, used in enumerate(uses):
        touched[i] = clock
        while touched[ahead] < clock - AHEAD_BYTES:
            ahead += 1
        for b in used:
            size = sizes[b] * item_bytes
            place = places[b]
            gone = clock - last_touch.get(place, -COLD_BYTES) >= COLD_BYTES
            if gone and SMALLEST_BYTES <= size <= LARGEST_BYTES:
                before.append(starts[ahead])
                rows.append((place, sizes[b]))
            clock += min(size, COLD_BYTES)
            last_touch[place] = clock
    if not rows:
        return table
    extra = np.zeros((len(rows), WIDTH), np.int64)
    extra[:, OPCODE] = OPCODES["prefetch"]
    extra[:, [A, COUNT]] = rows
    return np.insert(table, before, extra, axis=0)

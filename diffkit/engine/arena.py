"""The arena plan: where every buffer lies, decided by when it is last needed.

    [ inputs | constants | workspace, used again and again | outputs ]

Inputs and constants are never overwritten. Workspace buffers take the place of dead
ones (best fit, neighbours merged), and an elementwise result may lie on an operand
that dies with it. Outputs lie packed at the end, so that they leave in one copy.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from diffkit.engine.lines import LINE_BYTES


@dataclass(frozen=True, slots=True)
class Demand:
    """What the planner is told: sizes, and the reads and writes of each instruction.

    `sizes[b]` are elements; `uses[i]` the buffers instruction i reads or writes;
    `in_place[i]` says of its new outputs whose place each may take. `inputs`,
    `constants` and `outputs` name the pinned buffers in their order. `inside[b]` says
    that b is a part of another buffer, and where in it b begins.
    """

    sizes: Sequence[int]
    uses: Sequence[tuple[int, ...]]
    in_place: Sequence[Mapping[int, tuple[int, ...]]]
    inputs: Sequence[int]
    constants: Sequence[int]
    outputs: Sequence[int]
    inside: Mapping[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """Offsets in elements: one for each buffer, and the borders of the regions."""

    offsets: np.ndarray
    workspace_start: int
    output_start: int
    elements: int


class _FreeList:
    """Free stretches of the workspace: best fit, merged with their neighbours."""

    def __init__(self) -> None:
        self.top = 0
        self._by_size: list[tuple[int, int]] = []
        self._start_to_size: dict[int, int] = {}
        self._end_to_start: dict[int, int] = {}

    def take(self, size: int) -> int:
        place = bisect_left(self._by_size, (size, -1))
        if place < len(self._by_size):
            found, start = self._by_size.pop(place)
            del self._start_to_size[start], self._end_to_start[start + found]
            if found > size:
                self._add(start + size, found - size)
            return start
        # Grow, beginning in the free stretch at the top if there is one.
        start = self._end_to_start.get(self.top)
        if start is None:
            start = self.top
        else:
            self._remove(start)
        self.top = start + size
        return start

    def give_back(self, start: int, size: int) -> None:
        before = self._end_to_start.get(start)
        if before is not None:
            size += self._remove(before)
            start = before
        if start + size in self._start_to_size:
            size += self._remove(start + size)
        self._add(start, size)

    def _add(self, start: int, size: int) -> None:
        insort(self._by_size, (size, start))
        self._start_to_size[start] = size
        self._end_to_start[start + size] = start

    def _remove(self, start: int) -> int:
        size = self._start_to_size.pop(start)
        del self._end_to_start[start + size]
        self._by_size.pop(bisect_left(self._by_size, (size, start)))
        return size


def plan_arena(demand: Demand, item_bytes: int) -> Plan:
    """Place every buffer; linear in the instructions, but for the sorted free list."""
    line = LINE_BYTES // item_bytes
    sizes = demand.sizes
    offsets = np.zeros(max(len(sizes), 1), dtype=np.int64)
    pinned = {*demand.inputs, *demand.constants, *demand.outputs}
    front = 0
    for b in (*demand.inputs, *demand.constants):
        offsets[b] = front
        front += _rounded(sizes[b], line)
    wholes = {b: _whole(demand.inside, b) for b in demand.inside}
    uses = [tuple([wholes.get(b, (b, 0))[0] for b in used]) for used in demand.uses]
    last_use = {b: i for i, used in enumerate(uses) for b in used}
    free = _FreeList()
    places: dict[int, int] = {}
    known = set(pinned)
    for i, used in enumerate(uses):
        dying = {b for b in used if last_use[b] == i and b in places}
        for b in used:
            if b in known:
                continue
            known.add(b)  # First seen: this instruction creates it.
            heirs = _heirs(demand, wholes, i, b)
            heir = next(
                (d for d in heirs if d in dying and sizes[d] == sizes[b]),
                None,
            )
            if heir is None:
                places[b] = free.take(_rounded(sizes[b], line))
            else:
                places[b] = places.pop(heir)
                dying.discard(heir)
            offsets[b] = front + places[b]
            if last_use[b] == i:
                dying.add(b)
        for b in dying:
            free.give_back(places.pop(b), _rounded(sizes[b], line))
    end = front + free.top
    output_start = end
    for b in demand.outputs:
        offsets[b] = end
        end += sizes[b]
    for b, (whole, start) in wholes.items():
        offsets[b] = offsets[whole] + start
    return Plan(offsets, front, output_start, end)


def _heirs(
    demand: Demand, wholes: Mapping[int, tuple[int, int]], i: int, out: int
) -> list[int]:
    """Operands of instruction i that an output of it may lie on.

    None of them shares its memory with another operand. (An output that is a part of
    something is not asked about: its whole is.)
    """
    return [
        d
        for d in demand.in_place[i].get(out, ())
        if all(b == d or wholes.get(b, (b, 0))[0] != d for b in demand.uses[i])
    ]


def _whole(inside: Mapping[int, tuple[int, int]], buffer: int) -> tuple[int, int]:
    """The buffer that is part of no other, and where in it `buffer` begins."""
    start = 0
    while buffer in inside:
        buffer, more = inside[buffer]
        start += more
    return buffer, start


def _rounded(size: int, line: int) -> int:
    return -(-max(size, 1) // line) * line

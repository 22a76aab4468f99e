"""Block-wise fusion: neighbouring elementwise instructions run block by block together.

A group of instructions over the same elements is run for a thousand of them at a time:
what one writes, the next reads from the first-level cache, and an intermediate that
nobody else reads never takes more room than a block. A sum over the rows of such an
intermediate (a bias's gradient) is a member too. Nothing is compiled: the members are
ordinary instructions, whose places and lengths are shifted from block to block.

An instruction that comes a little later joins a group when all that it needs is there;
instructions are never delayed, so whoever changes a buffer still does so in its turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from diffkit.engine.instructions import NONE, Assembly
from diffkit.engine.kernels import BLOCKS, ELEMENTWISE, OPCODES
from diffkit.engine.kernels.fields import (
    A_INNER,
    A_OUTER,
    A_STEP_INNER,
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

# Elements of a block: 8 KiB of float64, so that a handful of operands fit 32 KiB.
BLOCK = 1024
# Fewer elements than this are in the first-level cache anyhow.
LEAST = 4 * BLOCK
# Rows longer than this are no blocks for that cache.
LONGEST_ROW = 4 * BLOCK
# How many instructions (or groups) back an instruction may join a group.
WINDOW = 4

_SUM, _ADD_ROWS = OPCODES["sum"], OPCODES["add_rows"]
_ELEMENTWISE = frozenset(OPCODES[name] for name in ELEMENTWISE)
_OPERANDS = 3


@dataclass(slots=True)
class Item:
    """One instruction, or a group of them; `buffers` are out, a, b and c of each.

    `nodes` are the nodes of the graph that they compute.

    `in_place` says for each buffer that it creates whose place that may take; `room`
    are the elements that a group needs for what only its members see.
    """

    rows: list[list[int]]
    buffers: list[tuple[int, int, int, int]]
    nodes: list[int]
    in_place: dict[int, tuple[int, ...]] = field(default_factory=dict)
    length: int = 0
    step: int = 0
    room: int = 0
    along_inner: bool = False

    @property
    def is_group(self) -> bool:
        """Whether a head stands before its rows."""
        return len(self.rows) > 1

    def uses(self) -> tuple[int, ...]:
        """Every buffer that is read or written, those written first."""
        written = [used[0] for used in self.buffers]
        read = [b for used in self.buffers for b in used[1:]]
        return tuple(b for b in dict.fromkeys([*written, *read]) if b >= 0)

    def table_rows(self) -> list[list[int]]:
        """Its rows as they stand in the table, the head of a group first."""
        if not self.is_group:
            return self.rows
        head = [0] * WIDTH
        head[OPCODE], head[MEMBERS] = BLOCKS, len(self.rows)
        head[LENGTH], head[STEP] = self.length, self.step
        head[ALONG_INNER] = int(self.along_inner)
        return [head, *self.rows]

    def table_buffers(self) -> list[tuple[int, int, int, int]]:
        """The buffers of `table_rows`."""
        head = [(NONE, NONE, NONE, NONE)] if self.is_group else []
        return [*head, *self.buffers]

    def table_nodes(self) -> list[int]:
        """The nodes of `table_rows`."""
        return [NONE, *self.nodes] if self.is_group else self.nodes


def fuse(assembly: Assembly, threads: int = 1) -> list[Item]:
    """The instructions of an assembly in order, some of them gathered into groups.

    For several threads groups have room for each of them, and leave sums alone: those
    are cut by columns, and groups by rows. The order of a sum's terms is the same.
    """
    return _Fusion(assembly, threads).items()


def _unfused(assembly: Assembly, i: int) -> Item:
    out = assembly.buffers[i][0]
    heirs = {out: assembly.in_place[i]} if assembly.in_place[i] else {}
    nodes = [assembly.nodes[i]]
    return Item([assembly.rows[i]], [assembly.buffers[i]], nodes, heirs)


class _Group:
    """A group that grows: instructions over `size` elements, alike in shape."""

    def __init__(self) -> None:
        self.members: list[int] = []
        self.shape: tuple[int, int] | None = None
        self.size = 0
        self.written: set[int] = set()
        self.sums: set[int] = set()


class _Fusion:
    """One walk over an assembly."""

    def __init__(self, assembly: Assembly, threads: int) -> None:
        self.assembly = assembly
        self.threads = threads
        self.reads = Counter(b for used in assembly.buffers for b in used[1:])
        self.groups: list[_Group] = []
        self.made_in: dict[int, int] = {}  # buffer -> group that last wrote it

    def items(self) -> list[Item]:
        for i, (out, *_) in enumerate(self.assembly.buffers):
            place = self._place(i)
            if place is None:
                self.groups.append(self._begun(i))
                place = len(self.groups) - 1
            else:
                self._join(self.groups[place], i)
            self.made_in[out] = place
        return [self._item(group) for group in self.groups]

    # ---- who joins whom ---------------------------------------------------------

    def _begun(self, i: int) -> _Group:
        group = _Group()
        group.members.append(i)
        shape = self._shape(i)
        if shape is not None and not self._is_sum(i):
            group.size = shape[0] * shape[1]
            group.shape = shape if shape[0] > 1 else None
            group.written.add(self.assembly.buffers[i][0])
        return group

    def _join(self, group: _Group, i: int) -> None:
        shape = self._shape(i)
        assert shape is not None
        group.members.append(i)
        out = self.assembly.buffers[i][0]
        if shape[0] > 1:
            group.shape = shape
        if self._is_sum(i):
            group.sums.add(out)
        else:
            group.written.add(out)

    def _place(self, i: int) -> int | None:
        """The group that an instruction may join, if there is one."""
        shape = self._shape(i)
        if shape is None:
            return None
        operands = [b for b in self.assembly.buffers[i][1:] if b >= 0]
        place = max((self.made_in.get(b, -1) for b in operands), default=-1)
        if place < 0 or place < len(self.groups) - WINDOW:
            return None
        group = self.groups[place]
        if group.size != shape[0] * shape[1]:
            return None
        known = group.shape
        if shape[0] > 1 and known is not None and known != shape:
            return None
        wanted = shape if shape[0] > 1 else known
        if wanted is not None and wanted[1] > LONGEST_ROW:
            return None
        if self._is_sum(i) and wanted != shape:
            return None
        if any(b in group.sums for b in operands):
            return None
        if not all(
            self._aligned(i, k)
            for k, b in enumerate(self.assembly.buffers[i][1:])
            if b in group.written
        ):
            return None
        return place

    def _is_sum(self, i: int) -> bool:
        return self.assembly.rows[i][OPCODE] == _SUM

    def _shape(self, i: int) -> tuple[int, int] | None:
        """Rows and columns that an instruction walks; None where it cannot join."""
        row = self.assembly.rows[i]
        if self._is_sum(i):
            if self.threads > 1:
                return None
            columns = row[INNER]
            down = row[OUTER] == 1 and row[A_STEP_INNER] == 1
            dense = columns > 1 and row[A_STEP_REDUCED] == columns
            if not (down and dense and row[REDUCED] > 1):
                return None
            shape = (row[REDUCED], columns)
        elif row[OPCODE] in _ELEMENTWISE:
            shape = (row[OUTER], row[INNER])
        else:
            return None
        if self.assembly.buffers[i][0] in self.assembly.inside:
            return None
        return shape if shape[0] * shape[1] >= LEAST else None

    def _aligned(self, i: int, operand: int) -> bool:
        """Whether element j of the group is all of an operand that element j needs."""
        row = self.assembly.rows[i]
        if row[A + operand] != 0:
            return False
        if self._is_sum(i):
            return True
        inner, outer = row[A_INNER + operand], row[A_OUTER + operand]
        return inner == 1 and (row[OUTER] == 1 or outer == row[INNER])

    # ---- what a group becomes ---------------------------------------------------

    def _item(self, group: _Group) -> Item:
        if len(group.members) == 1:
            return _unfused(self.assembly, group.members[0])
        assembly = self.assembly
        rows = [list(assembly.rows[i]) for i in group.members]
        buffers = [assembly.buffers[i] for i in group.members]
        if group.shape is None:
            length, step, along_inner = group.size, BLOCK, True
        else:
            length, columns = group.shape
            step, along_inner = max(1, BLOCK // columns), False
            for row in rows:
                _as_rows(row, length, columns)
        inside = Counter(b for used in buffers for b in used[1:])
        room = {
            b
            for b in group.written
            if inside[b] == self.reads[b] and b not in assembly.pinned
        }
        block = step if group.shape is None else step * group.shape[1]
        places = _rooms(buffers, room)
        size = block * (1 + max(places.values(), default=-1))
        if room:
            assembly.sizes.append(size * self.threads)
            shared = len(assembly.sizes) - 1
            for row, used in zip(rows, buffers, strict=True):
                for k, b in enumerate(used):
                    if b in room:
                        row[ROOM] |= 1 << k
                        row[OUT + k] += places[b] * block
            buffers = [_renamed(used, room, shared) for used in buffers]
        for row in rows:
            if row[OPCODE] == _SUM:
                row[GOES_ON] = _ADD_ROWS
        heirs = self._heirs(group, room)
        nodes = [assembly.nodes[i] for i in group.members]
        return Item(rows, buffers, nodes, heirs, length, step, size, along_inner)

    def _heirs(self, group: _Group, room: set[int]) -> dict[int, tuple[int, ...]]:
        """Whose place each output may take: operands read element by element alone.

        All of them must have been read before the output is written.
        """
        assembly = self.assembly
        last_read: dict[int, int] = {}
        spoiled: set[int] = set()
        for i in group.members:
            for b in assembly.buffers[i][1:]:
                if b < 0:
                    continue
                last_read[b] = i
                if b not in assembly.in_place[i]:
                    spoiled.add(b)
        heirs = {}
        for i in group.members:
            out = assembly.buffers[i][0]
            if out in room or out in group.sums:
                continue
            heirs[out] = tuple(
                b
                for b, last in last_read.items()
                if last <= i and b not in spoiled and b not in room
            )
        return heirs


def _renamed(
    used: tuple[int, int, int, int], room: set[int], shared: int
) -> tuple[int, int, int, int]:
    out, a, b, c = (shared if b in room else b for b in used)
    return out, a, b, c


def _as_rows(row: list[int], length: int, columns: int) -> None:
    """Write an instruction of one loop as one of two, over the same elements."""
    if row[OPCODE] == _SUM or row[OUTER] > 1:
        return
    row[OUTER], row[INNER] = length, columns
    for k in range(_OPERANDS):
        row[A_OUTER + k] = row[A_INNER + k] * columns


def _rooms(
    buffers: list[tuple[int, int, int, int]], room: set[int]
) -> Mapping[int, int]:
    """Which block of the group's own room each of these buffers lies in.

    A block is free again once the last of its readers is done.
    """
    last = {b: i for i, used in enumerate(buffers) for b in used if b in room}
    free: list[int] = []
    places: dict[int, int] = {}
    for i, used in enumerate(buffers):
        out = used[0]
        if out in room:
            places[out] = free.pop() if free else 1 + max(places.values(), default=-1)
        dead = [b for b in dict.fromkeys(used) if b in room and last[b] == i]
        free += [places[b] for b in dead]
    return places

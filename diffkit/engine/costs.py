"""What an instruction costs, read from its row: flops, and the bytes it must move.

Flops come from the table of ops, for the loops that the row describes. Bytes are those
of every distinct element of the operands once and of the results once: what would move
if each cache level held everything (an accumulation reads what it adds to as well, and
what only the members of a group see does not move).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

from diffkit.engine.kernels import KERNELS
from diffkit.engine.kernels.fields import (
    A_INNER,
    A_OUTER,
    A_STACK,
    A_STEP,
    A_STEP_INNER,
    A_STEP_OUTER,
    A_STEP_REDUCED,
    B_INNER,
    B_OUTER,
    B_STACK,
    B_STEP,
    C_INNER,
    C_OUTER,
    COLUMNS,
    COUNT,
    DEPTH,
    INNER,
    LIST,
    OPCODE,
    OUT,
    OUTER,
    RANK,
    REDUCED,
    ROOM,
    ROWS,
    STACK,
    A,
    B,
    C,
)
from diffkit.ops import TABLE

_NAMES = (*KERNELS, "blocks")
_INDEX_BYTES = 8

# Kernels that take the place of several ops: those ops, each once for an element.
_JOINED = {
    "tanh_pullback": ("multiply", "multiply", "subtract"),
    "multiply_add": ("multiply", "add"),
}
_OPERANDS = {"tanh_pullback": 2, "multiply_add": 3}
#: A sum that goes on with what is there already.
_ALIKE = {"add_rows": "sum"}
_PLACES = ((A, A_OUTER, A_INNER), (B, B_OUTER, B_INNER), (C, C_OUTER, C_INNER))
#: Kernels that compute nothing and move nothing that another does not move.
FREE = frozenset({"prefetch", "clock", "barrier"})


@dataclass(frozen=True, slots=True)
class Cost:
    """Flops and bytes of one instruction, and how many elements it writes."""

    flops: int
    bytes: int
    written: int


@dataclass(frozen=True, slots=True)
class _Counted:
    """Flops, elements written, and elements read of each operand that is an array.

    Two operands that are one array, walked alike, are read once.
    """

    flops: int
    written: int
    reads: dict[tuple[int, ...], tuple[int, int]]  # view -> (operand 1 to 3, elements)


def kernel_of(row: np.ndarray) -> str:
    """The name of the kernel that runs an instruction; "blocks" heads a group."""
    return _NAMES[row[OPCODE]]


def cost_of(row: np.ndarray, lists: np.ndarray, item_bytes: int) -> Cost:
    """What an instruction costs; nothing for kinds that compute and move nothing.

    Flops do not depend on the data: a function of n elements costs n times the flops of
    its op, whatever the elements are.
    """
    name = kernel_of(row)
    fields = [int(field) for field in row]
    if name in _MOVES:
        return _MOVES[name](fields, lists, item_bytes)
    counted = _counted(name, fields)
    if counted is None:
        return Cost(0, 0, 0)
    read = sum(elements for _, elements in counted.reads.values())
    bytes_ = (read + counted.written) * item_bytes
    return Cost(counted.flops, bytes_, counted.written)


def group_cost(members: np.ndarray, item_bytes: int) -> Cost:
    """What a group of rows, run block by block, costs: bytes from and to outside of it.

    What a member wrote is in the first-level cache when another reads it.
    """
    flops = written = 0
    made: set[int] = set()
    reads: dict[tuple[int, ...], int] = {}
    for row in members:
        fields = [int(field) for field in row]
        counted = _counted(kernel_of(row), fields)
        assert counted is not None, "a member computes something"
        flops += counted.flops
        for view, (operand, elements) in counted.reads.items():
            inside = fields[ROOM] & (1 << operand) or view[0] in made
            if not inside:
                reads[view] = elements
        if not fields[ROOM] & 1:
            written += counted.written
            made.add(fields[OUT])
    return Cost(flops, (sum(reads.values()) + written) * item_bytes, written)


def _counted(name: str, row: list[int]) -> _Counted | None:
    name = _ALIKE.get(name, name)
    if name.startswith("product"):
        return _product(row)
    if name == "inner_product":
        return _inner_product(row)
    family = TABLE[name].family if name in TABLE else ""
    if name in _JOINED or family == "elementwise":
        return _elementwise(name, row)
    return _reduction(name, row) if family == "reduce" else None


def _elementwise(name: str, row: list[int]) -> _Counted:
    outer, inner = row[OUTER], row[INNER]
    count = _OPERANDS.get(name) or TABLE[name].arity or 0
    reads = {}
    for k, (place, o, i) in enumerate(_PLACES[:count], start=1):
        elements = (outer if row[o] else 1) * (inner if row[i] else 1)
        reads[row[place], row[o], row[i]] = (k, elements)
    flops = sum(TABLE[op].flops for op in _JOINED.get(name, (name,)))
    return _Counted(flops * outer * inner, outer * inner, reads)


def _reduction(name: str, row: list[int]) -> _Counted:
    outer, inner, reduced = row[OUTER], row[INNER], row[REDUCED]
    op = TABLE[name]
    given = (outer, reduced, inner)
    if name == "cumsum":
        result, words = given, {"axis": 1}
    else:
        result, words = (outer, inner), {"axes": (1,), "keepdims": False}
    flops = op.flops * max(op.operations(result, given, **words), 0)
    steps = (row[A_STEP_OUTER], row[A_STEP_REDUCED], row[A_STEP_INNER])
    read = prod(n if step else min(n, 1) for n, step in zip(given, steps, strict=True))
    return _Counted(flops, prod(result), {(row[A], *steps): (1, read)})


def _inner_product(row: list[int]) -> _Counted:
    count = row[COUNT]
    flops = TABLE["multiply"].flops * count
    flops += TABLE["sum"].operations((), (count,), axes=(0,), keepdims=False)
    reads = {
        (row[place], row[step]): (k, count if row[step] else 1)
        for k, (place, step) in enumerate(((A, A_STEP), (B, B_STEP)), start=1)
    }
    return _Counted(flops, 1, reads)


def _product(row: list[int]) -> _Counted:
    m, n, k, stack = row[ROWS], row[COLUMNS], row[DEPTH], row[STACK]
    flops = TABLE["matmul"].operations((stack, m, n), (stack, m, k), (stack, k, n))
    a = m * k * (stack if row[A_STACK] else 1)
    b = k * n * (stack if row[B_STACK] else 1)
    return _Counted(flops, stack * m * n, {(0, row[A]): (1, a), (1, row[B]): (2, b)})


def _copied(row: list[int], lists: np.ndarray, item_bytes: int) -> Cost:
    read, written = _strided(row, lists)
    return Cost(0, (read + written) * item_bytes, written)


def _accumulated(row: list[int], lists: np.ndarray, item_bytes: int) -> Cost:
    read, written = _strided(row, lists)
    flops = TABLE["add"].flops * written
    return Cost(flops, (read + 2 * written) * item_bytes, written)


def _strided(row: list[int], lists: np.ndarray) -> tuple[int, int]:
    rank, start = row[RANK], row[LIST]
    sizes = [int(n) for n in lists[start : start + rank]]
    steps = [int(n) for n in lists[start + rank : start + 2 * rank]]
    read = prod(n if step else 1 for n, step in zip(sizes, steps, strict=True))
    return read, prod(sizes)


def _filled(row: list[int], lists: np.ndarray, item_bytes: int) -> Cost:
    return Cost(0, row[COUNT] * item_bytes, row[COUNT])


def _gathered(row: list[int], lists: np.ndarray, item_bytes: int) -> Cost:
    count = row[COUNT]
    distinct = np.unique(lists[row[LIST] : row[LIST] + count]).size
    moved = (distinct + count) * item_bytes + count * _INDEX_BYTES
    return Cost(0, int(moved), count)


def _scattered(row: list[int], lists: np.ndarray, item_bytes: int) -> Cost:
    count = row[COUNT]
    distinct = np.unique(lists[row[LIST] : row[LIST] + count]).size
    moved = (count + 2 * distinct) * item_bytes + count * _INDEX_BYTES
    return Cost(TABLE["add"].flops * count, int(moved), int(distinct))


_MOVES: dict[str, Callable[[list[int], np.ndarray, int], Cost]] = {
    "copy": _copied,
    "accumulate": _accumulated,
    "fill_zero": _filled,
    "gather": _gathered,
    "scatter": _scattered,
}

"""What an instruction costs, read from its row: flops, and the bytes it must move.

Flops come from the table of ops, for the loops that the row describes. Bytes are those
of every distinct element of the operands once and of the results once: what would move
if each cache level held everything (an accumulation reads what it adds to as well).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

from diffkit.engine.kernels import BLOCKS, KERNELS
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
    MEMBERS,
    OPCODE,
    OUTER,
    RANK,
    REDUCED,
    ROWS,
    STACK,
    A,
    B,
    C,
)
from diffkit.ops import TABLE

_NAMES = tuple(KERNELS)
_INDEX_BYTES = 8

# Kernels that take the place of several ops: those ops, each once for an element.
_JOINED = {
    "tanh_pullback": ("multiply", "multiply", "subtract"),
    "multiply_add": ("multiply", "add"),
}
_OPERANDS = {"tanh_pullback": 2, "multiply_add": 3}
_PLACES = ((A, A_OUTER, A_INNER), (B, B_OUTER, B_INNER), (C, C_OUTER, C_INNER))


@dataclass(frozen=True, slots=True)
class Cost:
    """Flops and bytes of one instruction, and how many elements it writes."""

    flops: int
    bytes: int
    written: int


def kernel_of(row: np.ndarray) -> str:
    """The name of the kernel that runs an instruction."""
    return _NAMES[row[OPCODE]]


def group_of(row: np.ndarray) -> int:
    """How many instructions after it a row is the head of; 0 for an instruction."""
    return int(row[MEMBERS]) if row[OPCODE] == BLOCKS else 0


def cost_of(row: np.ndarray, lists: np.ndarray, item_bytes: int) -> Cost:
    """What an instruction costs; nothing for kinds that compute and move nothing.

    Flops do not depend on the data: a function of n elements costs n times the flops of
    its op, whatever the elements are.
    """
    name = "sum" if kernel_of(row) == "add_rows" else kernel_of(row)
    fields = [int(field) for field in row]
    if name.startswith("product"):
        flops, read, written = _product(fields)
    elif name in _MOVES:
        return _MOVES[name](fields, lists, item_bytes)
    elif name in _JOINED or TABLE.get(name, TABLE["input"]).family == "elementwise":
        flops, read, written = _elementwise(name, fields)
    elif name in TABLE and TABLE[name].family == "reduce":
        flops, read, written = _reduction(name, fields)
    elif name == "inner_product":
        flops, read, written = _inner_product(fields)
    else:
        return Cost(0, 0, 0)
    return Cost(flops, (read + written) * item_bytes, written)


Counted = tuple[int, int, int]  # flops, elements read, elements written


def _elementwise(name: str, row: list[int]) -> Counted:
    outer, inner = row[OUTER], row[INNER]
    count = _OPERANDS.get(name) or TABLE[name].arity or 0
    # Two operands that are one array are read once.
    views = {
        (row[place], row[outer_step], row[inner_step])
        for place, outer_step, inner_step in _PLACES[:count]
    }
    read = sum((outer if o else 1) * (inner if i else 1) for _, o, i in views)
    flops = sum(TABLE[op].flops for op in _JOINED.get(name, (name,)))
    return flops * outer * inner, read, outer * inner


def _reduction(name: str, row: list[int]) -> Counted:
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
    return flops, read, prod(result)


def _inner_product(row: list[int]) -> Counted:
    count = row[COUNT]
    flops = TABLE["multiply"].flops * count
    flops += TABLE["sum"].operations((), (count,), axes=(0,), keepdims=False)
    views = {(row[A], row[A_STEP]), (row[B], row[B_STEP])}
    return flops, sum(count if step else 1 for _, step in views), 1


def _product(row: list[int]) -> Counted:
    m, n, k, stack = row[ROWS], row[COLUMNS], row[DEPTH], row[STACK]
    flops = TABLE["matmul"].operations((stack, m, n), (stack, m, k), (stack, k, n))
    a = m * k * (stack if row[A_STACK] else 1)
    b = k * n * (stack if row[B_STACK] else 1)
    return flops, a + b, stack * m * n


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
#: Kernels that compute nothing and move nothing that another does not move.
FREE = frozenset({"prefetch", "clock", "barrier"})

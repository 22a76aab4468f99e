"""Reductions of a strided (outer, reduced, inner) view to a contiguous (outer, inner).

Lowering arranges that either the reduced or the inner stride is 1, so that one of the
two loop orders below runs along memory.
"""

from __future__ import annotations

from math import inf

from diffkit.engine import vector_math
from diffkit.engine.emit import callable_from_numba, larger, smaller
from diffkit.engine.jit import (
    kernel,
    rounding_scalar,
    summing_kernel,
    summing_scalar,
)
from diffkit.engine.kernels.fields import (
    A_STEP,
    A_STEP_INNER,
    A_STEP_OUTER,
    A_STEP_REDUCED,
    B_STEP,
    COUNT,
    DIVISOR,
    INNER,
    OUT,
    OUTER,
    REDUCED,
    A,
    B,
)
from diffkit.engine.kernels.memory import (
    keep_apart,
    load,
    number,
    offset_pointer,
    store,
)

# A sum is closed after this many terms and a new one begun: within a block vector code
# keeps some thirty partial sums, so rounding errors grow as in a pairwise sum.
SUM_BLOCK = 8192

_exp = callable_from_numba(vector_math.exp)
_log = callable_from_numba(vector_math.log)
_larger = callable_from_numba(larger, arity=2)
_smaller = callable_from_numba(smaller, arity=2)


def reduction(combine, initial):
    """The kernel out[i, j] = combine over r of a[i, r, j], begun at `initial`.

    Which is combined with the first element as well: 0 + (−0) is 0, as in NumPy.
    """

    @summing_scalar
    def along(a, count, step):
        total = number(a, initial)
        for first in range(0, count, SUM_BLOCK):
            part = number(a, initial)
            last = min(first + SUM_BLOCK, count)
            if step == 1:
                for r in range(first, last):
                    part = combine(part, a[r])
            else:
                for r in range(first, last):
                    part = combine(part, a[r * step])
            total = combine(total, part)
        return total

    @summing_kernel
    def run(arena, row, lists):
        keep_apart()
        inner = row[INNER]
        count = row[REDUCED]
        step = row[A_STEP_REDUCED]
        step_inner = row[A_STEP_INNER]
        for i in range(row[OUTER]):
            out = row[OUT] + i * inner
            a = row[A] + i * row[A_STEP_OUTER]
            if step_inner == 1 and step != 1 and count > 0:
                for j in range(inner):
                    value = combine(number(arena, initial), load(arena, a + j))
                    store(arena, out + j, value)
                for _ in range(1, count):
                    a += step
                    for j in range(inner):
                        # Read plainly: `load` may not see the store of the row before.
                        value = combine(arena[out + j], load(arena, a + j))
                        store(arena, out + j, value)
            else:
                for j in range(inner):
                    first = offset_pointer(arena, a + j * step_inner)
                    arena[out + j] = along(first, count, step)

    return run


@summing_scalar
def _add(x, y):
    return x + y


@summing_scalar
def _multiply(x, y):
    return x * y


total = reduction(_add, 0.0)
product = reduction(_multiply, 1.0)
largest = reduction(_larger, -inf)
smallest = reduction(_smaller, inf)


@kernel
def add_rows(arena, row, lists):
    """out[j] = out[j] + Σ over r of a[r, j]: a sum over rows goes on."""
    keep_apart()
    for r in range(row[REDUCED]):
        a = row[A] + r * row[A_STEP_REDUCED]
        for j in range(row[INNER]):
            # Read plainly: `load` may not see the store of the row before.
            store(arena, row[OUT] + j, arena[row[OUT] + j] + load(arena, a + j))


@kernel
def mean(arena, row, lists):
    """The sum divided by the number of terms (0/0 for none, as NumPy has it)."""
    keep_apart()
    total(arena, row, lists)
    size = row[OUTER] * row[INNER]
    divisor = number(arena, row[DIVISOR])
    for j in range(row[OUT], row[OUT] + size):
        arena[j] = arena[j] / divisor


@rounding_scalar
def _rounded_product(x, y):
    return x * y


@summing_kernel
def inner_product(arena, row, lists):
    """Out = Σ a·b, every product rounded: as a product summed afterwards."""
    keep_apart()
    count = row[COUNT]
    a = offset_pointer(arena, row[A])
    b = offset_pointer(arena, row[B])
    a_step = row[A_STEP]
    b_step = row[B_STEP]
    total = number(arena, 0)
    for first in range(0, count, SUM_BLOCK):
        part = number(arena, 0)
        last = min(first + SUM_BLOCK, count)
        if a_step == 1 and b_step == 1:
            for j in range(first, last):
                part += _rounded_product(a[j], b[j])
        else:
            for j in range(first, last):
                part += _rounded_product(a[j * a_step], b[j * b_step])
        total += part
    arena[row[OUT]] = total


@kernel
def cumulative_sum(arena, row, lists):
    """out[i, r, j] = a[i, 0, j] + … + a[i, r, j]."""
    keep_apart()
    inner = row[INNER]
    count = row[REDUCED]
    for i in range(row[OUTER]):
        for j in range(inner):
            out = row[OUT] + i * count * inner + j
            a = row[A] + i * row[A_STEP_OUTER] + j * row[A_STEP_INNER]
            running = number(arena, -0.0)  # NumPy begins with the first element.
            for r in range(count):
                running = running + arena[a + r * row[A_STEP_REDUCED]]
                arena[out + r * inner] = running


@summing_scalar
def _exponentials(a, count, step, shift):
    total = number(a, 0)
    for first in range(0, count, SUM_BLOCK):
        part = number(a, 0)
        last = min(first + SUM_BLOCK, count)
        if step == 1:
            for r in range(first, last):
                part += _exp(a[r] - shift)
        else:
            for r in range(first, last):
                part += _exp(a[r * step] - shift)
        total += part
    return total


@summing_scalar
def _peak(a, count, step):
    result = number(a, -inf)
    if step == 1:
        for r in range(count):
            result = _larger(result, a[r])
    else:
        for r in range(count):
            result = _larger(result, a[r * step])
    return result


@kernel
def logsumexp(arena, row, lists):
    """Out = m + log Σ exp(a − m) with m the largest, or 0 where that is not finite."""
    keep_apart()
    inner = row[INNER]
    count = row[REDUCED]
    step = row[A_STEP_REDUCED]
    for i in range(row[OUTER]):
        for j in range(inner):
            a = row[A] + i * row[A_STEP_OUTER] + j * row[A_STEP_INNER]
            first = offset_pointer(arena, a)
            peak = _peak(first, count, step)
            shift = peak if abs(peak) < inf else number(arena, 0)
            total = _exponentials(first, count, step, shift)
            arena[row[OUT] + i * inner + j] = _log(total) + shift

"""Fresh arrays for results; many bytes of them in memory that an earlier result left.

The system clears every page of memory that it hands out, which for large gradients
takes longer than to compute some of them; and the allocator gives back what a hundred
small arrays leave together, as it does with a large one. So a few sets of results are
kept, and one that nobody else refers to any more, not even by a view, is handed out
again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from sys import getrefcount

import numpy as np

# Of a set together; below this the allocator keeps memory by itself.
LARGE_BYTES = 128 * 1024
# A loop that holds a result until it has the next needs two.
KEPT_SETS = 2
# What refers to an array of a set that nobody has: the set, a name, the question.
_UNUSED = 3


def fresh_array(shape: tuple[int, ...], dtype: np.dtype) -> Callable[[], np.ndarray]:
    """The same as `fresh_arrays`, for one array."""
    if prod(shape) * dtype.itemsize < LARGE_BYTES:
        return partial(np.empty, shape, dtype)
    give = fresh_arrays([shape], [dtype])
    return lambda: give()[0]


def fresh_arrays(
    shapes: Sequence[tuple[int, ...]], dtypes: Sequence[np.dtype]
) -> Callable[[], list[np.ndarray]]:
    """A function that gives uninitialised arrays of these shapes and dtypes.

    No array is given twice while anything refers to it. May be called by several
    threads. Of sets of `LARGE_BYTES` and more one, at most two, outlives its users.

    >>> give = fresh_arrays([(2, 3)], [np.dtype(np.float64)])
    >>> [array.shape for array in give()]
    [(2, 3)]
    """
    about = list(zip(shapes, dtypes, strict=True))
    if sum(prod(shape) * dtype.itemsize for shape, dtype in about) < LARGE_BYTES:
        # By a name of its own: one look-up less in calls that take microseconds.
        empty = np.empty
        return lambda: [*map(empty, shapes, dtypes)]
    kept: list[list[np.ndarray]] = []

    def give() -> list[np.ndarray]:
        found = _unused(kept)
        if found is None:
            found = [np.empty(shape, dtype) for shape, dtype in about]
        if len(kept) < KEPT_SETS:
            kept.append(found)
        return [*found]

    return give


def _unused(kept: list[list[np.ndarray]]) -> list[np.ndarray] | None:
    """A set that nobody has, taken out of those that are kept; None if there is none.

    `pop` and `append` are atomic: two threads never look at one set at a time.
    """
    for _ in range(KEPT_SETS):
        try:
            arrays = kept.pop(0)
        except IndexError:
            return None
        if all(getrefcount(array) == _UNUSED for array in arrays):
            return arrays
        kept.append(arrays)
    return None

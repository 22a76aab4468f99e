"""Arrays that a caller wants results written into: refused before anything is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from diffkit.errors import UserInputError

# Steps of NumPy's search for a shared element; past them memory counts as shared.
SEARCH_STEPS: Any = 100_000  # NumPy's stubs know two special numbers of steps only


def require_writable(
    results: Sequence[object],
    names: Sequence[str],
    read: Sequence[np.ndarray],
    read_names: Sequence[str],
) -> None:
    """Refuse results that cannot be written to without touching anything else.

    Raises UserInputError, naming the first that is no NumPy array, not in C order, read
    only, or shares memory with an array that is read or with another result.
    """
    for result, name in zip(results, names, strict=True):
        if not isinstance(result, np.ndarray):
            why = f"is a {type(result).__name__}, not a NumPy array"
        elif not result.flags.writeable:
            why = "is read-only"
        elif not (result.flags.c_contiguous and result.flags.aligned):
            why = "is not one block of memory in C order"
        else:
            continue
        raise UserInputError(
            f"{name} {why}, so results cannot be written into it. Give arrays of your "
            "own, such as np.empty makes."
        )
    arrays = [array for array in results if isinstance(array, np.ndarray)]
    for first, second in _sharing(arrays, read):
        one, other = (
            names[k] if k < len(arrays) else read_names[k - len(arrays)]
            for k in (first, second)
        )
        raise UserInputError(
            f"{one} and {other} share memory: writing one would change the other. Give "
            "each result an array of its own."
        )


def _sharing(
    written: Sequence[np.ndarray], read: Sequence[np.ndarray]
) -> Iterator[tuple[int, int]]:
    """Pairs that share memory, one of them written; numbered through both lists."""
    arrays = [*written, *read]
    bounds = [byte_bounds(array) for array in arrays]
    order = sorted(
        (k for k, array in enumerate(arrays) if array.size), key=lambda k: bounds[k]
    )
    # Swept by address: only those that have begun and not ended are compared.
    begun: list[int] = []
    for k in order:
        begun = [other for other in begun if bounds[other][1] > bounds[k][0]]
        for other in begun:
            first, second = sorted((other, k))
            if first < len(written) and _share(arrays[first], arrays[second]):
                yield first, second
        begun.append(k)


def _share(first: np.ndarray, second: np.ndarray) -> bool:
    try:
        return np.shares_memory(first, second, max_work=SEARCH_STEPS)
    except np.exceptions.TooHardError:
        return True

"""Memory that starts where a line of the cache does.

A register of AVX-512 is as wide as a line: what starts elsewhere takes two lines for
each register that is loaded or stored.
"""

from __future__ import annotations

import numpy as np

LINE_BYTES = 64


def empty_on_a_line(elements: int, dtype: np.dtype) -> np.ndarray:
    """An uninitialised vector whose first element starts a line.

    >>> empty_on_a_line(3, np.dtype(np.float64)).ctypes.data % LINE_BYTES
    0
    """
    memory = np.empty(elements + LINE_BYTES // dtype.itemsize, dtype)
    skip = -memory.ctypes.data % LINE_BYTES // dtype.itemsize
    return memory[skip : skip + elements]

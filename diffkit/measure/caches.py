"""The folder that keeps compiled code: its state, and filling it before a sweep."""

from __future__ import annotations

import subprocess
import sys

from diffkit.engine import cache

_FILL = "import sys; from diffkit.engine import cache; cache.fill(sys.argv[1])"


def fill_engine_cache() -> None:
    """Compile what a new computer lacks, both precisions at once, before a clock runs.

    A cell that compiles would be charged for it, and time out. Does nothing where all
    is there; where the folder cannot be written, every process says so itself.
    """
    processes = [
        subprocess.Popen([sys.executable, "-c", _FILL, name])
        for name in cache.missing()
    ]
    for process in processes:
        process.wait()


def engine_cache() -> str:
    """Where the engine's native code is kept, whether it is there, and its size."""
    state = cache.state()
    warmth = "warm" if state.warm else "cold: the first gradient compiles the engine"
    can = "can" if state.writable else "CANNOT"
    size = f"{state.bytes / 2**20:.1f} MiB"
    return f"{state.folder} ({warmth}, {size}, {can} be written)"

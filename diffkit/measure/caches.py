"""State of the folders that keep compiled code, for ``diffkit doctor``."""

from __future__ import annotations

from diffkit.engine import cache


def engine_cache() -> str:
    """Where the engine's native code is kept, whether it is there, and its size."""
    state = cache.state()
    warmth = "warm" if state.warm else "cold: the first gradient compiles the engine"
    can = "can" if state.writable else "CANNOT"
    size = f"{state.bytes / 2**20:.1f} MiB"
    return f"{state.folder} ({warmth}, {size}, {can} be written)"

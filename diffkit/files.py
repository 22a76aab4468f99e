"""Files that are whole at every moment: the old one or the new one, never half."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import psutil


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the file at `path` by one with these bytes.

    Written beside it, flushed to the disk, renamed over it, and the rename flushed too:
    a crash or a lost power supply at any moment leaves the one before. What killed
    processes left half-written beside it is removed.

    Raises OSError as the system gave it; the file is then as it was.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    _sweep(path)
    try:
        with open(partial, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def _sweep(path: Path) -> None:
    """Remove what processes that are gone began to write and never finished."""
    for left in path.parent.glob(f".{path.name}.*.partial"):
        process = left.name.split(".")[-2]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            left.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":  # Elsewhere a folder cannot be opened.
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

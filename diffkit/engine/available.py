"""How much memory there is for an arena: the machine's, or the container's limit."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

from diffkit.errors import ArenaTooLargeError

#: Arenas smaller than this are not asked about: looking costs more than it may save.
SMALLEST_BYTES = 16 << 20
_ROOT = Path("/")


def require_memory(needed_bytes: int, what: str = "The program's arena") -> None:
    """Raise ArenaTooLargeError unless so many bytes are there."""
    if needed_bytes < SMALLEST_BYTES:
        return
    available = available_bytes()
    if needed_bytes > available:
        raise ArenaTooLargeError(what, needed_bytes, available)


def available_bytes() -> int:
    """Bytes that can be had without swapping, by the system and the control groups."""
    free = psutil.virtual_memory().available
    if sys.platform == "linux":
        return min([free, *group_bytes(_ROOT)])
    return free


def group_bytes(root: Path) -> list[int]:
    """What the limits of this process's control groups leave, under a file system root.

    Version 2 has one tree, version 1 one for memory; a group is bound by those above
    it. What a group's files hold in the page cache can be given back, and counts as
    free.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    left = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if not colon:
            continue
        if not controllers:
            top, limit, used = root / "sys/fs/cgroup", "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            top = root / "sys/fs/cgroup/memory"
            limit, used = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        # Inside a container the path may be the host's: its own group is the top.
        folder = top / path.lstrip("/")
        for group in (folder, *folder.parents):
            if group.is_relative_to(top):
                bound, taken = _number(group / limit), _number(group / used)
                if bound is not None and taken is not None:
                    left.append(max(bound - taken + _inactive(group), 0))
    return left


def _number(file: Path) -> int | None:
    """The number in a file; None for "max", and where there is none."""
    try:
        return int(file.read_text("ascii"))
    except (OSError, ValueError):
        return None


def _inactive(group: Path) -> int:
    try:
        lines = (group / "memory.stat").read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return 0
    counts = dict(line.split(" ", 1) for line in lines if " " in line)
    return int(counts.get("total_inactive_file", counts.get("inactive_file", 0)))

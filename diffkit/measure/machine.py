"""What a measurement ran on: machine, versions, threads, commit."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from threadpoolctl import threadpool_info

#: Packages whose version can move a number.
PACKAGES = (
    "diffkit",
    "numpy",
    "scipy",
    "numba",
    "llvmlite",
    "sympy",
    "python-flint",
)
PEERS = ("jax", "torch")


@dataclass(frozen=True, slots=True)
class Machine:
    """The parts of a machine that move a time."""

    processor: str
    architecture: str
    system: str
    cores: int
    memory_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.processor}, {self.architecture}, {self.cores} cores, "
            f"{self.memory_bytes / 2**30:.0f} GiB, {self.system}"
        )

    @property
    def fingerprint(self) -> str:
        """A short hash: times are compared inside one fingerprint only."""
        text = repr(sorted(asdict(self).items()))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@lru_cache(maxsize=1)
def this_machine() -> Machine:
    """The machine this process runs on."""
    return Machine(
        processor=_processor(),
        architecture=platform.machine(),
        system=platform.system(),
        cores=os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
    )


def package_versions(names: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Version of Python and of each package; ``not installed`` where it is not."""
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def blas_pools() -> list[dict[str, Any]]:
    """What threadpoolctl knows of the linear algebra libraries that NumPy loads."""
    np.dot(np.ones((2, 2)), np.ones((2, 2)))
    return [pool for pool in threadpool_info() if pool.get("user_api") == "blas"]


@lru_cache(maxsize=1)
def versions_text() -> str:
    """Versions in one line, as they stand in a row: looked up once, for all rows."""
    return " ".join(f"{name}={number}" for name, number in package_versions().items())


@lru_cache(maxsize=8)
def commit_of(folder: Path) -> str:
    """Commit checked out in ``folder``, ``-dirty`` when it has changes, or unknown.

    Changes in ``reports/`` do not count: writing a report does not change the code
    that measured it.
    """
    try:
        commit = _git(folder, "rev-parse", "--short=12", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--", ".", ":(exclude)reports")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{commit}-dirty" if changed else commit


def clock_text() -> str:
    """The clock that samples are read from, and the least that it can tell apart."""
    clock = time.get_clock_info("perf_counter")
    return f"{clock.implementation}, resolution {clock.resolution * 1e9:.3g} ns"


def counters_text() -> str:
    """Whether the processor's own counters can be read; nothing here needs them."""
    try:
        level = int(Path("/proc/sys/kernel/perf_event_paranoid").read_text("ascii"))
    except (OSError, ValueError):
        return "none on this machine (nothing needs them: times come from the clock)"
    allowed = "may" if level <= 2 else "may NOT"
    return f"{allowed} be read (level {level}); nothing needs them"


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    return done.stdout.strip()


def _processor() -> str:
    if sys.platform == "linux":
        try:
            for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
        except OSError:
            pass
    if sys.platform == "darwin":
        try:
            done = subprocess.run(
                ["sysctl", "-n", "machdep.cpu.brand_string"],
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            )
            return done.stdout.strip()
        except (OSError, subprocess.SubprocessError):
            pass
    return platform.processor() or "unknown processor"

"""What ``diffkit doctor`` finds: machine, versions, BLAS, threads, caches."""

from __future__ import annotations

import os
from pathlib import Path

from diffkit import measure
from diffkit.errors import DiffkitError


def describe() -> list[tuple[str, str]]:
    """Pairs of what was looked at and what was found."""
    machine = measure.this_machine()
    lines = [("machine", str(machine)), ("fingerprint", machine.fingerprint)]
    lines += [*measure.package_versions((*measure.PACKAGES, *measure.PEERS)).items()]
    lines += [("BLAS", text) for text in _blas()]
    lines.append(("thread variables", _threads()))
    lines.append(("clock", measure.clock_text()))
    lines.append(("performance counters", measure.counters_text()))
    lines.append(("cells start by", measure.start_method()))
    lines.append(("memory limit of cells", measure.default_guard().replace("_", " ")))
    lines.append(("engine cache", measure.engine_cache()))
    lines += _project()
    return lines


def _blas() -> list[str]:
    found = [
        f"{pool.get('internal_api')} {pool.get('version')}, "
        f"{pool.get('architecture', 'unknown architecture')}, "
        f"{pool.get('num_threads')} threads"
        for pool in measure.blas_pools()
    ]
    return found or ["none that threadpoolctl knows"]


def _threads() -> str:
    given = [
        f"{name}={os.environ[name]}"
        for name in measure.THREAD_VARIABLES
        if name in os.environ
    ]
    return " ".join(given) or "none set (cells set all of them to 1)"


def _project() -> list[tuple[str, str]]:
    try:
        root = measure.project_root()
    except DiffkitError as problem:
        return [("project", str(problem))]
    return [
        ("project", str(root)),
        ("commit", measure.commit_of(root)),
        ("run store", measure.describe_store(measure.store_path(root))),
        ("reports", _writable(root / "reports")),
    ]


def _writable(folder: Path) -> str:
    place = folder if folder.exists() else folder.parent
    can = os.access(place, os.W_OK)
    return f"{folder} ({'can' if can else 'CANNOT'} be written)"

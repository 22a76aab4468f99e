"""Finished cells: what keeps them, and the hash of the code that measured them.

`diffkit.measure.store` keeps them in SQLite; a sweep knows the two calls of `Store`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from diffkit.errors import ExperimentError
from diffkit.measure.machine import package_versions, this_machine, versions_text
from diffkit.measure.rows import Row

#: How a cell may end so that measuring it again would tell nothing new.
KEPT = ("ok", "timeout", "out_of_memory", "too_large")
# What keeps and shows results cannot change them: these files may change without a
# new sweep.
_NOT_MEASURING = ("report", "lesson", "cli", "measure/store", "measure/bench")


class CorruptCellError(ExperimentError):
    """A stored cell that cannot be read."""


class Store(Protocol):
    """Where finished cells are kept, by key."""

    def load(self, key: str) -> tuple[Row, ...] | None:
        """Rows of a finished cell, None when it has to be measured.

        Raises `CorruptCellError` for a cell that is there and cannot be believed.
        """
        ...

    def save(self, key: str, rows: Sequence[Row]) -> None:
        """Keep the rows of a cell that was measured, however it ended."""
        ...


def measuring_code(
    experiment_file: Path | None,
    fingerprint: str | None = None,
    packages: tuple[str, ...] = (),
) -> str:
    """Hash of everything that can change a measurement.

    The package's measuring sources, the experiment's file, the versions of the
    packages that compute and of these optional ``packages``, and the ``fingerprint`` of
    the machine (this one): a cell measured by other code, or elsewhere, is never taken
    for this one.
    """
    digest = hashlib.sha256(_package_code())
    where = this_machine().fingerprint if fingerprint is None else fingerprint
    digest.update(where.encode())
    digest.update(repr(package_versions(packages)).encode())
    if experiment_file is not None:
        digest.update(experiment_file.name.encode())
        digest.update(experiment_file.read_bytes())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def _package_code() -> bytes:
    """Hash of what does not change while a process runs."""
    digest = hashlib.sha256(versions_text().encode())
    for path in _sources():
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.digest()


def _sources() -> Iterable[Path]:
    package = Path(__file__).resolve().parents[1]
    for path in sorted(package.rglob("*.py")):
        if not path.relative_to(package).as_posix().startswith(_NOT_MEASURING):
            yield path

"""Finished cells on disk: one file each, written atomically, named by their hash.

A sweep that is killed at any moment leaves whole files only: a cell is written beside
its place, flushed, and renamed into it. A file that cannot be read is reported and
measured again, never trusted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from diffkit.errors import CacheError, ExperimentError
from diffkit.files import write_atomically
from diffkit.measure.machine import this_machine, versions_text
from diffkit.measure.rows import Row, from_json, to_json

FORMAT = 1
# What shows results cannot change them: these files may change without a new sweep.
_NOT_MEASURING = ("report", "cli")


class CorruptCellError(ExperimentError):
    """A stored cell that cannot be read."""


class Store(Protocol):
    """Where finished cells are kept, by key."""

    def load(self, key: str) -> tuple[Row, ...] | None:
        """Rows of a finished cell, None when it is not finished."""
        ...

    def save(self, key: str, rows: Sequence[Row]) -> None:
        """Keep the rows of a finished cell."""
        ...


@dataclass(frozen=True, slots=True)
class CellFolder:
    """A `Store` of one JSON file per cell."""

    folder: Path

    def load(self, key: str) -> tuple[Row, ...] | None:
        """Rows of a finished cell; raises `CorruptCellError` for a broken file."""
        path = self._path(key)
        try:
            text = path.read_text("utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise CorruptCellError(f"{path} cannot be read: {error}") from error
        try:
            record = json.loads(text)
            rows = record["rows"]
            sound = record["format"] == FORMAT and record["checksum"] == _checksum(rows)
            if not sound:
                raise CorruptCellError(f"{path} does not match its own checksum.")
            return tuple(from_json(row) for row in rows)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorruptCellError(f"{path} is damaged: {error}") from error

    def save(self, key: str, rows: Sequence[Row]) -> None:
        """Write a cell and rename it into place."""
        plain = [to_json(row) for row in rows]
        record = {"format": FORMAT, "checksum": _checksum(plain), "rows": plain}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path(key), json.dumps(record).encode())
        except OSError as error:
            raise CacheError(
                f"Finished cells cannot be kept in {self.folder}: {error.strerror}. "
                "Make the folder writable, or run from a folder that is."
            ) from error

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def measuring_code(experiment_file: Path) -> str:
    """Hash of everything that can change a measurement.

    The package's measuring sources, the experiment's file, the versions of the
    packages that compute, and the machine: a cell measured by other code, or
    elsewhere, is never taken for this one.
    """
    digest = hashlib.sha256()
    for part in (this_machine().fingerprint, versions_text()):
        digest.update(part.encode())
    for path in (*_sources(), experiment_file):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources() -> Iterable[Path]:
    package = Path(__file__).resolve().parents[1]
    for path in sorted(package.rglob("*.py")):
        if not path.relative_to(package).parts[0].startswith(_NOT_MEASURING):
            yield path


def _checksum(rows: object) -> str:
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()

"""What a finished sweep stood on, so that the same command again has nothing to do.

Loading thirty experiments and reading a thousand cells only to find them all there
takes seconds. So a sweep that ended well leaves a hash of everything that its cells and
tables follow from: the package, the experiments, versions, the machine, the tables
written, and the store as a file. Where any of it has changed, or cannot be read, the
sweep looks at every cell as before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from diffkit.files import write_atomically
from diffkit.measure.machine import package_versions, this_machine, versions_text
from diffkit.measure.store.run_store import store_path

FOLDER = "finished"


def note_finished(
    root: Path,
    names: Sequence[str],
    mode: str,
    reports: Path,
    packages: Iterable[str],
    said: str,
) -> None:
    """Keep that a sweep is complete; ``said`` is for whoever asks for it again.

    ``packages`` are the optional ones that its experiments measure. A record that
    cannot be written is none: the next sweep looks at every cell.
    """
    optional = sorted(set(packages))
    state = _state(root, names, reports, optional)
    if state is None:
        return
    record = {"state": state, "packages": optional, "said": said}
    path = _place(root, names, mode, reports)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(record).encode())


def finished(root: Path, names: Sequence[str], mode: str, reports: Path) -> str | None:
    """What a complete sweep said, None where something may have to be measured."""
    try:
        record: Any = json.loads(_place(root, names, mode, reports).read_bytes())
        optional, said = record["packages"], record["said"]
        same = record["state"] == _state(root, names, reports, optional)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(said) if same else None


def _place(root: Path, names: Sequence[str], mode: str, reports: Path) -> Path:
    asked = hashlib.sha256(repr((*names, str(reports.resolve()))).encode())
    return store_path(root).parent / FOLDER / f"{mode}-{asked.hexdigest()[:16]}.json"


def _state(
    root: Path, names: Sequence[str], reports: Path, packages: Sequence[str]
) -> str | None:
    """A hash of all that the rows and tables follow from; None while it changes."""
    store = store_path(root)
    log = store.with_name(f"{store.name}-wal")
    if log.exists() and log.stat().st_size:
        return None  # Somebody writes, or was ended while writing.
    about = store.stat()
    digest = hashlib.sha256(
        repr(
            (
                versions_text(),
                package_versions(tuple(packages)),
                this_machine().fingerprint,
                (about.st_ino, about.st_size, about.st_mtime_ns),
            )
        ).encode()
    )
    package = Path(__file__).resolve().parents[2]
    experiments = root / "experiments"
    files = [
        *sorted(package.rglob("*.py")),
        *sorted(experiments.glob("*.py")),
        experiments / "claims.toml",
        *(reports / name / "data.csv" for name in names),
    ]
    for path in files:
        digest.update(f"{path} {path.is_file()}".encode())
        if path.is_file():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    # A page or figure that is lost is written again.
    pages = [
        reports / "README.md",
        *(p for n in names for p in (reports / n).glob("*")),
    ]
    digest.update(repr(sorted(str(path) for path in pages if path.is_file())).encode())
    return digest.hexdigest()

"""The folder of a report: its files, its data, and of which cases they are.

What a sweep asks of reports before and after it measures. It loads neither Matplotlib
nor templates: a sweep that finds everything done has nothing to draw.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from diffkit.errors import ReportError
from diffkit.files import write_atomically
from diffkit.measure.experiment import MODES, Experiment, Found, Mode
from diffkit.measure.rows import CELL_METRIC, Row
from diffkit.report.table import read_rows, to_csv

#: The files that a figure is written to.
FIGURES = ("figure.svg", "figure.png")


def check_writable(folder: Path) -> None:
    """Raise `ReportError` unless files can be made in ``folder``.

    Called before anything is measured: minutes of work must not end in a folder that
    was never going to take them.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".diffkit-"):
            pass
    except OSError as error:
        raise ReportError(
            f"Reports cannot be written to {folder}: {error.strerror}. Nothing was "
            "measured. Make it a folder that you may write to, or name another with "
            "--output."
        ) from error


def write_data(found: Found, rows: Sequence[Row], reports: Path, mode: str) -> bool:
    """Write ``data.csv``; False where it stands there already, with its page.

    A sweep that measured nothing new leaves everything as it is.
    """
    experiment = found.experiment
    folder = reports / experiment.name
    check_writable(folder)
    path, data = folder / "data.csv", to_csv(rows).encode()
    there = all((folder / name).exists() for name in ("README.md", *FIGURES))
    same_mode = there and mode_of(experiment, rows, folder / "README.md") == mode
    if same_mode and path.exists() and _says_the_same(path, data, rows):
        return False
    write_file(path, data)
    return True


def _says_the_same(path: Path, data: bytes, rows: Sequence[Row]) -> bool:
    """Whether a ``data.csv`` has these rows, but for how long failing took.

    Cells that failed are tried again by every sweep, and fail in another time.
    """
    if path.read_bytes() == data:
        return True
    try:
        known = read_rows(path)
    except ReportError:
        return False
    return list(map(_without_time, known)) == list(map(_without_time, rows))


def _without_time(row: Row) -> Row:
    failed = row.metric == CELL_METRIC and row.status != "ok"
    return replace(row, value=None) if failed else row


def mode_of(experiment: Experiment, rows: Sequence[Row], page: Path) -> Mode:
    """Which cases were measured: as the page says, or else by what the rows are.

    Without a page they are quick when each of their cells is one of the quick cases.
    """
    try:
        text = page.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    said = re.search(rf"`diffkit run {experiment.name} --(\w+)`", text)
    for mode in MODES:
        if said and said[1] == mode:
            return mode
    quick = {
        (case.parameters, case.backend, case.runtime)
        for case in experiment.cases("quick")
    }
    cells = {(row.parameters, row.backend, row.runtime) for row in rows}
    return "quick" if cells <= quick else "full"


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files by name, each of them whole."""
    for name, data in files.items():
        write_file(folder / name, data)


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole: a reader never sees half of one."""
    try:
        write_atomically(path, data)
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror}") from error

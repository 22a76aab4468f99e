"""Write what a sweep measured: data, figure, page, and the index of all pages."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from diffkit.errors import DiffkitError, ReportError
from diffkit.files import write_atomically
from diffkit.measure.experiment import Experiment, Findings, Found, Registry
from diffkit.measure.rows import Row
from diffkit.report import page
from diffkit.report.figures import house_style, save
from diffkit.report.table import read_rows, to_csv


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


def write_report(found: Found, rows: Sequence[Row], reports: Path, mode: str) -> Path:
    """Write ``data.csv``, both figures and ``README.md``; gives the page's path."""
    experiment = found.experiment
    folder = reports / experiment.name
    check_writable(folder)
    findings = experiment.findings(rows)
    text = page.render(experiment, findings, rows, mode, found.claims)
    with house_style():
        figure = experiment.figure(rows)
    _write(folder / "data.csv", to_csv(rows))
    save(figure, folder)
    _write(folder / "README.md", text)
    return folder / "README.md"


def write_index(registry: Registry, reports: Path) -> tuple[Path, list[str]]:
    """Write ``reports/README.md`` from every page's data; gives what was left out.

    A report whose data cannot be read any more is named in the second result and does
    not keep the others from being listed.
    """
    entries: list[tuple[Experiment, Findings]] = []
    problems: list[str] = []
    for name in registry:
        found: Found = registry[name]
        data = reports / name / "data.csv"
        if not data.exists():
            continue
        try:
            rows = read_rows(data)
            entries.append((found.experiment, found.experiment.findings(rows)))
        except DiffkitError as error:
            problems.append(str(error))
    path = reports / "README.md"
    _write(path, page.index(entries))
    return path, problems


def _write(path: Path, text: str) -> None:
    """Write a page whole: a reader never sees half of one."""
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror}") from error

"""Rows to tidy CSV and back: one line a measurement, every line complete by itself."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from diffkit.errors import ExperimentError, ReportError
from diffkit.measure.rows import Row, Scalar

_BEFORE = ("experiment",)
_AFTER = (
    "backend",
    "runtime",
    "metric",
    "value",
    "status",
    "message",
    "samples",
    "seed",
    "threads",
    "machine",
    "versions",
    "commit",
)
#: Written by later versions only: where it is missing, nothing is known of it.
_LATER = "collector"


def to_csv(rows: Sequence[Row]) -> str:
    """Tidy CSV: the case's parameters are columns, samples are joined by blanks.

    Integers keep every digit and floats round-trip, so that `from_csv` gives the same
    rows back.
    """
    names = _parameter_names(rows)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    known = any(row.collector for row in rows)
    writer.writerow([*_BEFORE, *names, *_AFTER, *([_LATER] if known else [])])
    for row in rows:
        parameters = dict(row.parameters)
        writer.writerow(
            [
                row.experiment,
                *(_write(parameters.get(name)) for name in names),
                row.backend,
                row.runtime,
                row.metric,
                _write(row.value),
                row.status,
                row.message,
                " ".join(repr(sample) for sample in row.samples),
                row.seed,
                row.threads,
                row.machine,
                row.versions,
                row.commit,
                *([row.collector] if known else []),
            ]
        )
    return out.getvalue()


def from_csv(text: str, source: str = "the data") -> tuple[Row, ...]:
    """The rows that `to_csv` wrote; raises `ReportError` for anything else."""
    reader = csv.DictReader(io.StringIO(text))
    columns = reader.fieldnames or ()
    missing = [name for name in (*_BEFORE, *_AFTER) if name not in columns]
    if missing:
        raise ReportError(
            f"{source} is not a table of rows: the columns {', '.join(missing)} are "
            "missing. Measure again to replace it."
        )
    names = [name for name in columns if name not in (*_BEFORE, *_AFTER, _LATER)]
    try:
        return tuple(
            Row(
                experiment=line["experiment"],
                parameters=tuple(
                    (name, _read(line[name])) for name in names if line[name] != ""
                ),
                backend=line["backend"],
                runtime=line["runtime"],
                metric=line["metric"],
                value=_number(line["value"]),
                status=line["status"],
                message=line["message"],
                samples=tuple(float(part) for part in line["samples"].split()),
                seed=int(line["seed"]),
                threads=int(line["threads"]),
                machine=line["machine"],
                versions=line["versions"],
                commit=line["commit"],
                collector=line.get(_LATER) or "",
            )
            for line in reader
        )
    except (ValueError, TypeError, AttributeError, ExperimentError) as error:
        raise ReportError(
            f"{source}, line {reader.line_num}, is damaged: {error}. "
            "Measure again to replace it."
        ) from error


def read_rows(path: Path) -> tuple[Row, ...]:
    """Rows of a ``data.csv``; raises `ReportError` when it cannot be read."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(f"{path} cannot be read: {error}") from error
    return from_csv(text, str(path))


def markdown_table(
    header: Sequence[str], lines: Iterable[Sequence[str]], *, numbers_from: int = 1
) -> str:
    """A Markdown table; columns from ``numbers_from`` on are set flush right.

    >>> print(markdown_table(["backend", "ratio"], [["autodiff", "2.1×"]]))
    | backend | ratio |
    | --- | ---: |
    | autodiff | 2.1× |
    """
    rule = ["---:" if i >= numbers_from else "---" for i in range(len(header))]
    text = [
        "| " + " | ".join(map(_one_line, line)) + " |"
        for line in (header, rule, *lines)
    ]
    return "\n".join(text)


def _one_line(cell: str) -> str:
    """A cell without what would end it: a line break or a bar."""
    return " ".join(cell.split("\n")).replace("|", "\\|")


def _parameter_names(rows: Sequence[Row]) -> list[str]:
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(name for name, _ in row.parameters))
    return list(names)


def _write(value: Scalar) -> str:
    if value is None:
        return ""
    return repr(value) if isinstance(value, float) else str(value)


def _read(text: str) -> Scalar:
    if text in ("True", "False"):
        return text == "True"
    try:
        return _number(text)
    except ValueError:
        return text


def _number(text: str) -> float | None:
    if text == "":
        return None
    try:
        return int(text)
    except ValueError:
        return float(text)

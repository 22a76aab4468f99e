"""The main rows of an experiment as a small table: the figure, in numbers."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from diffkit.measure.rows import CELL_METRIC, Row
from diffkit.report import numbers
from diffkit.report.table import markdown_table

#: At most so many columns and lines: a table beside a figure, not the data.
_COLUMNS, _LINES = 7, 14

_SHOWN: Mapping[str, Callable[[float], str]] = {
    "seconds": numbers.seconds,
    "bytes": numbers.size,
    "ratio": numbers.times,
    "error": numbers.scientific,
    "ulps": "{:.3g}".format,
    "loss": "{:.4g}".format,
    "accuracy": "{:.3f}".format,
    "value": "{:.4g}".format,
}


def show(metric: str, value: float) -> str:
    """A value as a reader wants it, by the unit that ends the name of its metric.

    >>> show("prepare_seconds", 0.0021), show("tree_operations", 10**40)
    ('2.10 ms', '1.00 × 10⁴⁰')
    """
    return _SHOWN.get(metric.rsplit("_", 1)[-1], numbers.count)(value)


def compact_tables(
    rows: Sequence[Row], metrics: Mapping[str, str]
) -> Mapping[str, str]:
    """The first metric of ``metrics`` that was measured, by case: title → Markdown.

    Columns are the values of the numeric parameter that varies most; the other
    parameters that vary, and the backend, name the lines. Repeats (seeds) are shown by
    their median; a stopped cell says how it was stopped. Empty when nothing was
    measured.
    """
    metric = _first_measured(rows, metrics)
    if metric is None:
        return {}
    kept = [row for row in rows if row.metric == metric and row.value is not None]
    kept += [row for row in rows if row.metric == CELL_METRIC and row.status != "ok"]
    varying = _varying(kept)
    across = max(
        (name for name, values in varying.items() if _numeric(values)),
        key=lambda name: len(varying[name]),
        default=None,
    )
    columns = _thinned(sorted(varying[across]), _COLUMNS) if across else [None]
    down = [name for name in varying if name != across]
    found: dict[tuple[str, ...], dict[Any, list[Row]]] = {}
    for row in kept:
        line = tuple(_label(row, name) for name in down)
        place = row.get(across) if across else None
        found.setdefault(line, {}).setdefault(place, []).append(row)
    lines = list(found)
    body = [
        [*line, *(_cell(metric, found[line].get(column, ())) for column in columns)]
        for line in _thinned(lines, _LINES)
    ]
    header = [name.replace("_", " ") for name in down]
    header += [f"{across} {column}" for column in columns] if across else [metric]
    title = f"`{metric}`" + (f" by {across}".replace("_", " ") if across else "")
    return {title: markdown_table(header, body, numbers_from=len(down))}


def _first_measured(rows: Sequence[Row], metrics: Mapping[str, str]) -> str | None:
    measured = {row.metric for row in rows if row.value is not None} - {CELL_METRIC}
    listed = (name.strip() for names in metrics for name in names.split(","))
    return next(
        (name for name in listed if name in measured), min(measured, default=None)
    )


def _varying(rows: Sequence[Row]) -> dict[str, set[Any]]:
    """What differs from row to row, with its values: the backend, then parameters."""
    seen: dict[str, set[Any]] = {"backend": {row.backend for row in rows}}
    for row in rows:
        for name, value in row.parameters:
            seen.setdefault(name, set()).add(value)
    return {name: values for name, values in seen.items() if len(values) > 1}


def _numeric(values: Iterable[Any]) -> bool:
    return all(
        isinstance(value, int | float) and not isinstance(value, bool)
        for value in values
    )


def _label(row: Row, name: str) -> str:
    value = row.backend if name == "backend" else row.get(name, "")
    return str(value).replace("_", " ")


def _cell(metric: str, rows: Sequence[Row]) -> str:
    values = [row.value for row in rows if row.metric == metric]
    values = [value for value in values if value is not None]
    if values:
        return show(metric, statistics.median_low(values))
    ends = {row.status.replace("_", " ") for row in rows}
    return ", ".join(sorted(ends)) if ends else "–"


def _thinned(values: Sequence[Any], most: int) -> list[Any]:
    """At most so many, evenly chosen, the first and the last among them.

    >>> _thinned(range(10), 4)
    [0, 3, 6, 9]
    """
    if len(values) <= most:
        return list(values)
    step = (len(values) - 1) / (most - 1)
    return [values[round(place * step)] for place in range(most)]

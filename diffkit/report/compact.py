"""The main rows of an experiment as a small table: the figure, in numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from diffkit.measure.bootstrap import bootstrap_interval
from diffkit.measure.rows import BOOKKEEPING, CELL_METRIC, Row
from diffkit.report import numbers
from diffkit.report.table import markdown_table

#: At most so many columns and lines: a table beside a figure, not the data.
_COLUMNS, _LINES = 7, 14
#: A parameter makes columns where at least this share of the table is then filled.
_FILLED = 0.6

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

    Columns are the values of one parameter: the numeric one that varies most, or
    another where that would leave most of the table empty; the other parameters that
    vary, and the backend, name the lines. Repeats (seeds) are shown by their median, a
    value with samples with half the width of its 95 % interval; a stopped cell says how
    it was stopped. Empty when nothing was measured.
    """
    metric = _first_measured(rows, metrics)
    if metric is None:
        return {}
    kept = [row for row in rows if row.metric == metric and row.value is not None]
    kept += [row for row in rows if row.metric == CELL_METRIC and row.status != "ok"]
    varying = _varying(kept)
    across = _across(kept, varying)
    columns = [None] if across is None else list(varying[across])
    if across is not None and _numeric(columns):
        columns = _thinned(sorted(columns), _COLUMNS)
    down = _naming(kept, varying, across)
    found: dict[tuple[str, ...], dict[Any, list[Row]]] = {}
    for row in kept:
        line = tuple(_label(row, name) for name in down)
        place = _of(row, across) if across else None
        found.setdefault(line, {}).setdefault(place, []).append(row)
    lines = list(found)
    body = [
        [*line, *(_cell(metric, found[line].get(column, ())) for column in columns)]
        for line in _thinned(lines, _LINES)
    ]
    header = [name.replace("_", " ") for name in down]
    header += [_heading(across, column) for column in columns] if across else [metric]
    title = f"`{metric}`" + (f" by {across}".replace("_", " ") if across else "")
    if len(lines) > _LINES:
        title += f" ({_LINES} lines of {len(lines)})"
    if any("±" in cell for line in body for cell in line):
        title += ", medians ± half their 95 % bootstrap interval"
    return {title: markdown_table(header, body, numbers_from=len(down))}


def _first_measured(rows: Sequence[Row], metrics: Mapping[str, str]) -> str | None:
    measured = {row.metric for row in rows if row.value is not None} - set(BOOKKEEPING)
    listed = (name.strip() for names in metrics for name in names.split(","))
    return next(
        (name for name in listed if name in measured), min(measured, default=None)
    )


def _across(rows: Sequence[Row], varying: Mapping[str, Sequence[Any]]) -> str | None:
    """The parameter whose values are columns: see `compact_tables`."""
    words = [name for name, values in varying.items() if not _numeric(values)]
    # A number that follows from a word (the steps of each problem) does not replace it.
    numeric = [
        name
        for name in varying
        if name not in words and set(words) <= set(_naming(rows, varying, name))
    ]
    few = [name for name, values in varying.items() if len(values) <= _COLUMNS]
    others = [name for name in few if name in words and name != "backend"]
    for names in (numeric, others):
        full = [name for name in names if _filled(rows, varying, name) >= _FILLED]
        if full:
            return max(full, key=lambda name: len(varying[name]))
    return max(numeric, key=lambda name: len(varying[name]), default=None)


def _filled(
    rows: Sequence[Row], varying: Mapping[str, Sequence[Any]], across: str
) -> float:
    """The share of a table's cells that have a value, with ``across`` as columns."""
    down = _naming(rows, varying, across)
    lines = {tuple(_of(row, name) for name in down) for row in rows}
    cells = {tuple(_of(row, name) for name in (across, *down)) for row in rows}
    return len(cells) / (len(lines) * len(varying[across]))


def _naming(
    rows: Sequence[Row], varying: Mapping[str, Sequence[Any]], across: str | None
) -> list[str]:
    """What names the lines: what varies, less what follows from the rest."""
    down = [name for name in varying if name != across]
    for name in reversed(down):
        fewer = [other for other in down if other != name]
        if _combinations(rows, fewer, across) == _combinations(rows, down, across):
            down = fewer
    return down


def _combinations(rows: Sequence[Row], names: Sequence[str], across: str | None) -> int:
    every = [*names, across] if across else list(names)
    return len({tuple(_of(row, name) for name in every) for row in rows})


def _varying(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """What differs from row to row, with its values: the backend, then parameters."""
    names = dict.fromkeys(name for row in rows for name, _ in row.parameters)
    seen = {
        name: dict.fromkeys(_of(row, name) for row in rows)
        for name in ("backend", *names)
    }
    return {name: list(values) for name, values in seen.items() if len(values) > 1}


def _numeric(values: Iterable[Any]) -> bool:
    return all(
        isinstance(value, int | float) and not isinstance(value, bool)
        for value in values
    )


def _of(row: Row, name: str) -> Any:
    return row.backend if name == "backend" else row.get(name)


def _label(row: Row, name: str) -> str:
    value = _of(row, name)
    return "" if value is None else str(value).replace("_", " ")


def _heading(across: str, value: Any) -> str:
    if isinstance(value, str):
        return value.replace("_", " ")
    return f"{across.replace('_', ' ')} {'–' if value is None else value}"


def _cell(metric: str, rows: Sequence[Row]) -> str:
    kept = [row for row in rows if row.metric == metric and row.value is not None]
    if kept:
        row = sorted(kept, key=lambda row: row.value or 0.0)[(len(kept) - 1) // 2]
        return show(metric, row.value or 0.0) + (_spread(row) if len(kept) == 1 else "")
    ends = {row.status.replace("_", " ") for row in rows}
    return ", ".join(sorted(ends)) if ends else "–"


def _spread(row: Row) -> str:
    """Half the 95 % interval of a median of samples, as a share of it."""
    timed = row.metric.endswith(("_seconds", "_ratio"))
    if not timed or len(row.samples) < 3 or not row.value:
        return ""
    low, high = bootstrap_interval(row.samples)
    return f" ± {50 * (high - low) / row.value:.2g} %"


def _thinned(values: Sequence[Any], most: int) -> list[Any]:
    """At most so many, evenly chosen, the first and the last among them.

    >>> _thinned(range(10), 4)
    [0, 3, 6, 9]
    """
    if len(values) <= most:
        return list(values)
    step = (len(values) - 1) / (most - 1)
    return [values[round(place * step)] for place in range(most)]

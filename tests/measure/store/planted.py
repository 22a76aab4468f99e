"""Cells to keep, and a look into the file that does not go through the package."""

import sqlite3
from contextlib import closing

from diffkit.measure.rows import CELL_METRIC, case


def cell(number: int = 1, value: float | None = 1.5, status: str = "ok", **facts):
    """Rows of a finished cell: one metric, and how the cell ended."""
    one = case("planted", "null", runtime="engine", number=number)
    rows = (
        [one.row("work_seconds", value, samples=[1.0, 2.0])] if status == "ok" else []
    )
    rows.append(one.row(CELL_METRIC, 0.25, status=status))
    return tuple(
        row.stamped(machine="m", versions="v=1", commit="c", threads=1, **facts)
        for row in rows
    )


def count(path, table):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]

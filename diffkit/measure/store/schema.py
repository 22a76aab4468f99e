"""The layout of a store, and how a row of a measurement becomes a record of it.

A cell is one measured case; its measurements are tidy records, one a row. The
checksum of a cell covers every field of every record, so that a change of any of them
is seen before the cell is believed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from functools import lru_cache
from numbers import Integral
from typing import Any

from diffkit.errors import ExperimentError
from diffkit.measure.cells import KEPT
from diffkit.measure.rows import CELL_METRIC, Case, Row

#: Marks the file as a store of diffkit ("dkrs"), and the layout below.
APPLICATION = 0x646B7273
VERSION = 1

#: Fields of a measurement, in the order of its record.
FIELDS = (
    "experiment",
    "parameters",
    "backend",
    "runtime",
    "metric",
    "value",
    "exact",
    "status",
    "message",
    "samples",
    "seed",
)
#: Facts that the rows of a cell share, kept once for all that have the same.
FACTS = ("threads", "machine", "versions", '"commit"', "collector")

# `value` and `seed` have no type, so that SQLite keeps integers of up to 64 bits as
# such; `exact` is the text of the value with every digit.
TABLES = f"""
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    mode TEXT NOT NULL, "commit" TEXT NOT NULL, machine TEXT NOT NULL,
    fingerprint TEXT NOT NULL, versions TEXT NOT NULL, process INTEGER NOT NULL,
    started TEXT NOT NULL, ended TEXT, outcome TEXT
);
CREATE TABLE facts (
    id INTEGER PRIMARY KEY,
    threads INTEGER NOT NULL, machine TEXT NOT NULL, versions TEXT NOT NULL,
    "commit" TEXT NOT NULL, collector TEXT NOT NULL,
    UNIQUE ({", ".join(FACTS)})
);
CREATE TABLE cells (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL, identity TEXT NOT NULL, kept INTEGER NOT NULL,
    run INTEGER NOT NULL REFERENCES runs, started TEXT NOT NULL,
    finished TEXT NOT NULL, checksum TEXT NOT NULL
);
CREATE INDEX cells_by_key ON cells (key, kept, id);
CREATE INDEX cells_by_identity ON cells (identity, id);
CREATE TABLE measurements (
    cell INTEGER NOT NULL REFERENCES cells, place INTEGER NOT NULL,
    facts INTEGER NOT NULL REFERENCES facts,
    experiment TEXT NOT NULL, parameters TEXT NOT NULL, backend TEXT NOT NULL,
    runtime TEXT NOT NULL, metric TEXT NOT NULL, value, exact TEXT,
    status TEXT NOT NULL, message TEXT NOT NULL, samples TEXT NOT NULL, seed NOT NULL,
    PRIMARY KEY (cell, place)
) WITHOUT ROWID;
CREATE TABLE members (
    run INTEGER NOT NULL REFERENCES runs, cell INTEGER NOT NULL REFERENCES cells,
    PRIMARY KEY (run, cell)
) WITHOUT ROWID;
CREATE VIEW results AS SELECT
    {", ".join(f"measurements.{name}" for name in FIELDS)},
    {", ".join(f"facts.{name}" for name in FACTS)},
    cells.started, cells.finished, cells.run, runs.mode, cells.key AS cell,
    cells.id AS number, measurements.place,
    cells.id = (
        SELECT max(later.id) FROM cells AS later WHERE later.identity = cells.identity
    ) AS newest
FROM measurements
JOIN cells ON cells.id = measurements.cell
JOIN facts ON facts.id = measurements.facts
JOIN runs ON runs.id = cells.run;
"""
#: Everything that a sound store has.
NAMES = {"runs", "facts", "cells", "measurements", "members", "results"}

#: The columns of a cell's records, for `from_record`: fields, then facts.
SELECT_CELL = f"""
SELECT cells.key, cells.id, cells.checksum,
    {", ".join(f"measurements.{name}" for name in FIELDS)},
    {", ".join(f"facts.{name}" for name in FACTS)}
FROM cells
LEFT JOIN measurements ON measurements.cell = cells.id
LEFT JOIN facts ON facts.id = measurements.facts
"""

_ROW_FIELDS = (*FIELDS, "threads", "machine", "versions", "commit", "collector")

# Python refuses to write or read longer integers in decimal digits.
_DECIMAL_BITS = 13_000
_WORD_BITS = 63


def to_record(row: Row) -> tuple[Any, ...]:
    """The fields and facts of a row as SQLite keeps them."""
    value, exact = _written(row.value)
    seed = int(row.seed)
    return (
        row.experiment,
        json.dumps(dict(row.parameters)),
        row.backend,
        row.runtime,
        row.metric,
        value,
        exact,
        row.status,
        # A message may quote a file name that is no Unicode.
        row.message.encode("utf-8", "backslashreplace").decode(),
        json.dumps([float(sample) for sample in row.samples]),
        seed if seed.bit_length() <= _WORD_BITS else str(seed),
        row.threads,
        row.machine,
        row.versions,
        row.commit,
        row.collector,
    )


def from_record(record: Sequence[Any]) -> Row:
    """The row that `to_record` wrote.

    >>> row = Row("e", (("depth", 2),), "b", "none", "tree_operations", 3**200)
    >>> from_record(to_record(row)) == row
    True
    """
    named = dict(zip(_ROW_FIELDS, record, strict=True))
    exact = named.pop("exact")
    return Row(
        **{
            **named,
            "value": None if exact is None else read_exact(exact),
            "parameters": _parameters(named["parameters"]),
            "samples": _samples(named["samples"]),
            "seed": int(named["seed"]),
        }
    )


def read_exact(text: str) -> float:
    """The number whose every digit is in the column ``exact``.

    >>> read_exact("3"), read_exact("3.0"), read_exact(hex(10**5000)) == 10**5000
    (3, 3.0, True)
    """
    if "0x" in text:
        return int(text, 16)
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def checksum(key: str, records: Sequence[Sequence[Any]]) -> str:
    """Hash of a cell's key and of every field of its records."""
    text = json.dumps([key, [list(record) for record in records]])
    return hashlib.sha256(text.encode()).hexdigest()


def identity(row: Row | Case) -> str:
    """What was measured, whatever code measured it: the same in every run.

    >>> one, two = (Row("e", (), "b", "none", "n_count", n) for n in (1, 2))
    >>> identity(one) == identity(two)
    True
    """
    text = json.dumps(
        [row.experiment, dict(row.parameters), row.backend, row.runtime, row.seed],
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def last_of(rows: Sequence[Row]) -> Row:
    """The row that says how a cell ended."""
    if not rows:
        raise ExperimentError("A finished cell has one row at least: none was given.")
    return next((row for row in rows if row.metric == CELL_METRIC), rows[-1])


def is_kept(rows: Sequence[Row]) -> bool:
    """Whether measuring the cell again would tell nothing new."""
    return last_of(rows).status in KEPT


def _samples(text: str) -> tuple[float, ...]:
    # Most rows have none.
    return () if text == "[]" else tuple(json.loads(text))


@lru_cache(maxsize=64)
def _parameters(text: str) -> tuple[tuple[str, Any], ...]:
    """The same text stands in every row of a cell."""
    return tuple(json.loads(text).items())


def _written(value: float | None) -> tuple[int | float | None, str | None]:
    """A value as SQLite can compare it, and its text with every digit."""
    if value is None:
        return None, None
    if not isinstance(value, Integral):
        # SQLite has no NaN and keeps it as NULL.
        number = float(value)
        return None if math.isnan(number) else number, repr(number)
    whole = int(value)
    size = whole.bit_length()
    text = str(whole) if size <= _DECIMAL_BITS else hex(whole)
    if size <= _WORD_BITS:
        return whole, text
    try:
        return float(whole), text
    except OverflowError:
        return math.inf if whole > 0 else -math.inf, text

"""The store of a project, as a sweep sees it: load a cell, save a cell, in a run."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from diffkit.errors import StoreError
from diffkit.measure.cells import CorruptCellError
from diffkit.measure.machine import commit_of, this_machine, versions_text
from diffkit.measure.rows import CELL_METRIC, Case, Row
from diffkit.measure.store.database import PATIENCE_SECONDS, Database
from diffkit.measure.store.schema import (
    FACTS,
    FIELDS,
    SELECT_CELL,
    checksum,
    from_record,
    identity,
    is_kept,
    last_of,
    to_record,
)

Item = TypeVar("Item")

# SQLite takes so many values in one statement everywhere (its own limit was 999).
_CHUNK = 500
_PUT_FACTS = (
    f"INSERT OR IGNORE INTO facts ({', '.join(FACTS)}) "
    f"VALUES (?{', ?' * (len(FACTS) - 1)})"
)
_FIND_FACTS = "SELECT id FROM facts WHERE " + " AND ".join(
    f"{name} = ?" for name in FACTS
)
_PUT_MEASUREMENT = (
    f"INSERT INTO measurements (cell, place, facts, {', '.join(FIELDS)}) "
    f"VALUES (?, ?, ?{', ?' * len(FIELDS)})"
)
# As a number, whatever stands there: an estimate has no checksum.
_LAST_SECONDS = (
    "SELECT identity, CAST(value AS REAL) FROM cells "
    "JOIN measurements ON measurements.cell = cells.id "
    f"WHERE metric = '{CELL_METRIC}' AND value NOT NULL AND cells.id IN ("
    "SELECT max(id) FROM cells WHERE kept AND identity IN ({}) GROUP BY identity)"
)
_NEWEST_KEPT = "SELECT max(id) FROM cells WHERE kept AND key IN ({}) GROUP BY key"


def store_path(root: Path) -> Path:
    """Where a project keeps what it measured."""
    return root / ".diffkit" / "results.sqlite"


class RunStore:
    """A `Store` in one SQLite file; what it loads and saves belongs to one run.

    Safe for several processes and threads at once. Every saved cell is a transaction
    of its own, or of `save_many`. Cells that failed are kept to be asked about, and
    never loaded. ``run`` is the number of the run, for `diffkit compare-runs`;
    ``notices`` says what of the file had to be moved aside.
    """

    def __init__(
        self,
        path: Path,
        *,
        mode: str = "",
        commit: str = "unknown",
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._facts_of_run = (mode, commit)
        self._database = Database(path, patience_seconds=patience_seconds)
        self._started = written_time(datetime.now(UTC))
        self._run = 0
        # Cells taken over by this run and not noted yet, each with the file it is in.
        self._reused: set[tuple[int, int]] = set()
        self._write(lambda connection: None)

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    @property
    def run(self) -> int:
        """Number of the run."""
        return self._run

    @property
    def notices(self) -> tuple[str, ...]:
        """What happened to the file, in sentences for the user."""
        return tuple(self._database.notices)

    def load(self, key: str) -> tuple[Row, ...] | None:
        """Rows of the newest finished cell; raises `CorruptCellError` for a bad one."""
        damaged: list[str] = []
        found = self.load_many([key], damaged.append).get(key)
        if damaged:
            raise CorruptCellError(damaged[0])
        return found

    def load_many(
        self, keys: Iterable[str], on_damaged: Callable[[str], object]
    ) -> dict[str, tuple[Row, ...]]:
        """Rows of the finished ones of these cells, by key, in few statements.

        A cell that does not match its checksum is left out, and ``on_damaged`` gets a
        sentence that names it.
        """
        found: dict[str, tuple[Row, ...]] = {}
        for part in in_chunks(list(keys)):
            newest = _NEWEST_KEPT.format(", ".join("?" * len(part)))
            records = self._database.read(
                lambda connection, part=part, newest=newest: connection.execute(
                    f"{SELECT_CELL} WHERE cells.id IN ({newest}) "
                    "ORDER BY cells.id, measurements.place",
                    part,
                ).fetchall()
            )
            for key, number, rows in sound_cells(records, self.path, on_damaged):
                found[key] = rows
                self._reused.add((self._database.generation, number))
        return found

    def last_seconds(self, cases: Iterable[Case]) -> dict[Case, float]:
        """What those of the cases took that were finished before, by any code."""
        asked = {identity(case): case for case in cases}
        found: dict[Case, float] = {}
        for part in in_chunks(list(asked)):
            question = _LAST_SECONDS.format(", ".join("?" * len(part)))
            records = self._database.read(
                lambda connection, part=part, question=question: connection.execute(
                    question, part
                ).fetchall()
            )
            found.update((asked[name], seconds) for name, seconds in records)
        return found

    def save(self, key: str, rows: Sequence[Row]) -> None:
        """Keep a cell, whole or not at all; raises `StoreError` when it cannot be."""
        self.save_many({key: rows})

    def save_many(self, cells: Mapping[str, Sequence[Row]]) -> None:
        """Keep several cells in one transaction: all of them or none."""
        finished = datetime.now(UTC)
        ready = [
            (key, rows, [to_record(row) for row in rows]) for key, rows in cells.items()
        ]

        def change(connection: sqlite3.Connection) -> None:
            for key, rows, records in ready:
                self._put(connection, key, rows, records, finished)

        self._write(change)

    def close(self, outcome: str = "done") -> None:
        """End the run and let go of the file; ``outcome`` says how it ended."""

        def end(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE runs SET ended = ?, outcome = ? WHERE id = ?",
                (written_time(datetime.now(UTC)), outcome, self._run),
            )

        try:
            self._write(end)
        finally:
            self._database.close()

    def _belong(self, connection: sqlite3.Connection) -> set[tuple[int, int]]:
        """Begin the run in this file if it is not in it; note what it took over.

        Asked in every transaction: one before may have been undone, or have gone to a
        file that was moved away.
        """
        known = connection.execute(
            "SELECT 1 FROM runs WHERE id = ? AND process = ? AND started = ?",
            (self._run, os.getpid(), self._started),
        ).fetchone()
        if known is None:
            self._run = self._begin(connection)
        noted = set(self._reused)
        connection.executemany(
            "INSERT OR IGNORE INTO members (run, cell) VALUES (?, ?)",
            [
                (self._run, cell)
                for file, cell in noted
                if file == self._database.generation
            ],
        )
        return noted

    def _write(self, change: Callable[[sqlite3.Connection], None]) -> None:
        def in_run(connection: sqlite3.Connection) -> set[tuple[int, int]]:
            noted = self._belong(connection)
            change(connection)
            return noted

        self._reused -= self._database.write(in_run)

    def _begin(self, connection: sqlite3.Connection) -> int:
        machine = this_machine()
        mode, commit = self._facts_of_run
        return _inserted(
            connection.execute(
                'INSERT INTO runs (mode, "commit", machine, fingerprint, versions, '
                "process, started) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    mode,
                    commit,
                    str(machine),
                    machine.fingerprint,
                    versions_text(),
                    os.getpid(),
                    self._started,
                ),
            )
        )

    def _put(
        self,
        connection: sqlite3.Connection,
        key: str,
        rows: Sequence[Row],
        records: Sequence[tuple[Any, ...]],
        finished: datetime,
    ) -> None:
        last = last_of(rows)
        spent = float(last.value or 0.0) if last.metric == CELL_METRIC else 0.0
        cell = _inserted(
            connection.execute(
                "INSERT INTO cells (key, identity, kept, run, started, finished, "
                "checksum) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    key,
                    identity(last),
                    is_kept(rows),
                    self._run,
                    written_time(finished - timedelta(seconds=spent)),
                    written_time(finished),
                    checksum(key, records),
                ),
            )
        )
        known: dict[tuple[Any, ...], int] = {}
        for record in records:
            facts = record[len(FIELDS) :]
            if facts not in known:
                connection.execute(_PUT_FACTS, facts)
                (known[facts],) = connection.execute(_FIND_FACTS, facts).fetchone()
        connection.executemany(
            _PUT_MEASUREMENT,
            [
                (cell, place, known[record[len(FIELDS) :]], *record[: len(FIELDS)])
                for place, record in enumerate(records)
            ],
        )
        connection.execute(
            "INSERT INTO members (run, cell) VALUES (?, ?)", (self._run, cell)
        )


@contextmanager
def open_run(root: Path, mode: str) -> Iterator[RunStore]:
    """The store of a project with a new run begun in it, ended with the block.

    Raises `StoreError` before anything is measured when the store cannot be used.
    """
    store = RunStore(store_path(root), mode=mode, commit=commit_of(root))
    try:
        yield store
    except BaseException:
        # Why it stopped matters more than a store that cannot note it.
        with suppress(StoreError):
            store.close("stopped")
        raise
    else:
        store.close()


def sound_cells(
    records: Iterable[Sequence[Any]], path: Path, on_damaged: Callable[[str], object]
) -> Iterator[tuple[str, int, tuple[Row, ...]]]:
    """Key, number and rows of each cell of `SELECT_CELL` that matches its checksum.

    The records come cell by cell; a damaged cell is a sentence to ``on_damaged``.
    """
    for (key, number, expected), group in groupby(records, lambda record: record[:3]):
        bare = [tuple(record[3:]) for record in group]
        try:
            if checksum(key, bare) != expected:
                raise ValueError("its rows do not match its checksum")
            yield key, number, tuple(from_record(record) for record in bare)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            on_damaged(
                f"The cell {key} ({bare[0][0]}) of the store {path} is damaged: "
                f"{error}."
            )


def in_chunks(values: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Parts that are short enough for the values of one statement."""
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]


def written_time(when: datetime) -> str:
    """A time of the clock in UTC, as the store writes it: sorts as text."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _inserted(cursor: sqlite3.Cursor) -> int:
    assert cursor.lastrowid is not None
    return cursor.lastrowid

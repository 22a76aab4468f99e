"""Questions to a store: its tidy rows under a condition, its runs, its state.

The file is opened for reading only, and an authorizer lets nothing pass but reading
the results: whatever a condition says, nothing can be changed by asking.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffkit.errors import StoreError, UserInputError, unknown_name
from diffkit.measure.rows import Row
from diffkit.measure.store.condition import FUNCTIONS, checked
from diffkit.measure.store.database import (
    PATIENCE_SECONDS,
    connect,
    explained,
    identify,
    patiently,
)
from diffkit.measure.store.run_store import in_chunks, sound_cells
from diffkit.measure.store.schema import SELECT_CELL, VERSION, read_exact

_NO_SHARED_MEMORY = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
#: Columns of a result; the parameters of the cases are columns beside them.
COLUMNS = (
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
    "threads",
    "machine",
    "versions",
    "commit",
    "collector",
    "started",
    "finished",
    "run",
    "mode",
    "cell",
    "newest",
)


@dataclass(frozen=True, slots=True)
class Results:
    """Records by column; how many there are in all, older ones, and damaged cells."""

    records: tuple[dict[str, Any], ...]
    total: int
    older: int
    damaged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a store: what it ran on, when, and how many cells it has.

    ``outcome`` is done or stopped, and empty for a run that goes on or was killed.
    """

    id: int
    mode: str
    commit: str
    machine: str
    fingerprint: str
    started: str
    ended: str
    outcome: str
    cells: int
    reused: int
    experiments: str


def find_results(
    path: Path,
    *,
    where: str | None = None,
    experiment: str | None = None,
    metric: str | None = None,
    run: int | None = None,
    every_run: bool = False,
    limit: int | None = None,
) -> Results:
    """Tidy rows of a store that meet a condition, in the order of measuring.

    ``where`` is an SQL expression over `COLUMNS` and the cases' parameters. The newest
    measurement of each case is given, with ``run`` those of that run, and with
    ``every_run`` all. Each cell's checksum is verified: a damaged one is left out and
    named. Raises `UserInputError` for a condition that is no such expression.
    """
    with reading(path) as connection:
        _known(connection, "experiment", experiment)
        _known(connection, "metric", metric)
        asked: list[str] = []
        values: list[Any] = []
        if experiment is not None:
            asked, values = [*asked, "experiment = ?"], [*values, experiment]
        if metric is not None:
            asked, values = [*asked, "metric = ?"], [*values, metric]
        if run is not None:
            find_run(connection, run)
            asked.append("number IN (SELECT cell FROM members WHERE run = ?)")
            values.append(run)
        parameters = _parameters(connection)
        if where is not None:
            asked.append(f"({checked(where, [*COLUMNS, *parameters])})")
        columns = "".join(
            f", json_extract(parameters, {_text(_path(name))}) AS {_quoted(name)}"
            for name in parameters
        )
        source = f"FROM (SELECT *{columns} FROM results)"
        if asked:
            source += f" WHERE {' AND '.join(asked)}"
        joint = "AND" if asked else "WHERE"
        newest = "" if every_run or run is not None else f" {joint} newest"
        most = -1 if limit is None else limit
        connection.set_authorizer(_only_reading)
        try:
            (every,) = connection.execute(
                f"SELECT count(*) {source}", values
            ).fetchone()
            (total,) = connection.execute(
                f"SELECT count(*) {source}{newest}", values
            ).fetchone()
            found = connection.execute(
                f"SELECT number, {', '.join(map(_quoted, COLUMNS))} {source}{newest} "
                "ORDER BY number, place LIMIT ?",
                [*values, most],
            ).fetchall()
        except sqlite3.OperationalError as error:
            if where is None or error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise
            raise UserInputError(
                f"The condition {where!r} is refused: {error}. Write one SQL "
                "expression, with text in single quotes."
            ) from error
        finally:
            connection.set_authorizer(None)
        damaged: list[str] = []
        sound = {
            number
            for part in in_chunks(list(dict.fromkeys(line[0] for line in found)))
            for _, number, _ in sound_cells(
                _cells(connection, part), path, damaged.append
            )
        }
    records = tuple(_record(line[1:]) for line in found if line[0] in sound)
    return Results(records, total, every - total, tuple(damaged))


def list_runs(path: Path) -> tuple[Run, ...]:
    """The runs of a store, oldest first."""
    with reading(path) as connection:
        return _runs(connection)


def stored_rows(
    path: Path, *, run: int | None = None, commit: str | None = None
) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Rows of a run, of a commit, or the newest of each case; and damaged cells.

    A commit is given by its first digits. Raises `UserInputError` when there is no
    such run or commit.
    """
    chosen, values = "", []
    if run is not None:
        chosen, values = "WHERE id IN (SELECT cell FROM members WHERE run = ?)", [run]
    elif commit is not None:
        chosen = (
            "WHERE id IN (SELECT cell FROM measurements JOIN facts ON facts.id = facts "
            'WHERE substr("commit", 1, ?) = ?)'
        )
        values = [len(commit), commit]
    damaged: list[str] = []
    rows: list[Row] = []
    with reading(path) as connection:
        if run is not None:
            find_run(connection, run)
        numbers = [
            number
            for (number,) in connection.execute(
                f"SELECT max(id) FROM cells {chosen} GROUP BY identity ORDER BY 1",
                values,
            )
        ]
        if commit is not None and not numbers:
            raise _no_run(connection, commit)
        for part in in_chunks(numbers):
            records = _cells(connection, part)
            for _, _, cell in sound_cells(records, path, damaged.append):
                rows.extend(cell)
    return tuple(rows), tuple(damaged)


def find_run(connection: sqlite3.Connection, run: int) -> None:
    """Raise `UserInputError` unless there is such a run."""
    if not connection.execute("SELECT 1 FROM runs WHERE id = ?", [run]).fetchone():
        raise _no_run(connection, str(run))


def describe_store(path: Path) -> str:
    """One line for ``diffkit doctor``: path, cells, runs, bytes, layout, soundness."""
    if not path.exists():
        return f"{path}: none yet ('diffkit run' makes it)"
    try:
        with reading(path) as connection:
            (cells,) = connection.execute("SELECT count(*) FROM cells").fetchone()
            (runs,) = connection.execute("SELECT count(*) FROM runs").fetchone()
            (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except StoreError as problem:
        return str(problem)
    size = sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
    sound = "sound" if state == "ok" else f"DAMAGED: {state}"
    return (
        f"{path}: {cells} cells of {runs} runs, {size:,} bytes, layout {VERSION}, "
        f"SQLite {sqlite3.sqlite_version}, {sound}"
    )


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a store that cannot write; raises `StoreError` for none."""
    if not path.is_file():
        raise StoreError(
            f"There is no store at {path} yet: 'diffkit run' makes it. Run this in the "
            "project's folder, or name the file with --store."
        )
    with explained(path):
        try:
            connection = patiently(lambda: _opened(path), path, PATIENCE_SECONDS)
        except sqlite3.DatabaseError as error:
            if (error.sqlite_errorcode & 0xFF) not in (
                sqlite3.SQLITE_CORRUPT,
                sqlite3.SQLITE_NOTADB,
            ):
                raise
            raise StoreError(
                f"The store {path} is damaged ({error}). The next 'diffkit run' moves "
                "it aside, whole, and begins a new one."
            ) from error
        try:
            yield connection
        finally:
            connection.close()


def _opened(path: Path) -> sqlite3.Connection:
    # Percent signs and question marks in a path are escaped by as_uri.
    address = f"{path.resolve().as_uri()}?mode=ro"
    connection = connect(address, uri=True)
    try:
        found = identify(connection, path)
    except sqlite3.OperationalError as error:
        connection.close()
        alone = not path.with_name(f"{path.name}-wal").exists()
        if (error.sqlite_errorcode & 0xFF) not in _NO_SHARED_MEMORY or not alone:
            raise
        # A folder that cannot be written takes no shared memory; a file without a log
        # is complete, and no one else can be writing it.
        connection = connect(f"{address}&immutable=1", uri=True)
        found = identify(connection, path)
    except BaseException:
        connection.close()
        raise
    if found != VERSION:
        connection.close()
        raise StoreError(
            f"The store {path} has the layout {found or 0} of an older diffkit (this "
            f"one reads {VERSION}). The next 'diffkit run' moves it aside, whole, and "
            "begins a new one."
        )
    connection.execute("PRAGMA query_only=ON")
    return connection


def _only_reading(
    action: int, first: str | None, second: str | None, *_: str | None
) -> int:
    """SQLite's authorizer: selecting, and the functions that a condition may call."""
    allowed = action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ) or (
        action == sqlite3.SQLITE_FUNCTION
        and second in FUNCTIONS | {"count", "like", "glob", "->", "->>"}
    )
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _cells(
    connection: sqlite3.Connection, numbers: Sequence[int]
) -> list[tuple[Any, ...]]:
    return connection.execute(
        f"{SELECT_CELL} WHERE cells.id IN ({', '.join('?' * len(numbers))}) "
        "ORDER BY cells.id, measurements.place",
        numbers,
    ).fetchall()


def _parameters(connection: sqlite3.Connection) -> list[str]:
    """Names of all cases' parameters that are not columns already."""
    taken = {name.lower() for name in (*COLUMNS, "number", "place")}
    names: dict[str, str] = {}
    for (text,) in connection.execute("SELECT DISTINCT parameters FROM measurements"):
        try:
            found = json.loads(text)
        except ValueError:
            continue
        for name in found if isinstance(found, dict) else ():
            if name.lower() not in taken:
                names.setdefault(name.lower(), name)
    return list(names.values())


def _known(connection: sqlite3.Connection, column: str, name: str | None) -> None:
    if name is None:
        return
    known = {
        text
        for (text,) in connection.execute(f"SELECT DISTINCT {column} FROM measurements")
    }
    if name not in known:
        raise unknown_name(f"measured {column}", name, known)


def _runs(connection: sqlite3.Connection) -> tuple[Run, ...]:
    lines = connection.execute(
        'SELECT id, mode, "commit", machine, fingerprint, started, '
        "ifnull(ended, ''), ifnull(outcome, ''), "
        "(SELECT count(*) FROM members WHERE run = runs.id), "
        "(SELECT count(*) FROM members JOIN cells ON cells.id = cell "
        " WHERE members.run = runs.id AND cells.run != runs.id), "
        "ifnull((SELECT group_concat(DISTINCT experiment) FROM members "
        " JOIN measurements USING (cell) WHERE run = runs.id AND place = 0), '') "
        "FROM runs ORDER BY id"
    )
    return tuple(Run(*line) for line in lines)


def _no_run(connection: sqlite3.Connection, name: str) -> UserInputError:
    runs = _runs(connection)
    last = "; ".join(
        f"{run.id} ({run.started[:16]}, {run.mode}, commit {run.commit})"
        for run in runs[-5:]
    )
    return UserInputError(
        f"There is no run or commit {name!r} in the store. Its last runs: "
        f"{last or 'none'}."
    )


def _record(line: Sequence[Any]) -> dict[str, Any]:
    record = dict(zip(COLUMNS, line, strict=True))
    exact = record.pop("exact")
    return {
        **record,
        "parameters": json.loads(record["parameters"]),
        "samples": json.loads(record["samples"]),
        "value": None if exact is None else read_exact(exact),
        "seed": int(record["seed"]),
        "newest": bool(record["newest"]),
    }


def _path(name: str) -> str:
    """Where `json_extract` finds a parameter."""
    return f"$.{json.dumps(name, ensure_ascii=False)}"


def _text(text: str) -> str:
    escaped = text.replace("'", "''")
    return f"'{escaped}'"


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'

"""One SQLite file that several processes may use, and what can go wrong with it.

Every change is one transaction: it is there or it is not, whenever the process dies. A
file that another process holds is waited for; one that is damaged, or of an older
diffkit, is moved aside under a name that is said, and a new one begun; one of a newer
diffkit, or of another program, is left alone and refused.

After SQLite's own documentation: "Write-Ahead Logging" and "How To Corrupt An SQLite
Database File" (sqlite.org).
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import psutil

from diffkit.errors import StoreError
from diffkit.measure.store.schema import APPLICATION, NAMES, TABLES, VERSION

if sys.platform != "win32":
    import fcntl

Answer = TypeVar("Answer")

#: How long a store that others hold is waited for.
PATIENCE_SECONDS = 30.0
#: A lost power supply costs what was finished in this time, and no more.
FLUSH_SECONDS = 1.0
_WAL_FILES = ("-wal", "-shm")
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_REFUSED = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)


class Database:
    """The file of a store, open for reading and writing by this process.

    Threads take turns. ``generation`` counts the files this has been: it grows when a
    damaged one was replaced, or when someone moved the file away. ``notices`` says, in
    sentences for the user, what was moved aside.
    """

    def __init__(
        self, path: Path, *, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self.path = path
        self.notices: list[str] = []
        self.generation = 0
        self._patience = patience_seconds
        self._turn = threading.RLock()
        self._flushed = 0.0
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._process = os.getpid()
        self._do(lambda connection: None)

    def write(self, change: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """All of a change or nothing: one transaction, begun again while locked.

        Raises `StoreError` when the file stays locked, cannot be written, or the disk
        is full; nothing of the change is then in the file.
        """

        def transaction(connection: sqlite3.Connection) -> Answer:
            # SQLite flushes every commit, or the log before it is merged only: a
            # killed process loses nothing either way, a lost power supply might.
            flush = time.monotonic() - self._flushed >= FLUSH_SECONDS
            connection.execute(f"PRAGMA synchronous={'FULL' if flush else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                answer = change(connection)
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
            if flush:
                self._flushed = time.monotonic()
            return answer

        return self._do(transaction)

    def read(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Answer a question of one statement; raises `StoreError` as `write` does."""
        return self._do(question)

    def close(self) -> None:
        """Let go of the file; the log is merged into it when no one else uses it."""
        with self._turn:
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
            self._connection = None

    def _do(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        with self._turn, explained(self.path):
            for _ in range(2):
                try:
                    return patiently(
                        lambda: work(self._current()), self.path, self._patience
                    )
                except sqlite3.DatabaseError as error:
                    if _code(error) not in _DAMAGED:
                        raise
                    self._replace(f"is damaged ({error})", "damaged")
            raise StoreError(
                f"{self.path} is damaged again as soon as it is made: the disk may be "
                "failing. Name a project folder on another disk."
            )

    def _current(self) -> sqlite3.Connection:
        """The open connection, opened again after a fork or when the file moved."""
        if self._connection is not None:
            if self._process != os.getpid():
                # A connection must not be used, nor closed, on both sides of a fork.
                _ABANDONED.append(self._connection)
                self._connection = None
            elif self._file != file_identity(self.path):
                self.close()
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        make_folder(self.path.parent)
        with _alone(self.path):
            for _ in range(2):
                connection = connect(
                    str(self.path), wait_seconds=min(1.0, self._patience)
                )
                try:
                    found = identify(connection, self.path)
                    if found == VERSION:
                        return self._opened(connection)
                    if found is None:
                        _create(connection)
                        return self._opened(connection)
                except sqlite3.DatabaseError as error:
                    connection.close()
                    if _code(error) not in _DAMAGED:
                        raise
                    self._set_aside(f"is damaged ({error})", "damaged")
                except BaseException:
                    connection.close()
                    raise
                else:
                    connection.close()
                    self._set_aside(
                        f"has the layout {found} of an older diffkit (this one writes "
                        f"{VERSION})",
                        f"version-{found}",
                    )
        raise StoreError(f"{self.path} cannot be made anew.")

    def _opened(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        # A file system without shared memory keeps its own journal: as safe, slower.
        connection.execute("PRAGMA journal_mode=WAL")
        self._file = file_identity(self.path)
        self._process = os.getpid()
        self.generation += 1
        return connection

    def _replace(self, why: str, word: str) -> None:
        """Move the open file aside, unless another process has done it already."""
        opened = self._file
        self.close()
        with _alone(self.path):
            if opened == file_identity(self.path):
                self._set_aside(why, word)

    def _set_aside(self, why: str, word: str) -> None:
        aside = _free_name(self.path, word)
        for ending in ("", *_WAL_FILES):
            with suppress(FileNotFoundError):
                os.rename(f"{self.path}{ending}", f"{aside}{ending}")
        self.notices.append(
            f"The store {self.path} {why}. It was moved to {aside.name} beside it, "
            "whole, and a new store was begun; what it held is measured again."
        )


_ABANDONED: list[sqlite3.Connection] = []


def connect(
    address: str, *, wait_seconds: float = 1.0, uri: bool = False
) -> sqlite3.Connection:
    """A connection that waits for others a while, and never fails to decode a text."""
    connection = sqlite3.connect(
        address,
        timeout=wait_seconds,
        isolation_level=None,
        check_same_thread=False,
        uri=uri,
    )
    # Broken bytes become a wrong checksum instead of an exception.
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    return connection


def identify(connection: sqlite3.Connection, path: Path) -> int | None:
    """Version of a store, None for an empty file.

    Raises `StoreError` for a store of a newer diffkit and for a database of another
    program, `sqlite3.DatabaseError` for what is no database or lacks a table.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if not names and not version and not application:
        return None
    if application != APPLICATION:
        raise StoreError(
            f"{path} is a database of another program and is left as it is. Move it "
            "away: diffkit keeps its results under this name."
        )
    if version > VERSION:
        raise StoreError(
            f"{path} was written by a newer diffkit (layout {version}; this one reads "
            f"{VERSION}) and is left as it is. Install the newer diffkit, or move the "
            "file away to begin a new store."
        )
    if version == VERSION and not names >= NAMES:
        lacking = sqlite3.DatabaseError(f"without {', '.join(sorted(NAMES - names))}")
        lacking.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise lacking
    return version


def patiently(
    work: Callable[[], Answer], path: Path, patience_seconds: float
) -> Answer:
    """Do it, again and again while others hold the file, until patience ends."""
    start, pause = time.monotonic(), 0.01
    while True:
        try:
            return work()
        except (sqlite3.OperationalError, BlockingIOError) as error:
            if not isinstance(error, BlockingIOError) and _code(error) not in _LOCKED:
                raise
            waited = time.monotonic() - start
            if waited >= patience_seconds:
                raise StoreError(
                    f"The store {path} stayed locked for {waited:.0f} seconds. "
                    f"{_holders(path)} Wait for it or end it, and run the same command "
                    "again: finished cells are kept."
                ) from error
            time.sleep(min(pause, patience_seconds))
            pause = min(2 * pause, 0.25)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Errors of SQLite as `StoreError` with what to do."""
    try:
        yield
    except sqlite3.Error as error:
        code, folder = _code(error), path.parent
        if code == sqlite3.SQLITE_FULL or _no_space(folder):
            full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            raise StoreError(
                f"The disk of {path} is full: the last cell could not be kept. Free "
                "some space and run the same command again; finished cells are kept."
            ) from full
        if code in _REFUSED:
            raise _unwritable(folder, str(error)) from error
        raise StoreError(
            f"{path} cannot be used: {error}. Check the disk it is on, or move the "
            "file away to begin a new store."
        ) from error


def make_folder(folder: Path) -> None:
    """The folder of a store; raises `StoreError` when there can be none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error.strerror or str(error)) from error


def file_identity(path: Path) -> tuple[int, int] | None:
    """Device and number of a file: another one under the same name differs."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _create(connection: sqlite3.Connection) -> None:
    connection.executescript(
        f"BEGIN IMMEDIATE; {TABLES} PRAGMA application_id={APPLICATION}; "
        f"PRAGMA user_version={VERSION}; COMMIT;"
    )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time opens a store, so that one alone moves it aside."""
    if sys.platform == "win32":
        yield
        return
    try:
        lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise _unwritable(path.parent, error.strerror or str(error)) from error
    try:
        # Raises BlockingIOError while it is taken, for `patiently`.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)


def _free_name(path: Path, word: str) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    name, number = f"{path.stem}.{word}-{stamp}", 1
    aside = path.with_name(f"{name}{path.suffix}")
    while aside.exists():
        number += 1
        aside = path.with_name(f"{name}-{number}{path.suffix}")
    return aside


def _holders(path: Path) -> str:
    """Which processes have the file open, as far as this one may look."""
    name, others, mine = str(path.resolve()), [], False
    for process in psutil.process_iter(["pid"]):
        with suppress(psutil.Error, OSError):
            if any(file.path == name for file in process.open_files()):
                if process.pid == os.getpid():
                    mine = True
                else:
                    words = " ".join(process.cmdline())
                    others.append(f"process {process.pid} ({words[:80]})")
    if others:
        return f"It is open in {', '.join(others)}."
    if mine:
        return "It is open in this process only: another of its threads holds it."
    return "No process that can be seen from here has it open."


def _unwritable(folder: Path, reason: str) -> StoreError:
    return StoreError(
        f"Finished cells cannot be kept in {folder}: {reason}. Make the folder "
        "writable, or run from a project that is."
    )


def _no_space(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < 1 << 16
    except OSError:
        return False


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; extended ones say more in higher bits."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF

"""What can happen to the file of a store: each said clearly, and nothing lost."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from diffkit.errors import StoreError
from diffkit.measure.cells import CorruptCellError
from diffkit.measure.store import database
from diffkit.measure.store.results import describe_store, find_results, list_runs
from diffkit.measure.store.run_store import RunStore
from diffkit.measure.store.schema import VERSION
from tests.measure.store.planted import cell, count

NOBODY = 65534


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".diffkit" / "results.sqlite"


@pytest.fixture
def filled(path):
    """A store with three cells, closed."""
    store = RunStore(path)
    store.save_many({f"key{number}": cell(number) for number in range(3)})
    store.close()
    return path


def change(path, statement):
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement).rowcount


def aside(path, word):
    """The file that was moved aside, the only one of its kind."""
    (found,) = path.parent.glob(f"{path.stem}.{word}*{path.suffix}")
    return found


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE measurements SET value = 0.7 WHERE cell = 2 AND place = 0",
        "UPDATE measurements SET exact = '0.7' WHERE cell = 2 AND place = 0",
        "UPDATE measurements SET parameters = '{' WHERE cell = 2",
        "UPDATE measurements SET status = 'error', exact = NULL WHERE cell = 2",
        "UPDATE measurements SET message = CAST(x'ff00' AS TEXT) WHERE cell = 2",
        "UPDATE measurements SET samples = x'00' WHERE cell = 2",
        "UPDATE measurements SET cell = 1, place = place + 7 WHERE cell = 2",
        "DELETE FROM measurements WHERE cell = 2 AND place = 1",
        "DELETE FROM measurements WHERE cell = 2",
        "UPDATE cells SET checksum = '' WHERE id = 2",
        "UPDATE cells SET key = 'key1', checksum = upper(checksum) WHERE id = 2",
    ],
)
def test_a_corrupt_cell_is_reported_and_never_trusted(filled, statement):
    assert change(filled, statement) > 0
    store = RunStore(filled)
    with pytest.raises(CorruptCellError, match=f"key1.*{filled}.*damaged"):
        store.load("key1")
    assert store.load("key2") == cell(2)
    said = []
    found = store.load_many(["key1", "key2"], said.append)
    assert list(found) == ["key2"]
    assert len(said) == 1
    store.save("key1", cell(1))
    assert store.load("key1") == cell(1)
    store.close()


def test_a_cell_under_the_name_of_another_is_not_taken_for_it(filled):
    change(filled, "UPDATE cells SET key = 'other' WHERE id = 2")
    store = RunStore(filled)
    with pytest.raises(CorruptCellError):
        store.load("other")
    store.close()


def test_facts_of_the_machine_are_under_the_checksum_too(filled):
    assert change(filled, "UPDATE facts SET machine = 'a faster one'") == 1
    store = RunStore(filled)
    with pytest.raises(CorruptCellError):
        store.load("key0")
    store.close()


def test_results_leave_a_corrupt_cell_out_and_name_it(filled):
    change(filled, "UPDATE measurements SET value = 7 WHERE cell = 2")
    found = find_results(filled)
    assert {record["cell"] for record in found.records} == {"key0", "key2"}
    (said,) = found.damaged
    assert "key1" in said


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"this is no database" * 100,
        lambda data: b"\xff" * 100 + data[100:],
        lambda data: data[: len(data) // 2],
        lambda data: data[:4096] + b"\x00" * (len(data) - 4096),
        lambda data: data[:1024],
    ],
    ids=["text", "header", "half", "zeros", "cut"],
)
def test_a_corrupt_file_is_moved_aside_whole_and_begun_anew(filled, damage):
    broken = damage(filled.read_bytes())
    filled.write_bytes(broken)
    store = RunStore(filled)
    assert store.load("key1") is None
    store.save("key1", cell(1))
    assert store.load("key1") == cell(1)
    (said,) = store.notices
    store.close()
    moved = aside(filled, "damaged")
    assert moved.read_bytes() == broken
    assert moved.name in said
    assert str(filled) in said
    assert RunStore(filled).notices == ()


def test_a_file_that_breaks_during_a_run_is_moved_aside_and_the_run_goes_on(filled):
    store = RunStore(filled)
    assert store.load("key0") == cell(0)
    filled.write_bytes(b"\x00" * 4096 + b"broken" * 5000)
    store.save("key5", cell(5))
    assert store.load("key5") == cell(5)
    (said,) = store.notices
    assert aside(filled, "damaged").name in said
    store.close()
    (run,) = list_runs(filled)
    assert (run.cells, run.outcome) == (1, "done")


def test_asking_a_corrupt_file_changes_nothing(filled):
    filled.write_bytes(b"this is no database" * 100)
    for ask in (find_results, list_runs):
        with pytest.raises(StoreError, match=r"damaged.*moves it aside"):
            ask(filled)
    assert "damaged" in describe_store(filled)
    assert [p.name for p in filled.parent.glob("*.sqlite")] == [filled.name]


def test_a_table_that_is_gone_makes_a_damaged_file(filled):
    change(filled, "DROP TABLE members")
    store = RunStore(filled)
    assert "without members" in store.notices[0]
    store.save("key", cell())
    store.close()


def test_two_processes_move_a_corrupt_file_once(filled):
    """The second one finds the new file and leaves it where it is."""
    first, second = RunStore(filled), RunStore(filled)
    filled.write_bytes(b"\x00" * 4096 + b"broken" * 5000)
    first.save("one", cell(1))
    second.save("two", cell(2))
    for store in (first, second):
        assert store.load("one") == cell(1)
        assert store.load("two") == cell(2)
        store.close()
    aside(filled, "damaged")
    assert count(filled, "cells") == 2
    assert len(list_runs(filled)) == 2


def test_a_store_that_is_moved_away_in_mid_run_is_begun_anew(filled):
    """And letting go of the old file leaves the log of the new one alone."""
    store, other = RunStore(filled), RunStore(filled)
    for ending in ("", "-wal", "-shm"):
        os.rename(f"{filled}{ending}", f"{filled}.kept{ending}")
    store.save("new", cell(7))
    other.close()
    again = RunStore(filled)
    assert again.load("new") == cell(7)
    again.close()
    store.close()
    with closing(sqlite3.connect(f"{filled}.kept")) as kept:
        assert kept.execute("SELECT count(*) FROM cells").fetchone() == (3,)


@pytest.mark.parametrize("ask", [RunStore, find_results, list_runs])
def test_a_newer_store_is_refused_and_left_as_it_is(filled, ask):
    change(filled, f"PRAGMA user_version = {VERSION + 1}")
    before = filled.read_bytes()
    with pytest.raises(StoreError, match=r"newer diffkit.*Install the newer diffkit"):
        ask(filled)
    assert filled.read_bytes() == before
    assert "newer" in describe_store(filled)


def test_an_older_store_is_kept_aside(filled):
    change(filled, f"PRAGMA user_version = {VERSION - 1}")
    with pytest.raises(StoreError, match="older diffkit"):
        find_results(filled)
    store = RunStore(filled)
    (said,) = store.notices
    store.save("key", cell())
    store.close()
    moved = aside(filled, f"version-{VERSION - 1}")
    assert moved.name in said
    assert count(moved, "cells") == 3
    assert count(filled, "cells") == 1


def test_a_database_of_another_program_is_refused_and_left_as_it_is(path):
    path.parent.mkdir()
    change(path, "CREATE TABLE theirs (x)")
    for ask in (RunStore, find_results):
        with pytest.raises(StoreError, match="another program"):
            ask(path)
    assert count(path, "theirs") == 0


def test_an_empty_file_becomes_a_store(path):
    path.parent.mkdir()
    path.touch()
    store = RunStore(path)
    assert store.notices == ()
    store.save("key", cell())
    store.close()


HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
"""


@contextmanager
def held(path):
    """A store whose writing another process holds."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        if process.poll() is None:
            process.communicate("\n", timeout=30)


def test_a_store_that_stays_locked_names_the_file_and_who_holds_it(filled):
    store = RunStore(filled, patience_seconds=0.05)
    with held(filled) as process:
        with pytest.raises(StoreError) as said:
            store.save("key9", cell(9))
        # Readers do not wait for a writer.
        assert store.load("key0") == cell(0)
        with pytest.raises(StoreError, match="stayed locked"):
            RunStore(filled, patience_seconds=0.05)
    assert f"The store {filled} stayed locked" in str(said.value)
    assert f"process {process.pid} (" in str(said.value)
    assert str(os.getpid()) not in str(said.value)
    store.save("key9", cell(9))
    assert store.load("key9") == cell(9)
    store.close()


def test_a_store_that_is_let_go_of_in_time_is_waited_for(filled, monkeypatch):
    store = RunStore(filled)
    with held(filled) as process:
        naps = []

        def nap(seconds):
            naps.append(seconds)
            process.communicate("\n")

        monkeypatch.setattr(database.time, "sleep", nap)
        store.save("key9", cell(9))
    assert len(naps) == 1
    assert store.load("key9") == cell(9)
    store.close()


def test_another_thread_that_holds_the_store_is_named(filled):
    store = RunStore(filled, patience_seconds=0.05)
    with closing(sqlite3.connect(filled, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="in this process only"):
            store.save("key9", cell(9))
    store.close()


def test_a_full_disk_says_so_and_the_cells_before_are_kept(filled):
    store = RunStore(filled)

    def no_more(connection):
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")

    store._database.read(no_more)
    with pytest.raises(StoreError, match=r"disk of .* is full") as said:
        store.save_many({f"more{number}": cell(number) for number in range(500)})
    assert said.value.__cause__.errno == errno.ENOSPC
    assert store.load("more0") is None
    assert store.load("key2") == cell(2)
    store._database.read(lambda c: c.execute("PRAGMA max_page_count = 1000000"))
    store.save("more0", cell(0))
    assert store.load("more0") == cell(0)
    store.close()


@contextmanager
def read_only(folder):
    """The folder as one that this process may not write to, root or not."""
    modes = {path: path.stat().st_mode for path in (folder, *folder.rglob("*"))}
    for path in modes:
        path.chmod(0o755 if path.is_dir() else 0o444)
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        assert not os.access(folder, os.W_OK, effective_ids=True)
        yield
    finally:
        if root:
            os.seteuid(0)
        for path, mode in modes.items():
            path.chmod(mode)


@pytest.fixture
def reachable():
    """A folder that every user reaches; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="diffkit-test-"))
    yield folder
    shutil.rmtree(folder)


def test_a_read_only_folder_says_so_before_anything_is_measured(reachable):
    path = reachable / "results.sqlite"
    RunStore(path).close()
    with read_only(reachable):
        with pytest.raises(StoreError, match=r"cannot be kept in .*Permission denied"):
            RunStore(path)
        with pytest.raises(StoreError, match="cannot be kept in"):
            RunStore(reachable / ".diffkit" / "results.sqlite")
    assert count(path, "runs") == 1


def test_results_can_be_read_from_a_read_only_folder(reachable):
    path = reachable / "results.sqlite"
    store = RunStore(path)
    store.save("key", cell(value=10**30))
    store.close()
    assert not path.with_name(f"{path.name}-wal").exists()
    with read_only(reachable):
        assert find_results(path, metric="work_seconds").records[0]["value"] == 10**30


def test_a_folder_that_is_a_file_says_so(tmp_path):
    (tmp_path / ".diffkit").write_text("a file")
    with pytest.raises(StoreError, match=r"\.diffkit.*Make the folder writable"):
        RunStore(tmp_path / ".diffkit" / "results.sqlite")


def test_a_store_that_is_a_folder_says_so(path):
    path.mkdir(parents=True)
    with pytest.raises(StoreError, match="unable to open"):
        RunStore(path)
    with pytest.raises(StoreError, match="no store at"):
        find_results(path)

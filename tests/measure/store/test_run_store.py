"""The store as a sweep uses it: every value back, in runs, by many at once."""

import math
import os
import subprocess
import sys
import threading
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffkit.errors import ExperimentError
from diffkit.measure.cells import KEPT
from diffkit.measure.limits import STATUSES
from diffkit.measure.rows import CELL_METRIC, Row, case
from diffkit.measure.store.results import COLUMNS, list_runs
from diffkit.measure.store.run_store import RunStore, open_run, store_path
from diffkit.measure.store.schema import FACTS, FIELDS
from tests.measure.store.planted import cell, count

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results.sqlite"


@pytest.fixture
def store(path):
    opened = RunStore(path)
    yield opened
    opened.close()


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
)
VALUES = st.integers(-(10**400), 10**400) | st.floats(allow_nan=False)
ROWS = st.builds(
    Row,
    experiment=st.text(),
    parameters=st.dictionaries(st.text(), SCALARS, max_size=4).map(
        lambda named: tuple(named.items())
    ),
    backend=st.text(),
    runtime=st.text(),
    metric=st.just("n_count"),
    value=VALUES,
    message=st.text(),
    samples=st.lists(st.floats(allow_nan=False), max_size=3).map(tuple),
    seed=st.integers(0, 2**200),
    threads=st.integers(0, 128),
    machine=st.text(),
    versions=st.text(),
    commit=st.text(),
    collector=st.text(),
)


def test_the_store_has_a_column_for_every_field_of_a_row():
    kept = {name.strip('"') for name in (*FIELDS, *FACTS)} - {"exact"}
    assert kept == {item.name for item in fields(Row)}
    assert kept < set(COLUMNS)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory):
    opened = RunStore(tmp_path_factory.mktemp("lasting") / "results.sqlite")
    yield opened
    opened.close()


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROWS, min_size=1, max_size=3))
def test_any_rows_come_back_as_they_were(rows, lasting):
    lasting.save("key", rows)
    back = lasting.load("key")
    assert back == tuple(rows)
    assert [type(row.value) for row in back] == [type(row.value) for row in rows]


@pytest.mark.parametrize(
    "value",
    [0, -7, 2**63 - 1, 2**63, 16 * 10**97, 1 << 16000, -(1 << 16000), 0.1, math.inf],
    ids=["0", "-7", "word", "word+1", "98 digits", "long", "-long", "0.1", "inf"],
)
def test_numbers_keep_every_digit(store, value):
    store.save("key", cell(value=value))
    (row, _) = store.load("key")
    assert row.value == value
    assert type(row.value) is type(value)


def test_not_a_number_comes_back_as_such(store):
    store.save("key", cell(value=math.nan))
    assert math.isnan(store.load("key")[0].value)


def test_a_cell_that_is_not_there_is_none(store):
    assert store.load("nothing") is None


@pytest.mark.parametrize("status", STATUSES)
def test_failed_cells_are_kept_and_never_loaded(store, status):
    store.save("key", cell(status=status))
    assert (store.load("key") is not None) == (status in KEPT)
    (run,) = list_runs(store.path)
    assert run.cells == 1


def test_a_cell_without_rows_is_refused(store):
    with pytest.raises(ExperimentError, match="one row at least"):
        store.save("key", [])


def test_the_newest_of_two_measurements_is_loaded_and_the_older_one_kept(store):
    store.save("key", cell(value=1.0))
    store.save("key", cell(value=2.0))
    assert store.load("key")[0].value == 2.0
    assert count(store.path, "cells") == 2


def test_many_cells_are_saved_and_loaded_in_few_statements(store):
    cells = {f"key{number}": cell(number) for number in range(1200)}
    store.save_many(cells)
    damaged = []
    assert store.load_many([*cells, "nothing"], damaged.append) == cells
    assert damaged == []


def test_what_a_cell_took_is_known_whatever_code_measured_it(store):
    cases = [case("planted", "null", number=number) for number in range(1200)]

    def save(key, number, seconds, status="ok"):
        store.save(key, [cases[number].row(CELL_METRIC, seconds, status=status)])

    save("before", 0, 80.0)
    save("now", 0, 70.0)
    save("before, 1", 1, 3.0, "timeout")
    save("now, 1", 1, 0.1, "error")  # failed at once: that says nothing
    save("failed", 2, 0.1, "error")
    save("nothing", 3, None)
    save("far", 1100, 5)
    save("not asked for", 1199, 9.0)
    assert store.last_seconds(cases[:-1]) == {
        cases[0]: 70.0,
        cases[1]: 3.0,
        cases[1100]: 5.0,
    }
    assert store.last_seconds([]) == {}


def test_of_several_cells_all_are_saved_or_none(store, monkeypatch):
    put = RunStore._put

    def fails_at_the_second(self, connection, key, *rest):
        if key == "two":
            raise RuntimeError("planted")
        put(self, connection, key, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(RunStore, "_put", fails_at_the_second)
        with pytest.raises(RuntimeError, match="planted"):
            store.save_many({"one": cell(1), "two": cell(2)})
    assert store.load("one") is None
    assert count(store.path, "measurements") == 0
    store.save("one", cell(1))
    assert store.load("one") == cell(1)


def test_a_run_has_what_it_measured_and_what_it_took_over(tmp_path):
    with open_run(tmp_path, "quick") as first:
        first.save("one", cell(1))
    with open_run(tmp_path, "full") as second:
        assert second.load("one") == cell(1)
        second.save("two", cell(2))
    one, two = list_runs(store_path(tmp_path))
    assert (one.id, one.mode, one.cells, one.reused) == (first.run, "quick", 1, 0)
    assert (two.id, two.mode, two.cells, two.reused) == (second.run, "full", 2, 1)
    assert one.started <= one.ended <= two.started <= two.ended
    assert (one.outcome, two.outcome) == ("done", "done")
    assert one.experiments == "planted"
    assert one.fingerprint
    assert one.machine


def test_a_run_that_raises_is_noted_as_stopped(tmp_path):
    def interrupted():
        with open_run(tmp_path, "quick") as store:
            store.save("one", cell(1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    (run,) = list_runs(store_path(tmp_path))
    assert (run.outcome, run.cells) == ("stopped", 1)


def test_a_run_that_goes_on_has_no_end(store):
    (run,) = list_runs(store.path)
    assert (run.ended, run.outcome) == ("", "")


def test_threads_of_one_process_share_a_store(store):
    def work(first):
        for number in range(first, first + 25):
            store.save(f"key{number}", cell(number))
            assert store.load(f"key{number}") == cell(number)

    threads = [threading.Thread(target=work, args=[100 * n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(store.path, "cells") == 100


PROCESS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from diffkit.measure.store.run_store import RunStore
from tests.measure.store.planted import cell

path, first = Path(sys.argv[1]), int(sys.argv[2])
store = RunStore(path)
for number in range(first, first + 30):
    store.save(f"key{number}", cell(number, value=number * 10**40))
    loaded = store.load(f"key{number}")
    assert loaded == cell(number, value=number * 10**40), loaded
    # What another process saves is whole whenever it is there.
    other = (number + 30) % 90
    assert store.load(f"key{other}") in (None, cell(other, value=other * 10**40))
store.close()
"""


def test_several_processes_save_and_load_at_once(path):
    script = path.with_name("process.py")
    script.write_text(PROCESS)
    # None of them finds the store there: they make it together.
    processes = [
        subprocess.Popen(
            [sys.executable, script, path, str(first), ROOT],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for first in (0, 30, 60)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    store = RunStore(path)
    keys = [f"key{number}" for number in range(90)]
    found = store.load_many(keys, pytest.fail)
    store.close()
    assert found == {
        f"key{number}": cell(number, value=number * 10**40) for number in range(90)
    }
    assert count(path, "cells") == 90
    assert len(list_runs(path)) == 4


def test_a_child_of_fork_opens_the_store_for_itself(store):
    store.save("before", cell(1))
    child = os.fork()
    if child == 0:
        try:
            store.save("child", cell(2))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    store.save("after", cell(3))
    assert store.load("child") == cell(2)
    assert store.load("after") == cell(3)

"""Killed with -9 at random points, work ends with exactly the cells of an undisturbed
run: nothing is lost, nothing done twice, nothing half-written.
"""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from diffkit.measure.rows import BOOKKEEPING, CELL_METRIC
from diffkit.measure.store.results import list_runs, stored_rows
from diffkit.measure.store.run_store import RunStore, store_path
from tests.measure.store.planted import cell
from tests.measure.tiny import calls, write_project

ROOT = Path(__file__).resolve().parents[3]

# The part of a sweep that meets the store, with cells that cost nothing.
SAVING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from diffkit.measure.store.run_store import RunStore
from tests.measure.store.planted import cell

store = RunStore(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    if store.load(f"key{number}") is None:
        store.save(f"key{number}", cell(number, value=number * 10**30))
        print(number, flush=True)
store.close()
"""

# The engine is not measured here, and loading it into twenty servers takes minutes.
SWEEPING = """
import sys
from multiprocessing.context import ForkServerContext
from pathlib import Path
from diffkit.measure.experiment import load_experiment
from diffkit.measure.sweep import run_sweep

preload = ForkServerContext.set_forkserver_preload
ForkServerContext.set_forkserver_preload = lambda context, names: preload(
    context, ["diffkit.measure.sweep", "diffkit.report.figures"]
)

if __name__ == "__main__":
    root = Path(sys.argv[1])
    found = load_experiment(root / "experiments" / "tiny.py")
    run_sweep(
        found, "quick", root,
        on_cell=lambda cell: cell.reused or print(cell.number, flush=True),
    )
"""


def start(script, *words):
    # A group of its own: the workers of a sweep die with it.
    return subprocess.Popen(
        [sys.executable, script, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def kill_at_random(process, rng, most_lines):
    """SIGKILL after some lines and some more milliseconds, at work for certain."""
    for _ in range(rng.randint(1, most_lines)):
        assert process.stdout.readline(), process.communicate()[1]
    time.sleep(rng.uniform(0, 0.02))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


def ended_well(process):
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def kept_keys(path):
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return sorted(
            key for (key,) in connection.execute("SELECT key FROM cells WHERE kept")
        )


def test_three_kills_of_a_process_that_saves_lose_and_repeat_nothing(tmp_path):
    script, path = tmp_path / "saving.py", tmp_path / "results.sqlite"
    script.write_text(SAVING)
    rng = random.Random(7)
    total = 100_000
    for _ in range(3):
        kill_at_random(start(script, path, ROOT, total), rng, 40)
    before = kept_keys(path)
    ended_well(start(script, path, ROOT, len(before) + 20))
    keys = [f"key{number}" for number in range(len(before) + 20)]
    assert kept_keys(path) == sorted(keys)
    store = RunStore(path)
    assert store.load_many(keys, pytest.fail) == {
        f"key{number}": cell(number, value=number * 10**30)
        for number in range(len(keys))
    }
    store.close()
    ends = [run.outcome for run in list_runs(path)]
    assert ends == ["", "", "", "done", "done"]


@pytest.mark.slow
def test_twenty_kills_of_a_sweep_end_with_the_cells_of_an_undisturbed_one(tmp_path):
    kinds = ["ok", "ok", "too_large"] * 30
    disturbed, undisturbed = tmp_path / "disturbed", tmp_path / "undisturbed"
    for root in (disturbed, undisturbed):
        write_project(root, kinds)
    script = tmp_path / "sweeping.py"
    script.write_text(SWEEPING)
    rng = random.Random(11)
    for _ in range(20):
        kill_at_random(start(script, disturbed), rng, 3)
    unfinished = len(kept_keys(store_path(disturbed)))
    assert 20 <= unfinished < len(kinds)
    ended_well(start(script, disturbed))
    ended_well(start(script, undisturbed))

    assert kept_keys(store_path(disturbed)) == kept_keys(store_path(undisturbed))
    assert counted(disturbed) == counted(undisturbed)
    # A cell is measured again only where the kill came before it was kept.
    assert set(calls(disturbed)) == set(calls(undisturbed))
    assert len(calls(disturbed)) <= len(kinds) + 20
    before = calls(disturbed)
    ended_well(start(script, disturbed))
    assert calls(disturbed) == before


def counted(root):
    """Everything that was measured, apart from times."""
    rows, damaged = stored_rows(store_path(root))
    assert damaged == ()
    return sorted(
        (row["size"], row.metric, str(row.value), row.status, row.message)
        for row in rows
        if row.metric not in BOOKKEEPING
    ) + sorted(
        (row["size"], row.metric, row.status, row.message)
        for row in rows
        if row.metric == CELL_METRIC
    )

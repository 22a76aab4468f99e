"""Sweeps: cells that end in every way, resumed, damaged, interrupted."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from diffkit.errors import ExperimentError, StoreError
from diffkit.measure import cells
from diffkit.measure.cells import measuring_code
from diffkit.measure.experiment import Mode, load_experiment
from diffkit.measure.rows import CELL_METRIC
from diffkit.measure.store.results import list_runs
from diffkit.measure.store.run_store import store_path
from diffkit.measure.sweep import run_sweep
from tests.measure.tiny import calls, write_project

ROOT = Path(__file__).resolve().parents[2]


def sweep(root, mode: Mode = "quick", **options):
    path = root / "experiments" / "tiny.py"
    return run_sweep(load_experiment(path), mode, root, **options)


def test_cells_of_every_kind_become_rows_and_the_sweep_goes_on(tmp_path):
    write_project(tmp_path, ["ok", "raises", "too_large", "slow", "foreign", "ok"])
    seen = []
    done = sweep(tmp_path, on_cell=seen.append)
    ended = {row["size"]: row for row in done.rows if row.metric == CELL_METRIC}
    assert [ended[i].status for i in range(1, 7)] == [
        "ok",
        "error",
        "too_large",
        "timeout",
        "error",
        "ok",
    ]
    assert "RuntimeError: planted (tiny.py:" in ended[2].message
    assert "1.00e40 operations" in ended[3].message
    assert [cell.number for cell in done.failed] == [2, 5]
    assert [cell.number for cell in seen] == [1, 2, 3, 4, 5, 6]
    trees = [row.value for row in done.rows if row.metric == "tree_operations"]
    assert trees == [3**40, 3**240]
    for row in done.rows:
        assert row.machine
        assert "numpy=" in row.versions
        assert row.threads == 1


def test_finished_cells_are_taken_from_disk_and_failed_ones_tried_again(tmp_path):
    write_project(tmp_path, ["ok", "raises", "too_large"])
    first = sweep(tmp_path)
    second = sweep(tmp_path)
    assert calls(tmp_path) == [1, 2, 3, 2]
    assert [cell.reused for cell in second.cells] == [True, False, True]
    same = [row for row in first.rows if row["size"] != 2]
    assert same == [row for row in second.rows if row["size"] != 2]


def test_a_full_sweep_takes_over_the_quick_cells(tmp_path):
    write_project(tmp_path, ["ok", "ok"])
    sweep(tmp_path)
    sweep(tmp_path, "full")
    assert calls(tmp_path) == [1, 2, 3, 4]


def test_cells_of_other_code_are_never_used(tmp_path):
    path = write_project(tmp_path, ["ok"])
    before = measuring_code(path)
    sweep(tmp_path)
    path.write_text(path.read_text() + "\n# another version of the experiment\n")
    assert measuring_code(path) != before
    sweep(tmp_path)
    assert calls(tmp_path) == [1, 1]


def test_cells_are_measured_again_once_an_optional_package_is_installed(
    tmp_path, monkeypatch
):
    write_project(tmp_path, ["ok"])
    found = load_experiment(tmp_path / "experiments" / "tiny.py")
    asked = replace(
        found, experiment=replace(found.experiment, packages=("no-such-package",))
    )
    for _ in range(2):
        run_sweep(asked, "quick", tmp_path)
        assert calls(tmp_path) == [1]
    versions = {"python": "3", "no-such-package": "1.0"}
    monkeypatch.setattr(cells, "package_versions", lambda names: versions)
    run_sweep(asked, "quick", tmp_path)
    assert calls(tmp_path) == [1, 1]


def test_the_code_that_shows_results_is_not_part_of_the_hash():
    names = {path.name for path in cells._sources()}
    assert {"timers.py", "sweep.py"} <= names
    assert not {"cli.py", "figures.py", "page.py", "database.py"} & names


def test_a_damaged_cell_is_reported_and_measured_again(tmp_path):
    write_project(tmp_path, ["ok", "ok"])
    sweep(tmp_path)
    with closing(sqlite3.connect(store_path(tmp_path))) as planted, planted:
        changed = planted.execute("UPDATE measurements SET value = 0.7 WHERE place = 0")
        assert changed.rowcount == 2
    again = sweep(tmp_path)
    assert len(again.damaged) == 2
    assert str(store_path(tmp_path)) in again.damaged[0]
    assert calls(tmp_path) == [1, 2, 1, 2]
    assert sweep(tmp_path).damaged == ()


def test_a_folder_that_cannot_take_cells_says_so_before_measuring(tmp_path):
    write_project(tmp_path, ["ok"])
    (tmp_path / ".diffkit").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="cannot be kept in"):
        sweep(tmp_path)
    assert calls(tmp_path) == []


def test_any_store_with_the_two_calls_will_do(tmp_path):
    class InMemory(dict):
        load = dict.get
        save = dict.__setitem__

    write_project(tmp_path, ["ok", "ok"])
    store = InMemory()
    sweep(tmp_path, store=store)
    assert all(cell.reused for cell in sweep(tmp_path, store=store).cells)
    assert not store_path(tmp_path).exists()


@pytest.mark.parametrize("kinds, said", [([], "has no cases")])
def test_an_experiment_without_cases_is_refused(tmp_path, kinds, said):
    write_project(tmp_path, kinds)
    with pytest.raises(ExperimentError, match=said):
        sweep(tmp_path)


def test_ctrl_c_in_the_middle_keeps_what_is_finished(tmp_path):
    write_project(tmp_path, ["ok", "wait", "wait", "wait", "wait", "wait"])
    program = (
        "import sys; from pathlib import Path\n"
        "from diffkit.measure.sweep import run_sweep, SweepInterruptedError\n"
        "from diffkit.measure.experiment import load_experiment\n"
        "if __name__ == '__main__':\n"
        "    root = Path(sys.argv[1])\n"
        "    try:\n"
        "        run_sweep(load_experiment(root / 'experiments/tiny.py'), 'quick',\n"
        "                  root, on_cell=lambda cell: print(cell.number, flush=True))\n"
        "    except SweepInterruptedError as error:\n"
        "        print(error); sys.exit(130)\n"
    )
    script = tmp_path / "sweeping.py"
    script.write_text(program)
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "2":
            break
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "of 6 cells of 'tiny' are finished and kept" in rest
    assert errors == ""
    (run,) = list_runs(store_path(tmp_path))
    kept = run.cells
    assert run.outcome == "stopped"
    assert 2 <= kept < 6
    before = len(calls(tmp_path))
    assert all(cell.status == "ok" for cell in sweep(tmp_path).cells)
    assert len(calls(tmp_path)) == before + 6 - kept

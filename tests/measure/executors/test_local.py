"""Cells side by side on this machine: apart where they are timed, in order always."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from diffkit.errors import ExperimentError, UserInputError
from diffkit.measure import processes
from diffkit.measure.executors import Local
from diffkit.measure.executors.task import Task, ended, longest_first
from diffkit.measure.limits import Limits, Outcome
from diffkit.measure.processes import Call, Processes
from diffkit.measure.rows import BOOKKEEPING, CELL_METRIC, HARNESS_METRIC, case
from diffkit.measure.store.run_store import open_run
from diffkit.measure.sweep import run_sweep, run_sweeps
from tests.measure.executors.project import found, intervals

ROOT = Path(__file__).resolve().parents[3]


def counted(swept):
    """Every counted value with what it belongs to, as bytes."""
    return [
        json.dumps({**asdict(row), "commit": ""}).encode()
        for row in swept.rows
        if row.metric not in BOOKKEEPING
    ]


def statuses(swept):
    return [cell.status for cell in swept.cells]


@pytest.mark.slow
def test_counted_values_are_the_same_bytes_for_any_number_of_workers(tmp_path):
    cases = [("sleep0.1", False, 60), ("ok", True, 60), *[("ok", False, 60)] * 8]
    asked = found(tmp_path, cases)
    swept = [
        run_sweep(asked, "quick", tmp_path, store=Nothing(), executor=Local(workers))
        for workers in (1, 2, 3)
    ]
    assert counted(swept[0]) == counted(swept[1]) == counted(swept[2])
    assert [json.loads(line)["parameters"][0][1] for line in counted(swept[2])] == [
        place for place in range(10) for _ in range(2)
    ]
    assert [cell.number for cell in swept[2].cells] == list(range(1, 11))


class Nothing:
    """A store that keeps nothing, so that all is measured."""

    def load(self, key):
        return None

    def save(self, key, rows):
        pass


def test_a_timed_cell_never_runs_beside_another(tmp_path):
    asked = found(tmp_path, [("sleep0.15", place % 2 == 0, 60) for place in range(8)])
    run_sweep(asked, "quick", tmp_path, executor=Local(3))
    ran = intervals(tmp_path)
    for place, timed, start, end, process in ran:
        others = [one for one in ran if one[0] != place]
        if timed:
            assert all(b <= start or a >= end for _, _, a, b, _ in others)
            assert process not in {one[-1] for one in others}
    # The counted ones do run side by side, in processes that stay.
    shared = [one for one in ran if not one[1]]
    assert any(a[2] < b[3] and b[2] < a[3] for a in shared for b in shared if a != b)
    assert len({one[-1] for one in shared}) <= 3


def test_long_tasks_come_first_then_unknown_ones_then_short_ones():
    seconds = [0.1, None, 2.0, 0.5, 80.0, None, 3.0, 1.0]
    tasks = [Task(i, "", case("e", "null"), s) for i, s in enumerate(seconds)]
    assert [task.place for task in longest_first(tasks)] == [4, 6, 2, 1, 5, 0, 3, 7]


@pytest.mark.parametrize(
    "workers, order", [(1, [1, 2, 3, 4, 5, 6, 7]), (2, [1, 2, 7, 5, 4, 3, 6])]
)
def test_cells_that_took_long_the_last_time_begin_first(tmp_path, workers, order):
    """By a store that has them of other code; timed ones keep their order."""
    seconds = {1: 2.0, 2: 90.0, 3: 0.1, 5: 20.0, 6: 0.2, 7: 80.0}
    asked = found(tmp_path, [("ok", place < 2, 60) for place in range(7)])
    cases = asked.experiment.cases("quick")
    with open_run(tmp_path, "quick") as store:
        for number, taken in seconds.items():
            row = cases[number - 1].row(CELL_METRIC, taken)
            store.save(f"other code, {number}", [row])
    begun = []
    swept = run_sweep(
        asked,
        "quick",
        tmp_path,
        executor=Local(workers),
        on_start=lambda number, total, case: begun.append(number),
    )
    assert begun == order
    assert [cell.number for cell in swept.cells] == [1, 2, 3, 4, 5, 6, 7]
    assert [row["place"] for row in swept.rows if row.metric == CELL_METRIC] == [
        *range(7)
    ]


def test_a_cell_that_explodes_or_hangs_ends_its_worker_and_the_others_go_on(tmp_path):
    kinds = ["ok", "hang", "explode", "raise", "die1", "die2", "ok", "ok"]
    asked = found(tmp_path, [(kind, False, 4.0) for kind in kinds])
    swept = run_sweep(asked, "quick", tmp_path, executor=Local(2))
    assert statuses(swept) == [
        *("ok", "timeout", "out_of_memory", "error", "ok", "error", "ok", "ok")
    ]
    assert "killed twice" in swept.cells[5].message
    # Tried again once, and no more than once.
    assert (tmp_path / "died5").read_text() == "xx"
    assert [row.metric for row in swept.rows if row["place"] == 2] == [CELL_METRIC]


def test_a_timed_cell_whose_process_is_killed_is_tried_again_once(tmp_path):
    asked = found(tmp_path, [("die1", True, 60), ("die2", True, 60)])
    assert statuses(run_sweep(asked, "quick", tmp_path)) == ["ok", "error"]


def test_what_the_harness_takes_is_the_time_that_no_timed_cell_took(tmp_path):
    kinds = [("sleep0.05", True, 60), ("ok", True, 60), ("raise", True, 60)]
    asked = found(tmp_path, [*kinds, ("ok", False, 60)])
    start = time.monotonic()
    swept = run_sweep(asked, "quick", tmp_path)
    whole = time.monotonic() - start
    beside = {
        row["place"]: row.value for row in swept.rows if row.metric == HARNESS_METRIC
    }
    # Not of a cell that failed, nor of one that shares the machine with others.
    assert sorted(beside) == [0, 1]
    assert all(value > 0 for value in beside.values())
    assert sum(beside.values()) + sum(cell.seconds for cell in swept.cells) <= whole


def test_several_experiments_are_one_queue_and_come_back_apart(tmp_path):
    cases = [("ok", True, 60), ("ok", False, 60)]
    asked = [found(tmp_path, cases, name) for name in ("one", "two")]
    seen = []
    swept = run_sweeps(asked, "quick", tmp_path, executor=Local(2), on_cell=seen.append)
    assert [{row.experiment for row in one.rows} for one in swept] == [{"one"}, {"two"}]
    assert [cell.case.timed for cell in seen] == [True, True, False, False]
    again = run_sweeps(asked, "quick", tmp_path, executor=Local(2))
    assert all(cell.reused for one in again for cell in one.cells)


def test_rows_say_how_many_threads_there_were_and_when_garbage_was_collected(tmp_path):
    swept = run_sweep(found(tmp_path, [("ok", True, 60)]), "quick", tmp_path)
    assert {row.threads for row in swept.rows} == {1}
    drawn = next(row for row in swept.rows if row.metric == "drawn_value")
    assert drawn.collector == "on"
    again = run_sweep(found(tmp_path, [("ok", True, 60)]), "quick", tmp_path)
    assert again.rows == swept.rows


def test_rows_of_a_case_that_sets_its_pools_say_so():
    two = case("places", "null", pool=2)
    outcome = Outcome("ok", [two.row("work_value", 1)], threads=1)
    assert {row.threads for row in ended(Task(0, "", two), outcome).rows} == {2}


@pytest.mark.slow
def test_where_processes_cannot_be_forked_they_are_spawned(tmp_path, monkeypatch):
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    assert processes._context().get_start_method() == "spawn"
    asked = found(tmp_path, [("ok", True, 60), ("ok", False, 60)])
    assert statuses(run_sweep(asked, "quick", tmp_path)) == ["ok", "ok"]


def never():
    time.sleep(600)


def own_process():
    return os.getpid()


def not_to_be_sent():
    return lambda: None


def test_a_process_that_is_killed_between_two_calls_is_replaced():
    limits = Limits(seconds=60)
    with Processes(1) as pool:
        ((_, first),) = pool.run([Call(own_process, (), limits)])
        os.kill(first.value, signal.SIGKILL)
        psutil.wait_procs([], timeout=0)
        ((_, second),) = pool.run([Call(own_process, (), limits)])
        ((_, third),) = pool.run([Call(own_process, (), limits)])
    assert second.status == "ok"
    assert first.value != second.value == third.value


def test_a_process_ends_after_as_many_calls_as_it_may_have():
    calls = [Call(own_process, (), Limits(seconds=60)) for _ in range(5)]
    with Processes(1, uses=2) as pool:
        seen = [outcome.value for _, outcome in pool.run(calls)]
    assert seen[0] == seen[1] != seen[2] == seen[3] != seen[4]


def test_what_cannot_be_sent_back_is_an_error_of_its_call_only():
    limits = Limits(seconds=60)
    with Processes(1) as pool:
        calls = [Call(not_to_be_sent, (), limits), Call(own_process, (), limits)]
        ended = [outcome for _, outcome in pool.run(calls)]
    assert [outcome.status for outcome in ended] == ["error", "ok"]
    assert "cannot be sent" in ended[0].message


def test_processes_that_cannot_begin_are_not_started_for_ever(monkeypatch):
    monkeypatch.setattr(processes, "_serve", leave)
    with (
        Processes(1) as pool,
        pytest.raises(ExperimentError, match=r"3 processes .* before they could begin"),
    ):
        list(pool.run([Call(own_process, (), Limits())]))


def leave(*_):
    os._exit(3)


def test_a_number_of_workers_is_one_or_more():
    with pytest.raises(UserInputError, match="one or more"):
        Local(0)


@pytest.mark.slow
def test_a_sweep_that_is_killed_leaves_no_process_behind(tmp_path):
    program = (
        "import sys; from pathlib import Path\n"
        "from diffkit.measure.processes import Call, Processes\n"
        "from diffkit.measure.limits import Limits\n"
        "from tests.measure.executors.test_local import never\n"
        "with Processes(2) as pool:\n"
        "    calls = [Call(never, (), Limits(seconds=600))] * 2\n"
        "    list(pool.run(calls, lambda call: print('begun', flush=True)))\n"
    )
    script = tmp_path / "sweeping.py"
    script.write_text(program)
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["begun\n"] * 2
    below = psutil.Process(process.pid).children(recursive=True)
    assert len(below) >= 2
    process.kill()
    process.wait()
    process.stdout.close()
    _, alive = psutil.wait_procs(below, timeout=30)
    assert alive == []

"""A real Dask cluster: two workers that are processes, one of them killed."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from diffkit.errors import ExperimentError, MissingDependencyError, UserInputError
from diffkit.measure.executors import Cluster, Local, cluster, on_worker
from diffkit.measure.rows import BOOKKEEPING
from diffkit.measure.sweep import run_sweep
from tests.measure.executors.project import found, intervals

ROOT = Path(__file__).resolve().parents[3]
CELLS = [("sleep0.2", True, 120), *[("sleep0.2", False, 120)] * 11] * 2


def values(swept):
    """Everything of the rows that does not say when or how long."""
    return [
        json.dumps({**asdict(row), "commit": ""}).encode()
        for row in swept.rows
        if row.metric not in BOOKKEEPING
    ]


class Dask:
    """A scheduler and its workers, each a process of `python -m distributed.cli`."""

    def __init__(self, folder):
        self.folder, self.processes = folder, []
        file = folder / "scheduler.json"
        self.start(
            *("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"),
            *("--scheduler-file", file),
        )
        end = time.monotonic() + 120
        while not file.exists():
            assert time.monotonic() < end
            time.sleep(0.05)
        self.address = json.loads(file.read_text())["address"]

    def start(self, module, *words):
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{module}", *map(str, words)],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)
        return process

    def worker(self, *words):
        return self.start(
            *("dask_worker", self.address, "--no-nanny", "--nthreads", "1"),
            *("--no-dashboard", "--local-directory", self.folder / "scratch", *words),
        )

    def close(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()


@pytest.fixture
def dask(tmp_path):
    pytest.importorskip("distributed")
    running = Dask(tmp_path)
    yield running
    running.close()


@pytest.mark.peers
@pytest.mark.slow
def test_a_worker_killed_in_mid_sweep_costs_nothing(tmp_path, dask):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    asked = found(there, CELLS)
    undisturbed = run_sweep(found(here, CELLS), "quick", here, executor=Local(2))
    workers = [dask.worker("--resources", "timed=1") for _ in range(2)]
    seen = []

    def kill_one_after_five(cell):
        seen.append(cell)
        if len(seen) == 5:
            workers[0].send_signal(signal.SIGKILL)

    with Cluster(dask.address) as running:
        running._client.wait_for_workers(2, timeout=120)
    swept = run_sweep(
        asked,
        "quick",
        there,
        executor=Cluster(dask.address, 120),
        on_cell=kill_one_after_five,
    )
    assert workers[0].poll() is not None
    assert workers[1].poll() is None
    assert [cell.status for cell in swept.cells] == ["ok"] * len(CELLS)
    assert values(swept) == values(undisturbed)
    assert {row.threads for row in swept.rows} == {1}
    # Each timed cell had a process to itself.
    ran = intervals(there)
    for process in {one[-1] for one in ran if one[1]}:
        assert sum(one[-1] == process for one in ran) == 1
    again = run_sweep(asked, "quick", there, executor=Local())
    assert all(cell.reused for cell in again.cells)


@pytest.mark.peers
@pytest.mark.slow
def test_what_a_cluster_cannot_measure_is_said(tmp_path, dask, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE_SECONDS", 120.0)
    timed, counted = ([("hang", True, 1.0)], [("hang", False, 1.0), ("ok", False, 60)])
    with pytest.raises(ExperimentError, match="has no worker"):
        run_sweep(
            found(tmp_path, counted),
            "quick",
            tmp_path,
            executor=Cluster(dask.address, 1.0),
        )
    dask.worker()
    executor = Cluster(dask.address, 120)
    # Limits hold on workers too, which are daemons where a nanny starts them.
    swept = run_sweep(found(tmp_path, counted), "quick", tmp_path, executor=executor)
    assert [cell.status for cell in swept.cells] == ["timeout", "ok"]
    with pytest.raises(ExperimentError, match=r"dask worker .* --resources timed=1"):
        run_sweep(
            found(tmp_path, timed, "others"), "quick", tmp_path, executor=executor
        )
    with monkeypatch.context() as other:
        other.setattr(cluster, "measuring_code", lambda *_: "another")
        with pytest.raises(ExperimentError, match=r"refused: tcp://127.0.0.1:\d+: its"):
            run_sweep(
                found(tmp_path, counted, "third"),
                "quick",
                tmp_path,
                executor=executor,
            )


def test_without_dask_the_command_to_install_it_is_said(monkeypatch):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"'diffkit\[dask\]'"):
        Cluster("tcp://127.0.0.1:1").__enter__()


@pytest.mark.peers
def test_an_address_where_nothing_answers_is_bad_input():
    pytest.importorskip("distributed")
    with pytest.raises(UserInputError, match="No Dask scheduler answers"):
        Cluster("tcp://127.0.0.1:1", 0.5).__enter__()


def test_a_worker_refuses_other_code_and_files_that_it_does_not_have(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(on_worker, "_name", lambda: "tcp://me")
    asked = found(tmp_path, [("ok", False, 60)])
    (case,) = asked.experiment.cases("quick")
    task = cluster.Task(0, str(asked.path), case)
    refusal = on_worker.run_batch([task], "another code")
    assert isinstance(refusal, on_worker.Refusal)
    assert refusal.worker == "tcp://me"
    assert "places.py are others" in refusal.reason
    absent = cluster.Task(0, "/nowhere/absent.py", case)
    refusal = on_worker.run_batch([absent], "another code")
    assert "no file /nowhere/absent.py" in refusal.reason


def test_long_cells_are_batches_of_their_own_and_go_first(tmp_path):
    asked = found(tmp_path, [("ok", False, 60)] * 40)
    seconds = {7: 30.0, 30: 80.0, 31: 0.1}
    tasks = [
        cluster.Task(place, str(asked.path), case, seconds.get(place))
        for place, case in enumerate(asked.experiment.cases("quick"))
    ]
    batches = [[task.place for task in some] for some in cluster._batches(tasks, 1)]
    assert batches[:2] == [[30], [7]]
    assert min(map(len, batches[2:])) > 1
    assert sorted(place for some in batches for place in some) == [*range(40)]
    assert batches[-1][-1] == 31


@pytest.mark.parametrize("workers", [1, 4])
def test_batches_keep_timed_cells_apart_and_every_cell_once(tmp_path, workers):
    asked = found(tmp_path, [("ok", place % 5 == 0, 60) for place in range(300)])
    tasks = [
        cluster.Task(place, str(asked.path), case)
        for place, case in enumerate(asked.experiment.cases("quick"))
    ]
    batches = list(cluster._batches(tasks, workers))
    assert sorted(task.place for batch in batches for task in batch) == [*range(300)]
    assert all(len(b) == 1 for b in batches if b[0].case.timed)
    assert all({task.case.timed for task in b} == {b[0].case.timed} for b in batches)
    assert max(map(len, batches)) <= cluster.BATCH

"""Cells that explode in time, in memory, in any other way: each ends as a status."""

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest

from diffkit.errors import (
    ArenaTooLargeError,
    ExpressionBudgetError,
    MissingDependencyError,
)
from diffkit.measure import processes
from diffkit.measure.limits import (
    THREAD_VARIABLES,
    Limits,
    default_guard,
    one_thread,
)
from diffkit.measure.processes import LimitedRunner, run_limited

GENEROUS = Limits(seconds=60, bytes=1 << 30)


def add(a, b):
    return a + b


def sleep_for_ever():
    time.sleep(600)


def compute_for_ever():
    # One call into C that never looks up: what SymPy and big integers do.
    return 3 ** (10**9)


def grow_in_python():
    kept = []
    while True:
        kept.append(list(range(100_000)))


def grow_in_numpy():
    return float(np.ones(1 << 29).sum())


def too_large():
    raise ExpressionBudgetError("operations", 10, 10**40)


def larger_than_memory():
    raise ArenaTooLargeError("The arena", 10**15, 10**10)


def needs_a_package():
    raise MissingDependencyError("casadi", "This cell")


def divide_by_zero():
    return 1 / 0


def die():
    os.kill(os.getpid(), signal.SIGSEGV)


def leave():
    os._exit(7)


def process_and_threads():
    return os.getpid(), [os.environ[name] for name in THREAD_VARIABLES]


@pytest.fixture(scope="module")
def runner():
    with LimitedRunner() as ready:
        yield ready


def test_a_well_behaved_call_gives_its_value(runner):
    outcome = runner.run(add, 2, 3, limits=GENEROUS)
    assert (outcome.status, outcome.value, outcome.message) == ("ok", 5, "")
    assert outcome.seconds >= 0


@pytest.mark.parametrize("call", [sleep_for_ever, compute_for_ever])
def test_a_call_that_explodes_in_time_is_stopped(runner, call):
    start = time.perf_counter()
    outcome = runner.run(call, limits=Limits(seconds=0.5))
    assert outcome.status == "timeout"
    assert outcome.message == "stopped after 0.5 seconds"
    assert time.perf_counter() - start < 60


@pytest.mark.parametrize("call", [grow_in_python, grow_in_numpy])
def test_a_call_that_explodes_in_memory_is_stopped(runner, call):
    outcome = runner.run(call, limits=Limits(seconds=60, bytes=200 << 20))
    assert outcome.status == "out_of_memory"
    assert outcome.message == "stopped at 200 MiB more than it began with"


def test_the_watchdog_stops_what_the_kernel_does_not():
    outcome = run_limited(
        grow_in_python,
        limits=Limits(seconds=60, bytes=200 << 20),
        guard="watchdog",
    )
    assert outcome.status == "out_of_memory"


@pytest.mark.parametrize(
    "call, status, said",
    [
        (too_large, "too_large", "1.00e40 operations"),
        (larger_than_memory, "too_large", "1,000,000,000,000,000 bytes"),
        (needs_a_package, "unavailable", "casadi"),
        (divide_by_zero, "error", "ZeroDivisionError: division by zero (test_limits"),
        (die, "error", "ended by signal SIGSEGV"),
        (leave, "error", "exited with code 7"),
    ],
)
def test_every_other_end_has_its_status(runner, call, status, said):
    outcome = runner.run(call, limits=GENEROUS)
    assert outcome.status == status
    assert said in outcome.message
    assert outcome.value is None


def test_each_call_has_a_process_of_its_own_and_one_thread(runner):
    first = runner.run(process_and_threads, limits=GENEROUS).value
    second = runner.run(process_and_threads, limits=GENEROUS).value
    assert len({os.getpid(), first[0], second[0]}) == 3
    assert set(first[1]) == {"1"}


def test_the_environment_of_the_caller_is_put_back(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "13")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with one_thread():
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "13"
    assert "MKL_NUM_THREADS" not in os.environ


def test_no_thread_or_process_is_left_behind():
    before = threading.active_count()
    assert run_limited(add, 1, 1, limits=GENEROUS).value == 2
    assert threading.active_count() == before


@pytest.mark.parametrize("wrong", [{"seconds": 0}, {"bytes": -1}])
def test_limits_have_to_be_positive(wrong):
    with pytest.raises(ValueError, match="positive"):
        Limits(**wrong)


def test_a_runner_outside_its_block_says_how_it_is_used():
    with pytest.raises(RuntimeError, match="'with' block"):
        LimitedRunner().run(add, 1, 1, limits=GENEROUS)


def test_the_guard_of_this_platform():
    from_platform = "address_space" if sys.platform == "linux" else "watchdog"
    assert default_guard() == from_platform


def test_the_server_is_started_before_a_cell_and_not_beside_it(monkeypatch):
    """Loading the packages takes seconds: no cell is to have them on its bill."""
    events = []
    worker = processes._Worker

    def start(*arguments):
        events.append("process")
        return worker(*arguments)

    monkeypatch.setattr(
        processes, "_warm_server", lambda threads: events.append("server")
    )
    monkeypatch.setattr(processes, "_Worker", start)
    with LimitedRunner() as runner:
        assert events == []
        assert runner.run(add, 1, 1, limits=GENEROUS).value == 2
    assert events[:2] == ["server", "process"]


def test_the_server_is_started_once():
    processes._warm_server.cache_clear()
    for _ in range(3):
        processes._warm_server(1)
    assert processes._warm_server.cache_info().misses == 1

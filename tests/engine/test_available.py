"""Programs larger than memory: refused before anything is allocated, with numbers."""

from __future__ import annotations

import re

import numpy as np
import psutil
import pytest

import diffkit as dk
from diffkit.engine import available, compile_graph
from diffkit.engine.available import available_bytes, group_bytes
from diffkit.errors import ArenaTooLargeError, NonFiniteError
from diffkit.graph import trace
from tests.cases import mlp

HUGE = 10**6


@pytest.fixture
def little(monkeypatch):
    """20 MiB are left, whatever this machine has."""
    monkeypatch.setattr(available, "available_bytes", lambda: 20 << 20)


def deep(batch: int = 512):
    return mlp([64, *[64] * 100, 1], batch)


def arena(checkpoint=None, dtype=None):
    f, args = deep()
    backend = dk.get_backend("autodiff", checkpoint=checkpoint, dtype=dtype)
    return dk.prepare(f, *args, backend=backend).info.bytes


def numbers_in(message: str) -> list[int]:
    return [int(word.replace(",", "")) for word in re.findall(r"[\d,]+(?= b)", message)]


def test_what_it_needs_and_what_would_shrink_it_are_exact(monkeypatch):
    needed, single, fewer = arena(), arena(dtype="float32"), arena("sqrt")
    monkeypatch.setattr(available, "available_bytes", lambda: 20 << 20)
    f, args = deep()
    with pytest.raises(ArenaTooLargeError) as caught:
        dk.prepare(f, *args)
    error = caught.value
    assert isinstance(error, MemoryError)
    assert (error.needed_bytes, error.available_bytes) == (needed, 20 << 20)
    assert numbers_in(str(error)) == [needed, single, fewer]
    assert f"{20 << 20:,} are available" in str(error)
    assert "smaller batch" in str(error)
    assert "checkpoint='sqrt' would need" in str(error)


def test_following_the_advice_helps(little):
    f, args = deep()
    backend = dk.get_backend("autodiff", checkpoint="sqrt")
    value, _ = dk.prepare(f, *args, backend=backend)(*args)
    assert np.isfinite(value)
    f, args = deep(batch=16)
    assert np.isfinite(dk.prepare(f, *args)(*args)[0])


def test_what_does_not_help_is_not_advised(little):
    f, args = deep(batch=4096)
    single = dk.get_backend("autodiff", dtype="float32", checkpoint=120)
    with pytest.raises(ArenaTooLargeError) as caught:
        dk.prepare(f, *args, backend=single)
    assert "smaller batch" in str(caught.value)
    assert "would need" not in str(caught.value)
    # Too short for checkpoints: only precision is left.
    w = np.broadcast_to(0.0, (4096, 4096))
    with pytest.raises(ArenaTooLargeError) as caught:
        dk.prepare(lambda w: np.sum(w), w)
    assert "sqrt" not in str(caught.value)


def test_other_graphs_are_refused_too(little):
    x = np.broadcast_to(0.0, (4096, 4096))
    graph = trace(lambda x: np.sum(np.exp(x)), x)
    with pytest.raises(ArenaTooLargeError, match="nothing was allocated"):
        compile_graph(graph)
    differences = dk.get_backend("finite_differences")
    with pytest.raises(ArenaTooLargeError):
        dk.prepare(lambda x: np.sum(np.exp(x)), x, backend=differences)


def test_a_network_of_a_million_by_a_million_weights():
    """8 TB of weights alone: traced from an example that repeats one number."""
    w, x = np.broadcast_to(0.0, (HUGE, HUGE)), np.broadcast_to(0.0, (1, HUGE))
    before = psutil.Process().memory_info().rss
    with pytest.raises(ArenaTooLargeError) as caught:
        dk.prepare(lambda w, x: np.mean(np.tanh(x @ w)), w, x)
    assert (
        caught.value.needed_bytes >= 2 * 8 * HUGE**2
    )  # the weights and their gradient
    assert psutil.Process().memory_info().rss - before < 100 << 20


def test_what_repeats_is_looked_at_once_and_still_found():
    """An axis of stride 0 holds one number, however long it is."""
    bad = np.broadcast_to(np.array([1.0, np.nan, 2.0]), (HUGE, 3))
    with pytest.raises(NonFiniteError, match=r"w\[0, 1\] is nan \(1000000 of 3000000"):
        dk.prepare(lambda w: np.sum(w), bad)


def test_small_arenas_are_not_asked_about(monkeypatch):
    def never():
        raise AssertionError("asked")

    monkeypatch.setattr(available, "available_bytes", never)
    assert dk.prepare(lambda w: np.sum(w), np.ones(100)).info.bytes > 0


def test_two_arenas_of_a_profile_have_to_fit_as_well(monkeypatch):
    f, args = deep()
    gradient = dk.prepare(f, *args)
    monkeypatch.setattr(available, "available_bytes", lambda: gradient.info.bytes)
    with pytest.raises(ArenaTooLargeError, match="A profile runs the program in two"):
        gradient.profile(*args)


def test_there_is_no_more_than_the_machine_has():
    assert 0 < available_bytes() <= psutil.virtual_memory().total


def write(root, path, text):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n")


def test_limits_of_control_groups_of_version_two(tmp_path):
    """Those of the groups above bind as well; "max" is no limit."""
    write(tmp_path, "proc/self/cgroup", "0::/user/session")
    tree = "sys/fs/cgroup"
    for group, limit, used in (("user", 1000, 700), ("user/session", "max", 500)):
        write(tmp_path, f"{tree}/{group}/memory.max", limit)
        write(tmp_path, f"{tree}/{group}/memory.current", used)
    assert group_bytes(tmp_path) == [300]
    # Pages of files that are not in use can be given back.
    write(tmp_path, f"{tree}/user/memory.stat", "anon 5\ninactive_file 250")
    assert group_bytes(tmp_path) == [550]
    write(tmp_path, f"{tree}/user/session/memory.max", 450)
    assert group_bytes(tmp_path) == [0, 550]


def test_limits_of_control_groups_of_version_one(tmp_path):
    write(tmp_path, "proc/self/cgroup", "4:cpu,cpuacct:/a\n2:memory:/box\n0::/")
    tree = "sys/fs/cgroup/memory"
    # In a container the path is the host's, and the container's group is the top.
    write(tmp_path, f"{tree}/memory.limit_in_bytes", 4000)
    write(tmp_path, f"{tree}/memory.usage_in_bytes", 1500)
    write(tmp_path, f"{tree}/memory.stat", "inactive_file 1\ntotal_inactive_file 500")
    assert group_bytes(tmp_path) == [3000]


@pytest.mark.parametrize("text", [None, "", "0::/gone"])
def test_systems_without_control_groups_have_no_such_limit(tmp_path, text):
    if text is not None:
        write(tmp_path, "proc/self/cgroup", text)
    assert group_bytes(tmp_path) == []

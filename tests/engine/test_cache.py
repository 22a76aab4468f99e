"""The native cache: unwritable, damaged, shared and warm, each in a process of its own.

The processes compile a machine of a few kernels, in seconds; one folder is made for
the whole module, then copied and maltreated.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import llvmlite.binding
import numba
import numpy as np
import pytest

from diffkit.engine import cache
from diffkit.engine.jit import settings

ROOT = Path(__file__).parents[2]
PROGRAM = """
import warnings, sys
warnings.simplefilter("always")
import numba, numpy as np
setting = numba.config.CACHE_DIR
from diffkit.engine import compile_graph, kernels
from diffkit.engine.cache import state
few = {"tanh", "sum"}
for name in set(kernels.KERNELS) - few:
    del kernels.KERNELS[name]
kernels.OPCODES.clear()
kernels.OPCODES.update({name: k for k, name in enumerate(kernels.KERNELS)})
from diffkit.graph import trace
machine = compile_graph(trace(lambda x: np.sum(np.tanh(x)), np.eye(2)))
assert abs(float(machine([np.eye(2)])[0]) - 2 * np.tanh(1)) < 1e-14
assert numba.config.CACHE_DIR == setting
print(state().bytes > 0, state().writable)
"""


def run(folder, **more):
    environment = {
        **os.environ,
        cache.VARIABLE: str(folder),
        "PYTHONPATH": str(ROOT),
        **more,
    }
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A folder that holds the compiled engine."""
    folder = tmp_path_factory.mktemp("cache")
    result = run(folder)
    assert result.returncode == 0, result.stderr
    assert "compiling the float64 engine" in result.stderr
    return folder


@pytest.fixture
def copied(warm, tmp_path):
    return Path(shutil.copytree(warm, tmp_path / "cache"))


def test_a_warm_cache_loads_silently(copied):
    result = run(copied)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert result.stdout.split() == ["True", "True"]


def test_a_file_in_the_folders_place_warns_and_still_works(tmp_path):
    folder = tmp_path / "taken"
    folder.write_text("not a folder")
    result = run(folder)
    assert result.returncode == 0, result.stderr
    assert "CacheWarning" in result.stderr
    assert cache.VARIABLE in result.stderr
    assert "compiling the float64 engine" in result.stderr
    assert result.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("damage", ["truncate", "flip", "no checksum", "nonsense"])
def test_damaged_files_are_removed_before_they_are_loaded(copied, damage, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(copied))
    folder = cache.cache_folder()
    (file,) = [f for f in cache._files(folder, "float64") if f.suffix == ".nbc"]
    content = bytearray(file.read_bytes())
    if damage == "truncate":
        file.write_bytes(content[:1000])
    elif damage == "flip":
        content[len(content) // 2] ^= 255
        file.write_bytes(content)
    elif damage == "no checksum":
        cache._checksum_file(file).unlink()
    else:
        cache._checksum_file(file).write_bytes(b"\\xff\\xfe")
    assert cache._is_warm(folder, "float64")
    cache._remove_damaged(folder, "float64")
    assert not cache._is_warm(folder, "float64")


@pytest.mark.slow
def test_a_damaged_cache_is_compiled_again(copied):
    for file in copied.rglob("*float64*.nb[ic]"):
        file.write_bytes(b"damaged")
    result = run(copied)
    assert result.returncode == 0, result.stderr
    assert "compiling the float64 engine" in result.stderr
    assert "compiled in" in result.stderr
    again = run(copied)
    assert again.returncode == 0
    assert again.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".nbc", ".nbi"])
def test_nonsense_that_has_the_right_checksum_is_compiled_again(copied, suffix):
    (file,) = copied.rglob(f"*float64*{suffix}")
    forge(file, b"nonsense")
    for _ in range(2):
        result = run(copied)
        assert result.returncode == 0, result.stderr
    assert result.stderr == ""


def forge(file, content):
    file.write_bytes(content)
    checksum = hashlib.sha256(content).hexdigest()
    cache._checksum_file(file).write_text(checksum)


@pytest.mark.slow
def test_a_cache_of_another_version_under_our_name_is_not_used(copied):
    (index,) = copied.rglob("*float64*.nbi")
    version = numba.__version__.encode()
    content = index.read_bytes()
    assert content.count(version) == 1
    forge(index, content.replace(version, version[::-1]))
    assert run(copied).returncode == 0
    assert version in index.read_bytes()
    assert run(copied).stderr == ""


@pytest.mark.slow
def test_a_cache_of_another_cpu_under_our_name_is_not_used(copied, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(copied))
    ours = cache.cache_folder()
    shutil.rmtree(ours)
    assert "compiling" in run(copied, NUMBA_CPU_NAME="generic").stderr
    (theirs,) = copied.iterdir()
    assert theirs != ours
    theirs.rename(ours)
    before = {file: file.read_bytes() for file in ours.rglob("*.nbi")}
    assert run(copied).returncode == 0
    assert {file: file.read_bytes() for file in before} != before
    assert run(copied).stderr == ""


@pytest.mark.parametrize(
    "module, name, other",
    [
        (llvmlite.binding, "get_host_cpu_name", lambda: "another"),
        (platform, "machine", lambda: "another"),
        (numba, "__version__", "0.0"),
        (llvmlite, "__version__", "0.0"),
        (np, "__version__", "0.0"),
        (sys, "version_info", (3, 99, 0)),
        (settings, "CPU_NAME", "another"),
        (settings, "CPU_FEATURES", "+another"),
    ],
)
def test_another_cpu_or_version_has_another_folder(module, name, other, monkeypatch):
    here = cache.cache_folder()
    monkeypatch.setattr(module, name, other)
    assert cache.cache_folder() != here


def test_of_two_processes_at_once_one_compiles_and_one_waits(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(run, [tmp_path, tmp_path]))
    for result in results:
        assert result.returncode == 0, result.stderr
    assert sorted("compiling" in result.stderr for result in results) == [False, True]
    kept = sorted(f.suffix for f in tmp_path.rglob("*float64*.nb[ic]"))
    assert kept == [".nbc", ".nbi"]
    assert run(tmp_path).stderr == ""


def test_checkouts_do_not_share_a_folder(tmp_path, monkeypatch):
    """Numba keeps code by its source's path: each would remove the other's files."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    here = cache.cache_folder()
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(ROOT / "diffkit" / "engine", elsewhere)
    monkeypatch.setattr(cache, "__file__", str(elsewhere / "cache.py"))
    assert cache.cache_folder() != here


def test_state_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    state = cache.state()
    assert state.folder.parent == tmp_path
    assert state.writable
    assert not state.warm
    assert state.bytes == 0


def test_the_users_setting_is_untouched():
    assert "diffkit" not in str(settings.CACHE_DIR)


def test_what_is_missing_is_what_could_be_kept(copied, tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(copied))
    assert cache.missing() == ("float32", "step_double", "step_single")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "empty"))
    assert cache.missing() == tuple(cache.ENTRY_POINTS)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "file"))
    assert cache.missing() == ()

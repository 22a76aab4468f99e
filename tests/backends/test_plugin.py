"""A stranger's package adds a backend: installed, found by name, used by its name.

The example package is installed into a temporary folder as an installer would leave it
(its modules and a `dist-info` with its entry points), and asked for in a new process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "tests" / "plugin_example"


def install(folder: Path, points: str | None = None) -> None:
    """What `pip install --target` leaves, from the example's own pyproject.toml."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    shutil.copytree(EXAMPLE / "diffkit_example", folder / "diffkit_example")
    info = folder / f"diffkit_example-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\n"
        f"Version: {project['version']}\n"
    )
    if points is None:
        points = "".join(
            f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items())
            for group, entries in project["entry-points"].items()
        )
    (info / "entry_points.txt").write_text(points)


def run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(folder), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
    )


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def test_a_stranger_s_backend_is_used_by_its_name(folder):
    install(folder)
    done = run(
        folder,
        """
import numpy as np, diffkit as dk
from diffkit.backends import backend_availability
assert "complex_plane" in dk.backend_names()
assert str(backend_availability()["complex_plane"]) == (
    "complex_plane (plugin): available"
)
backend = dk.get_backend("complex_plane", step=1e-30)
x = np.arange(6.0).reshape(2, 3) / 7
f = lambda w: np.mean(np.tanh(x @ w) ** 2)
w = np.array([0.3, -0.7, 1.1])
value, gradient = dk.value_and_grad(f, backend=backend)(w)
expected = dk.value_and_grad(f, backend=dk.get_backend("autodiff", runtime="numpy"))(w)
np.testing.assert_allclose(gradient, expected[1], rtol=1e-14)
print("agrees", value == expected[0])
""",
    )
    assert done.stdout.strip() == "agrees True", done.stderr


def test_a_broken_stranger_warns_and_the_others_work(folder):
    install(folder, "[diffkit.backends]\nbroken = diffkit_example:NoSuchClass\n")
    done = run(
        folder,
        """
import warnings, diffkit as dk
from diffkit.backends import backend_availability
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    table = backend_availability()
said = [w for w in caught if w.category is dk.errors.BackendWarning]
assert len(said) == 1 and "NoSuchClass" in str(said[0].message), said
assert not table["broken"].available and table["autodiff"].available
try:
    dk.get_backend("broken")
except dk.errors.BackendError as problem:
    print(problem)
print(dk.get_backend("autodiff").name)
""",
    )
    assert "broken" in done.stdout, done.stderr
    assert done.stdout.strip().endswith("autodiff")

"""Backends by name, with options, and from outside packages."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest

import diffkit as dk
from diffkit import errors
from diffkit.backends import Backend, registry
from diffkit.backends.null import Null
from diffkit.backends.peers import library


def test_every_built_in_backend_loads_and_keeps_its_name():
    for name in registry.BUILT_IN:
        backend = dk.get_backend(name)
        assert isinstance(backend, Backend)
        assert backend.name == name


def test_options_are_the_fields():
    assert dk.get_backend("finite_differences", step=1e-4).step == 1e-4
    assert (
        dk.get_backend(dk.get_backend("autodiff", dtype="float32")).dtype == "float32"
    )


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(errors.UnknownNameError, match="Did you mean 'symbolic'"):
        dk.get_backend("simbolic")
    with pytest.raises(errors.UnknownNameError, match="Did you mean 'method'"):
        dk.get_backend("finite_differences", metod="central")
    with pytest.raises(errors.UnknownNameError, match="Did you mean 'engine'"):
        dk.prepare(
            lambda w: np.sum(w),
            np.ones(2),
            backend=dk.get_backend("autodiff", runtime="engin"),
        )


def test_what_is_no_backend_is_refused():
    for wrong in (3, Null, object()):
        with pytest.raises(errors.UserInputError, match="not a backend"):
            dk.get_backend(wrong)
    with pytest.raises(errors.UserInputError, match="beside a backend value"):
        dk.get_backend(Null(), step=1.0)


def points(monkeypatch, value):
    found = [EntryPoint(name="stranger", value=value, group=registry.ENTRY_POINT_GROUP)]
    monkeypatch.setattr(registry, "entry_points", lambda group: found)


def test_a_stranger_s_backend_is_found_by_its_entry_point(monkeypatch):
    points(monkeypatch, "diffkit.backends.null:Null")
    assert "stranger" in dk.backend_names()
    assert isinstance(dk.get_backend("stranger"), Null)


def test_a_broken_stranger_is_named_and_the_others_still_work(monkeypatch):
    points(monkeypatch, "no_such_package:Backend")
    with pytest.raises(errors.BackendError, match=r"stranger.*no_such_package"):
        dk.get_backend("stranger")
    assert dk.get_backend("autodiff").name == "autodiff"


def test_a_backend_refuses_precisions_it_lacks():
    backend = dk.get_backend("autodiff", dtype="float16")
    with pytest.raises(errors.BackendError, match="float16"):
        dk.prepare(lambda w: np.sum(w), np.ones(2), backend=backend)


def test_names_of_diffkit_s_own_cannot_be_taken(monkeypatch):
    taken = [EntryPoint("autodiff", "no_such_package:B", registry.ENTRY_POINT_GROUP)]
    monkeypatch.setattr(registry, "entry_points", lambda group: taken)
    with pytest.warns(errors.BackendWarning, match="is ignored"):
        assert dk.backend_names().count("autodiff") == 1
    assert dk.get_backend("autodiff").name == "autodiff"


def test_what_a_stranger_registers_has_to_be_a_backend(monkeypatch):
    points(monkeypatch, "diffkit.errors:ShapeError")
    with pytest.raises(errors.BackendError, match="does not give a backend"):
        dk.get_backend("stranger")


def test_a_broken_stranger_is_reported_and_warns(monkeypatch):
    points(monkeypatch, "no_such_package:Backend")
    with pytest.warns(errors.BackendWarning, match="no_such_package"):
        table = registry.backend_availability()
    assert not table["stranger"].available
    assert "Repair or uninstall" in table["stranger"].reason
    assert table["autodiff"].available


@pytest.mark.parametrize("name", ["jax", "torch", "autograd", "casadi", "numdifftools"])
def test_a_missing_peer_is_unavailable_with_the_command_that_installs_it(
    monkeypatch, name
):
    monkeypatch.setattr(library, "find_spec", lambda package: None)
    assert name in dk.backend_names()
    with pytest.raises(errors.MissingDependencyError, match=r"pip install 'diffkit\["):
        dk.get_backend(name)
    entry = registry.backend_availability()[name]
    assert not entry.available
    assert f"pip install 'diffkit[{name}]'" in entry.reason
    assert f"{name} (peer): unavailable" in str(entry)


def test_a_broken_peer_is_named():
    with pytest.raises(errors.BackendError, match="cannot be loaded"):
        library.load("diffkit.no_such_module")


def test_peers_can_be_described_without_their_libraries():
    code = (
        "import sys; from importlib import import_module; "
        "from diffkit.backends.registry import PEERS; "
        "[import_module(p.partition(':')[0]) for p in PEERS.values()]; "
        "heavy = 'jax torch autograd casadi numdifftools'.split(); "
        "print([n for n in heavy if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

"""`assert_gradients`: one line in a user's test."""

from __future__ import annotations

import numpy as np
import pytest

import diffkit as dk
from diffkit import errors
from diffkit.testing import assert_gradients


def loss(w, x):
    return np.mean(np.tanh(x @ w) ** 2)


ARGS = (np.array([0.3, -0.4]), np.eye(2))


def test_every_backend_gets_a_report():
    reports = assert_gradients(loss, ARGS, backends=["autodiff", "symbolic"])
    assert [r.backend for r in reports] == ["autodiff", "symbolic"]
    assert all(r.passed for r in reports)


def test_a_failure_is_an_assertion_that_names_the_entry(monkeypatch):
    wrong = dk.get_backend("finite_differences", step=0.5)
    with pytest.raises(AssertionError, match=r"worst w\[[01]\]") as caught:
        assert_gradients(loss, ARGS, backends=[wrong])
    assert caught.value.report.failed == 2
    assert not caught.value.report.passed


@pytest.mark.parametrize("backends", ["autodiff", []])
def test_backends_are_a_sequence(backends):
    with pytest.raises(errors.UserInputError, match="sequence"):
        assert_gradients(loss, ARGS, backends=backends)

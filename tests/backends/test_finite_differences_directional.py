"""Directions and random projections: a large gradient from a dozen evaluations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import diffkit as dk
from diffkit import errors
from diffkit.backends.finite_differences import directional, random_projections
from tests.cases import mlp


class Counted:
    def __init__(self, f):
        self.f, self.calls = f, 0

    def __call__(self, *args):
        self.calls += 1
        return self.f(*args)


def smooth(x):
    return np.sum(np.sin(x) * np.exp(-0.5 * x)) + x[0] * x[-1]


def smooth_gradient(x):
    g = (np.cos(x) - 0.5 * np.sin(x)) * np.exp(-0.5 * x)
    g[0] += x[-1]
    g[-1] += x[0]
    return g


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.floats(1e-6, 1e6))
def test_a_direction_s_derivative_is_g_dot_d_within_its_error(seed, n, scale):
    rng = np.random.default_rng(seed)
    x, d = rng.normal(size=n), scale * rng.normal(size=n)
    found = directional(smooth, (x,), d)
    true = float(smooth_gradient(x) @ d)
    size = float(np.abs(smooth_gradient(x)) @ np.abs(d))
    assert abs(found.value - true) <= 3 * found.error + 1e-15 * size
    assert found.error <= 1e-8 * (size + scale)


def test_exactly_four_evaluations():
    f = Counted(smooth)
    assert directional(f, (np.ones(3),), np.ones(3)).evaluations == 4 == f.calls


def test_other_arguments_and_nested_ones():
    f, args = mlp([3, 4, 1], batch=5)
    prepared = dk.prepare(f, *args)
    _, g = prepared(*args)
    flat = np.concatenate([leaf.ravel() for part in g for leaf in part.values()])
    ones = [{k: np.ones_like(v) for k, v in part.items()} for part in args[0]]
    found = directional(prepared.value, args, ones)
    assert found.value == pytest.approx(flat.sum(), abs=3 * found.error + 1e-14)
    along_data = directional(f, args, np.ones_like(args[1]), argnums=1)
    _, by_data = dk.value_and_grad(f, argnums=1)(*args)
    assert along_data.value == pytest.approx(by_data.sum(), abs=3 * along_data.error)


def million():
    """A program of 1,000,000 parameters, and its gradient by reverse mode."""
    rng = np.random.default_rng(3)
    w = {"a": rng.normal(size=(1000, 999)) / 30, "b": rng.normal(size=1000)}
    x = rng.normal(size=(2, 1000)) / 30

    def f(w, x):
        return np.mean(np.tanh(x @ w["a"]) ** 2) + np.mean(np.sin(w["b"]) * w["b"])

    prepared = dk.prepare(f, w, x)
    assert prepared.program.parameters == 1_000_000
    return prepared, (w, x), prepared(w, x)[1]


def test_a_million_parameters_are_checked_by_a_dozen_evaluations():
    prepared, args, gradient = million()
    f = Counted(prepared.value)
    seen = random_projections(f, args, gradient, np.random.default_rng(0))
    assert f.calls == seen.evaluations == 12
    assert seen.passed, str(seen)
    assert seen.resolution < 1e-6
    # Mistakes of every kind are seen: scale, sign, a forgotten part, one entry.
    wrong = {
        "scale": {**gradient, "a": gradient["a"] * 1.001},
        "sign": {**gradient, "b": -gradient["b"]},
        "forgotten": {**gradient, "b": np.zeros(1000)},
        "transposed": {**gradient, "a": gradient["a"][::-1]},
    }
    one = {k: v.copy() for k, v in gradient.items()}
    place = np.argmax(np.abs(one["b"]))
    one["b"][place] *= -1
    wrong["entry"] = one
    for name, g in wrong.items():
        report = random_projections(prepared.value, args, g, np.random.default_rng(1))
        assert not report.passed, name
        assert "DISAGREES" in str(report)


def test_the_size_of_a_mistake_is_estimated():
    x = np.linspace(-1, 1, 500)
    g = np.cos(x)
    rng = np.random.default_rng(0)
    mistake = 1e-3 * rng.normal(size=500)
    report = random_projections(
        lambda x: np.sum(np.sin(x)), (x,), g + mistake, rng, directions=200
    )
    true = np.linalg.norm(mistake) / np.linalg.norm(g)
    assert report.relative_error == pytest.approx(true, rel=0.3)


def test_nan_never_passes_nor_does_what_cannot_be_resolved():
    x = np.ones(4)
    rng = np.random.default_rng(0)
    bad = np.array([1.0, np.nan, 1.0, 1.0])
    assert not random_projections(np.sum, (x,), bad, rng).passed
    coarse = random_projections(lambda x: 1e12 + np.sum(x), (x,), np.ones(4), rng)
    assert not coarse.passed
    assert "NOT RESOLVED" in str(coarse)
    assert coarse.resolution > 1e-6


def test_float32_stays_float32():
    seen = []

    def f(x):
        seen.append(x.dtype)
        return np.sum(np.sin(x))

    x = np.linspace(0, 1, 50, dtype=np.float32)
    report = random_projections(
        f, (x,), np.cos(x), np.random.default_rng(0), tolerance=1e-2
    )
    assert set(seen) == {np.dtype(np.float32)}
    assert report.passed, str(report)


@pytest.mark.parametrize(
    "direction, options, error, said",
    [
        (np.zeros(3), {}, errors.UserInputError, "moves no parameter"),
        (np.full(3, np.inf), {}, errors.UserInputError, "infinite"),
        (np.ones(4), {}, errors.ShapeError, r"\(4,\)"),
        ([np.ones(3)], {}, errors.ShapeError, "nested"),
        (np.ones(3), {"step": 1e-30}, errors.UserInputError, "changes no entry"),
        (np.ones(3), {"step": -1.0}, errors.UserInputError, "positive"),
    ],
)
def test_directions_that_say_nothing(direction, options, error, said):
    with pytest.raises(error, match=said):
        directional(np.sum, (np.ones(3),), direction, **options)

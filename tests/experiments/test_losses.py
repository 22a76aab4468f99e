"""Losses: gradients by hand, signals of saturation, and Huber's jump."""

import numpy as np
import pytest

from diffkit import report
from tests.experiments.support import check_page, check_without, found, measured, value

FOUND = found("losses")
MODULE = FOUND.experiment.measure.__globals__


@pytest.fixture(scope="module")
def rows():
    return measured(FOUND)


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def by_hand(name):
    """Gradients as textbooks print them."""
    _, p, t = MODULE["problems"]()[name]
    if name == "mse":
        return 2 * (p - t) / p.size
    if name == "mae":
        return np.sign(p - t) / p.size
    if name == "huber":
        return np.clip(p - t, -1, 1) / p.size
    if name == "bce":
        return (p - t) / (p * (1 - p)) / p.size
    if name == "bce_logits":
        return (1 / (1 + np.exp(-p)) - t) / p.size
    if name == "bce_weighted":
        s = 1 / (1 + np.exp(-p))
        return (5 * t * (s - 1) + (1 - t) * s) / p.size
    if name == "ce":
        return (softmax(p) - np.eye(4)[t]) / len(p)
    if name == "ce_soft":
        return (softmax(p) - t) / len(p)
    if name == "ce_weighted":
        w = np.array([0.5, 1.0, 2.0, 4.0])[t][:, None]
        return w * (softmax(p) - np.eye(4)[t]) / w.sum()
    if name == "ce_from_p":
        return -np.eye(4)[t] / p / len(p)
    if name == "nll":
        return -np.eye(4)[t] / len(p)
    assert name == "kl"
    return -t / len(p)


@pytest.mark.parametrize("name", [n for n in MODULE["NAMES"] if "focal" not in n])
def test_gradients_of_every_way_are_those_of_the_textbook(rows, name):
    found_rows = report.rows_of(rows, f"{name}_gradient_value")
    assert len(found_rows) == 5
    for row in found_rows:
        np.testing.assert_allclose(
            row.samples, np.ravel(by_hand(name)), rtol=1e-4, atol=1e-8
        )


def test_errors_are_ulps_for_exact_ways_and_digits_for_differences(rows):
    for name in MODULE["NAMES"]:
        for row in report.rows_of(rows, f"{name}_ulps"):
            if not row.backend.startswith("finite"):
                assert row.value is not None
                assert row.value < 5
        off = value(rows, f"{name}_relative_error", "finite_differences_central")
        assert off < 1e-4


def test_signals_are_those_of_the_sigmoid(rows):
    z = np.array(report.samples_of(rows, "logit_value"))
    s = 1 / (1 + np.exp(-z))
    for name, slope in {
        "mse": 2 * (s - 1) * s * (1 - s),
        "cross-entropy": s - 1,
        "weighted": 5 * (s - 1),
    }.items():
        mine = report.samples_of(rows, f"{name}_signal_value")
        np.testing.assert_allclose(mine, slope, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("delta", [0.5, 1.0, 2.0])
def test_huber_as_claimed_jumps_by_half_a_square(rows, delta):
    jump = value(rows, f"claimed_delta_{delta:g}_jump_value")
    assert jump == pytest.approx(delta**2 / 2, rel=1e-12)
    assert value(rows, f"claimed_delta_{delta:g}_slope_jump_value") == delta
    assert abs(value(rows, f"right_delta_{delta:g}_jump_value")) < 1e-14
    assert abs(value(rows, f"right_delta_{delta:g}_slope_jump_value")) < 1e-14


def test_only_cross_entropy_leaves_a_wrong_and_certain_start(rows):
    assert value(rows, "mse_accuracy", start="wrong") < 0.5
    assert value(rows, "cross-entropy_accuracy", start="wrong") > 0.8
    for name in ("mse", "cross-entropy"):
        assert value(rows, f"{name}_accuracy", start="neutral") > 0.8


def test_page(rows):
    page = check_page(FOUND, rows)
    assert "**does not hold**" in page
    check_without(FOUND, rows)

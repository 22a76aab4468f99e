"""Rounding to half precision by its definition; errors within their precision."""

import numpy as np
import pytest

from diffkit.measure.user_code import load_file
from tests.experiments.support import (
    ROOT,
    check_page,
    check_without,
    found,
    measured,
    value,
)

FOUND = found("precision")
MODULE = load_file(ROOT / "experiments" / "precision.py")


def test_half_rounds_to_eleven_bits_and_keeps_the_dtype():
    rounded = MODULE.half({"w": np.array([1 + 2**-12, 1 + 2**-10], np.float32)})["w"]
    assert rounded.tolist() == [1.0, 1 + 2**-10]
    assert rounded.dtype == np.float32


def test_entries_below_half_the_smallest_subnormal_are_lost():
    gradient = {"w": np.array([0.0, 2.0**-26, 2.0**-20, 1.0], np.float32)}
    assert MODULE.lost_share(gradient, 1.0) == pytest.approx(1 / 3)
    assert MODULE.lost_share(gradient, MODULE.SCALE) == 0


def test_a_small_step_is_lost_where_parameters_are_stored_in_half():
    w = {"w": np.ones(1, np.float32)}
    small = {"w": np.full(1, 1e-4, np.float32)}
    for way in MODULE.WAYS:
        after = MODULE.stepped(way, 0.3)(w, lambda p: small)["w"][0]
        moved = 1 - 0.3 * 1e-4
        expected = 1.0 if way == "float16 stored" else moved
        assert after == pytest.approx(expected, abs=1e-7), way


def test_the_same_point_in_both_precisions():
    (_, single), (_, double) = (
        MODULE.program(2, 4, 3, dtype) for dtype in MODULE.DTYPES
    )
    np.testing.assert_array_equal(single[1].astype(float), double[1])
    assert single[1].dtype == np.float32


def test_errors_lie_within_their_precision_and_the_page_follows():
    rows = (
        *measured(FOUND, part="error", depth=1),
        *measured(FOUND, part="training", way="float32", rate=0.3),
        *measured(FOUND, part="training", way="float64", rate=0.3),
        *measured(FOUND, part="time", width=16),
    )
    for dtype in MODULE.DTYPES:
        error = value(rows, "relative_error", part="error", way=dtype)
        unit = float(np.finfo(dtype).eps)
        assert 1e-3 * unit < error < 64 * unit
    curves = [
        value(rows, "train_loss", part="training", way=dtype) for dtype in MODULE.DTYPES
    ]
    assert curves[0] == pytest.approx(curves[1], rel=1e-3)
    check_page(FOUND, rows, timed=True, whole=False)
    check_without(FOUND, rows)

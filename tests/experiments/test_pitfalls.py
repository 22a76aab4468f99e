"""Pitfalls: each with the number that arithmetic or mathematics says."""

import numpy as np
import pytest

from diffkit import report
from tests.experiments.support import check_page, check_without, found, measured, value

FOUND = found("pitfalls")


@pytest.fixture(scope="module")
def rows():
    return measured(FOUND)


def test_a_buffer_that_is_never_zeroed_holds_k_gradients(rows):
    assert report.samples_of(rows, "buffer_ratio") == pytest.approx(range(1, 11))
    assert value(rows, "forgotten_loss") > 10 * value(rows, "zeroed_loss")


def test_the_forgotten_training_is_that_of_summed_gradients(rows):
    legacy = np.random.RandomState(42)
    x = legacy.randn(100)
    y = 2 * x + 0.5 + 0.1 * legacy.randn(100)
    p, buffer = np.zeros(2), np.zeros(2)
    curve = []
    for _ in range(100):
        off = p[0] * x + p[1] - y
        curve.append(np.mean(off**2))
        buffer += 2 * np.array([np.mean(off * x), np.mean(off)])
        p = p - 0.1 * buffer
    mine = report.samples_of(rows, "forgotten_loss")
    np.testing.assert_allclose(mine, curve, rtol=1e-5)


def test_too_large_a_rate_grows(rows):
    assert value(rows, "large_rate_loss") > 1e3 > value(rows, "usual_rate_loss")


def test_zeros_give_no_gradient_and_equal_units_stay_equal(rows):
    assert value(rows, "zeros_hidden_gradient_value") == 0
    assert value(rows, "zeros_start_loss") == pytest.approx(np.log(2), rel=1e-12)
    assert value(rows, "equal_units_apart_value") == 0
    assert value(rows, "random_units_apart_value") > 1
    assert value(rows, "random_start_loss") < 0.01 < value(rows, "equal_start_loss")


def test_on_the_kink_reverse_sees_zero_and_differences_see_half(rows):
    assert value(rows, "units_on_kink_count") == 8
    assert value(rows, "reverse_bias_gradient_value") == 0
    assert report.samples_of(rows, "differences_share_ratio") == pytest.approx(
        [0.5] * 8, rel=1e-4
    )


def test_a_difference_beside_a_kink_is_the_offset(rows):
    offsets = np.array(report.samples_of(rows, "offset_value"))
    slopes = report.samples_of(rows, "kink_slope_value")
    np.testing.assert_allclose(slopes, np.clip(offsets, -1, 1), atol=1e-6)


def test_the_step_of_float64_costs_float32_its_digits(rows):
    wrong = value(rows, "float32_at_step_of_float64_error")
    assert wrong > 1e-3
    assert value(rows, "float64_at_step_of_float64_error") < 1e-9
    assert value(rows, "own_step_error") < wrong / 20
    assert 1e-4 < value(rows, "float32_best_step_value") < 1e-1


def test_the_naive_softmax_ends_where_exp_overflows(rows):
    largest = np.log(np.finfo(float).max)
    first = value(rows, "naive_first_not_finite_value")
    assert first - 10 <= largest < first
    assert value(rows, "naive_nan_gradients_count") == 30
    assert value(rows, "stable_not_finite_count") == 0


def test_the_printed_slope_of_the_sigmoid_is_nan_and_the_rule_is_not(rows):
    assert value(rows, "printed_at_named_nan_count") == 1
    assert value(rows, "printed_nan_count") > 0
    assert value(rows, "rule_nan_count") == 0
    assert value(rows, "rule_ulps") < 4


def test_only_the_proved_reference_sees_the_digits_that_tanh_loses(rows):
    assert value(rows, "printed_tanh_at_named_error") > 1e-9
    assert value(rows, "kept_tanh_at_named_ulps") < 4
    assert value(rows, "printed_against_reverse_error") < 1e-15
    # At z = 10 the true slope is 4e⁻²⁰ to eight digits: rounding 1 − tanh² to
    # multiples of 2⁻⁵³ cannot be nearer than it is.
    assert value(rows, "printed_tanh_at_named_ulps") > 1e6


def test_page(rows):
    check_page(FOUND, rows)
    check_without(FOUND, rows)

"""The trace: values by hand, the chain rule at every node, proofs, paths, order."""

from decimal import Decimal, localcontext

import numpy as np
import pytest

from diffkit import report
from diffkit.measure.user_code import load_file
from tests.experiments.support import (
    ROOT,
    check_page,
    check_without,
    found,
    measured,
    value,
)

FOUND = found("backward_trace")
MODULE = load_file(ROOT / "experiments" / "backward_trace.py")
WAYS = (
    "autodiff",
    "forward",
    "symbolic_shared",
    "symbolic_expanded",
    "finite_differences_central",
)


@pytest.fixture(scope="module")
def rows():
    return measured(FOUND)


def cotangent(rows, name, way):
    return np.array(report.samples_of(rows, f"{name}_cotangent_value", way))


def test_forward_values_are_those_worked_out_on_paper(rows):
    def of(name):
        return report.samples_of(rows, f"{name}_value", "autodiff", part="trace")

    assert of("z1") == pytest.approx((0.4, -0.9))
    assert of("a1") == pytest.approx((0.4, 0.0))
    assert of("z2") == pytest.approx((0.33,))
    sigma = 1 / (1 + np.exp(-0.33))
    assert of("yhat") == pytest.approx((sigma,), rel=1e-6)
    assert of("L") == pytest.approx((-np.log(sigma),), rel=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_cotangents_are_those_worked_out_on_paper(rows, way):
    delta = 1 / (1 + np.exp(-0.33)) - 1
    bound = {"rel": 1e-6, "abs": 1e-9}
    assert cotangent(rows, "z2", way) == pytest.approx([delta], **bound)
    assert cotangent(rows, "a1", way) == pytest.approx(
        [0.7 * delta, -1.1 * delta], **bound
    )
    assert cotangent(rows, "z1", way) == pytest.approx([0.7 * delta, 0.0], **bound)
    assert cotangent(rows, "W2", way) == pytest.approx([0.4 * delta, 0.0], **bound)
    assert cotangent(rows, "W1", way) == pytest.approx(
        [0.7 * delta, 0.0, -0.35 * delta, 0.0], **bound
    )


@pytest.mark.parametrize("way", WAYS)
def test_incoming_times_local_is_outgoing_at_every_stage(rows, way):
    bound = 1e-9 if way.startswith("finite") else 1e-15
    for stage in ("a1", "z2", "yhat", "L"):
        assert value(rows, f"{stage}_chain_error", way, part="trace") <= bound


def test_digits_are_counted_against_a_derivative_worked_out_with_forty(rows):
    with localcontext() as context:
        context.prec = 40
        delta = 1 / (1 + Decimal("-0.33").exp()) - 1
        true = {"W1_0": Decimal("0.7") * delta, "W2_0": Decimal("0.4") * delta}
    for name, derivative in true.items():
        (exact,) = report.rows_of(rows, f"{name}_derivative_value", "exact")
        # The inputs are floats: 0.33 itself is known to sixteen digits or so.
        assert abs(Decimal(exact.message) - derivative) < Decimal("1e-15")
        assert len(exact.message.lstrip("-0.")) == 30
    for way in WAYS:
        digits = value(rows, "W1_0_digits_count", way)
        off = abs(value(rows, "W1_0_derivative_value", way) - float(true["W1_0"]))
        assert off <= 10.0 ** -(digits - 1)
        assert digits >= (9 if way.startswith("finite") else 15)
        # The second unit is off: nothing passes, by any way.
        assert value(rows, "W1_1_derivative_value", way) == 0
        assert value(rows, "W1_1_digits_count", way) == 17


@pytest.mark.parametrize(
    "given, true, digits",
    [
        (0.1234999, "0.12345", 4),
        (-0.5, "0.5", 0),
        (0.1, "0.01", 0),
        (1e-20, "0", 0),
        (-0.0, "0", 17),
        (0.25, "0.25", 17),
    ],
)
def test_a_digit_counts_where_all_before_it_agree(given, true, digits):
    assert MODULE.agreeing_digits(given, true) == digits


def test_the_point_of_the_claim(rows):
    for way in WAYS:
        assert value(rows, "point_w_value", way) == pytest.approx(-8, abs=1e-8)
        assert value(rows, "point_b_value", way) == pytest.approx(-4, abs=1e-8)


def test_every_formula_is_proved_for_every_side_of_the_kinks(rows):
    for name in ("z2", "W2", "b2", "a1", "z1", "W1", "b1"):
        wanted = 1 if name == "z2" else 4
        assert value(rows, f"{name}_to_prove_count") == wanted
        assert value(rows, f"{name}_proved_count") == wanted


def test_paths_are_counted_as_powers_of_the_adjacency_matrix(rows):
    for width in (1, 4, 32):
        for depth in (1, 3, 10):
            ways_on = np.linalg.matrix_power(
                np.full((width, width), 1, dtype=object), depth - 1
            )
            paths = np.sum(ways_on[0])
            label = f"width_{width}_depth_{depth}"
            assert value(rows, f"{label}_paths_count") == paths
            assert value(rows, f"{label}_scalars_nodes") == width * depth + 1


def test_the_sum_over_paths_is_the_gradient_and_one_path_is_not(rows):
    for width, paths in ((1, 1), (3, 27)):
        assert value(rows, f"summed_{width}_paths_count") == paths
        products = report.samples_of(rows, f"summed_{width}_path_value")
        gradient = value(rows, f"summed_{width}_gradient_value")
        assert sum(products) == pytest.approx(gradient, rel=1e-5)
        assert value(rows, f"summed_{width}_error") < 1e-14
    assert value(rows, "summed_1_one_path_ratio") == pytest.approx(1.0, rel=1e-14)
    assert abs(value(rows, "summed_3_one_path_ratio") - 1) > 0.1


def test_values_stand_before_cotangents_and_cotangents_run_back(rows):
    assert value(rows, "forward_first_count") == 1
    names = ("linear", "relu", "loss", "relu_cotangent", "w_cotangent")
    places = [value(rows, f"{name}_place_count") for name in names]
    assert places == sorted(set(places))
    # %4 multiplies, %5 adds, %6 is the ReLU, %8 squares: the program's own listing.
    assert places[:3] == [5, 6, 8]
    assert value(rows, "small_w_value") == pytest.approx(2 * (1.3 - 2.0) * 1.25)
    assert value(rows, "small_b_value") == pytest.approx(2 * (1.3 - 2.0))


def test_page(rows):
    page = check_page(FOUND, rows)
    assert "every formula is proved" in page
    check_without(FOUND, rows)

"""The trace: values by hand, the chain rule at every node, proofs, paths, order."""

import numpy as np
import pytest

from diffkit import report
from tests.experiments.support import check_page, check_without, found, measured, value

FOUND = found("backward_trace")
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
    assert value(rows, "small_w_value") == pytest.approx(2 * (1.5 - 2.0) * 1.5)
    assert value(rows, "small_b_value") == pytest.approx(2 * (1.5 - 2.0))


def test_page(rows):
    page = check_page(FOUND, rows)
    assert "every formula is proved" in page
    check_without(FOUND, rows)

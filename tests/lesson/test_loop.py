"""The loop's numbers, by hand: two rounds of gradient descent on the exercise."""

import numpy as np
import pytest

from diffkit.lesson import data
from diffkit.lesson.sections import loop
from tests.lesson.conftest import REPORTS
from tests.lesson.partial import changed, linked


@pytest.fixture(scope="module")
def rounds(registry):
    return loop.view(data.Data(REPORTS, registry.found)).facts["rounds"]


def test_two_rounds_are_those_worked_out_by_hand(rounds):
    legacy = np.random.RandomState(42)
    x = legacy.randn(100)
    y = 2 * x + 0.5 + 0.1 * legacy.randn(100)
    w = b = 0.0
    for shown in rounds:
        off = w * x + b - y
        slopes = 2 * np.mean(off * x), 2 * np.mean(off)
        by_hand = {
            "w": w,
            "b": b,
            "prediction": w * x[0] + b,
            "loss": np.mean(off**2),
            "w_slope": slopes[0],
            "b_slope": slopes[1],
            "next_w": w - 0.1 * slopes[0],
            "next_b": b - 0.1 * slopes[1],
        }
        for name, value in by_hand.items():
            assert float(shown[name]) == pytest.approx(value, rel=1e-6), name
        w, b = by_hand["next_w"], by_hand["next_b"]


def test_the_loss_falls_from_round_to_round(rounds):
    first, second = rounds
    assert float(first["loss"]) > float(second["loss"]) > float(second["next_loss"])
    assert float(first["next_loss"]) == float(second["loss"])


def test_every_node_of_the_strip_is_lit_in_order(page):
    (strip,) = (e for e in page.every("lesson-strip"))
    lit = [
        li.attributes["data-node"]
        for li in strip.every("li")
        if "data-node" in li.attributes
    ]
    assert lit == [str(n) for n in range(6)] * 2
    nodes = [e.text for e in strip.every("strong")][:6]
    assert nodes == ["input", "forward", "loss", "backward", "update", "iterate"]


def test_without_the_gradient_the_section_says_what_to_run(registry, tmp_path):
    reports = linked(tmp_path)
    changed(reports, "linear_regression", lambda text: text.replace("w_gradient", "v"))
    with pytest.raises(data.GapError, match="w_gradient_value by autodiff") as caught:
        loop.view(data.Data(reports, registry.found))
    assert caught.value.command.startswith("diffkit run linear_regression --")

"""Nudging: counts are twice the weights, errors lie at the steps they were found at."""

import math

import numpy as np
import pytest

from diffkit.lesson import data
from diffkit.lesson.sections import nudge
from tests.lesson.conftest import REPORTS
from tests.lesson.partial import changed, linked


@pytest.fixture(scope="module")
def view(registry):
    return nudge.view(data.Data(REPORTS, registry.found))


def test_sizes_go_from_a_blackboard_to_a_million(view):
    sizes = view.payload["sizes"]
    parameters = [size["parameters"] for size in sizes]
    assert parameters == sorted(parameters)
    assert parameters[0] == 17
    assert 2817 in parameters
    assert parameters[-1] == 999_997


def test_differences_are_counted_twice_for_each_weight_and_not_invented(view):
    *run, largest = view.payload["sizes"]
    for size in run:
        assert size["evaluations"] == 2 * size["parameters"]
    assert largest["evaluations"] is None
    assert largest["seconds"] is None
    assert largest["reverse_evaluations"] == 1
    assert "not run" in view.facts["count_lines"][-1]


def test_the_slider_starts_at_the_network_of_the_sources(view):
    start = view.payload["sizes"][view.facts["start"]]
    assert start["parameters"] == 2817
    assert float(view.facts["named"].evaluations) == 5634


@pytest.mark.parametrize("formula, points", [("forward", (1, 0)), ("central", (1, -1))])
def test_errors_lie_at_their_steps(view, formula, points):
    """The quotient again, where rounding does not hide it."""
    true = math.exp(math.sin(1)) * math.cos(1)
    up, down = points
    for h, error in zip(
        view.payload["steps"], view.payload["errors"][formula], strict=True
    ):
        if h < 1e-3:
            continue
        values = [math.exp(math.sin(1 + move * h)) for move in (up, down)]
        slope = (values[0] - values[1]) / ((up - down) * h)
        assert error == pytest.approx(abs(slope - true) / abs(true), rel=1e-5)


def test_the_slider_of_steps_starts_at_the_foot(view):
    steps, start = np.array(view.payload["steps"]), view.facts["step_start"]
    assert steps[start] == pytest.approx(view.payload["best"]["central"])


def test_nothing_is_drawn_where_an_error_is_zero():
    assert nudge._known([1.0, 2.0], [0.0, 0.5]) == [(2.0, 0.5)]


@pytest.mark.parametrize(
    "experiment, metric, lacks",
    [
        ("step_size", "swept_step_value", "swept_step_value"),
        ("parameter_scaling", "primal_evaluations", "primal_evaluations"),
    ],
)
def test_what_is_missing_is_a_gap(registry, tmp_path, experiment, metric, lacks):
    reports = linked(tmp_path)
    changed(reports, experiment, lambda text: text.replace(metric, f"other_{metric}"))
    with pytest.raises(
        data.GapError, match=f"no {lacks}|no samples of {lacks}"
    ) as caught:
        nudge.view(data.Data(reports, registry.found))
    assert caught.value.command.startswith(f"diffkit run {experiment} --")


def test_other_steps_by_one_formula_are_a_gap(registry, tmp_path):
    reports = linked(tmp_path)

    def moved(text: str) -> str:
        lines = text.splitlines()
        for place, line in enumerate(lines):
            if "swept_step_value" in line and ",forward," in line:
                lines[place] = line.replace("1e-15", "2e-15")
        return "\n".join(lines) + "\n"

    changed(reports, "step_size", moved)
    with pytest.raises(data.GapError, match="other steps by forward"):
        nudge.view(data.Data(reports, registry.found))

"""Same learning, different bill: the curves are rows, and so is what they cost."""

import csv
import re

import pytest

from diffkit.lesson.data import Data
from diffkit.lesson.sections import training
from tests.lesson.conftest import REPORTS
from tests.lesson.drawn import points


@pytest.fixture(scope="module")
def view(registry):
    return training.view(Data(REPORTS, registry.found))


@pytest.fixture(scope="module")
def written():
    """The rows of the training by every way, read without the package."""
    csv.field_size_limit(1 << 28)
    with open(REPORTS / "train_three_ways" / "data.csv", encoding="utf-8") as file:
        return {
            (row["backend"], row["metric"]): row
            for row in csv.DictReader(file)
            if row["part"] == "ways" and row["value"]
        }


def test_the_three_curves_are_one(view, written):
    curves = [way["loss"] for way in view.payload["ways"]]
    assert len(curves) == 3
    epochs = int(written["autodiff", "train_loss"]["epochs"])
    assert view.facts["epochs"] == epochs == view.payload["epochs"][-1]
    for way, curve in zip(training.DRAWN, curves, strict=True):
        text = written[way, "train_loss"]["samples"]
        losses = [float(loss) for loss in text.split()]
        assert list(curve) == [losses[epoch - 1] for epoch in view.payload["epochs"]]
        assert curve == pytest.approx(curves[0], rel=1e-5)


def test_the_bill_at_the_end_is_the_whole_bill(view, written):
    def value(way, metric):
        return float(written[way, metric]["value"])

    gradients = value("autodiff", "gradients_count")
    parameters = value("autodiff", "parameters_count")
    reverse, _, differences = view.payload["ways"]
    assert reverse["evaluations"] == gradients
    assert differences["evaluations"] == 2 * parameters * gradients
    assert float(view.facts["times"]) == 2 * parameters
    for way, shown in zip(training.DRAWN, view.payload["ways"], strict=True):
        assert shown["seconds"] == value(way, "gradient_seconds")


def test_costs_rise_in_equal_parts(registry):
    rows = Data(REPORTS, registry.found)["train_three_ways"]
    run = training._run(rows, "finite_differences_central")
    last = len(run.losses)
    assert run.cost("epochs", 7) == 7
    assert run.cost("evaluations", last) == float(run.evaluations)
    half = run.cost("seconds", last // 2) / run.cost("seconds", last)
    assert half == pytest.approx((last // 2) / last)


def test_differences_lie_to_the_right_on_the_axes_of_cost(view):
    """Every dot of differences against reverse mode's point of that epoch."""
    for axis, drawing in view.facts["charts"]:
        dots = re.findall(r'<circle class="dot" cx="([\d.]+)"', drawing)
        line = re.search(r'data-line="reverse mode"><path [^>]* d="([^"]+)"', drawing)
        assert line
        ends = [x for x, _ in points(line[1])]
        assert len(dots) == len(ends) == view.facts["picked"]
        right = all(float(dot) > end + 1 for dot, end in zip(dots, ends, strict=True))
        assert right == (axis != "epochs")


def test_a_batch_of_all_rows_has_no_noise_to_draw(view):
    sizes = [re.sub("<[^>]*>|,", "", str(row[0])) for row in view.facts["sizes"]]
    assert [int(size) for size in sizes] == sorted(map(int, sizes))
    noise = [float(row[1]) for row in view.facts["sizes"]]
    assert noise[-1] < 1e-20 < noise[-2]
    assert view.facts["noise"].count('class="dot"') == len(sizes) - 1


def test_every_optimizer_has_its_curve_and_its_ends(view):
    assert view.facts["optimizers"].count("data-line=") == 7
    assert [row[0] for row in view.facts["ends"]] == list(training.OPTIMIZERS)
    assert float(view.facts["forms"]) == pytest.approx(10.0)

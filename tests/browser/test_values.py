"""Section by section: what a setting shows is what the CSV has for it.

The rows are looked up here by what they are called, not as the sections do it.
"""

from __future__ import annotations

import itertools
import re
from decimal import Decimal

import pytest

from tests.lesson.said import numbers

#: Set controls by name, and give back each text that script then shows, by its place.
SET = """([name, every]) => {
  const section = document.getElementById(name);
  return every.map((settings) => {
    for (const [key, value] of Object.entries(settings)) {
      const e = section.querySelector(`[name="${key}"]`);
      e.value = value;
      const kind = e.tagName === 'SELECT' ? 'change' : 'input';
      e.dispatchEvent(new Event(kind, { bubbles: true }));
    }
    const texts = (what) => [...section.querySelectorAll(what)]
      .map((e) => e.textContent.trim());
    return { outputs: texts('output'), said: texts('.readout') };
  });
}"""


class Section:
    """One section of an opened page, and the rows of an experiment."""

    def __init__(self, page, name, tables, experiment):
        self.page, self.name = page, name
        self.tables, self.experiment = tables, experiment

    def set(self, every):
        return self.page.evaluate(SET, [self.name, every])

    def places(self, key):
        """All positions of a slider."""
        last = self.page.locator(f'#{self.name} input[name="{key}"]').get_attribute(
            "max"
        )
        return range(int(last) + 1)

    def options(self, key):
        """All values of a select."""
        return self.page.locator(f'#{self.name} select[name="{key}"]').evaluate(
            "(e) => [...e.options].map((option) => option.value)"
        )

    def line(self, metric, backend=None, **parameters):
        """The one row of a metric with (at least) these parameters."""
        asked = {(key, str(value)) for key, value in parameters.items()}
        (found,) = [
            line
            for (name, by, place), lines in self.tables.lines(self.experiment).items()
            if name == metric and backend in (None, by) and asked <= set(place)
            for line in lines
        ]
        return found

    def value(self, *words, **parameters):
        return float(self.line(*words, **parameters).value)

    def samples(self, *words, **parameters):
        return [float(part) for part in self.line(*words, **parameters).samples.split()]


@pytest.fixture(scope="module")
def section(browser, address, tables):
    """A section of a page that all tests here share."""
    page = browser.new_page()
    page.goto(address)
    yield lambda name, experiment=None: Section(page, name, tables, experiment or name)
    page.close()


def shows(text, *values):
    """The numbers of a text are these, as far as its digits go."""
    found = list(numbers(text))
    assert len(found) == len(values), text
    for said, value in zip(found, values, strict=True):
        # Five figures were handed to the script.
        near = [Decimal(value) * Decimal(1 + k * 5e-5) for k in (-1, 0, 1)]
        assert any(said.agrees(one) for one in near), f"{text!r} for {value}"


def shows_not(text, *values):
    with pytest.raises(AssertionError):
        shows(text, *values)


def test_the_reading_finds_errors():
    shows("a loss of 3.315 at 2.10 × 10⁻⁷", 3.3151, 2.1e-7)
    shows_not("a loss of 3.315", 3.318)
    shows_not("a loss of 3.315", 3.3151, 1.0)
    shows_not("2.10 × 10⁻⁷", 2.1e-6)


def test_one_weight(section):
    """Each rate's path ends where its row does."""
    shown = section("one_weight")
    for one in shown.set([{"rate": place} for place in shown.places("rate")]):
        (output,), (text,) = one["outputs"], one["said"]
        rate = output.removeprefix("α = ")
        path = shown.samples(f"rate_{rate}_w_value", "autodiff", part="rates")[:31]
        shows(text, len(path) - 1, float(rate), path[-1])


def test_surface(section):
    """At every point of both sliders: the recorded loss, and each way's slopes."""
    shown = section("surface", "loss_surface")
    points = itertools.product(shown.places("w"), shown.places("b"))
    grid_w = shown.samples("w_axis_value", part="grid")
    grid_b = shown.samples("b_axis_value", part="grid")
    loss = shown.samples("grid_loss", part="grid")
    ways = (
        *("autodiff", "symbolic_shared", "symbolic_expanded", "forward"),
        "finite_differences_central",
    )
    of = {
        (way, metric): shown.samples(metric, way, part="arrows")
        for way in ways
        for metric in ("arrow_w_value", "arrow_b_value", "from_reverse_error")
    }
    at = [shown.samples(f"at_{one}_value", "autodiff", part="arrows") for one in "wb"]
    points = [{"w": w, "b": b} for w, b in points]
    read = shown.set(points)
    assert len(read) == len(at[0])
    for setting, one in zip(points, read, strict=True):
        w = sorted(set(at[0]))[setting["w"]]
        b = sorted(set(at[1]))[setting["b"]]
        place = list(zip(*at, strict=True)).index((w, b))
        height = loss[grid_w.index(w) * len(grid_b) + grid_b.index(b)]
        shows(one["outputs"][0], w)
        shows(one["outputs"][1], b)
        text, *cells = one["said"]
        slopes = [of["autodiff", f"arrow_{axis}_value"][place] for axis in "wb"]
        shows(text, w, b, height, *slopes)
        expected = [
            of[way, metric][place]
            for way in ways
            for metric in ("arrow_w_value", "arrow_b_value", "from_reverse_error")
        ]
        for cell, value in zip(cells, expected, strict=True):
            shows(cell, value)


def test_fading_chains_and_buffer(section):
    shown = section("fading", "vanishing_gradients")
    for place in shown.places("layers"):
        (one,) = shown.set([{"layers": place}])
        (text,) = [said for said in one["said"] if said.startswith("Left of the")]
        assert one["outputs"][0].split()[0] == str(place + 1)
        parts = re.findall(r"(\w+), weight ([\d.]+): ([^;]+?)[;.](?: |$)", text)
        assert len(parts) == 4, text
        for activation, weight, said in parts:
            chain = {"activation": activation, "weight": f"{float(weight)}"}
            factors = shown.samples("factor_by_depth_value", part="chain", **chain)
            shows(said, factors[place])
    bugs = section("fading", "pitfalls")
    held = bugs.samples("buffer_ratio", part="accumulation")
    for place in bugs.places("calls"):
        (one,) = bugs.set([{"calls": place}])
        (text,) = [said for said in one["said"] if said.startswith("The buffer")]
        shows(text, held[place])


def test_fading_map(section):
    shown = section("fading", "vanishing_gradients")
    keys = ("depth", "activation", "init")
    for values in itertools.product(*(shown.options(key) for key in keys)):
        setting = dict(zip(keys, values, strict=True))
        (one,) = shown.set([setting])
        (text,) = [said for said in one["said"] if ", depth " in said]
        norms = shown.samples("gradient_norm_value", part="norms", **setting)
        start, _, rest = text.partition(": ")
        assert (
            start
            == f"{setting['activation']}, {setting['init']}, depth "
            + (setting["depth"])
        )
        shows(rest, norms[0], norms[-1])


def test_student_map(section):
    shown = section("student", "student_dropout")
    models = ("linear", "network", "true risk")
    absence = shown.samples("map_absence_value", model="linear")
    change = shown.samples("map_change_value", model="linear")
    maps = {model: shown.samples("map_value", model=model) for model in models}
    for i, j in itertools.product(shown.places("absence"), shown.places("change")):
        (one,) = shown.set([{"absence": i, "change": j}])
        (text,) = [said for said in one["said"] if said.startswith("Risk: ")]
        shows(text, *(maps[model][i * len(change) + j] for model in models))
        shows(one["outputs"][0], absence[i])
        shows(one["outputs"][1].replace("+", ""), change[j])


def test_student_threshold(section):
    shown = section("student", "student_dropout")
    for model in shown.options("model"):
        for place in shown.places("threshold"):
            (one,) = shown.set([{"model": model, "threshold": place}])
            (text,) = [said for said in one["said"] if said.startswith("Calling")]
            expected = [
                shown.samples(metric, model=model)[place]
                for metric in ("threshold_value", "reached_value", "false_alarms_value")
            ]
            shows(text, *expected)

"""Section by section: what a setting shows is what the CSV has for it.

The rows are looked up here by what they are called, not as the sections do it.
"""

from __future__ import annotations

import csv
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
    return { outputs: texts('output'), said: texts('.readout'),
      items: texts('.lanes-said li') };
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
        # Four figures were handed to the script, which rounds them again.
        slack = said.within + abs(Decimal(value)) * Decimal("5e-4")
        assert abs(said.value - Decimal(value)) <= slack, f"{text!r} for {value}"


def shows_not(text, *values):
    with pytest.raises(AssertionError):
        shows(text, *values)


def test_the_reading_finds_errors():
    shows("a loss of 3.315 at 2.10 × 10⁻⁷", 3.3151, 2.1e-7)
    shows_not("a loss of 3.315", 3.319)
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


def test_race(section):
    """Each lane of each network: what it took, or how it was stopped and why."""
    shown = section("race")
    ways = ("finite_differences_central", "symbolic_expanded", "autodiff")
    metrics = (
        *("gradient_seconds", "run_operations", "primal_evaluations"),
        "prepare_seconds",
    )
    stops = 0
    for depth, width in itertools.product(
        shown.options("depth"), shown.options("width")
    ):
        network = {"depth": depth, "width": width}
        (one,) = shown.set([network])
        assert len(one["items"]) == len(ways)
        times = []
        for way, text in zip(ways, one["items"], strict=True):
            said = text.partition(". ")[2].replace("one evaluation", "1 evaluation")
            if said.startswith("Stopped"):
                stops += 1
                status, message = stop_of(shown, way, network)
                assert said == f"Stopped, {status.replace('_', ' ')}: {message}."
            else:
                shows(
                    said, *(shown.value(metric, way, **network) for metric in metrics)
                )
                times.append(shown.value("gradient_seconds", way, **network))
        (said,) = [text for text in one["said"] if "First: " in text]
        assert said.startswith(f"{depth} hidden layers of {width} units. ")
        shows(said.rpartition(", ")[2], min(times))
    assert stops > 0


def stop_of(shown, way, network):
    """Status and message of a cell that was stopped, from the file itself."""
    path = shown.tables.reports / shown.experiment / "data.csv"
    with open(path, encoding="utf-8", newline="") as file:
        (found,) = [
            (line["status"], line["message"])
            for line in csv.DictReader(file)
            if line["backend"] == way
            and line["metric"] == "cell_seconds"
            and all(line[key] == value for key, value in network.items())
        ]
    return found


FITS = {"mse": "Squared error", "mae": "Absolute error", "huber": "Huber's loss"}
OPTIMIZERS = ("sgd", "momentum", "adam")


def test_downhill(section):
    """At each of some steps of every run: where it is, and how high."""
    fits = section("downhill", "learning_rate")
    made = section("downhill", "landscapes")
    steps = fits.places("step")[::12]
    for surface in fits.options("surface"):
        fitted = surface in FITS
        runs = fits.places("rate") if fitted else range(len(OPTIMIZERS))
        key = "rate" if fitted else "optimizer"
        for run, step in itertools.product(runs, steps):
            (one,) = fits.set([{"surface": surface, key: run, "step": step}])
            (text,) = one["said"]
            if fitted:
                rate = one["outputs"][0].removeprefix("α = ")
                names = [f"rate_{rate}_{part}" for part in ("w_value", "b_value")]
                names.append(f"rate_{rate}_run_loss")
                rows, where = fits, {"problem": f"fit_{surface}"}
                assert text.startswith(f"{FITS[surface]}, α = {rate}, step ")
            else:
                parts = ("u_value", "v_value", "path_loss")
                names = [f"{OPTIMIZERS[run]}_{part}" for part in parts]
                rows, where = made, {"surface": surface}
            at = int(re.search(r", step (\d+): ", text)[1])
            said = text.partition(f", step {at}: ")[2]
            said = re.sub(r" That is outside.*| Here the run.*", "", said)
            shows(said, *(rows.samples(name, **where)[at] for name in names))


def test_training(section):
    """The loss of an epoch, and its share of what the whole training took."""
    shown = section("training", "train_three_ways")
    ways = {
        "reverse mode": "autodiff",
        "symbols, shared": "symbolic_shared",
        "central differences": "finite_differences_central",
    }
    one_way = {"part": "ways"}
    whole = {
        way: {
            "evaluations": shown.value("primal_evaluations", way, **one_way),
            "seconds": shown.value("gradient_seconds", way, **one_way),
        }
        for way in ways.values()
    }
    losses = {way: shown.samples("train_loss", way, **one_way) for way in whole}
    picked: dict[int, int] = {}
    for axis, place in itertools.product(shown.options("axis"), shown.places("epoch")):
        (one,) = shown.set([{"axis": axis, "epoch": place}])
        (text,) = one["said"]
        epoch = int(re.match(r"Loss of epoch (\d+): ", text)[1])
        picked[place] = epoch
        for said in text.rstrip(".").partition(": ")[2].split("; "):
            name = next(name for name in ways if said.startswith(name))
            way = ways[name]
            expected = [losses[way][epoch - 1]]
            if axis != "epochs":
                expected.append(whole[way][axis] * epoch / len(losses[way]))
            shows(said.removeprefix(name), *expected)
    epochs = [picked[place] for place in sorted(picked)]
    assert epochs == sorted(set(epochs))
    assert (epochs[0], epochs[-1]) == (1, len(losses["autodiff"]))

"""Fading: the products by hand, the map by its ratios, a loop whose code runs."""

import csv
import math

import numpy as np
import pytest

from diffkit.errors import ReportError
from diffkit.lesson import annotated, data, gradient_map, training_loop
from diffkit.lesson.sections import fading
from diffkit.measure import case
from diffkit.measure.user_code import load_file
from tests.lesson.conftest import REPORTS


@pytest.fixture(scope="module")
def facts(registry):
    return fading.view(data.Data(REPORTS, registry.found)).facts


@pytest.fixture(scope="module")
def payload(registry):
    return fading.view(data.Data(REPORTS, registry.found)).payload


@pytest.fixture(scope="module")
def section(page):
    return next(s for s in page.every("section") if s.attributes.get("id") == "fading")


def test_the_product_of_quarters_is_done_right(facts):
    assert float(facts["ten"]["sigmoid"]) == pytest.approx(0.25**10, rel=1e-14)
    assert facts["ten"]["sigmoid"].text == "9.54 × 10⁻⁷"
    assert float(facts["ten"]["half"]) == pytest.approx(0.5**10, rel=1e-14)
    assert float(facts["ten"]["more"]) == pytest.approx(1.5**10, rel=1e-14)


def test_each_chain_is_a_power_of_its_factor(payload):
    factors = (0.25, 0.5, 1.0, 1.5)
    for chain, factor in zip(payload["chains"], factors, strict=True):
        powers = factor ** np.arange(1, len(chain["factors"]) + 1)
        assert chain["factors"] == pytest.approx(powers, rel=1e-6)


def test_each_cell_of_the_map_is_its_row(section):
    with open(REPORTS / "vanishing_gradients" / "data.csv", newline="") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["metric"] == "first_over_last_ratio" and row["part"] == "norms"
            if row["seed"] == "0"
        ]
    found = {
        (row["depth"], f"{row['activation']}, {row['init']}"): float(row["value"])
        for row in rows
    }
    maps = [div for div in section.every("div") if "map" in div.classes]
    assert maps
    for div in maps:
        cells = [td for td in div.every("td") if "data-cell" in td.attributes]
        assert len(cells) == 3 * 4
        for cell in cells:
            ratio = found[div.attributes["data-depth"], cell.attributes["data-cell"]]
            (number,) = cell.every("data")
            assert float(number.attributes["value"]) == ratio
            (word,) = [strong.text for strong in cell.every("strong")]
            power = math.log10(ratio)
            assert (word in ("fades", "lost")) == (power <= -2)
            assert (word in ("grows", "explodes")) == (power >= 2)
            assert (word in ("lost", "explodes")) == (abs(power) >= 6)


def test_first_and_last_norm_of_the_payload_give_the_ratio(payload, facts):
    for depth, lines in facts["maps"]:
        for cell in (cell for line in lines for cell in line):
            norms = payload["layers"][depth][f"{cell.activation}, {cell.init}"]
            assert norms[0] / norms[-1] == pytest.approx(float(cell.ratio), rel=1e-5)


def measured(*norms, ratio=None, depths=(2,)):
    """The rows of one network of each kind, all with these norms."""
    rows = []
    for depth in depths:
        for activation in gradient_map.ACTIVATIONS:
            for init in gradient_map.INITS:
                one = case(
                    "vanishing_gradients", "autodiff",
                    part="norms", depth=depth, activation=activation, init=init,
                )  # fmt: skip
                rows.append(one.row("gradient_norm_value", norms[0], samples=norms))
                if ratio is not None:
                    rows.append(one.row("first_over_last_ratio", ratio))
    return data.Measured("vanishing_gradients", rows, "full")


@pytest.mark.parametrize(
    "norms, word", [((0.0, 0.0), "all lost"), ((math.inf, 1.0), "overflows")]
)
def test_a_gradient_without_a_ratio_says_why(norms, word):
    cell = gradient_map.grid(measured(*norms), 2)[0][0]
    assert (cell.word, cell.ratio) == (word, "–")


@pytest.mark.parametrize(
    "ratio, word",
    [
        (1e-6, "lost"),
        (0.01, "fades"),
        (0.011, "level"),
        (99.0, "level"),
        (100.0, "grows"),
        (1e6, "explodes"),
    ],
)
def test_the_word_of_a_cell_follows_from_its_ratio(ratio, word):
    cell = gradient_map.grid(measured(ratio, 1.0, ratio=ratio), 2)[1][2]
    assert cell.word == word


def test_three_of_many_depths_are_shown_with_both_ends():
    many = measured(1.0, 2.0, ratio=0.5, depths=(2, 5, 10, 20, 35, 50))
    assert gradient_map.depths(many) in ([2, 10, 50], [2, 20, 50])
    assert gradient_map.depths(measured(1.0, 2.0, depths=(10, 2, 50))) == [2, 10, 50]


def test_a_depth_that_was_not_measured_is_a_gap():
    with pytest.raises(data.GapError, match="depth 3"):
        gradient_map.grid(measured(1.0, 2.0, ratio=0.5), 3)


def test_k_calls_without_zeroing_hold_k_gradients(payload, facts):
    calls = range(1, len(payload["buffer"]) + 1)
    assert payload["buffer"] == pytest.approx(list(calls), rel=1e-6)
    assert float(facts["forgotten"]) > 10 * float(facts["zeroed"])
    assert float(facts["large"]) > 1e3 * float(facts["usual"])


def test_the_annotated_loop_runs_as_it_is_shown_and_learns(section, tmp_path):
    (code,) = [
        "".join(text for text, _ in pre.texts())
        for pre in section.every("pre")
        if "import numpy" in pre.text
    ]
    copied = tmp_path / "copied.py"
    copied.write_text(code)
    best, curve = load_file(copied).learn(epochs=12)
    again, same = training_loop.learn(epochs=12)
    assert curve == same
    assert np.mean(curve[-6:]) < 0.2 * np.mean(curve[:6])
    for mine, other in zip(best, again, strict=True):
        assert all(np.array_equal(mine[k], other[k]) for k in mine) or mine == other


def test_every_note_lights_lines_that_are_there(section):
    lines = [span for span in section.every("span") if "line" in span.classes]
    ids = [span.attributes["id"] for span in lines]
    notes = [li for li in section.every("li") if "data-first" in li.attributes]
    assert len(notes) == len(annotated.TRAINING)
    last = 0
    for li, (start, end, text) in zip(notes, annotated.TRAINING, strict=True):
        first, until = (int(li.attributes[f"data-{end}"]) for end in ("first", "last"))
        assert last < first <= until <= len(lines)
        last = until
        assert lines[first - 1].text.startswith(start)
        assert lines[until - 1].text.startswith(end)
        assert li.text.endswith(text)
        (link,) = li.every("a")
        assert link.attributes["href"] == f"#{ids[first - 1]}"


@pytest.mark.parametrize("start", ["c =", "a ="])
def test_a_note_without_its_line_is_an_error(start):
    with pytest.raises(ReportError, match=r"tied to the line"):
        annotated.notes("a = 1\na = 2\nb = 3\n", [(start, "b =", "…")])

"""The traced network: products by hand, digits that agree, a drawing that shows all."""

import math
import re
from decimal import Decimal

import pytest

from diffkit.lesson import data
from diffkit.lesson.sections import backward
from diffkit.lesson.two_units import BACK, ENTRIES, FORTH
from tests.lesson.conftest import REPORTS
from tests.lesson.said import numbers

DELTA = 1 / (1 + math.exp(-0.33)) - 1
#: Every derivative by hand: x = (1, −0.5), unit B is off.
BY_HAND = {
    "W1_0": 0.7 * DELTA,
    "W1_1": 0.0,
    "W1_2": -0.35 * DELTA,
    "W1_3": 0.0,
    "b1_0": 0.7 * DELTA,
    "b1_1": 0.0,
    "W2_0": 0.4 * DELTA,
    "W2_1": 0.0,
    "b2_0": DELTA,
}


@pytest.fixture(scope="module")
def facts(registry):
    return backward.view(data.Data(REPORTS, registry.found)).facts


@pytest.fixture(scope="module")
def section(page):
    return next(
        s for s in page.every("section") if s.attributes.get("id") == "backward"
    )


@pytest.fixture(scope="module")
def steps(section):
    (player,) = section.every("lesson-steps")
    return [e for e in next(player.every("ol")).children if not isinstance(e, str)]


def test_incoming_times_local_is_outgoing_in_every_line(section):
    lines = [p for p in section.every("p") if "product" in p.classes]
    assert len(lines) == 2 + 2 + 2 + 2 + 4
    for line in lines:
        incoming, local, outgoing = (
            float(n.attributes["value"]) for n in line.every("data")
        )
        assert incoming * local == pytest.approx(outgoing, rel=1e-6, abs=1e-12)


def test_values_come_first_and_then_the_way_back(steps):
    ways = [next(step.every("span")).text for step in steps]
    assert ways == ["Forward"] * len(FORTH) + ["Backward"] * len(BACK)
    assert "∂L/∂L" in steps[len(FORTH)].text


def test_every_forward_sum_holds_as_it_is_written(steps):
    words = [step.text for step in steps[: len(FORTH)]]
    for unit, at in (("A", 1), ("B", 2)):
        *terms, total = [float(n.value) for n in numbers(words[at].split("=", 1)[1])]
        one, w1, two, w2, bias = terms
        assert one * w1 + two * w2 + bias == pytest.approx(total, abs=5e-5), unit
    assert "Unit A is on" in words[3]
    assert "Unit B is off" in words[4]
    a, v, c, u, bias, total = [
        float(n.value) for n in numbers(words[5].split("=", 1)[1])
    ]
    assert a * v + c * u + bias == pytest.approx(total, abs=5e-5)


def test_each_edge_has_the_derivative_of_paper_by_every_way(facts):
    assert [pick["key"] for pick in facts["picks"]] == list(ENTRIES)
    for pick in facts["picks"]:
        assert len(pick["lines"]) == len(backward.WAYS)
        for name, number, _ in pick["lines"]:
            expected = pytest.approx(BY_HAND[pick["key"]], rel=1e-8, abs=1e-12)
            assert float(number) == expected, name


def test_as_many_digits_are_marked_as_are_said_and_they_are_the_proved_ones(section):
    (table,) = [
        t for t in section.every("table") if t.attributes.get("id") == "backward-agree"
    ]
    bodies = list(table.every("tbody"))
    assert [body.attributes["data-edge"] for body in bodies] == list(ENTRIES)
    for body in bodies:
        (proved,) = [code.text for code in body.every("code")]
        lines = [tr for tr in body.every("tr") if list(tr.every("mark"))]
        assert len(lines) == len(backward.WAYS)
        for line in lines:
            (mark,) = [m.text for m in line.every("mark")]
            right = int(list(line.every("data"))[1].attributes["value"])
            if Decimal(proved.replace("−", "-")) == 0:
                assert mark == "0"
                continue
            assert len(re.sub(r"^−?[0.]*|\.", "", mark)) == right
            assert proved.startswith(mark)
            shown = next(line.every("data")).text
            if len(shown) > len(mark):
                assert shown[len(mark)] != proved[len(mark)]


def test_differences_agree_to_fewer_digits_than_the_exact_ways(facts):
    first = {name: number.value for name, number in facts["first"].items()}
    assert 8 <= first["differences"] < first["symbols"] <= 17
    assert first["differences"] < first["reverse mode"] <= 17


@pytest.mark.parametrize(
    "value, right, expected",
    [
        (-0.25, 1, "<mark>−0.2</mark>5000000000000000"),
        (0.05, 3, "<mark>0.0500</mark>00000000000003"),
        (123.5, 0, "<mark></mark>123.50000000000000"),
        (10.5, 2, "<mark>10</mark>.500000000000000"),
        (10.5, 3, "<mark>10.5</mark>00000000000000"),
        (-0.0, 17, "<mark>0</mark>"),
    ],
)
def test_marks_end_at_the_last_right_digit(value, right, expected):
    assert backward.marked(value, right) == expected


def test_the_drawing_knows_the_step_at_which_each_number_appears(section, steps):
    (drawing,) = [s for s in section.every("svg") if "network" in s.classes]
    known = [e for e in drawing.every("text") if "data-at" in e.attributes]
    places = {int(e.attributes["data-at"]) for e in known}
    assert places == set(range(len(steps)))
    for text in known:
        # What a step makes known is written in that step.
        (drawn,) = numbers(text.text)
        step = steps[int(text.attributes["data-at"])]
        assert drawn.value in {n.value for n in numbers(step.text)}, text.text


def test_an_edge_can_be_picked_by_a_radio_button_and_in_the_drawing(section):
    radios = [
        e.attributes["value"]
        for e in section.every("input")
        if e.attributes.get("name") == "backward-edge"
    ]
    drawn = {
        e.attributes["data-edge"]
        for e in section.every("g")
        if "data-edge" in e.attributes
    }
    assert radios == list(ENTRIES)
    assert drawn == set(ENTRIES)

"""Line charts: where values lie, what is written at the axes, labels apart."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from diffkit.lesson import chart
from tests.lesson.markup import read


def drawn(lines, x=None, y=None, **options):
    x = x or chart.Axis("step", 0, 10)
    y = y or chart.Axis("loss", 0, 100)
    return read(chart.chart("some-chart", "A title", x, y, lines, **options))


def of_class(page, name, tag="text"):
    return [one for one in page.every(tag) if name in one.classes]


def scale(page, axis):
    """Low, high, first and last pixel of an axis, as the script is told."""
    svg = next(page.every("svg"))
    kind, *numbers = svg.attributes[f"data-{axis}"].split(",")
    return kind, *map(float, numbers)


def test_a_logarithmic_axis_is_even_in_powers_of_ten():
    axis = chart.fit("seconds", [2e-6, 0.3], log=True)
    assert (axis.low, axis.high) == (1e-6, 1.0)
    places = [axis.place(10.0**power) for power in range(-6, 1)]
    steps = {round(b - a, 12) for a, b in pairwise(places)}
    assert (places[0], places[-1], len(steps)) == (0.0, 1.0, 1)


def test_ticks_of_a_logarithmic_axis_are_powers_of_ten():
    axis = chart.fit("n", [1, 1e98], log=True)
    ticks = axis.marks()
    assert len(ticks) <= 9
    for value, words in ticks:
        assert math.log10(value) == pytest.approx(round(math.log10(value)))
        assert axis.low <= value <= axis.high
        assert words
    assert [words for _, words in chart.Axis("n", 0.01, 1e4, log=True).marks()] == [
        *("10⁻²", "10⁻¹", "1", "10", "100", "1,000", "10⁴")
    ]


@given(
    st.lists(
        st.floats(1e-30, 1e30, allow_nan=False), min_size=1, max_size=8, unique=True
    ),
    st.booleans(),
)
def test_an_axis_holds_its_values_and_has_ticks(values, log):
    # Ticks are written with ten figures at most.
    spread = max(values) - min(values)
    assume(log or len(values) == 1 or spread > 1e-7 * max(values))
    axis = chart.fit("x", values, log=log)
    slack = 1e-9 * (axis.high - axis.low)
    assert all(axis.low - slack <= v <= axis.high + slack for v in values)
    marks = axis.marks()
    assert 2 <= len(marks) <= 12
    assert [m[0] for m in marks] == sorted({m[0] for m in marks})
    assert len({m[1] for m in marks}) == len(marks)


@pytest.mark.parametrize("values", [[], [math.nan, math.inf], [3.0, 3.0]])
@pytest.mark.parametrize("log", [True, False])
def test_an_axis_of_nothing_and_of_one_value(values, log):
    axis = chart.fit("x", values, log=log)
    assert axis.low < axis.high
    assert axis.marks()


def test_what_is_below_zero_stays_out_of_a_logarithmic_axis():
    assert chart.fit("x", [0.0, -4.0, 20.0, 30.0], log=True).low == 10.0


def test_values_lie_where_the_script_is_told():
    points = [(0, 1), (5, 10), (10, 1000)]
    y = chart.Axis("loss", 1, 1000, log=True)
    page = drawn([chart.Line("a", points, kind="dots")], y=y)
    _, _, _, left, right = scale(page, "x")
    kind, low, high, bottom, top = scale(page, "y")
    assert (kind, low, high) == ("log", 1, 1000)
    for (a, b), dot in zip(points, page.every("circle"), strict=True):
        x = left + a / 10 * (right - left)
        y = bottom + math.log10(b) / 3 * (top - bottom)
        assert float(dot.attributes["cx"]) == pytest.approx(x, abs=0.05)
        assert float(dot.attributes["cy"]) == pytest.approx(y, abs=0.05)


def test_values_outside_are_drawn_at_the_ends():
    page = drawn([chart.Line("a", [(-5, -5), (20, 500)], kind="dots")])
    _, _, _, left, right = scale(page, "x")
    _, _, _, bottom, top = scale(page, "y")
    ends = [
        (float(d.attributes["cx"]), float(d.attributes["cy"]))
        for d in page.every("circle")
    ]
    assert ends == [(left, bottom), (right, top)]


def test_zero_is_drawn_at_the_low_end_of_a_logarithmic_axis():
    y = chart.Axis("loss", 0.01, 1, log=True)
    page = drawn([chart.Line("a", [(0, 0.0), (10, 1)], kind="dots")], y=y)
    first, last = page.every("circle")
    _, _, _, bottom, top = scale(page, "y")
    assert float(first.attributes["cy"]) == bottom
    assert float(last.attributes["cy"]) == top


def test_a_line_breaks_where_there_is_no_number():
    points = [(0, 1.0), (1, math.nan), (2, 3.0), (3, math.inf), (4, 4.0)]
    page = drawn([chart.Line("a", points)])
    (line,) = of_class(page, "line", "path")
    assert line.attributes["d"].count("M") == 3
    assert "L" not in line.attributes["d"]


@given(
    st.lists(st.floats(-20, 120, allow_nan=False), min_size=1, max_size=16),
    st.integers(300, 500),
)
def test_labels_do_not_overlap_and_stay_inside(ends, height):
    lines = [
        chart.Line(f"line {n}", [(0, 50), (10, end)]) for n, end in enumerate(ends)
    ]
    page = drawn(lines, height=height)
    labels = of_class(page, "label")
    assert {label.text for label in labels} == {line.label for line in lines}
    places = sorted(float(label.attributes["y"]) for label in labels)
    assert all(b - a >= 16.9 for a, b in pairwise(places))
    top, bottom = 14, height - 52
    assert places[-1] <= bottom + 8
    # More than the height holds go beyond its top, never onto one another.
    assert places[0] >= min(top, bottom + 8 - 17 * (len(lines) - 1)) - 0.1


def test_lines_are_found_by_name_and_stops_say_why():
    line = chart.Line(
        "<b>", [(0, 1)], name='a "quoted" one', stopped=[(3, 50, "timeout & out")]
    )
    page = drawn([line])
    (group,) = [g for g in page.every("g") if "data-line" in g.attributes]
    assert group.attributes["data-line"] == 'a "quoted" one'
    assert "timeout & out" in group.text
    assert of_class(page, "label")[0].text == "<b>"


def test_rules_stand_where_they_belong():
    page = drawn(
        [chart.Line("a", [(0, 1)])],
        rules=[chart.Rule("half", 50.0), chart.Rule("third", 3.0, across="x")],
    )
    across, along = of_class(page, "rule", "path")
    _, _, _, bottom, top = scale(page, "y")
    _, _, _, left, right = scale(page, "x")
    assert re.findall(r"[\d.]+", across.attributes["d"])[1] == f"{(bottom + top) / 2:g}"
    at = left + 0.3 * (right - left)
    assert along.attributes["d"].startswith(f"M{at:.5g} ")


def test_a_chart_has_a_title_that_names_it():
    (svg,) = drawn([]).every("svg")
    assert svg.attributes["role"] == "img"
    (title,) = svg.every("title")
    assert svg.attributes["aria-labelledby"] == title.attributes["id"]
    assert title.text == "A title"

"""Figures: what is drawn, where its name stands, and that emptiness is said."""

import itertools
import math

import numpy as np
import pytest
from matplotlib.text import Text

from diffkit.report import figures
from diffkit.report.placing import Box, place_beside

LOOK = figures.looks(["sgd", "adam"])


@pytest.fixture
def axes():
    with figures.house_style():
        _, (axes,) = figures.panels(1, 1, width=6, height=4)
        yield axes


def words(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def drawn(axes, look):
    return next(
        np.column_stack(line.get_data())
        for line in axes.get_lines()
        if line.get_color() == look.colour
    ).tolist()


def test_looks_differ_and_further_ones_differ_in_their_dash():
    looks = list(figures.looks([f"series_{i}" for i in range(9)]).values())
    assert looks[0].name == "series 0"
    assert len({(one.colour, one.marker, one.dash) for one in looks}) == 9
    assert len({one.colour for one in looks}) == 7


@pytest.mark.parametrize(
    "scales, heights",
    [
        (("log", "log"), [math.log10(5.0)]),
        (("linear", "log"), [math.log10(3.0), math.log10(5.0)]),
        (("log", "linear"), [-2.0, 5.0]),
        (("linear", "linear"), [3.0, -2.0, 5.0]),
    ],
)
def test_scales_show_what_they_can_and_leave_out_what_they_cannot(
    axes, scales, heights
):
    points = [(0, 3.0), (1, -2.0), (2, math.nan), (3, math.inf), (4, 5.0)]
    figures.draw(
        axes,
        [figures.Line(LOOK["sgd"], points)],
        title="t",
        x="x",
        y="y",
        x_scale=scales[0],
        y_scale=scales[1],
    )
    assert [at for _, at in drawn(axes, LOOK["sgd"])] == pytest.approx(heights)
    assert axes.get_xscale() == scales[0]
    assert words(axes) == ["sgd"]


def test_bands_rules_and_limits_are_drawn(axes):
    figures.draw(
        axes,
        [
            figures.Line(
                LOOK["sgd"],
                [(i, i * 1.0) for i in range(60)],
                band=[(i, i - 1.0, i + 1.0) for i in range(60)],
            ),
            figures.Line(LOOK["adam"], [(0, 1.0), (59, 1e9)]),
        ],
        title="t",
        x="x",
        y="y",
        x_scale="linear",
        y_scale="linear",
        y_limits=(-5, 80),
        rules=[figures.Rule(40, "level"), figures.Rule(30, "place", axis="x")],
    )
    assert axes.get_ylim() == (-5, 80)
    assert len(axes.collections) == 1
    # The line that leaves through the top has no end to be named at.
    assert words(axes) == ["level", "place", "sgd"]
    markers = {line.get_color(): line.get_marker() for line in axes.get_lines()}
    assert markers[LOOK["sgd"].colour] == ""
    assert markers[LOOK["adam"].colour] == "s"


def test_panels_of_multiples_share_their_vertical_axis_and_name_it_once():
    with figures.house_style():
        figure = figures.multiples(
            {
                name: [figures.Line(LOOK["sgd"], [(1, 1.0), (2, 10.0**top)])]
                for name, top in (("a", 1), ("b", 4), ("c", 2), ("d", 0))
            },
            x="depth",
            y="cost",
        )
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["a", "b", "c", "d"]
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert [axes.get_ylabel() for axes in figure.axes] == ["cost", "", "", "cost"]
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "",
        "depth",
        "depth",
        "depth",
    ]


def test_a_word_moves_to_where_it_touches_no_line(axes):
    axes.plot([0, 1], [0, 1])
    axes.get_xlim(), axes.get_ylim()
    taken: list[Box] = []
    place_beside(axes, "name", (0.5, 0.5), "#000000", [[(0, 0), (1, 1)]], taken)
    place_beside(axes, "name", (0.5, 0.5), "#000000", [[(0, 0), (1, 1)]], taken)
    scale = 72 / axes.figure.dpi
    ends = [tuple(axes.transData.transform(at) * scale) for at in ((0, 0), (1, 1))]
    assert not any(box.crossed(*ends) for box in taken)
    assert not taken[0].meets(taken[1])


@pytest.mark.parametrize("last", [1.0, 0.97, 0.8])
def test_names_of_lines_that_end_near_each_other_stand_apart(axes, last):
    """Also where the ends are not above each other."""
    names = ("true risk", "network", "linear")
    looks = [figures.Look(name, "#000000", "o") for name in names]
    ends = (1.0, last, last - 0.1)
    lines = [
        figures.Line(look, [(0.0, 0.0), (end, 1.0)])
        for look, end in zip(looks, ends, strict=True)
    ]
    scales = {"x_scale": "linear", "y_scale": "linear"}
    figures.draw(axes, lines, title="t", x="x", y="y", **scales)
    axes.figure.draw_without_rendering()
    # Of the words alone, without what leads from them to the line.
    boxes = [Text.get_window_extent(t) for t in axes.texts if t.get_text() in names]
    assert len(boxes) == 3
    pairs = itertools.combinations(boxes, 2)
    assert not any(one.overlaps(other) for one, other in pairs)


def test_bars_write_their_values_and_say_why_there_is_none(axes):
    figures.bars(
        axes,
        [
            figures.Bars(
                LOOK["sgd"],
                {"iris": 0.9, "xor": None},
                spread={"iris": (0.85, 0.93)},
                why={"xor": "stopped, timeout"},
            ),
            figures.Bars(LOOK["adam"], {"iris": 0.95, "xor": 1.0}),
        ],
        title="t",
        x="accuracy",
    )
    assert words(axes) == ["0.9", "stopped, timeout", "0.95", "1"]
    assert [patch.get_width() for patch in axes.patches] == [0.9, 0.95, 1.0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "sgd",
        "adam",
    ]


def test_on_a_logarithmic_axis_bars_are_dots(axes):
    values = {"reverse": 2.0, "expanded": 2e6, "nothing": 0.0}
    figures.bars(
        axes, [figures.Bars(LOOK["sgd"], values)], title="t", x="x", scale="log"
    )
    assert not axes.patches
    dots = [line for line in axes.get_lines() if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in dots] == [2.0, 2e6]
    assert words(axes) == ["2", "2e+06", "0"]


def test_a_heat_map_writes_its_cells_and_leaves_holes_open(axes):
    figures.heat_map(
        axes,
        [[1.0, 10.0], [np.nan, 100.0]],
        columns=["a", "b"],
        rows=["c", "d"],
        title="t",
        x="x",
        y="y",
        unit="ratio",
        scale="log",
    )
    assert words(axes) == ["1", "10", "100"]
    assert axes.figure.axes[1].get_ylabel() == "ratio"


def test_a_landscape_keeps_its_frame_when_a_path_leaves_it(axes):
    xs, ys = np.linspace(-1, 1, 20), np.linspace(0, 2, 30)
    figures.contours(
        axes,
        xs,
        ys,
        ys[:, None] ** 2 + xs**2 + 0.1,
        title="t",
        x="x",
        y="y",
        unit="loss",
        scale="log",
        paths=[figures.Path(LOOK["sgd"], [(0.5, 1.5), (0.1, 0.2), (9.0, math.inf)])],
        best=(0.0, 0.0),
    )
    assert axes.get_xlim() == (-1, 1)
    assert axes.get_ylim() == (0, 2)
    assert words(axes) == ["sgd"]
    assert sum(line.get_marker() == "*" for line in axes.get_lines()) == 1


@pytest.mark.parametrize(
    "draw",
    [
        lambda axes, **names: figures.draw(axes, [], y="y", **names),
        lambda axes, **names: figures.draw(
            axes, [figures.Line(LOOK["sgd"], [(1, 0.0)])], y="y", **names
        ),
        lambda axes, **names: figures.bars(axes, [], **names),
        lambda axes, **names: figures.heat_map(
            axes, np.zeros((0, 2)), columns=[], rows=[], y="y", unit="u", **names
        ),
        lambda axes, **names: figures.contours(
            axes, [0, 1], [0, 1], np.full((2, 2), np.nan), y="y", unit="u", **names
        ),
    ],
)
def test_a_panel_with_nothing_to_draw_says_so(axes, draw):
    draw(axes, title="t", x="x")
    assert words(axes) == ["nothing measured"]
    assert axes.get_xlabel() == "x"


def test_the_same_figure_gives_the_same_bytes():
    def files():
        with figures.house_style():
            figure = figures.multiples(
                {"a": [figures.Line(LOOK["sgd"], [(1, 2.0), (3, 4.0)])]}, x="x", y="y"
            )
            return figures.draw_files(figure)

    assert files() == files()

"""The race's lanes are the rows', whether they arrived or were stopped."""

import re

import pytest

from diffkit.lesson import data
from diffkit.lesson.sections import race
from tests.lesson.conftest import REPORTS
from tests.lesson.partial import changed, linked


@pytest.fixture(scope="module")
def view(registry):
    return race.view(data.Data(REPORTS, registry.found))


def rows_of(registry):
    return data.Data(REPORTS, registry.found)["race"].rows


def test_every_network_has_three_lanes_that_ran_or_say_why_not(view, registry):
    rows = rows_of(registry)
    assert view.payload is not None
    cells = view.payload["cells"]
    measured = {f"{row['depth']} {row['width']}" for row in rows}
    depths, widths = (
        sorted({row[name] for row in rows}) for name in ("depth", "width")
    )
    assert set(cells) <= measured
    assert len(cells) == min(len(depths), race.MOST) * min(len(widths), race.MOST)
    corners = [(d, w) for d in (depths[0], depths[-1]) for w in (widths[0], widths[-1])]
    assert {f"{d} {w}" for d, w in corners} <= set(cells)
    for place, lanes in cells.items():
        assert set(lanes) == set(race.LANES)
        for lane in lanes.values():
            if isinstance(lane, dict):
                how, why = lane["stop"]
                assert how in ("too large", "timeout", "out of memory"), place
                assert "operations" in why or "stopped" in why
            else:
                assert all(number > 0 for number in lane)


def test_differences_run_the_network_twice_for_each_weight(view):
    for place, lanes in view.payload["cells"].items():
        depth, width = map(int, place.split())
        weights = depth * (width * width + width) + width + 1
        if isinstance(lanes[race.CENTRAL], list):
            assert lanes[race.CENTRAL][3] == 2 * weights
        assert lanes[race.REVERSE][3] == 1


@pytest.mark.parametrize(
    "fact, way", [("ratios", "autodiff"), ("behind", "finite_differences_central")]
)
def test_the_ends_are_those_of_all_networks(view, registry, fact, way):
    ratios = [
        row.value
        for row in rows_of(registry)
        if (row.backend, row.metric) == (way, "gradient_engine_ratio")
        if row.value is not None
    ]
    assert [float(n) for n in view.facts[fact]] == [min(ratios), max(ratios)]


def test_a_stopped_lane_is_drawn_as_stopped(view):
    start = view.payload["start"]
    lanes = view.payload["cells"][f"{start['depth']} {start['width']}"]
    for drawing in view.facts["drawings"]:
        drawn = re.findall(
            r'<g class="lane look\d( stopped)?" data-way="(\w+)"', drawing
        )
        stopped = {way for stop, way in drawn if stop}
        assert stopped == {way for way in lanes if isinstance(lanes[way], dict)}


def test_a_lane_that_nobody_ran_is_a_gap(registry, tmp_path):
    reports = linked(tmp_path)

    def without(text: str) -> str:
        kept = [line for line in text.splitlines() if ",symbolic_expanded," not in line]
        return "\n".join(kept) + "\n"

    changed(reports, "race", without)
    with pytest.raises(data.GapError, match="gradient_seconds by symbolic_expanded"):
        race.view(data.Data(reports, registry.found))


def test_without_reverse_mode_the_section_says_what_to_run(registry, tmp_path):
    reports = linked(tmp_path)
    changed(reports, "race", lambda text: text.replace(",autodiff,", ",other,"))
    with pytest.raises(data.GapError, match="gradient_seconds by autodiff") as caught:
        race.view(data.Data(reports, registry.found))
    assert "diffkit run race" in caught.value.command

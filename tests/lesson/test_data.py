"""Rows for the lesson: addresses lead back, what is not there is a gap."""

from __future__ import annotations

import pytest

from diffkit.lesson import data
from diffkit.lesson.data import Data, GapError, Measured
from diffkit.measure import case
from diffkit.report import table
from tests.lesson.markup import read
from tests.lesson.trace import Tables, faults


def rows():
    for depth in (1, 2, 10):
        one = case("tiny", "autodiff", depth=depth, kind="two words & more", flag=True)
        yield one.row("work_seconds", 0.002 * depth, samples=[0.001 * depth, 0.003])
        yield one.row("tree_operations", 16 * 10 ** (30 * depth))
    lost = case("tiny", "symbolic", depth=10, kind="stopped", flag=False)
    yield lost.row("cell_seconds", 60.0, status="timeout", message="after 60 s")
    yield lost.row("work_seconds", None, status="timeout")


@pytest.fixture
def reports(tmp_path):
    (tmp_path / "tiny").mkdir()
    text = table.to_csv(list(rows()))
    (tmp_path / "tiny" / "data.csv").write_text(text, "utf-8")
    return tmp_path


@pytest.fixture
def tiny(reports) -> Measured:
    return Data(reports, {})["tiny"]


def check(reports, *numbers):
    html = "".join(number.__html__() for number in numbers)
    page = read(f"<p>{html}</p>")
    assert len(list(page.every("data"))) == len(numbers)
    assert not faults(page, Tables(reports))


def test_addresses_lead_back_to_their_rows(reports, tiny):
    found = tiny.numbers("work_seconds", by="depth")
    assert list(found) == [1, 2, 10]
    assert [number.text for number in found.values()] == [
        *("2.00 ms", "4.00 ms", "20.0 ms")
    ]
    sizes = tiny.numbers("tree_operations", by="depth", flag=True)
    assert sizes[10].value == 16 * 10**300
    one = tiny.number("work_seconds", sample=-1, depth=2)
    assert (one.value, one.sources[0][-2:]) == (0.003, "#1")
    check(reports, *found.values(), *sizes.values(), one)


def test_what_is_computed_from_rows_leads_back_too(reports, tiny):
    times = list(tiny.numbers("work_seconds", by="depth").values())
    check(
        reports,
        data.least(times),
        data.most(times),
        data.total(times, "{:.3f}".format),
        data.ratio(times[2], times[0], "{:.1f}×".format),
        data.difference(times[0], times[1], "{:.3f}".format),
        data.tally(times),
        times[0].said("{:.1e}".format),
    )
    assert data.tally(times).text == "3"


@pytest.mark.parametrize(
    "ask",
    [
        lambda tiny: tiny.number("other_seconds"),
        lambda tiny: tiny.number("work_seconds", "symbolic"),
        lambda tiny: tiny.number("work_seconds", depth=3),
        lambda tiny: tiny.number("work_seconds", width=1),
        lambda tiny: tiny.number("work_seconds", depth=1, sample=2),
        lambda tiny: tiny.number("tree_operations", depth=1, sample=0),
        lambda tiny: tiny.samples("tree_operations"),
        lambda tiny: tiny.numbers("work_seconds", by="depth", kind="none"),
        lambda tiny: tiny.row("tree_operations", "symbolic"),
    ],
)
def test_what_was_not_measured_is_a_gap(tiny, ask):
    with pytest.raises(GapError, match=r"^tiny: .*Run 'diffkit run tiny --quick'\.$"):
        ask(tiny)


def test_a_stopped_cell_says_why(tiny):
    assert tiny.stop("symbolic", depth=10) == ("timeout", "after 60 s")
    assert tiny.stop("autodiff", depth=10) is None
    assert tiny.stop("symbolic", depth=3) is None


@pytest.mark.parametrize("text", [None, "", "a,b\n1,2\n", "\xff"])
def test_a_file_that_cannot_be_read_is_a_gap(reports, text):
    file = reports / "tiny" / "data.csv"
    file.unlink()
    if text is not None:
        file.write_bytes(text.encode("latin-1"))
    with pytest.raises(GapError, match="its data cannot be read"):
        Data(reports, {})["tiny"]


def test_versions_are_read_from_rows():
    stamped = [
        row.stamped(machine="m", commit="c", threads=1, versions="python=3 diffkit=9")
        for row in rows()
    ]
    assert Measured("tiny", stamped, "quick").versions == {"9"}


def test_a_chosen_number_is_marked_and_escaped():
    assert str(data.given("<2>")) == '<span class="given">&lt;2&gt;</span>'

"""Reports: nothing lost in tables, nothing typed in prose, same rows same bytes."""

import csv
import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffkit import report
from diffkit.errors import ExperimentError, ReportError
from diffkit.measure.experiment import discover, load_experiment
from diffkit.measure.rows import case
from diffkit.report import figures, page, table
from tests.measure.tiny import write_project
from tests.pages import write_page, write_rows

words = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00\r"), min_size=1, max_size=8
).filter(lambda text: not _looks_like_a_number(text))


def _looks_like_a_number(text):
    try:
        float(text)
    except ValueError:
        return text in ("True", "False")
    return True


@given(
    st.lists(
        st.tuples(
            st.dictionaries(
                st.sampled_from(["depth", "width", "note"]),
                words | st.integers() | st.booleans() | st.floats(allow_nan=False),
            ),
            st.integers() | st.floats(allow_nan=False),
            st.lists(st.floats(allow_nan=False), max_size=3),
        ),
        max_size=4,
    )
)
def test_rows_survive_csv_with_every_digit(content):
    rows = tuple(
        case("e", "b", **dict(sorted(parameters.items()))).row(
            "work_seconds", value, samples=samples
        )
        for parameters, value, samples in content
    )
    back = table.from_csv(table.to_csv(rows))
    assert len(back) == len(rows)
    for mine, theirs in zip(rows, back, strict=True):
        assert dict(theirs.parameters) == dict(mine.parameters)
        assert (theirs.value, theirs.samples) == (mine.value, mine.samples)
        assert type(theirs.value) is type(mine.value)


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "columns experiment"),
        ("a,b\n1,2\n", "columns experiment"),
        ("GOOD,x", "line 2, is damaged"),
        ("GOOD", "line 2, is damaged"),
    ],
)
def test_a_damaged_table_is_named_with_its_line(tmp_path, text, said):
    good = table.to_csv([case("e", "b", n=1).row("work_seconds", 1.5)])
    if text.startswith("GOOD"):
        header, line = good.splitlines()
        cut = line.replace("1.5", "x") if text == "GOOD,x" else line.rsplit(",", 6)[0]
        text = f"{header}\n{cut}\n"
    path = tmp_path / "data.csv"
    path.write_text(text)
    with pytest.raises(ReportError, match=r"data\.csv") as caught:
        table.read_rows(path)
    assert said in str(caught.value)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(ReportError, match="cannot be read"):
        table.read_rows(tmp_path / "data.csv")


@pytest.mark.parametrize(
    "template", ["It takes 2 passes.", "- one\n- about 0.3 of it", "α² or 10¹"]
)
def test_a_number_typed_into_prose_is_refused(template):
    with pytest.raises(ReportError, match="typed by hand"):
        page.fill(template, {}, "the page")


def test_numbers_may_stand_in_code_links_and_placeholders():
    template = "`x2` is [here](https://a.b/2) and {fact:.2f}."
    shown = page.fill(template, {"fact": 1.0}, "the page")
    assert shown == "`x2` is [here](https://a.b/2) and 1.00."


def test_a_fact_that_is_not_there_is_named():
    with pytest.raises(ReportError, match=r"uses the fact 'ratio'.*They have: a, b"):
        page.fill("{ratio}", {"a": 1, "b": 2}, "the page")


@pytest.fixture
def project(tmp_path):
    found = load_experiment(write_project(tmp_path, ["ok"]))
    cases = found.experiment.cases("full")
    rows = [
        row.stamped(machine="m", versions="v=1", commit="c", threads=1)
        for item in cases
        for row in (
            item.row("work_seconds", item["size"] * 0.5, samples=[0.5, 0.25]),
            item.row("cell_seconds", 1.0),
        )
    ]
    stopped = cases[-1].row(
        "cell_seconds", 2.0, status="timeout", message="stopped after 2 seconds"
    )
    return tmp_path, found, [*rows, stopped]


def test_a_report_is_data_figures_and_a_page(project):
    root, found, rows = project
    path = write_page(found, rows, root / "reports")
    folder = root / "reports" / "tiny"
    assert path == folder / "README.md"
    assert {item.name for item in folder.iterdir()} == {
        "data.csv",
        "figure.svg",
        "figure.png",
        "README.md",
    }
    lines = list(csv.DictReader(io.StringIO((folder / "data.csv").read_text())))
    assert [line["metric"] for line in lines] == [row.metric for row in rows]
    assert {line["machine"] for line in lines} == {"m", ""}
    text = path.read_text()
    for expected in (
        "# Does work grow with size?",
        "**The most work took 1.00 s.**",
        "![Does work grow with size?](figure.svg)",
        "| C1 | it grows | it does | holds |",
        "| timeout | stopped after 2 seconds |",
        "* Machine: m",
        "* Commit: `c`",
        "`diffkit run tiny --quick`",
    ):
        assert expected in text


def test_the_same_rows_give_the_same_bytes(project):
    root, found, rows = project
    first, second = root / "first", root / "second"
    write_page(found, rows, first)
    write_page(found, table.from_csv(table.to_csv(rows)), second)
    for name in ("data.csv", "figure.svg", "figure.png", "README.md"):
        assert (first / "tiny" / name).read_bytes() == (
            second / "tiny" / name
        ).read_bytes()


def test_the_index_lists_every_page_and_names_what_it_cannot_read(project):
    root, found, rows = project
    write_project(root, ["ok"], name="other")
    write_project(root, ["ok"], name="unmeasured")
    reports = root / "reports"
    report.write_data(found, rows, reports, "quick")
    (reports / "other").mkdir()
    (reports / "other" / "data.csv").write_text("nothing\n")
    _, problems = report.write_pages(discover(root), reports, ["tiny"], workers=1)
    text = (reports / "README.md").read_text()
    assert "[Does work grow with size?](tiny/README.md) | The most work took" in text
    assert "tiny/figure.png" in text
    assert "unmeasured" not in text
    assert len(problems) == 1
    assert "other" in problems[0]


@pytest.mark.parametrize("where", ["reports", "reports/tiny"])
def test_a_folder_that_cannot_be_written_is_named(project, where):
    root, found, rows = project
    path = root / where
    path.parent.mkdir(exist_ok=True)
    path.write_text("a file stands where the folder should be")
    with pytest.raises(ReportError, match="cannot be written to"):
        write_page(found, rows, root / "reports")


def test_a_page_is_replaced_whole(project, monkeypatch):
    root, found, rows = project
    path = write_page(found, rows, root / "reports")
    before = path.read_text()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ReportError, match="No space left on device"):
        write_page(found, rows, root / "reports", "full")
    assert path.read_text() == before
    assert not list(path.parent.glob(".*"))


def test_stopped_series_are_drawn_as_crosses_and_huge_integers_as_powers(tmp_path):
    with figures.house_style():
        figure, (axes,) = figures.panels(1, 1, width=4, height=3)
        figures.draw(
            axes,
            [
                figures.Line(
                    figures.look_of("symbolic_expanded"),
                    [(1, 10), (2, 10**500)],
                    [(3, "too_large")],
                ),
                figures.Line(figures.look_of("mine"), [], [(1, "timeout")]),
            ],
            title="Trees explode",
            x="depth",
            y="operations",
        )
        figures.save(figure, tmp_path)
    crosses = [line for line in axes.get_lines() if line.get_marker() == "X"]
    assert [np.asarray(line.get_xdata()).tolist() for line in crosses] == [[3], [1]]
    drawn = next(line for line in axes.get_lines() if line.get_marker() == "v")
    assert np.asarray(drawn.get_ydata()).tolist() == pytest.approx([1, 500])
    assert (tmp_path / "figure.svg").read_text().count("<svg") == 1


def test_every_backend_has_a_colour_and_a_marker_of_its_own():
    looks = list(figures.LOOKS.values())
    assert len({look.colour for look in looks}) == len(looks)
    assert len({look.marker for look in looks}) == len(looks)


def test_a_figure_that_cannot_be_written_is_named(tmp_path):
    with figures.house_style():
        figure, _ = figures.panels(1, 1, width=2, height=2)
    with pytest.raises(ReportError, match=r"figure\.svg cannot be written"):
        figures.save(figure, Path(tmp_path / "missing"))


def test_a_verdict_on_a_claim_that_is_not_listed_is_refused(project):
    root, found, rows = project
    (root / "experiments" / "claims.toml").write_text("[claims]\n")
    (problem,) = write_rows(found, rows, root / "reports")
    assert "C1, which experiments/claims.toml" in problem
    (root / "experiments" / "claims.toml").write_text("[claims.C1]\ntext = 3\n")
    with pytest.raises(ExperimentError, match="does not list claims"):
        write_rows(found, rows, root / "reports")

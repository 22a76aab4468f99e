"""What stands over all pages: claims, errata, the one file; and holding it to data."""

import io
import re
import shutil
import sys
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from PIL import Image

from diffkit import measure, report
from diffkit.cli import main
from diffkit.errors import ReportError
from diffkit.measure.claims import Claim
from diffkit.measure.experiment import Verdict, discover
from diffkit.report import compact, one_file, verdicts
from diffkit.report.chapters import Chapter, chapter_of, read_chapter, read_chapters
from diffkit.report.folder import mode_of
from tests.measure.tiny import write_project
from tests.pages import write_page, write_rows

CLAIMS = """
[sources]
A = "A book"
B = "A course"
[claims.C2]
sources = ["A", "B"]
text = "it is 3 | 4"
[claims.C1]
sources = ["A"]
text = "it grows"
"""
VOID = {"meta", "img", "br", "hr", "link", "input"}


def rows_of(found, mode="quick"):
    return [
        row.stamped(machine="m", versions="v=1", commit="c", threads=1)
        for case in found.experiment.cases(mode)
        for row in (
            case.row("work_seconds", case["size"] * 0.5, samples=[0.5, 0.25]),
            case.row("cell_seconds", 1.0),
        )
    ]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Two measured experiments and one that is not, with everything written."""
    root = tmp_path_factory.mktemp("written")
    for name in ("tiny", "other", "unmeasured"):
        write_project(root, ["ok"] * 3, name=name)
    (root / "experiments" / "claims.toml").write_text(CLAIMS)
    edit(root / "experiments" / "other.py", '"right"', '"wrong"')
    registry = discover(root)
    reports = root / "reports"
    for name in ("tiny", "other"):
        report.write_data(registry[name], rows_of(registry[name]), reports, "quick")
    report.write_pages(registry, reports, mode="quick", workers=1)
    return root


@pytest.fixture
def project(written, tmp_path, monkeypatch):
    """A copy of the project to do anything to."""
    root = tmp_path / "project"
    shutil.copytree(written, root)
    monkeypatch.chdir(root)
    return root


def edit(path, old, new):
    # A file is loaded once a process; what is edited has to be loaded again.
    sys.modules.pop(f"_diffkit_file_{path.stem}", None)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def checked(root, **options):
    return report.check_pages(
        discover(root), root / "reports", workers=1, **{"partial": True, **options}
    )


def test_what_was_written_follows_from_its_data_until_it_is_touched(project):
    assert checked(project) == []
    before = files(project)
    report.write_pages(discover(project), project / "reports", workers=1)
    assert files(project) == before
    assert checked(project) == []
    assert files(project) == before


def files(root):
    folder = root / "reports"
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    "name, old, new, said",
    [
        ("tiny/README.md", "took 1.50 s", "took 9.50 s", "Line 5 has"),
        ("tiny/figure.svg", "</svg>", "<!-- 1 --></svg>", "Line "),
        ("README.md", "took 1.50 s", "took 9.50 s", "Line "),
        ("claims.md", "it grows", "it shrinks", "Line "),
        ("ERRATA.md", "A book", "A film", "Line "),
        ("report.html", "took 1.50 s", "took 9.50 s", "Line "),
        ("tiny/data.csv", ",1.5,ok", ",8.5,ok", "tiny/README.md does not follow"),
    ],
)
def test_a_file_that_was_touched_is_named_with_its_line(project, name, old, new, said):
    edit(project / "reports" / name, old, new)
    problems = checked(project)
    assert problems
    assert any(said in problem for problem in problems)
    if not name.endswith("csv"):
        (problem,) = problems
        assert name in problem
        assert "Write it again: diffkit report" in problem


def test_a_picture_counts_by_its_pixels_not_by_its_compression(project):
    path = project / "reports" / "tiny" / "figure.png"
    image = Image.open(io.BytesIO(path.read_bytes()))
    image.save(path, compress_level=1)
    # What stands over the pages shows the figure that lies there, drawn or not.
    report.write_pages(discover(project), project / "reports", ["other"], workers=1)
    assert checked(project) == []
    image.putpixel((0, 0), (1, 2, 3, 255))
    image.save(path)
    report.write_pages(discover(project), project / "reports", ["other"], workers=1)
    problems = checked(project)
    assert any("figure.png is not the figure of its data" in text for text in problems)
    path.write_bytes(b"no picture")
    assert any("figure.png" in text for text in checked(project))


def test_what_is_missing_or_belongs_to_nothing_is_named(project):
    (project / "reports" / "tiny" / "figure.svg").unlink()
    (project / "reports" / "gone").mkdir()
    (project / "reports" / "lesson").mkdir()  # has a check of its own
    missing, foreign = checked(project)
    assert "figure.svg cannot be read" in missing
    assert "gone belongs to no experiment" in foreign


def test_a_claim_without_a_verdict_fails_the_check_unless_partial(project):
    assert checked(project, partial=True) == []
    (problem,) = checked(project, partial=False)
    assert problem == "C2 is not answered yet: no experiment names it."
    for name in ("tiny", "other"):
        (project / "reports" / name / "data.csv").unlink()
    said = [text for text in checked(project, partial=False) if "C1" in text]
    assert said[-1] == (
        "C1 is not answered yet: `diffkit run other` or `diffkit run tiny` or "
        "`diffkit run unmeasured` answers it."
    )


def test_every_claim_is_listed_with_all_its_verdicts_and_the_strongest_counts(project):
    text = (project / "reports" / "claims.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| C")]
    first, second = rows
    assert first == (
        "| C1 | it grows | A | **does not hold** | it does "
        "([other](other/README.md)): **does not hold**; it does "
        "([tiny](tiny/README.md)): holds |"
    )
    assert second == "| C2 | it is 3 \\| 4 | A B | *not answered yet* |  |"
    assert "Of 2 claims, 1 does not hold, 1 is not answered yet." in text
    assert "* B: A course" in text


def test_errata_say_what_was_claimed_by_whom_and_where_it_was_measured(project):
    text = (project / "reports" / "ERRATA.md").read_text()
    assert "## C1" in text
    assert "* Claimed: it grows" in text
    assert "* By: A book" in text
    assert "[other](other/README.md), by `experiments/other.py`" in text
    assert "C2" not in text


@pytest.mark.parametrize(
    "given, counts",
    [
        ([], None),
        (["measured", "right"], "right"),
        (["right", "conditional", "measured"], "conditional"),
        (["conditional", "right", "wrong"], "wrong"),
    ],
)
def test_the_strongest_verdict_counts(given, counts):
    chapters = [
        Chapter(f"e{i}", "q?", verdicts=(Verdict("C1", "m", holds),))
        for i, holds in enumerate(given)
    ]
    (item,) = verdicts.answers({"C1": Claim("C1", ("A",), "t")}, [], chapters)
    assert item.holds == counts
    assert len(item.verdicts) == len(given)


def test_damaged_data_are_named_and_the_others_go_on(project):
    page_before = (project / "reports" / "tiny" / "README.md").read_bytes()
    edit(project / "reports" / "tiny" / "data.csv", ",1.5,ok", ",x,ok")
    written, problems = report.write_pages(
        discover(project), project / "reports", workers=1
    )
    assert written == ["other"]
    (problem,) = problems
    assert "tiny/data.csv, line 6, is damaged" in problem
    assert (project / "reports" / "tiny" / "README.md").read_bytes() == page_before
    assert "tiny" not in (project / "reports" / "README.md").read_text()
    assert checked(project) == [problem]


@pytest.mark.parametrize(
    "old, new, what",
    [
        ("work = [row.value for row", "work = [row['gone'] for row", "findings"),
        ("size=5, height=3", "size='x', height=3", "figure"),
        ('"The most work took', '"The {worst} work took', ""),
    ],
)
def test_data_of_another_version_give_a_page_that_says_what_to_run(
    project, old, new, what
):
    path = project / "experiments" / "tiny.py"
    if what == "figure":
        edit(path, 'row["size"]', 'row["length"]')
    else:
        edit(path, old, new)
    written, problems = report.write_pages(
        discover(project), project / "reports", workers=1
    )
    assert set(written) == {"tiny", "other"}
    (problem,) = problems
    assert "'tiny'" in problem
    assert not what or f"The {what} of 'tiny' cannot be made from its rows" in problem
    text = (project / "reports" / "tiny" / "README.md").read_text()
    assert "There is no answer" in text
    assert "`diffkit run tiny --quick`" in text
    assert "There is no answer" in (project / "reports" / "report.html").read_text()
    assert checked(project) == [problem]
    tiny = discover(project)["tiny"]
    (problem,) = write_rows(tiny, rows_of(tiny), project / "reports", "full")
    assert "'tiny'" in problem
    # The rows are kept, and which cases they are of.
    again = read_chapter(tiny, project / "reports")
    assert "--full" in (again.text or "")


def test_unknown_metrics_and_parameters_do_not_matter(project):
    path = project / "reports" / "tiny" / "data.csv"
    header, *lines = path.read_text().splitlines()
    header = header.replace("experiment,", "experiment,colour,")
    lines = [line.replace("tiny,", "tiny,red,", 1) for line in lines]
    lines.append(lines[0].replace("work_seconds", "play_seconds"))
    path.write_text("\n".join([header, *lines]) + "\n")
    chapter = read_chapter(discover(project)["tiny"], project / "reports")
    assert chapter.problem == ""
    assert chapter.page is not None


@pytest.mark.parametrize("mode", ["quick", "full"])
def test_the_mode_is_read_back_from_the_page_or_else_from_the_cells(project, mode):
    found = discover(project)["tiny"]
    rows = rows_of(found, mode)
    path = write_page(found, rows, project / "reports", mode)
    assert mode_of(found.experiment, rows, path) == mode
    assert mode_of(found.experiment, rows, project / "missing.md") == mode
    other = {"quick": "full", "full": "quick"}[mode]
    edit(path, f"--{mode}", f"--{other}")
    assert mode_of(found.experiment, rows, path) == other


def test_tables_of_the_experiment_stand_in_place_of_the_usual_one(project):
    path = project / "experiments" / "tiny.py"
    text = (project / "reports" / "tiny" / "README.md").read_text()
    assert "`work_seconds` by size:" in text
    assert "| size 1 | size 2 | size 3 |" in text
    assert "| 500 ms | 1.00 s | 1.50 s |" in text
    edit(
        path,
        'question="Does',
        'tables=lambda rows: {"Mine": "| a |\\n| --- |\\n| b |"}, question="Does',
    )
    chapter = read_chapter(discover(project)["tiny"], project / "reports", draw=False)
    assert "Mine:\n\n| a |" in (chapter.text or "")
    assert "work_seconds` by size" not in (chapter.text or "")


def test_the_usual_table_has_medians_stops_and_holes(project):
    experiment = discover(project)["tiny"].experiment
    (first, second, third) = experiment.cases("quick")
    rows = [
        first.row("work_seconds", 0.1),
        first.row("work_seconds", 0.3),
        first.row("work_seconds", 0.2),
        second.row("cell_seconds", 1.0, status="timeout", message="stopped"),
        third.row("tree_operations", 10**40),
    ]
    ((title, table),) = compact.compact_tables(rows, experiment.metrics).items()
    assert title == "`work_seconds` by size"
    assert table.splitlines()[-1] == "| 200 ms | timeout |"
    assert compact.compact_tables([], experiment.metrics) == {}
    ((title, table),) = compact.compact_tables(rows[-1:], {}).items()
    assert title == "`tree_operations`"
    assert "1.00 × 10⁴⁰" in table


def test_columns_of_the_usual_table_are_what_fills_it():
    """A parameter that follows from another is neither a column nor a line."""
    rows = [
        measure.case("tiny", "autodiff", part=part, work=work, optimizer=optimizer).row(
            "end_loss", work / 8
        )
        for part, work in (("ravine", 200), ("spirals", 60), ("digits", 4))
        for optimizer in ("sgd", "adam")
    ]
    ((title, table),) = compact.compact_tables(rows, {}).items()
    assert title == "`end_loss` by part"
    assert table.splitlines() == [
        "| optimizer | ravine | spirals | digits |",
        "| --- | ---: | ---: | ---: |",
        "| sgd | 25 | 7.5 | 0.5 |",
        "| adam | 25 | 7.5 | 0.5 |",
    ]


def test_medians_of_samples_have_their_interval_beside_them():
    item = measure.case("tiny", "autodiff", size=1)
    samples = [1.0] * 20 + [1.1] * 20
    low, high = measure.bootstrap_interval(samples)
    assert (low, high) == (1.0, 1.1)
    rows = [
        item.row("work_seconds", 1.05, samples=samples),
        measure.case("tiny", "autodiff", size=2).row("work_seconds", 2.0),
    ]
    ((title, table),) = compact.compact_tables(rows, {}).items()
    assert title.endswith(", medians ± half their 95 % bootstrap interval")
    assert table.splitlines()[-1] == "| 1.05 s ± 4.8 % | 2.00 s |"


def test_the_page_says_what_the_harness_took(project):
    found = discover(project)["tiny"]
    item = found.experiment.cases("quick")[0]
    rows = [
        item.row("work_seconds", 0.5),
        item.row("harness_seconds", 0.025),
        item.row("cell_seconds", 0.5),
    ]
    text = chapter_of(found, rows, "quick").text
    assert "The harness took 25.0 ms beside a timed cell (median of 1): 5 % of" in text
    long = replace(item, parameters=(*item.parameters, ("long", True)))
    rows += [long.row("harness_seconds", 0.03), long.row("cell_seconds", 3.0)]
    text = chapter_of(found, rows, "quick").text
    assert "3 % of the cell's time (median; at most 5 %), 1.6 % of all cells'" in text
    assert "* `harness_seconds`: starting, asking and ending the process" in text
    text = chapter_of(found, [rows[0], rows[2]], "quick").text
    assert "harness" not in text


class _Reader(HTMLParser):
    """What the file says of itself: its tags, that they nest, its links and ids."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.images = [], [], [], []
        self.fetched, self.tags = [], set()

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        assert len(values) == len(attrs), f"an attribute of {tag} is there twice"
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "a":
            self.links.append(values["href"])
        if tag == "img":
            self.images.append(values)
        assert "style" not in values
        assert not any(name.startswith("on") for name in values)
        self.fetched += [values[n] for n in ("src", "data", "poster") if n in values]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def read(project):
    text = (project / "reports" / "report.html").read_text()
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return text, reader


def test_the_one_file_is_well_formed_and_asks_nobody_for_anything(project):
    text, reader = read(project)
    assert text.startswith("<!doctype html>\n<html lang=")
    assert reader.open == []
    assert len(set(reader.ids)) == len(reader.ids)
    assert not reader.tags & {"script", "link", "iframe", "object", "base", "form"}
    assert reader.fetched
    assert all(address.startswith("data:image/") for address in reader.fetched)
    assert not re.search(r"url\(|@import", text)
    assert "default-src 'none'" in text
    assert all(image["alt"] and image["width"] for image in reader.images)
    for link in reader.links:
        if link.startswith("#"):
            assert link[1:] in reader.ids
        else:
            assert (project / "reports" / link).exists()


def test_the_policy_allows_exactly_the_style_that_is_there(project):
    text, _ = read(project)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in text


def test_the_one_file_holds_everything_that_the_pages_say(project):
    text, reader = read(project)
    assert {"claims", "errata", "tiny", "other", "contents"} <= set(reader.ids)
    assert len(reader.images) == 2
    for said in (
        "The most work took 1.50 s.",
        "More words about 1.50 s, and <code>code with 2 digits</code>.",
        "<td>it is 3 | 4</td>",
        "Of 2 claims",
        "diffkit run tiny --quick",
        '<th class="number">size 1</th>',
    ):
        assert said in text
    assert 'href="tiny/data.csv"' in text
    assert text.count('<div class="wide" role="region"') == text.count("<table>")


def test_text_of_rows_cannot_become_markup(project):
    path = project / "reports" / "tiny" / "data.csv"
    edit(path, "v=1", "<script>alert(1)</script>")
    report.write_pages(discover(project), project / "reports", workers=1)
    text, reader = read(project)
    assert "&lt;script&gt;" in text
    assert "script" not in reader.tags


def test_a_large_drawing_is_carried_as_its_bitmap(project, monkeypatch):
    _, reader = read(project)
    assert all("svg+xml" in address for address in reader.fetched)
    monkeypatch.setattr(one_file, "LARGEST_DRAWING", 10)
    folder = project / "reports"
    chapters = read_chapters(discover(project), folder, workers=1)
    kept = {
        name: (folder / "tiny" / name).read_bytes()
        for name in ("figure.svg", "figure.png")
    }
    bulky = {**kept, "figure.svg": kept["figure.svg"] + b" " * 10**6}
    assert "image/png" in one_file.one_file(chapters, {"tiny": bulky})
    assert "image/svg+xml" in one_file.one_file(
        chapters, {"tiny": {**kept, "figure.png": kept["figure.png"] + b"0" * 10**6}}
    )


@pytest.mark.slow
def test_processes_give_the_same_pages_as_one(project):
    for name in ("third", "fourth"):
        write_project(project, ["ok"] * 3, name=name)
        found = discover(project)[name]
        (project / "experiments" / "claims.toml").write_text(CLAIMS)
        report.write_data(found, rows_of(found), project / "reports", "quick")
    registry = discover(project)
    report.write_pages(registry, project / "reports", workers=1)
    alone = files(project)
    report.write_pages(registry, project / "reports", workers=2)
    assert files(project) == alone


def test_the_command_writes_checks_and_says_what_it_did(project, capsys):
    assert main(["report", "tiny", "--workers", "1"]) == 0
    assert "tiny → reports/tiny/README.md" in capsys.readouterr().out
    assert main(["report", "--check", "--partial", "--workers", "1"]) == 0
    assert "everything follows from its data" in capsys.readouterr().out
    assert main(["report", "--check", "--workers", "1"]) == 1
    assert "C2 is not answered yet" in capsys.readouterr().err
    edit(project / "reports" / "tiny" / "data.csv", ",1.5,ok", ",x,ok")
    assert main(["report", "--workers", "1"]) == 1
    assert "line 6, is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, said",
    [
        (["tinny"], "Did you mean 'tiny'"),
        (["tiny", "--check"], "name none"),
        (["--partial"], "goes with --check"),
    ],
)
def test_bad_usage_writes_nothing(project, capsys, words, said):
    before = files(project)
    assert main(["report", *words]) == 2
    assert said in capsys.readouterr().err
    assert files(project) == before


def test_a_folder_that_cannot_be_written_is_named(project, capsys):
    blocked = project / "blocked"
    blocked.write_text("a file stands where the folder should be")
    assert main(["report", "--output", str(blocked)]) == 2
    assert "cannot be written to" in capsys.readouterr().err
    with pytest.raises(ReportError, match="cannot be written to"):
        report.write_pages(discover(project), blocked)


def test_data_that_say_the_same_are_not_written_again(tmp_path):
    """A cell that fails every time fails in another time; nothing else may differ."""
    write_project(tmp_path, ["ok", "raises"])
    found = discover(tmp_path)["tiny"]
    one, other = found.experiment.cases("quick")

    def rows(seconds, work=0.5):
        failed = other.row("cell_seconds", seconds, status="error", message="planted")
        return [one.row("work_seconds", work), one.row("cell_seconds", 1.0), failed]

    def write(what, mode="quick"):
        return report.write_data(found, what, tmp_path / "reports", mode)

    write_page(found, rows(1.0), tmp_path / "reports")
    assert not write(rows(1.0))
    assert not write(rows(2.0))
    assert write(rows(2.0, work=0.75))
    assert write(rows(2.0, work=0.75), mode="full")
    (tmp_path / "reports" / "tiny" / "data.csv").write_text("damaged")
    assert write(rows(1.0))

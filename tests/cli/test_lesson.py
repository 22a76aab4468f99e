"""``diffkit lesson`` from outside: build, check, open."""

from __future__ import annotations

import re

import click
import pytest

from diffkit import cli, lesson
from tests.lesson import partial
from tests.lesson.conftest import ROOT


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the command line in this checkout; gives (code, output, errors)."""
    monkeypatch.chdir(ROOT)

    def run(*words):
        code = cli.main(["lesson", *(str(word) for word in words)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def reports(tmp_path):
    return partial.linked(tmp_path / "reports")


@pytest.fixture
def launched(monkeypatch):
    """Addresses that a browser was asked to open; none is started."""
    found = []

    def launch(address):
        found.append(address)
        return 0

    monkeypatch.setattr(click, "launch", launch)
    return found


@pytest.mark.parametrize("command", ["build", "open"])
def test_help_has_an_example(run, command):
    code, out, err = run(command, "--help")
    assert (code, err) == (0, "")
    assert re.search(rf"Examples?:\s+diffkit lesson {command}", out)


def test_build_writes_one_file_and_check_agrees(run, reports):
    code, out, _ = run("build", "--reports", reports)
    assert code == 0, out
    assert [path.name for path in (reports / "lesson").iterdir()] == ["index.html"]
    assert re.search(r"lesson → .*index\.html \(\d+ kB\)", out)
    code, out, _ = run("build", "--check", "--reports", reports)
    assert (code, "follows from its data" in out) == (0, True)


def test_check_writes_nothing(run, reports):
    code, out, _ = run("build", "--check", "--reports", reports)
    assert code == 1
    assert "run 'diffkit lesson build'" in out
    assert not (reports / "lesson").exists()


def test_check_finds_a_page_edited_by_hand(run, reports):
    run("build", "--reports", reports)
    path = lesson.page_path(reports)
    edited = path.read_text("utf-8").replace("Why backprop wins", "Why it wins", 1)
    path.write_text(edited, "utf-8")
    code, out, _ = run("build", "--check", "--reports", reports)
    assert (code, "does not follow from its data" in out) == (1, True)
    assert path.read_text("utf-8") == edited


def test_gaps_are_listed_and_the_page_is_written(run, reports):
    (reports / "one_weight" / "data.csv").unlink()
    code, out, _ = run("build", "--reports", reports)
    assert code == 1
    gaps = [line for line in out.splitlines() if line.startswith("gap: ")]
    assert "Section 1, One weight" in " ".join(gaps)
    assert "Run 'diffkit run one_weight --quick'." in " ".join(gaps)
    assert "diffkit run one_weight --quick" in lesson.page_path(reports).read_text()


def test_check_fails_where_something_is_missing(run, reports):
    (reports / "one_weight" / "data.csv").unlink()
    run("build", "--reports", reports)
    code, out, _ = run("build", "--check", "--reports", reports)
    assert (code, "gap: " in out) == (1, True)


def test_without_reports_it_says_what_to_do(run, tmp_path):
    code, _, err = run("build", "--reports", tmp_path / "none")
    assert code == 2
    assert "There is no folder" in err
    assert "make report" in err


def test_a_page_that_cannot_be_written_is_an_error(run, reports):
    (reports / "lesson").write_text("in the way")
    code, _, err = run("build", "--reports", reports)
    assert code not in (0, 1), err
    assert "cannot be written" in err
    assert "Traceback" not in err


def test_open_builds_once_and_again_when_data_change(
    run, reports, launched, monkeypatch
):
    page = lesson.page_path(reports)
    assert run("open", "--reports", reports)[0] == 0
    assert launched == [page.resolve().as_uri()]

    built = page.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(lesson, "build", lambda *_: pytest.fail("built again"))
        assert run("open", "--reports", reports)[0] == 0
    assert page.read_bytes() == built
    assert len(launched) == 2

    partial.changed(reports, "xor", lambda text: text + "\n")
    assert run("open", "--reports", reports)[0] == 0
    assert page.read_bytes() != built


def test_open_shows_a_page_with_gaps_and_says_so(run, reports, launched):
    (reports / "one_weight" / "data.csv").unlink()
    code, out, _ = run("open", "--reports", reports)
    assert code == 1
    assert "gap: Section 1" in out
    assert len(launched) == 1


def test_open_without_a_browser_says_where_the_page_is(run, reports, monkeypatch):
    monkeypatch.setattr(click, "launch", lambda address: 1)
    code, out, _ = run("open", "--reports", reports)
    assert code == 0
    assert f"Open {lesson.page_path(reports).resolve().as_uri()}" in out

"""``diffkit exercise`` from outside: list, show, start, check, and exit codes."""

from __future__ import annotations

import re

import pytest

from diffkit import cli
from diffkit.lesson.exercises import EXERCISES
from tests.lesson.solutions import SOLUTIONS


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run the command line in an empty folder; gives (code, output, errors)."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = cli.main(["exercise", *(str(word) for word in words)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.mark.parametrize("command", ["list", "show", "start", "check"])
def test_help_has_an_example(run, command):
    code, out, err = run(command, "--help")
    assert (code, err) == (0, "")
    assert re.search(rf"Examples?:\s+diffkit exercise {command}", out)


def test_list_has_every_exercise(run):
    code, out, _ = run("list")
    assert code == 0
    for one in EXERCISES:
        assert re.search(
            rf"^{one.number} .*{one.kind} .*{re.escape(one.title.replace('`', ''))}",
            out,
            re.MULTILINE,
        )


@pytest.mark.parametrize("one", EXERCISES, ids=lambda one: one.number)
def test_show_says_what_is_asked_and_keeps_the_hint(run, one):
    code, out, _ = run("show", one.number)
    assert code == 0
    assert one.text in out
    assert f"diffkit exercise check {one.number} " in out
    assert one.hint not in out
    assert one.hint in run("show", one.number, "--hint")[1]


@pytest.mark.parametrize(
    "words, code, says",
    [
        ((3, "b"), 0, "Right. "),
        ((3, "a"), 1, "Not right. It is not a: a smaller learning rate"),
        ((7, "-8", "-4"), 0, "Right. "),
        ((7, "[-8, -4]"), 0, "Right. "),
        ((7, "-8, -4"), 0, "Right. "),
        ((7, "-8", "4"), 1, "Not right. Entry 2 (∂L/∂b) is not 4."),
    ],
)
def test_answers_are_judged(run, words, code, says):
    found, out, _ = run("check", *words)
    assert (found, out.startswith(says)) == (code, True), out


@pytest.mark.parametrize(
    "words, says",
    [
        (("check", 3), "Give one answer"),
        (("check", 3, "z"), "none of the answers"),
        (("check", 7, "two"), "list of finite numbers"),
        (("check", 7, "-8"), "2 numbers are asked for"),
        (("check", 16, "a"), "asks for a file"),
        (("check", 3, "--file", "x.py"), "asks for no file"),
        (("check", 16, "a", "--file", "x.py"), "Give one answer"),
        (("check", 16, "--file", "x.py"), "There is no file"),
        (("show", 99), "There is no exercise 99"),
        (("show", "one"), "not a valid integer"),
        (("start", 3), "asks for no file"),
        (("start", 16, "--output", "none/x.py"), "cannot be written"),
    ],
)
def test_what_is_no_answer_is_bad_usage(run, words, says):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert says in err
    assert "Traceback" not in err


def test_from_start_to_right(run, tmp_path):
    code, out, _ = run("start", 16)
    assert code == 0
    assert "diffkit exercise check 16 --file exercise_16.py" in out
    assert run("check", 16, "--file", "exercise_16.py")[0] == 1

    mine = tmp_path / "mine.py"
    mine.write_text(SOLUTIONS[16])
    assert run("check", 16, "--file", mine)[:2] == (
        0,
        "Right. All 4 inputs agree, to 1e-09 of the largest entry.\n",
    )


def test_start_keeps_a_file_that_is_there(run, tmp_path):
    path = tmp_path / "exercise_14.py"
    path.write_text("mine")
    code, _, err = run("start", 14)
    assert code == 2
    assert "is kept" in err
    assert path.read_text() == "mine"

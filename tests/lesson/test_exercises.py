"""Every exercise: right answers pass, wrong ones do not and are told where."""

import math
import re
from collections import Counter

import numpy as np
import pytest

from diffkit.errors import UserInputError
from diffkit.lesson import exercises
from diffkit.lesson.exercises.check import parse_numbers
from tests.lesson.solutions import SOLUTIONS

#: What paper gives.
ON_PAPER = {
    7: [-8, -4],
    8: [0.6, 1.08, 1.464],
    9: [50_000 // 64, math.ceil(50_000 / 64)],
    10: [2 * (10 * 64 + 64 + 64 * 32 + 32 + 32 + 1)],
    12: [3**3, 4 * 3 + 1],
    13: [0.25**10],
}


def of_kind(kind):
    return [one for one in exercises.EXERCISES if one.kind == kind]


def test_at_least_four_of_each_kind_numbered_without_gaps():
    kinds = Counter(one.kind for one in exercises.EXERCISES)
    assert set(kinds) == set(exercises.KINDS)
    assert min(kinds.values()) >= 4
    numbers = [one.number for one in exercises.EXERCISES]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("one", of_kind("conceptual"), ids=lambda one: one.number)
def test_exactly_one_letter_is_right(one):
    letters = exercises.LETTERS[: len(one.answer.options)]
    right = [at for at in letters if exercises.check_answer(one, at).right]
    assert right == [one.answer.letter]
    assert exercises.check_answer(one, f" {right[0].upper()}) ").right
    for bad in ("", "ab", exercises.LETTERS[len(letters)], "1"):
        with pytest.raises(UserInputError, match="none of the answers"):
            exercises.check_answer(one, bad)


@pytest.mark.parametrize("number", ON_PAPER)
def test_the_package_computes_what_paper_gives(number):
    one = exercises.find(number)
    assert one.answer.expected() == pytest.approx(ON_PAPER[number], rel=1e-9)


def test_the_line_is_that_of_normal_equations_to_the_decimals_asked_for():
    legacy = np.random.RandomState(42)
    x = legacy.randn(100, 1)
    y = 2 * x + 0.5 + 0.1 * legacy.randn(100, 1)
    w, b = np.linalg.lstsq(np.hstack([x, np.ones_like(x)]), y)[0].ravel()
    outcome = exercises.check_answer(exercises.find(11), f"{w:.3f}, {b:.3f}")
    assert outcome.right
    assert not exercises.check_answer(exercises.find(11), "2, 0.5").right


@pytest.mark.parametrize("one", of_kind("mathematical"), ids=lambda one: one.number)
def test_each_wrong_entry_is_named(one):
    right = list(one.answer.expected())
    assert exercises.check_answer(one, repr(right)).right
    for place, name in enumerate(one.answer.entries):
        wrong = list(right)
        wrong[place] = wrong[place] * 1.01 + 0.01
        outcome = exercises.check_answer(one, repr(wrong))
        assert not outcome.right
        assert outcome.says.startswith(f"Entry {place + 1} ({name})")
    with pytest.raises(UserInputError, match="numbers are asked for"):
        exercises.check_answer(one, repr([*right, 1.0]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "__import__('os')",
        "1; 2",
        "NaN",
        "[1, Infinity]",
        "true",
        "[[1]]",
        "1+1",
    ],
)
def test_what_is_no_list_of_numbers_is_refused(text):
    with pytest.raises(UserInputError, match="list of finite numbers"):
        parse_numbers(text)


def test_very_deep_brackets_are_refused():
    with pytest.raises(UserInputError, match="list of finite numbers"):
        parse_numbers("[" * 100_000)


@pytest.mark.parametrize("one", of_kind("coding"), ids=lambda one: one.number)
def test_a_right_solution_passes_and_the_skeleton_does_not(one, tmp_path):
    right, start = tmp_path / f"right_{one.number}.py", tmp_path / f"s_{one.number}.py"
    right.write_text(SOLUTIONS[one.number])
    start.write_text(one.answer.skeleton)
    outcome = exercises.check_file(one, right)
    assert outcome.right, outcome.says
    assert f"All {len(one.answer.inputs())} inputs" in outcome.says
    outcome = exercises.check_file(one, start)
    assert not outcome.right
    assert outcome.says.startswith("Input ")


@pytest.mark.parametrize(
    "number, old, new, says",
    [
        # One-sided differences: wrong by 3·w·h where the function bends.
        (15, "(2 * h)", "h", r"gradient\[\d\] is"),
        (15, "down[place] -= h", "pass", r"gradient\[\d\] is"),
        (15, "f(down)) /", "f(down) + 0 * f(down)) /", "called 9 times, and 6 are"),
        (15, "w.copy(), w.copy()", "w, w.copy()", "argument 2 was changed"),
        (16, "(z1 > 0)", "1", r"both|off.*dW1\[\d, \d\] is"),
        (16, "dz2 * a1, dz2", "dz2 * a1", "a tuple"),
        (16, "np.outer(x, dz1)", "np.outer(dz1, x)", r"dW1\[\d, \d\] is .*diffkit has"),
        (18, "z - z.max()", "z", r"Input 3 of 3 \(scores of a thousand\).*is nan"),
        (18, "return p", "return p[:1]", r"shape \(1,\), and \(3,\)"),
        (18, "return p", "return 'x'", "str, not an array"),
        (18, "p[label] -= 1", "1 / 0", "raised ZeroDivisionError"),
        (18, "p[label] -= 1", "raise SystemExit(0)", "raised SystemExit"),
        (19, "back[i] +=", "back[i] =", "Input "),
    ],
)
def test_a_mistake_is_found_where_it_is(tmp_path, number, old, new, says):
    text = SOLUTIONS[number]
    assert old in text
    path = tmp_path / "mistaken.py"
    path.write_text(text.replace(old, new))
    outcome = exercises.check_file(exercises.find(number), path)
    assert not outcome.right
    assert re.search(says, outcome.says), outcome.says


def test_the_wrong_entry_is_the_one_that_is_wrong(tmp_path):
    path = tmp_path / "one_entry.py"
    path.write_text(
        SOLUTIONS[16]
        .replace(
            "    return",
            "    first = np.outer(x, dz1)\n    first[1, 0] += 0.5\n    return",
        )
        .replace("return np.outer(x, dz1)", "return first")
    )
    outcome = exercises.check_file(exercises.find(16), path)
    assert "dW1[1, 0] is" in outcome.says


@pytest.mark.parametrize(
    "text, says",
    [
        (None, "There is no file"),
        ("def other(): pass", "Did you mean|There is no function"),
        ("backward = 3", "not a function"),
        ("def backward(:", "cannot be loaded"),
        ("raise SystemExit(0)", "cannot be checked"),
    ],
)
def test_a_file_that_answers_nothing_is_refused(tmp_path, text, says):
    path = tmp_path / "nothing.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserInputError, match=says):
        exercises.check_file(exercises.find(16), path)


def test_answers_of_the_wrong_kind_are_refused(tmp_path):
    with pytest.raises(UserInputError, match="asks for a file"):
        exercises.check_answer(exercises.find(16), "a")
    with pytest.raises(UserInputError, match="asks for no file"):
        exercises.check_file(exercises.find(1), tmp_path)
    with pytest.raises(UserInputError, match="no exercise 99"):
        exercises.find(99)


def test_the_page_lists_each_with_its_command(page):
    (section,) = (
        s for s in page.every("section") if s.attributes.get("id") == "exercises"
    )
    shown = list(section.every("article"))
    assert len(shown) == len(exercises.EXERCISES)
    for one, article in zip(exercises.EXERCISES, shown, strict=True):
        assert one.title.replace("`", "") in article.text
        assert exercises.how_to_answer(one) in article.text
        hidden = [d.text for d in article.every("details")]
        assert any(text.startswith("Hint") for text in hidden)
        if one.kind == "mathematical":
            (expected,) = (d for d in article.every("details") if "Expected" in d.text)
            values = [c.text.replace("−", "-") for c in expected.every("code")]
            found = [float(v) for v in values[: len(one.answer.entries)]]
            assert found == pytest.approx(list(one.answer.expected()), rel=1e-6)

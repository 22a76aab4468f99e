"""Exercises: each with a hint, what it should give, and the command that checks it."""

from __future__ import annotations

from functools import cache
from typing import Any

from diffkit.lesson.data import Data
from diffkit.lesson.exercises import EXERCISES, KINDS, Exercise, how_to_answer
from diffkit.lesson.exercises.exercise import LETTERS, Choice, Numbers
from diffkit.lesson.section import Section, View
from diffkit.lesson.words import words

NAME = "exercises"
#: What a kind asks for.
ASKS = {
    "conceptual": "A letter is the answer.",
    "mathematical": "Numbers are the answer. Paper is enough; a computer is allowed.",
    "coding": "A file of yours is the answer. diffkit runs it on several inputs and "
    "compares every entry with its own backends.",
}


def view(data: Data) -> View:
    """All exercises by kind; nothing of them was measured."""
    kinds = [
        {
            "name": kind,
            "asks": ASKS[kind],
            "all": [_shown(one) for one in EXERCISES if one.kind == kind],
        }
        for kind in KINDS
    ]
    return View({"kinds": kinds, "count": len(EXERCISES)})


def _shown(exercise: Exercise) -> dict[str, Any]:
    answer = exercise.answer
    shown = {
        "number": exercise.number,
        "title": words(exercise.title),
        "text": words(exercise.text),
        "hint": words(exercise.hint),
        "command": how_to_answer(exercise),
    }
    if isinstance(answer, Choice):
        options = zip(LETTERS, answer.options, strict=False)
        shown |= {
            "options": [words(f"{letter}) {option}") for letter, option in options],
            "right": answer.right,
            "why": words(answer.why),
        }
    elif isinstance(answer, Numbers):
        shown |= {"expected": _expected(exercise.number), "why": words(answer.how)}
    else:
        shown |= {
            "skeleton": answer.skeleton,
            "inputs": [given.label for given in answer.inputs()],
            "tolerance": f"{answer.tolerance:g}",
        }
    return shown


@cache
def _expected(number: int) -> list[tuple[str, str]]:
    """Entries and what the package has for them; computed once for all pages."""
    answer = next(one for one in EXERCISES if one.number == number).answer
    assert isinstance(answer, Numbers)
    values = (f"{value:.7g}".replace("-", "−") for value in answer.expected())
    return list(zip(answer.entries, values, strict=True))


SECTION = Section(
    NAME, "12", "Exercises", (), ("C12", "C13", "C15", "C30", "W6", "W8"), view
)

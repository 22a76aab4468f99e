"""Exercises of the lesson: conceptual, mathematical and coding, checked by diffkit."""

from __future__ import annotations

from diffkit.errors import UserInputError
from diffkit.lesson.exercises.check import check_answer as check_answer
from diffkit.lesson.exercises.check import check_file as check_file
from diffkit.lesson.exercises.coding import CODING
from diffkit.lesson.exercises.conceptual import CONCEPTUAL
from diffkit.lesson.exercises.exercise import KINDS as KINDS
from diffkit.lesson.exercises.exercise import LETTERS as LETTERS
from diffkit.lesson.exercises.exercise import Choice as Choice
from diffkit.lesson.exercises.exercise import Exercise as Exercise
from diffkit.lesson.exercises.exercise import Numbers as Numbers
from diffkit.lesson.exercises.exercise import Outcome as Outcome
from diffkit.lesson.exercises.exercise import Program as Program
from diffkit.lesson.exercises.exercise import how_to_answer as how_to_answer
from diffkit.lesson.exercises.mathematical import MATHEMATICAL

EXERCISES: tuple[Exercise, ...] = (*CONCEPTUAL, *MATHEMATICAL, *CODING)


def find(number: int) -> Exercise:
    """The exercise of a number.

    >>> find(7).title
    'A gradient by hand'

    Raises `UserInputError` for a number that none has.
    """
    for exercise in EXERCISES:
        if exercise.number == number:
            return exercise
    last = EXERCISES[-1].number
    raise UserInputError(
        f"There is no exercise {number}: they are 1 to {last}. 'diffkit exercise list' "
        "shows them."
    )

"""Checking answers: letters, numbers, and files of the reader's."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffkit.errors import ExperimentError, UserInputError, unknown_name
from diffkit.lesson.exercises.exercise import (
    LETTERS,
    Choice,
    Exercise,
    Given,
    Numbers,
    Outcome,
    Program,
)
from diffkit.measure.user_code import load_file


def check_answer(exercise: Exercise, answer: str) -> Outcome:
    """Judge a letter or numbers; raises `UserInputError` for what is neither.

    >>> from diffkit.lesson.exercises import find
    >>> check_answer(find(7), "[-8, -4]").right, check_answer(find(7), "-8, 4").says
    (True, 'Entry 2 (∂L/∂b) is not 4.')
    """
    asked = exercise.answer
    if isinstance(asked, Choice):
        return _letter(asked, answer)
    if isinstance(asked, Numbers):
        return _numbers(asked, answer)
    raise UserInputError(
        f"Exercise {exercise.number} asks for a file: 'diffkit exercise start "
        f"{exercise.number}' writes one to begin with, and 'diffkit exercise check "
        f"{exercise.number} --file FILE' checks it."
    )


def check_file(exercise: Exercise, path: Path) -> Outcome:
    """Run the function of a file on every input, and compare with the backends.

    Raises `UserInputError` where the exercise asks for no file, or the file cannot be
    loaded or has no such function.
    """
    asked = exercise.answer
    if not isinstance(asked, Program):
        raise UserInputError(
            f"Exercise {exercise.number} asks for no file: give the answer itself, as "
            f"in 'diffkit exercise check {exercise.number} ANSWER'."
        )
    function = _function(asked, path)
    given = asked.inputs()
    for place, one in enumerate(given, 1):
        if wrong := _wrong(asked, function, one):
            return Outcome(
                False, f"Input {place} of {len(given)} ({one.label}): {wrong}"
            )
    return Outcome(
        True,
        f"All {len(given)} inputs agree, to {asked.tolerance:g} of the largest entry.",
    )


def parse_numbers(text: str) -> list[float]:
    """The finite numbers of '[1, 2.5]' or '1, 2.5'; nothing is evaluated.

    >>> parse_numbers("1, 2.5e-3"), parse_numbers("[7]")
    ([1.0, 0.0025], [7.0])

    Raises `UserInputError` for anything else.
    """
    try:
        found = json.loads(text if text.lstrip().startswith("[") else f"[{text}]")
    except (json.JSONDecodeError, RecursionError):
        found = [None]
    plain = [
        float(one)
        for one in found
        if isinstance(one, int | float) and not isinstance(one, bool)
    ]
    if len(plain) != len(found) or not plain or not all(map(math.isfinite, plain)):
        raise UserInputError(
            f"{text!r} is not a list of finite numbers: write for instance 1.5, -2e-3."
        )
    return plain


def _letter(asked: Choice, answer: str) -> Outcome:
    letter = answer.strip().lower().rstrip(").")
    known = LETTERS[: len(asked.options)]
    if len(letter) != 1 or letter not in known:
        raise UserInputError(
            f"{answer!r} is none of the answers: write one of {', '.join(known)}."
        )
    if letter == asked.letter:
        return Outcome(True, asked.why)
    chosen = asked.options[LETTERS.index(letter)]
    return Outcome(False, f"It is not {letter}: {chosen}")


def _numbers(asked: Numbers, answer: str) -> Outcome:
    found, expected = parse_numbers(answer), asked.expected()
    if len(found) != len(expected):
        raise UserInputError(
            f"{len(expected)} numbers are asked for ({', '.join(asked.entries)}), and "
            f"{len(found)} are given."
        )
    for place, (name, one, right) in enumerate(
        zip(asked.entries, found, expected, strict=True), 1
    ):
        if abs(one - right) > asked.tolerance * max(1.0, abs(right)):
            return Outcome(False, f"Entry {place} ({name}) is not {one:g}.")
    return Outcome(True, asked.how)


def _function(asked: Program, path: Path) -> Callable[..., Any]:
    if not path.is_file():
        raise UserInputError(f"There is no file {path}.")
    try:
        module = load_file(path)
    except (ExperimentError, SystemExit) as error:
        raise UserInputError(f"{path} cannot be checked: {error}") from error
    function = getattr(module, asked.function, None)
    if function is None:
        names = [name for name in dir(module) if not name.startswith("_")]
        raise unknown_name(f"function in {path}", asked.function, names)
    if not callable(function):
        raise UserInputError(
            f"{asked.function} in {path} is a {type(function).__name__}, "
            "not a function."
        )
    return function


def _wrong(asked: Program, function: Callable[..., Any], given: Given) -> str:
    """What is wrong with what the function gives for an input; empty if nothing is."""
    arguments = copy.deepcopy(given.arguments)
    calls = 0
    if asked.calls is not None:
        inner = arguments[0]

        def counted(*inside: Any) -> Any:
            nonlocal calls
            calls += 1
            return inner(*inside)

        arguments = (counted, *arguments[1:])
    try:
        # What overflows is judged by what comes out.
        with np.errstate(all="ignore"):
            found = function(*arguments)
    except (Exception, SystemExit) as error:
        return f"{asked.function} raised {type(error).__name__}: {error}"
    if asked.calls is not None and calls != (wanted := asked.calls(*given.arguments)):
        return f"the function was called {calls} times, and {wanted} are needed."
    for place, (now, before) in enumerate(zip(arguments, given.arguments, strict=True)):
        if not callable(before) and not np.array_equal(
            np.asarray(now, dtype=object), np.asarray(before, dtype=object)
        ):
            return f"argument {place + 1} was changed, and has to stay as it was."
    expected = asked.expected(*given.arguments)
    return _compared(asked, found, expected)


def _compared(asked: Program, found: Any, expected: Any) -> str:
    single = len(asked.entries) == 1
    several = isinstance(found, tuple | list) and len(found) == len(asked.entries)
    if not single and not several:
        return f"a tuple ({', '.join(asked.entries)}) is asked for."
    parts: Sequence[Any] = [found] if single else found
    rights: Sequence[Any] = [expected] if single else expected
    for name, one, right in zip(asked.entries, parts, rights, strict=True):
        if wrong := _apart(name, one, np.asarray(right, float), asked.tolerance):
            return wrong
    return ""


def _apart(name: str, found: Any, right: np.ndarray, tolerance: float) -> str:
    """The entry that is farthest off, where one is too far."""
    try:
        array = np.asarray(found, dtype=float)
    except (TypeError, ValueError):
        return f"{name} is {type(found).__name__}, not an array of numbers."
    if array.shape != right.shape:
        return f"{name} has shape {array.shape}, and {right.shape} is asked for."
    off = np.where(np.isfinite(array), np.abs(array - right), np.inf)
    if array.size == 0 or off.max() <= tolerance * max(1.0, np.abs(right).max()):
        return ""
    place = np.unravel_index(int(np.argmax(off)), off.shape)
    where = f"{name}[{', '.join(str(int(k)) for k in place)}]" if place else name
    return f"{where} is {array[place]:.8g}, and diffkit has {right[place]:.8g}."

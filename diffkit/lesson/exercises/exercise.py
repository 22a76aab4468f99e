"""An exercise is a value: what is asked, how an answer is given, how it is checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["conceptual", "mathematical", "coding"]
KINDS: tuple[Kind, ...] = ("conceptual", "mathematical", "coding")
LETTERS = "abcdef"


@dataclass(frozen=True, slots=True)
class Choice:
    """Answered by a letter: ``right`` is the place among the options, ``why`` says so.

    >>> Choice(("up", "down"), 1, "It falls.").letter
    'b'
    """

    options: tuple[str, ...]
    right: int
    why: str

    @property
    def letter(self) -> str:
        """The right letter."""
        return LETTERS[self.right]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Answered by numbers: what each is called, and the package's own values.

    An entry is right where it differs from ``expected()`` by no more than ``tolerance``
    of it (of one, where it is smaller than one). ``how`` is the way there in words.
    """

    entries: tuple[str, ...]
    expected: Callable[[], Sequence[float]]
    how: str
    tolerance: float = 1e-3


@dataclass(frozen=True, slots=True)
class Given:
    """One input of a function to write: in words, and its arguments."""

    label: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """Answered by a file that defines ``function``; ``skeleton`` is a start of it.

    For each of ``inputs()`` what the function gives is compared with
    ``expected(*arguments)``, entry by entry: no farther apart than ``tolerance`` times
    the largest entry of that array (or one). ``entries`` names the arrays that it
    gives; with one name it gives the array itself. ``calls(*arguments)``, where the
    exercise counts, is how often the first argument has to be called.
    """

    function: str
    skeleton: str
    entries: tuple[str, ...]
    inputs: Callable[[], Sequence[Given]]
    expected: Callable[..., Any]
    tolerance: float
    calls: Callable[..., int] | None = None


@dataclass(frozen=True, slots=True)
class Exercise:
    """One exercise. In its words `code` stands between backticks, and so do digits."""

    number: int
    title: str
    text: str
    hint: str
    answer: Choice | Numbers | Program

    @property
    def kind(self) -> Kind:
        """What sort of answer it asks for."""
        kinds: dict[type, Kind] = {Choice: "conceptual", Numbers: "mathematical"}
        return kinds.get(type(self.answer), "coding")


def how_to_answer(exercise: Exercise) -> str:
    """The command that checks an answer.

    >>> from diffkit.lesson.exercises import find
    >>> how_to_answer(find(7))
    'diffkit exercise check 7 NUMBER NUMBER'
    """
    check = f"diffkit exercise check {exercise.number}"
    if isinstance(exercise.answer, Choice):
        return f"{check} LETTER"
    if isinstance(exercise.answer, Program):
        return f"{check} --file exercise_{exercise.number}.py"
    return f"{check} {' '.join(['NUMBER'] * len(exercise.answer.entries))}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether an answer is right, and in words why or where it is not."""

    right: bool
    says: str

"""Code with notes tied to its lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from diffkit.errors import ReportError

#: Notes on `training_loop`: start of the first line, start of the last, what they do.
TRAINING = (
    ("flowers =", "x, y =", "Data: some flowers are kept back and never learned from."),
    (
        "net =",
        "params = best",
        (
            "Weights start at random, with the variance that suits tanh: equal ones "
            "would stay equal."
        ),
    ),
    ("optimizer =", "state =", "The rule of the update, and what it remembers."),
    (
        "def loss",
        "return losses",
        "What is made small: network and loss are one function of the weights.",
    ),
    (
        "value_and_grad =",
        "value_and_grad =",
        (
            "The line that this lesson is about: another backend gives the same curve "
            "for another price."
        ),
    ),
    (
        "order =",
        "for rows",
        "Each epoch in a new order, in mini-batches; the last may be a smaller one.",
    ),
    (
        "value, gradient",
        "curve.append",
        (
            "Forward and backward in one call. The gradient is a new value each time: "
            "nothing has to be zeroed, so nothing can be forgotten."
        ),
    ),
    (
        "updates, state",
        "params = optim",
        "The step. Old weights are replaced, never changed.",
    ),
    (
        "unseen =",
        "best, lowest",
        "Watch the loss of flowers it has not seen, and keep the best weights.",
    ),
)


def training_loop() -> str:
    """The code of ``diffkit/lesson/training_loop.py``, without its first line."""
    text = resources.files("diffkit.lesson").joinpath("training_loop.py").read_text()
    return text[text.index("import numpy") :]


@dataclass(frozen=True, slots=True)
class Note:
    """What lines ``first`` to ``last`` do, counted from one."""

    first: int
    last: int
    text: str

    @property
    def place(self) -> str:
        """The lines as a reader is told: one, or from where to where.

        >>> Note(2, 2, "").place, Note(2, 4, "").place
        ('line 2', 'lines 2 to 4')
        """
        if self.first == self.last:
            return f"line {self.first}"
        return f"lines {self.first} to {self.last}"


def notes(code: str, said: Sequence[tuple[str, str, str]]) -> list[Note]:
    """Notes from (start of the first line, start of the last, what they do).

    Raises ReportError for a start that none of the lines has, or several.

    >>> notes("a = 1\\nb = 2\\n", [("a =", "b =", "Two numbers.")])[0].place
    'lines 1 to 2'
    """
    lines = [line.strip() for line in code.splitlines()]

    def place(start: str) -> int:
        found = [n for n, line in enumerate(lines, 1) if line.startswith(start)]
        if len(found) != 1:
            raise ReportError(
                f"A note is tied to the line that starts with {start!r}, and "
                f"{len(found)} lines do. Change the note or the code."
            )
        return found[0]

    return [Note(place(first), place(last), text) for first, last, text in said]

"""The lesson's exercises from the command line: list, show, start, check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from diffkit import lesson
from diffkit.cli_show import note, table
from diffkit.errors import UserInputError

_number = click.argument("number", type=int)


@click.group("exercise")
def exercise_group() -> None:
    """Do the exercises of the lesson, and have your answers checked.

    \b
    Examples:
      diffkit exercise list
      diffkit exercise show 7
      diffkit exercise check 7 -8 -4
    """


@exercise_group.command("list")
def list_command() -> None:
    """List the exercises, with what each asks for.

    \b
    Example:
      diffkit exercise list
    """
    table(
        ["number", "kind", "title"],
        [
            [str(one.number), one.kind, one.title.replace("`", "")]
            for one in lesson.exercises.EXERCISES
        ],
        numbers_from=3,
    )


@exercise_group.command("show")
@_number
@click.option("--hint", is_flag=True, help="Show the hint too.")
def show_command(number: int, hint: bool) -> None:
    """Show exercise NUMBER and how its answer is given.

    \b
    Examples:
      diffkit exercise show 3
      diffkit exercise show 16 --hint
    """
    exercise = lesson.exercises.find(number)
    lines = [f"{number}. {exercise.title} ({exercise.kind})", "", exercise.text]
    answer: Any = exercise.answer
    if isinstance(answer, lesson.exercises.Choice):
        letters = zip(lesson.exercises.LETTERS, answer.options, strict=False)
        lines += ["", *(f"  {letter}) {option}" for letter, option in letters)]
    if hint:
        lines += ["", f"Hint: {exercise.hint}"]
    lines += ["", f"Answer with: {lesson.exercises.how_to_answer(exercise)}"]
    click.echo("\n".join(lines))


@exercise_group.command("start")
@_number
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write. Default: exercise_NUMBER.py here.",
)
def start_command(number: int, output: Path | None) -> None:
    """Write a file to begin coding exercise NUMBER with; a file there is kept.

    \b
    Examples:
      diffkit exercise start 16
      diffkit exercise start 16 --output backward.py
    """
    exercise = lesson.exercises.find(number)
    answer: Any = exercise.answer
    if not isinstance(answer, lesson.exercises.Program):
        raise UserInputError(
            f"Exercise {number} asks for no file. "
            f"Answer it with '{lesson.exercises.how_to_answer(exercise)}'."
        )
    path = output or Path(f"exercise_{number}.py")
    try:
        # Exclusively: what the reader has written is never overwritten.
        with open(path, "x", encoding="utf-8") as file:
            file.write(answer.skeleton)
    except FileExistsError:
        raise UserInputError(
            f"{path} is there already, and is kept. Write elsewhere with --output."
        ) from None
    except OSError as error:
        raise UserInputError(f"{path} cannot be written: {error.strerror}.") from error
    note(f"{path} written. Then: diffkit exercise check {number} --file {path}")


@exercise_group.command("check", context_settings={"ignore_unknown_options": True})
@_number
@click.argument("answer", nargs=-1)
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file that answers a coding exercise.",
)
def check_command(number: int, answer: tuple[str, ...], path: Path | None) -> int:
    """Check your ANSWER to exercise NUMBER: a letter, numbers, or a file.

    A file is run as it is, with your rights; what it computes is compared with
    diffkit's own backends. Exit code 0: right; 1: not right; 2: it is no answer.

    \b
    Examples:
      diffkit exercise check 3 b
      diffkit exercise check 7 -8 -4
      diffkit exercise check 16 --file exercise_16.py
    """
    exercise = lesson.exercises.find(number)
    if bool(answer) == (path is not None):
        raise UserInputError(
            "Give one answer. For this exercise: "
            f"'{lesson.exercises.how_to_answer(exercise)}'."
        )
    if path is not None:
        outcome = lesson.exercises.check_file(exercise, path)
    else:
        outcome = lesson.exercises.check_answer(exercise, ", ".join(answer))
    note(f"{'Right' if outcome.right else 'Not right'}. {outcome.says}")
    return 0 if outcome.right else 1

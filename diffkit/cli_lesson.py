"""The lesson from the command line: `diffkit lesson build` and `lesson open`."""

from __future__ import annotations

from pathlib import Path

import click

from diffkit import lesson, measure
from diffkit.cli_show import note
from diffkit.errors import UserInputError

_reports = click.option(
    "--reports",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder with the data of experiments; the project's own unless given.",
)


@click.group("lesson")
def lesson_group() -> None:
    """Build or open the lesson: one offline page that shows why backprop wins.

    \b
    Examples:
      diffkit lesson build
      diffkit lesson open
    """


@lesson_group.command("build")
@_reports
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing; fail where the page does not follow from its data.",
)
def build_command(reports: Path | None, check: bool) -> int:
    """Write reports/lesson/index.html from the rows that experiments measured.

    Exit code 1 means that something which the lesson shows was not measured: the page
    is written, says so in its place, and each gap is listed here with what to run.

    \b
    Examples:
      diffkit lesson build
      diffkit lesson build --check
      diffkit lesson build --reports /tmp/reports
    """
    registry, folder = _where(reports)
    built = lesson.build(registry, folder)
    path = lesson.page_path(folder)
    if check:
        same = path.exists() and path.read_text("utf-8") == built.html
        note(
            f"{path} follows from its data"
            if same
            else f"{path} does not follow from its data: run 'diffkit lesson build'"
        )
    else:
        same = True
        path = lesson.write(built, folder)
        note(f"lesson → {path} ({built.bytes / 1000:,.0f} kB)")
    for gap in built.gaps:
        note(f"gap: {gap}")
    return 0 if same and not built.gaps else 1


@lesson_group.command("open")
@_reports
def open_command(reports: Path | None) -> int:
    """Open the lesson in a browser; build it first where it is missing or stale.

    \b
    Example:
      diffkit lesson open
    """
    registry, folder = _where(reports)
    path = lesson.page_path(folder)
    gaps: tuple[str, ...] = ()
    if lesson.is_stale(registry, folder):
        built = lesson.build(registry, folder)
        lesson.write(built, folder)
        gaps = built.gaps
    for gap in gaps:
        note(f"gap: {gap}")
    address = path.resolve().as_uri()
    if click.launch(address) != 0:
        note(f"No browser could be started. Open {address}")
    return 1 if gaps else 0


def _where(reports: Path | None) -> tuple[measure.Registry, Path]:
    registry = measure.discover()
    folder = reports or registry.root / "reports"
    if not folder.is_dir():
        raise UserInputError(
            f"There is no folder {folder}. Measure first, for instance with "
            "'make report'."
        )
    return registry, folder

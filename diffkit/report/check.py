"""Hold what is written in reports against the data that it has to follow from."""

from __future__ import annotations

import io
from itertools import zip_longest
from pathlib import Path

import numpy as np
from matplotlib.image import imread

from diffkit.measure.experiment import Registry
from diffkit.report.chapters import LESSON, read_chapters
from diffkit.report.summaries import summaries

_SHOWN = 70


def check_pages(
    registry: Registry,
    reports: Path,
    *,
    partial: bool = False,
    workers: int | None = None,
) -> list[str]:
    """A sentence for everything in ``reports`` that does not follow from its data.

    Pages and figures are made again in memory and compared. Claims that have no verdict
    are named too, unless the reports are ``partial``. Nothing is written.
    """
    names = list(registry)
    chapters = read_chapters(registry, reports, draw=names, workers=workers)
    problems = [one.problem for one in chapters if one.problem]
    figures: dict[str, dict[str, bytes]] = {}
    for chapter in chapters:
        folder = reports / chapter.name
        for name, made in chapter.files().items():
            problems += _compare(folder / name, made)
        figures[chapter.name] = {
            name: _same_pixels_or(folder / name, made)
            for name, made in chapter.figures.items()
        }
    over_all, open_claims = summaries(registry, chapters, figures)
    for name, made in over_all.items():
        problems += _compare(reports / name, made)
    problems += [
        f"{path} belongs to no experiment: remove it, or restore the experiment."
        for path in sorted(reports.glob("*/"))
        if path.name not in (*registry, LESSON)
    ]
    return problems if partial else problems + open_claims


def _compare(path: Path, made: bytes) -> list[str]:
    """How a file differs from what its data give: nothing, or one sentence."""
    try:
        found = path.read_bytes()
    except OSError as error:
        return [f"{path} cannot be read: {error.strerror}. Write it: diffkit report"]
    if found == made or _same_pixels_or(path, made) == found:
        return []
    if path.suffix == ".png":
        return [f"{path} is not the figure of its data. Draw it again: diffkit report"]
    lines = zip_longest(
        found.decode("utf-8", "replace").splitlines(), made.decode().splitlines()
    )
    for number, (old, new) in enumerate(lines, start=1):
        if old != new:
            old, new = _around_difference(old, new)
            text = (
                f"{path} does not follow from its data. Line {number} has {old}, and "
                f"the data give {new}. Write it again: diffkit report"
            )
            return [text]
    return [f"{path} differs from its data in how its lines end: diffkit report"]


def _around_difference(old: str | None, new: str | None) -> tuple[str, str]:
    """Both lines, cut to what is around their first difference.

    >>> _around_difference("of 12 claims", "of 36 claims")
    ("'of 12 claims'", "'of 36 claims'")
    """
    pairs = enumerate(zip_longest(old or "", new or ""))
    first = next((place for place, (a, b) in pairs if a != b), 0)
    start = max(0, first - _SHOWN // 3)

    def cut(line: str | None) -> str:
        if line is None:
            return "no line"
        shown = line[start : start + _SHOWN]
        before = "…" if start else ""
        after = "…" if start + _SHOWN < len(line) else ""
        return repr(f"{before}{shown}{after}")

    return cut(old), cut(new)


def _same_pixels_or(path: Path, made: bytes) -> bytes:
    """The file's own bytes where it is a PNG of the same picture, else ``made``.

    Another release of a compression library writes the same pixels as other bytes.
    """
    if path.suffix != ".png":
        return made
    try:
        found = path.read_bytes()
        old, new = (imread(io.BytesIO(data), "png") for data in (found, made))
    except (OSError, ValueError, SyntaxError):  # The last is how a bad PNG is refused.
        return made
    return found if np.array_equal(old, new) else made

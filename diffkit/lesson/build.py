"""Build the lesson: one HTML file from rows, templates, styles and scripts.

The page asks nobody for anything: its content security policy allows the one style
sheet and the one script that it carries, by their hashes, and nothing else. Building it
twice from the same data gives the same bytes.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from diffkit.errors import ReportError
from diffkit.files import write_atomically
from diffkit.lesson import mathematics
from diffkit.lesson.data import Data, GapError, given
from diffkit.lesson.section import Section
from diffkit.lesson.sections import SECTIONS
from diffkit.measure.experiment import Registry
from diffkit.measure.machine import package_versions
from diffkit.report.chapters import LESSON

#: The page may be no larger, so that it can be handed around.
LARGEST_BYTES = 600_000


@dataclass(frozen=True, slots=True)
class Built:
    """The page, and what it could not show: a sentence for each gap."""

    html: str
    gaps: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """The size of the file."""
        return len(self.html.encode())


def page_path(reports: Path) -> Path:
    """Where the lesson lies in a folder of reports."""
    return reports / LESSON / "index.html"


def build(registry: Registry, reports: Path) -> Built:
    """The lesson from the data under ``reports``.

    A section whose rows are missing says what to run and is listed as a gap; so is one
    whose rows were measured by another version, which is shown.
    """
    data = Data(reports, registry.found)
    style, script = _assets("style", "css"), _script()
    gaps: list[str] = []
    shown = [_shown(section, data, gaps) for section in SECTIONS]
    html = (
        _environment()
        .get_template("page.html.j2")
        .render(
            sections=shown,
            gaps=gaps,
            style=Markup(style),  # ours, and it contains no tag
            script=Markup(script),
            style_hash=_digest(style),
            script_hash=_digest(script),
            made_from=made_from(reports, registry),
        )
    )
    return Built(html, tuple(gaps))


def write(built: Built, reports: Path) -> Path:
    """Write the page whole; raises `ReportError` where that cannot be done."""
    path = page_path(reports)
    if built.bytes > LARGEST_BYTES:
        raise ReportError(
            f"The lesson has {built.bytes:,} bytes and may have {LARGEST_BYTES:,}. "
            "Take rows out of the payload of a section."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, built.html.encode())
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror}") from error
    return path


def is_stale(registry: Registry, reports: Path) -> bool:
    """Whether the page is missing, or was made from other data or by other code."""
    try:
        text = page_path(reports).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return True
    said = re.search(r'<meta name="diffkit-lesson" content="(\w+)">', text)
    return said is None or said[1] != made_from(reports, registry)


def made_from(reports: Path, registry: Registry) -> str:
    """A hash of all that the page follows from: data, claims and the lesson's files."""
    digest = sha256(_version().encode())
    here = Path(__file__).parent
    files = [
        path
        for path in sorted(here.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    files += [registry[name].path for name in registry]
    files += [registry.root / "experiments" / "claims.toml"]
    files += [reports / name / "data.csv" for name in registry]
    for path in files:
        digest.update(path.name.encode())
        digest.update(path.read_bytes() if path.is_file() else b"missing")
    return digest.hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class _Shown:
    """A section as the page has it."""

    section: Section
    body: Markup
    payload: Markup | None
    notes: tuple[str, ...]


def _shown(section: Section, data: Data, gaps: list[str]) -> _Shown:
    number = section.number
    notes: list[str] = []
    try:
        view = section.view(data)
        body = (
            _environment()
            .get_template(f"{section.name}.html.j2")
            .render(**view.facts, section=section, commands=_commands(section, data))
        )
    except GapError as gap:
        notes.append(str(gap))
        body, payload = "", None
    else:
        payload = None if view.payload is None else Markup(compact_json(view.payload))
        notes += [*view.gaps, *_other_versions(section, data)]
    gaps += [f"Section {number}, {section.title}: {note}" for note in notes]
    return _Shown(section, Markup(body), payload, tuple(notes))


def _other_versions(section: Section, data: Data) -> list[str]:
    return [
        f"{name} was measured by diffkit {', '.join(sorted(others))}, and this is "
        f"{_version()}. Run '{data[name].command}'."
        for name in section.experiments
        if data.has(name) and (others := data[name].versions - {_version()})
    ]


def _version() -> str:
    return package_versions(("diffkit",))["diffkit"]


def _commands(section: Section, data: Data) -> Mapping[str, str]:
    return {name: data.command(name) for name in section.experiments}


def compact_json(payload: Any) -> str:
    """JSON for a script element: nothing ends the element, numbers have four figures.

    >>> print(compact_json({"loss": [0.123456789, 3], "word": "</script>"}))
    {"loss":[0.1235,3],"word":"\\u003c/script>"}
    """
    text = json.dumps(_rounded(payload), separators=(",", ":"), ensure_ascii=False)
    # Neither the end of the element nor a comment, which would swallow that end.
    return text.replace("<", "\\u003c")


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, str) or value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Sequence):
        return [_rounded(item) for item in value]
    number = float(value)
    if number != number or number in (float("inf"), float("-inf")):
        return None
    # What is counted is shown to the last digit, all else with four figures.
    counted = number.is_integer() or 1e5 <= abs(number) < 1e9
    rounded = float(f"{number:.0f}" if counted else f"{number:.4g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


@cache
def _environment() -> Environment:
    # A fact that is missing is an error, and everything is escaped.
    environment = Environment(
        loader=PackageLoader("diffkit.lesson", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["math"] = mathematics.math
    environment.globals["given"] = given
    return environment


def _script() -> str:
    """All scripts as one, each in a scope of its own; `core.js` is the first."""
    parts = [
        f"(() => {{\n{text}\n}})();"
        for text in _texts("script", "js", ("core", *(s.name for s in SECTIONS)))
    ]
    return '"use strict";\n' + "\n".join(parts)


def _assets(folder: str, suffix: str) -> str:
    names = ("page", *(section.name for section in SECTIONS))
    return "\n".join(_texts(folder, suffix, names))


def _texts(folder: str, suffix: str, names: Sequence[str]) -> list[str]:
    here = Path(__file__).parent / folder
    paths = [here / f"{name}.{suffix}" for name in names]
    return [without_notes(path.read_text("utf-8")) for path in paths if path.exists()]


def without_notes(text: str) -> str:
    r"""A script or style sheet without indentation and without lines of comment.

    The page is handed around, the files are read: see ``script`` and ``style``.

    >>> print(without_notes("// Why.\nif (a) {\n  go();  // now\n}"))
    if (a) {
    go();  // now
    }
    >>> print(without_notes("/* Type,\n   colours. */\n.a { top: 0; }"))
    .a { top: 0; }
    """
    text = re.sub(r"^\s*/\*.*?\*/\s*$", "", text, flags=re.DOTALL | re.MULTILINE)
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def _digest(text: str) -> str:
    return b64encode(sha256(text.encode()).digest()).decode()

"""A section of the lesson is a value: what it shows, from which rows and files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from diffkit.lesson.data import Data


@dataclass(frozen=True, slots=True)
class View:
    """What a section's template is given.

    ``facts`` are its variables: numbers, tables, drawings. ``payload`` is handed to the
    section's script as JSON; it holds rows only, rounded to what can be shown. ``gaps``
    says what is missing in a section that can be shown without it.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    payload: Mapping[str, Any] | None = None
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """One section: *predict, act, see what was measured, take away, check*.

    ``number`` is 0 to 12 or A; ``name`` is its anchor and names its files:
    ``templates/NAME.html.j2``, and where it has any ``script/NAME.js`` and
    ``style/NAME.css``. ``experiments`` are those whose rows it shows, ``claims`` what
    of the list of claims it answers (C…) or has (W…). ``view(data)`` raises `GapError`
    where a row is missing.
    """

    name: str
    number: str
    title: str
    experiments: tuple[str, ...]
    claims: tuple[str, ...]
    view: Callable[[Data], View]

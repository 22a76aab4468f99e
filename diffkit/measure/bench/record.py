"""Samples of benchmarks, as a value and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from diffkit.errors import ReportError, UserInputError
from diffkit.files import write_atomically

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Side:
    """One of the versions that were measured."""

    name: str
    commit: str


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds per call of one benchmark and of the ruler beside it, by side.

    ``errors`` say why a side has no samples.
    """

    group: str
    samples: dict[str, list[float]] = field(default_factory=dict)
    rulers: dict[str, list[float]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """Everything that one session measured."""

    machine: str
    fingerprint: str
    versions: str
    sides: Mapping[str, Side]
    benchmarks: Mapping[str, Measured]

    def renamed(self, old: str, new: str) -> Record:
        """The same record with one side called otherwise."""

        def moved(table: Mapping[str, Any]) -> dict[str, Any]:
            return {
                new if name == old else name: value for name, value in table.items()
            }

        return Record(
            self.machine,
            self.fingerprint,
            self.versions,
            {name: Side(name, side.commit) for name, side in moved(self.sides).items()},
            {
                name: Measured(
                    m.group, moved(m.samples), moved(m.rulers), moved(m.errors)
                )
                for name, m in self.benchmarks.items()
            },
        )


def merged(base: Record, head: Record) -> Record:
    """Two records of one side each as one of two, for a comparison.

    Raises `UserInputError` when they come from different machines: seconds of one say
    nothing about the other.
    """
    if base.fingerprint != head.fingerprint:
        raise UserInputError(
            f"The two records come from different machines ({base.machine}; "
            f"{head.machine}), and times are never compared across machines. Measure "
            "both here: diffkit bench compare REVISION REVISION."
        )
    for what, record in (("first", base), ("second", head)):
        if len(record.sides) != 1:
            raise UserInputError(
                f"The {what} record has the sides {', '.join(record.sides)}: compare "
                "records of `diffkit bench run`, which have one."
            )
    base = base.renamed(next(iter(base.sides)), "base")
    head = head.renamed(next(iter(head.sides)), "head")
    benchmarks = {}
    for name in dict.fromkeys((*base.benchmarks, *head.benchmarks)):
        one, other = base.benchmarks.get(name), head.benchmarks.get(name)
        present = [m for m in (one, other) if m is not None]
        errors = {key: text for m in present for key, text in m.errors.items()}
        if one is None:
            errors["base"] = "the base was not asked for it"
        if other is None:
            errors["head"] = "the head was not asked for it"
        benchmarks[name] = Measured(
            present[0].group,
            {side: kept for m in present for side, kept in m.samples.items()},
            {side: kept for m in present for side, kept in m.rulers.items()},
            errors,
        )
    return Record(
        head.machine,
        head.fingerprint,
        head.versions,
        {**base.sides, **head.sides},
        benchmarks,
    )


def write_record(record: Record, path: Path) -> None:
    """Write a record whole; raises `ReportError` where that cannot be done."""
    text = json.dumps({"format": FORMAT, **asdict(record)}, indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror}") from error


def read_record(path: Path) -> Record:
    """The record that `write_record` wrote; raises `UserInputError` for any other."""
    try:
        return from_plain(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserInputError(
            f"{path} is not a record of benchmarks of format {FORMAT}: {error!r}. "
            "Write one with `diffkit bench run --output FILE`."
        ) from error


def from_plain(plain: Mapping[str, Any]) -> Record:
    """A record from the plain values of its JSON."""
    if plain["format"] != FORMAT:
        raise ValueError(f"its format is {plain['format']}")
    return Record(
        str(plain["machine"]),
        str(plain["fingerprint"]),
        str(plain["versions"]),
        {name: Side(**side) for name, side in plain["sides"].items()},
        {name: Measured(**measured) for name, measured in plain["benchmarks"].items()},
    )

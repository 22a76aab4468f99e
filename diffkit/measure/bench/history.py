"""What was measured before: one line of history a session, in one JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from diffkit.errors import ReportError, UserInputError
from diffkit.files import write_atomically
from diffkit.measure.bench.record import FORMAT, Record
from diffkit.measure.bench.verdicts import normalised


@dataclass(frozen=True, slots=True)
class Entry:
    """One session's times in rulers, by benchmark, and what they were measured on.

    Entries of one ``fingerprint`` (a machine) may be compared, others not.
    """

    date: str
    commit: str
    fingerprint: str
    machine: str
    groups: Mapping[str, str]
    times: Mapping[str, float]


def entry_of(record: Record, side: str, date: str) -> Entry:
    """What a record adds to the history: the benchmarks that ran on ``side``."""
    ran = {n: m for n, m in record.benchmarks.items() if side in m.samples}
    return Entry(
        date,
        record.sides[side].commit,
        record.fingerprint,
        record.machine,
        {name: measured.group for name, measured in ran.items()},
        {name: normalised(m.samples[side], m.rulers[side]) for name, m in ran.items()},
    )


def read_history(path: Path) -> tuple[Entry, ...]:
    """The entries of a history file, oldest first; none where there is no file yet.

    Raises `UserInputError` for a file that is something else: it is never overwritten.
    """
    try:
        plain = json.loads(path.read_text("utf-8"))
        if plain["format"] != FORMAT:
            raise ValueError(f"its format is {plain['format']}")
        return tuple(Entry(**entry) for entry in plain["entries"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserInputError(
            f"{path} is not a history of benchmarks of format {FORMAT}: {error!r}. It "
            "was left as it is; move it away, or name another file."
        ) from error


def write_history(entries: Sequence[Entry], path: Path) -> None:
    """Write a history whole; raises `ReportError` where that cannot be done."""
    plain = {"format": FORMAT, "entries": [asdict(entry) for entry in entries]}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(plain, indent=1).encode())
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror}") from error

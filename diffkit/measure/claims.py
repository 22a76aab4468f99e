"""The claims that experiments answer: what was said, and where."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffkit.errors import ExperimentError

#: Beside the experiments of a project.
FILE = "claims.toml"


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement of the sources, word for word or shortened."""

    name: str
    sources: tuple[str, ...]
    text: str

    @property
    def number(self) -> int:
        """The place in the list: 7 of C7."""
        return int(self.name[1:])


def read_claims(folder: Path) -> Mapping[str, Claim]:
    """The claims of the experiments in ``folder``, by name; none where none are listed.

    Raises `ExperimentError` when the list cannot be read.
    """
    record = _read(folder)
    try:
        return {
            name: Claim(name, tuple(said["sources"]), str(said["text"]))
            for name, said in record.get("claims", {}).items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise _unreadable(folder, error) from error


def read_sources(folder: Path) -> Mapping[str, str]:
    """Titles of the sources that claims name by a letter, as listed beside them.

    Raises `ExperimentError` when the list cannot be read.
    """
    record = _read(folder)
    try:
        return {name: str(title) for name, title in record.get("sources", {}).items()}
    except (TypeError, AttributeError) as error:
        raise _unreadable(folder, error) from error


def _read(folder: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads((folder / FILE).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: Exception) -> ExperimentError:
    return ExperimentError(
        f"{folder / FILE} does not list claims: {error}. Each is a table [claims.C1] "
        "with sources = [...] and text = '...'."
    )

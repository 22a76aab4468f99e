"""The claims that experiments answer: what was said, and where."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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
    path = folder / FILE
    try:
        record = tomllib.loads(path.read_text("utf-8"))
        return {
            name: Claim(name, tuple(said["sources"]), str(said["text"]))
            for name, said in record["claims"].items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExperimentError(
            f"{path} does not list claims: {error}. Each is a table [claims.C1] with "
            "sources = [...] and text = '...'."
        ) from error

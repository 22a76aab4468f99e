"""An experiment is a value: its question, its cases, how one is measured, what it says.

A file ``experiments/NAME.py`` defines one module-level ``EXPERIMENT``. The same value
drives the sweep, the report page, the tests and the benchmarks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from diffkit.errors import ExperimentError, unknown_name
from diffkit.measure.claims import Claim, read_claims
from diffkit.measure.rows import Case, Row
from diffkit.measure.user_code import load_file

Mode = Literal["quick", "full"]
MODES: tuple[Mode, ...] = ("quick", "full")
Holds = Literal["right", "wrong", "conditional", "measured"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rows say about one claim of ``claims.toml``."""

    claim: str
    measured: str
    holds: Holds


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that prose may say: named facts taken from the rows, and verdicts.

    Facts fill the ``{placeholders}`` of the experiment's ``answer`` and ``page``.
    """

    facts: Mapping[str, Any]
    verdicts: tuple[Verdict, ...] = ()


@dataclass(frozen=True, slots=True)
class Experiment:
    """One question put to the backends.

    ``cases(mode)`` lists what to measure; ``measure(case)`` gives the rows of one case
    and runs in a process of its own; ``figure(rows)`` gives a Matplotlib figure;
    ``findings(rows)`` gives the facts; ``answer`` and ``page`` are Markdown templates
    that contain no typed number. ``metrics`` says what each column of the data means;
    ``tables(rows)`` gives the tables beside the figure (title → Markdown), which
    without it are one: the first of ``metrics`` by case. All of them must do with rows
    that are missing. ``packages`` are optional ones that cells measure where they are
    installed: once one is, or is another version, cells are measured again.
    """

    name: str
    question: str
    claims: tuple[str, ...]
    cases: Callable[[Mode], Sequence[Case]]
    measure: Callable[[Case], Sequence[Row]]
    figure: Callable[[Sequence[Row]], Any]
    findings: Callable[[Sequence[Row]], Findings]
    answer: str
    page: str
    metrics: Mapping[str, str] = field(default_factory=dict)
    tables: Callable[[Sequence[Row]], Mapping[str, str]] | None = None
    packages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise ExperimentError(
                f"{self.name!r} cannot name an experiment: use a-z, 0-9 and _."
            )
        if not self.question.endswith("?"):
            raise ExperimentError(
                f"The question of {self.name!r} has to end in a question mark."
            )
        for claim in self.claims:
            if not re.fullmatch(r"[CW][0-9]+", claim):
                raise ExperimentError(
                    f"{self.name!r} names the claim {claim!r}; claims are C1, C2, ..."
                )


@dataclass(frozen=True, slots=True)
class Found:
    """An experiment and the file that defines it."""

    experiment: Experiment
    path: Path

    @property
    def claims(self) -> Mapping[str, Claim]:
        """The claims listed beside the file."""
        return read_claims(self.path.parent)


@dataclass(frozen=True, slots=True)
class Registry:
    """The experiments of one project folder, by name."""

    root: Path
    found: Mapping[str, Found]

    def __getitem__(self, name: str) -> Found:
        if name not in self.found:
            raise unknown_name("experiment", name, self.found)
        return self.found[name]

    def __iter__(self):
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)


def project_root(start: Path | None = None) -> Path:
    """The nearest folder upwards from ``start`` that has an ``experiments`` folder.

    Falls back to the source checkout that this package was installed from. Raises
    `ExperimentError` when there is neither.
    """
    start = (start or Path.cwd()).resolve()
    checkout = Path(__file__).resolve().parents[2]
    for folder in (start, *start.parents, checkout):
        if any((folder / "experiments").glob("*.py")):
            return folder
    raise ExperimentError(
        f"There is no 'experiments' folder in {start} or above it, and diffkit was not "
        "installed from a source checkout. Change into the project's folder."
    )


def discover(root: Path | None = None) -> Registry:
    """Load every experiment of a project; files that begin with ``_`` are helpers."""
    root = root or project_root()
    paths = experiment_paths(root)
    return Registry(root, {path.stem: load_experiment(path) for path in paths})


def experiment_paths(root: Path) -> list[Path]:
    """The files of a project's experiments; raises `ExperimentError` without any."""
    paths = sorted((root / "experiments").glob("[!_]*.py"))
    if not paths:
        raise ExperimentError(f"There is no experiment in {root / 'experiments'}.")
    return paths


def load_experiment(path: Path) -> Found:
    """The experiment that a file defines; raises `ExperimentError` when it has none."""
    module = load_file(path)
    experiment = getattr(module, "EXPERIMENT", None)
    if not isinstance(experiment, Experiment):
        raise ExperimentError(
            f"{path} does not define EXPERIMENT = diffkit.measure.Experiment(...)."
        )
    if experiment.name != path.stem:
        raise ExperimentError(
            f"{path} defines the experiment {experiment.name!r}; file and experiment "
            "have to have one name."
        )
    return Found(experiment, path)

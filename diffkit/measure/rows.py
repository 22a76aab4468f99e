"""One measurement is one row, whatever was measured.

Every experiment gives the same tidy rows: what was asked (experiment, case), how the
derivative was obtained (backend), what ran the arithmetic (runtime: a separate field,
because comparing differences on NumPy with reverse mode on the engine would compare
NumPy with the engine), one metric whose name ends in its unit, and how it ended. A
cell that a limit stopped is a row with another status, never a hole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from diffkit.errors import ExperimentError
from diffkit.measure.limits import STATUSES, Limits
from diffkit.measure.timers import Timing

Scalar = str | int | float | bool | None

RUNTIMES = ("numpy", "engine", "none", "xla", "torch", "casadi")
#: What a metric's name may end in: its unit, or what is counted.
UNITS = (
    "seconds",
    "bytes",
    "operations",
    "evaluations",
    "nodes",
    "ratio",
    "error",
    "bits",
    "ulps",
    "parameters",
    "count",
    "flops",
    "loss",
    "accuracy",
    "value",
)
#: The metric that says how a cell as a whole ended, and how long it took.
CELL_METRIC = "cell_seconds"
#: The metric that says what the harness took beside a timed cell.
HARNESS_METRIC = "harness_seconds"
#: What the harness itself writes down of a cell, whatever the experiment.
BOOKKEEPING: Mapping[str, str] = {
    CELL_METRIC: "the whole cell, with how it ended",
    HARNESS_METRIC: "starting, asking and ending the process of a timed cell",
}


@dataclass(frozen=True, slots=True)
class Case:
    """What one cell measures, and the limits it runs under.

    ``parameters`` are the experiment's own fields (depth, width, batch ...), each of
    them a column of the data. ``timed`` cells (any that measure seconds, or by how much
    a process grows) have a fresh process and run alone; counted ones share the machine
    with others, and their process with those before them.
    """

    experiment: str
    parameters: tuple[tuple[str, Scalar], ...]
    backend: str
    runtime: str = "none"
    seed: int = 0
    timed: bool = True
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.runtime not in RUNTIMES:
            raise ExperimentError(
                f"A case of {self.experiment!r} names the runtime {self.runtime!r}; "
                f"it has to be one of {', '.join(RUNTIMES)}."
            )

    def __getitem__(self, name: str) -> Any:
        for key, value in self.parameters:
            if key == name:
                return value
        raise KeyError(name)

    @property
    def label(self) -> str:
        """A short name for progress lines: ``autodiff depth=4``."""
        named = " ".join(f"{key}={value}" for key, value in self.parameters)
        return f"{self.backend} {named}".strip()

    def key(self, measuring_code: str) -> str:
        """Hash of the case and of the code that measures it: the name of its cell."""
        text = json.dumps([asdict(self), measuring_code], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def row(
        self,
        metric: str,
        value: float | np.generic | None,
        *,
        samples: Iterable[Any] = (),
        status: str = "ok",
        message: str = "",
    ) -> Row:
        """A row of this case; the sweep stamps machine, versions and commit on it."""
        return Row(
            experiment=self.experiment,
            parameters=self.parameters,
            backend=self.backend,
            runtime=self.runtime,
            metric=metric,
            # NumPy's scalars would be written as their repr.
            value=value.item() if isinstance(value, np.generic) else value,
            status=status,
            message=message,
            # Seven figures: no clock has more, and the files stay small.
            samples=tuple(float(f"{sample:.6e}") for sample in samples),
            seed=self.seed,
        )

    def timing(self, metric: str, timing: Timing) -> Row:
        """A row of a `Timing`: its median, its samples, and what was discarded."""
        return self.row(
            metric, timing.median_seconds, samples=timing.samples, message=timing.note
        )


def case(
    experiment: str,
    backend: str,
    *,
    runtime: str = "none",
    seed: int = 0,
    timed: bool = True,
    limits: Limits | None = None,
    **parameters: Scalar,
) -> Case:
    """A `Case` whose parameters are keyword arguments.

    >>> case("cost_vs_depth", "autodiff", runtime="engine", depth=4)["depth"]
    4
    """
    return Case(
        experiment,
        tuple(parameters.items()),
        backend,
        runtime,
        seed,
        timed,
        limits or Limits(),
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One measured value, or the reason why there is none.

    ``value`` is None exactly where nothing was measured; integers stay Python
    integers, so that a tree of 10⁹⁸ operations keeps every digit. ``threads`` is the
    size of the largest thread pool, ``collector`` says when garbage was collected.
    """

    experiment: str
    parameters: tuple[tuple[str, Scalar], ...]
    backend: str
    runtime: str
    metric: str
    value: float | None
    status: str = "ok"
    message: str = ""
    samples: tuple[float, ...] = ()
    seed: int = 0
    threads: int = 0
    machine: str = ""
    versions: str = ""
    commit: str = ""
    collector: str = ""

    def __post_init__(self) -> None:
        where = f"A row of {self.experiment!r} ({self.backend})"
        if self.status not in STATUSES:
            raise ExperimentError(
                f"{where} has the status {self.status!r}; it has to be one of "
                f"{', '.join(STATUSES)}."
            )
        if self.metric.rsplit("_", 1)[-1] not in UNITS:
            raise ExperimentError(
                f"{where} has the metric {self.metric!r}, which does not end in a "
                f"unit. Units: {', '.join(UNITS)}."
            )
        if (self.status == "ok") != (self.value is not None) and not (
            self.metric == CELL_METRIC
        ):
            raise ExperimentError(
                f"{where}, metric {self.metric!r}, has the status {self.status!r} and "
                f"the value {self.value!r}: a row has a value exactly when it is ok."
            )

    def __getitem__(self, name: str) -> Any:
        for key, value in self.parameters:
            if key == name:
                return value
        raise KeyError(name)

    def get(self, name: str, default: Any = None) -> Any:
        """A parameter of the case, ``default`` where the case has no such one."""
        return dict(self.parameters).get(name, default)

    def stamped(self, **facts: Any) -> Row:
        """The same row with facts about the run filled in."""
        return replace(self, **facts)

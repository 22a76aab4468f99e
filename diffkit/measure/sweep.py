"""Measure every case of an experiment, one cell after the other, and lose nothing.

Each cell runs in a process of its own under its limits and is kept as soon as it is
finished. Stop the sweep at any point and start it again: what is finished is taken
from disk. Cells that failed (an error, a missing package) are tried again; cells that
a limit stopped are results and are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from diffkit.errors import ExperimentError
from diffkit.measure.cells import CorruptCellError, Store, measuring_code
from diffkit.measure.experiment import Found, Mode, load_experiment
from diffkit.measure.limits import LimitedRunner, Outcome
from diffkit.measure.machine import commit_of, this_machine, versions_text
from diffkit.measure.rows import CELL_METRIC, Case, Row
from diffkit.measure.store.run_store import open_run


@dataclass(frozen=True, slots=True)
class Cell:
    """One finished cell: what ran, how it ended, and whether it came from disk."""

    number: int
    total: int
    case: Case
    status: str
    seconds: float
    message: str = ""
    reused: bool = False


@dataclass(frozen=True, slots=True)
class Sweep:
    """The rows of a sweep, and how its cells ended."""

    rows: tuple[Row, ...]
    cells: tuple[Cell, ...]
    damaged: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[Cell, ...]:
        """Cells whose measurement raised: a sweep with any is not a success."""
        return tuple(cell for cell in self.cells if cell.status == "error")


class SweepInterruptedError(ExperimentError):
    """Ctrl-C during a sweep: how many cells are finished and kept."""

    def __init__(self, name: str, finished: int, total: int) -> None:
        self.name, self.finished, self.total = name, finished, total
        super().__init__(
            f"Interrupted: {finished} of {total} cells of {name!r} are finished and "
            "kept. Run the same command again to go on from there."
        )


def run_sweep(
    found: Found,
    mode: Mode,
    root: Path,
    *,
    on_cell: Callable[[Cell], None] = lambda cell: None,
    on_start: Callable[[int, int, Case], None] = lambda number, total, case: None,
    store: Store | None = None,
) -> Sweep:
    """Measure the cases of an experiment that are not measured yet.

    ``on_start(number, total, case)`` is called before a cell is measured,
    ``on_cell(cell)`` after each. Raises `SweepInterruptedError` on Ctrl-C, with
    everything finished so far kept. Without a ``store`` the sweep is a run of its own
    in the store of the project at ``root``.
    """
    if store is None:
        with open_run(root, mode) as opened:
            swept = run_sweep(
                found, mode, root, on_cell=on_cell, on_start=on_start, store=opened
            )
            return replace(swept, damaged=(*opened.notices, *swept.damaged))
    experiment = found.experiment
    cases = list(experiment.cases(mode))
    _check(experiment.name, cases)
    code = measuring_code(found.path)
    rows: list[Row] = []
    cells: list[Cell] = []
    damaged: list[str] = []
    runner: LimitedRunner | None = None
    try:
        for number, case in enumerate(cases, start=1):
            key = case.key(code)
            known = None
            try:
                known = store.load(key)
            except CorruptCellError as error:
                damaged.append(str(error))
            if known is not None:
                ended = next(row for row in known if row.metric == CELL_METRIC)
                cell = Cell(
                    number,
                    len(cases),
                    case,
                    ended.status,
                    float(ended.value or 0.0),
                    ended.message,
                    reused=True,
                )
                measured = known
            else:
                on_start(number, len(cases), case)
                if runner is None:
                    runner = LimitedRunner()
                    runner.__enter__()
                outcome = runner.run(
                    measure_cell, str(found.path), case, limits=case.limits
                )
                outcome = _ended(outcome)
                measured = _stamped(case, outcome, root)
                store.save(key, measured)
                cell = Cell(
                    number,
                    len(cases),
                    case,
                    outcome.status,
                    outcome.seconds,
                    outcome.message,
                )
            rows.extend(measured)
            cells.append(cell)
            on_cell(cell)
    except KeyboardInterrupt:
        raise SweepInterruptedError(experiment.name, len(cells), len(cases)) from None
    finally:
        if runner is not None:
            runner.__exit__()
    return Sweep(tuple(rows), tuple(cells), tuple(damaged))


def measure_cell(path: str, case: Case) -> list[Row]:
    """In the cell's process: load the experiment's file and measure one case."""
    rows = list(load_experiment(Path(path)).experiment.measure(case))
    for row in rows:
        if not isinstance(row, Row) or row.parameters != case.parameters:
            raise ExperimentError(
                f"{case.experiment!r} gave something else than rows of its case: "
                "build them with case.row(metric, value)."
            )
    return rows


def _ended(outcome: Outcome) -> Outcome:
    """The outcome of a cell that measured something before a budget stopped it.

    Such a cell gives rows, one of which is not ok: that one says how the cell ended.
    """
    stopped = [row for row in outcome.value or () if row.status != "ok"]
    if outcome.status != "ok" or not stopped:
        return outcome
    first = stopped[0]
    return replace(outcome, status=first.status, message=first.message)


def _stamped(case: Case, outcome: Outcome, root: Path) -> tuple[Row, ...]:
    """Rows of a cell, a last one for the cell itself, with the facts of the run."""
    ended = case.row(
        CELL_METRIC,
        outcome.seconds,
        status=outcome.status,
        message=outcome.message,
    )
    return tuple(
        row.stamped(
            threads=1,
            machine=str(this_machine()),
            versions=versions_text(),
            commit=commit_of(root),
        )
        for row in (*(outcome.value or ()), ended)
    )


def _check(name: str, cases: Sequence[Case]) -> None:
    if not cases:
        raise ExperimentError(f"The experiment {name!r} has no cases.")
    if len(set(cases)) != len(cases):
        raise ExperimentError(f"The experiment {name!r} lists a case twice.")
    for case in cases:
        if case.experiment != name:
            raise ExperimentError(
                f"A case of {name!r} says that it belongs to {case.experiment!r}."
            )

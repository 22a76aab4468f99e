"""Measure every case of one experiment or of several, and lose nothing.

An executor runs the cells, under their limits; each is kept as soon as it is finished,
by this process and no other. Stop the sweep at any point and start it again: what is
finished is taken from disk. Cells that failed (an error, a missing package) are tried
again; cells that a limit stopped are results and are kept. Rows come in the order of
the cases, whichever cell was finished first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from diffkit.errors import ExperimentError
from diffkit.measure.cells import CorruptCellError, Store, measuring_code
from diffkit.measure.executors import Ended, Executor, Local, Task
from diffkit.measure.experiment import Found, Mode
from diffkit.measure.machine import commit_of
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
            f"Interrupted: {finished} of {total} cells of {name} are finished and "
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
    executor: Executor | None = None,
) -> Sweep:
    """Measure the cases of one experiment that are not measured yet: `run_sweeps`."""
    (swept,) = run_sweeps(
        [found],
        mode,
        root,
        on_cell=on_cell,
        on_start=on_start,
        store=store,
        executor=executor,
    )
    return swept


def run_sweeps(
    found: Sequence[Found],
    mode: Mode,
    root: Path,
    *,
    on_cell: Callable[[Cell], None] = lambda cell: None,
    on_start: Callable[[int, int, Case], None] = lambda number, total, case: None,
    store: Store | None = None,
    executor: Executor | None = None,
    last_seconds: Mapping[Case, float] | None = None,
) -> list[Sweep]:
    """Measure what is not measured yet of several experiments, as one queue.

    ``on_start(number, total, case)`` is called before a cell is measured, where the
    executor knows when; ``on_cell(cell)`` after each. Number and total are those of its
    experiment. The ``executor`` measures one cell at a time unless given; it may begin
    with those that took longest by ``last_seconds``. Without a ``store`` the sweep is a
    run of its own in the store of the project at ``root``, which knows those seconds.
    Raises `SweepInterruptedError` on Ctrl-C, with everything finished so far kept.
    """
    if store is None:
        with open_run(root, mode) as opened:
            cases = [case for item in found for case in item.experiment.cases(mode)]
            given = {"on_cell": on_cell, "on_start": on_start, "executor": executor}
            given["last_seconds"] = opened.last_seconds(cases)
            sweeps = run_sweeps(found, mode, root, store=opened, **given)
            first = replace(sweeps[0], damaged=(*opened.notices, *sweeps[0].damaged))
            return [first, *sweeps[1:]]
    parts = [_Part(item, mode, store) for item in found]
    places = [(part, number) for part in parts for number in range(len(part.cases))]
    try:
        with executor or Local() as running:
            tasks: list[Task] = []
            for place, (part, number) in enumerate(places):
                if number == 0:
                    part.code = measuring_code(
                        part.found.path,
                        running.fingerprint,
                        part.found.experiment.packages,
                    )
                if (cell := part.load(number)) is not None:
                    on_cell(cell)
                else:
                    path, case = str(part.found.path), part.cases[number]
                    seconds = last_seconds.get(case) if last_seconds else None
                    tasks.append(Task(place, path, case, seconds))

            def start(task: Task) -> None:
                part, number = places[task.place]
                on_start(number + 1, len(part.cases), task.case)

            # Closed at once when something is raised: that ends what still runs.
            with closing(running.run(tasks, start)) as endings:
                for ended in endings:
                    part, number = places[ended.place]
                    on_cell(part.keep(number, ended, commit_of(root)))
    except KeyboardInterrupt:
        finished = sum(len(part.cells) for part in parts)
        names = ", ".join(repr(part.name) for part in parts)
        raise SweepInterruptedError(names, finished, len(places)) from None
    return [part.swept() for part in parts]


class _Part:
    """One experiment of a sweep: its cases, and what is finished of them."""

    def __init__(self, found: Found, mode: Mode, store: Store) -> None:
        self.found, self.name = found, found.experiment.name
        self.cases = list(found.experiment.cases(mode))
        _check(self.name, self.cases)
        self.store = store
        self.code = ""
        self.cells: dict[int, Cell] = {}
        self.rows: dict[int, tuple[Row, ...]] = {}
        self.damaged: list[str] = []

    def load(self, number: int) -> Cell | None:
        """A cell that is finished and kept; what cannot be read is remembered."""
        try:
            rows = self.store.load(self.cases[number].key(self.code))
        except CorruptCellError as error:
            self.damaged.append(str(error))
            return None
        if rows is None:
            return None
        about = next(row for row in rows if row.metric == CELL_METRIC)
        seconds = float(about.value or 0.0)
        return self._done(number, rows, about.status, seconds, about.message, True)

    def keep(self, number: int, ended: Ended, commit: str) -> Cell:
        """Store a cell that has just ended."""
        rows = tuple(row.stamped(commit=commit) for row in ended.rows)
        self.store.save(self.cases[number].key(self.code), rows)
        how = ended.status, ended.seconds, ended.message
        return self._done(number, rows, *how, False)

    def swept(self) -> Sweep:
        """Everything in the order of the cases."""
        order = range(len(self.cases))
        rows = tuple(row for number in order for row in self.rows[number])
        cells = tuple(self.cells[number] for number in order)
        return Sweep(rows, cells, tuple(self.damaged))

    def _done(
        self,
        number: int,
        rows: tuple[Row, ...],
        status: str,
        seconds: float,
        message: str,
        reused: bool,
    ) -> Cell:
        case, total = self.cases[number], len(self.cases)
        cell = Cell(number + 1, total, case, status, seconds, message, reused)
        self.cells[number], self.rows[number] = cell, rows
        return cell


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

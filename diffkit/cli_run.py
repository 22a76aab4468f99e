"""Running experiments and checking a user's function, for the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

import diffkit as dk
from diffkit import measure, report
from diffkit.cli_show import meter, near, note, warn
from diffkit.errors import UserInputError

_WAYS_TO_STOP = {
    "ok": "",
    "timeout": "timeout: ",
    "out_of_memory": "out of memory: ",
    "too_large": "too large: ",
    "unavailable": "unavailable: ",
    "error": "ERROR: ",
}


def options(command: Callable[..., int]) -> Callable[..., int]:
    """The options of a sweep, for a command that hands them to `run_experiments`."""
    for option in reversed(
        (
            click.option(
                "--quick/--full",
                default=True,
                help="The small cases (minutes) or all of them. Default: quick.",
            ),
            click.option(
                "--output",
                type=click.Path(path_type=Path),
                help="Folder for the report. Default: reports/ of the project.",
            ),
            click.option(
                "--workers",
                type=click.IntRange(min=1),
                default=1,
                help="Counted cells that are measured at once. Default: 1.",
            ),
            click.option(
                "--dask",
                metavar="ADDRESS",
                help="Measure on the cluster of this Dask scheduler: tcp://HOST:8786.",
            ),
        )
    ):
        command = option(command)
    return command


def nothing_to_do(
    root: Path,
    names: Sequence[str],
    *,
    quick: bool,
    output: Path | None = None,
    workers: int = 1,
    dask: str | None = None,
) -> bool:
    """Say so where the same sweep is complete and nothing has changed since.

    Known without loading an experiment. A cluster may have other machines by now: it is
    always asked.
    """
    if dask or workers < 1:
        return False
    mode = "quick" if quick else "full"
    said = measure.finished(root, names, mode, output or root / "reports")
    if said is not None:
        note(said)
    return said is not None


def run_experiments(
    registry: measure.Registry,
    found: Sequence[measure.Found],
    *,
    quick: bool,
    output: Path | None = None,
    workers: int = 1,
    dask: str | None = None,
) -> bool:
    """Sweep all experiments as one queue, then report each.

    False when a cell raised an error. The folders of all reports are tried before
    anything is measured.
    """
    if dask and workers != 1:
        raise UserInputError(
            "--workers counts processes of this machine, and --dask uses those of a "
            "cluster: give one of them."
        )
    mode: measure.Mode = "quick" if quick else "full"
    running = measure.Cluster(dask) if dask else measure.Local(workers)
    reports = output or registry.root / "reports"
    for item in found:
        report.check_writable(reports / item.experiment.name)
    if not dask:
        measure.fill_engine_cache()
    failed = 0
    with measure.open_run(registry.root, mode) as store:
        sweeps = _sweep(found, mode, registry.root, store, running)
        new = []
        for item, swept in zip(found, sweeps, strict=True):
            name = item.experiment.name
            failed += len(swept.failed)
            if report.write_data(item, swept.rows, reports, mode):
                new.append(name)
            note(f"{name}: {_summary(swept)} → {near(reports / name / 'README.md')}")
            for cell in swept.failed:
                warn(f"{name}, {cell.case.label}: {cell.message}")
        for text in store.notices:
            warn(text)
        note(f"run {store.run} → {near(store.path)}")
    problems: Sequence[str] = ()
    if not new and (reports / "README.md").exists():
        note("nothing new: pages are left as they are (`diffkit report` writes them)")
    else:
        _, problems = report.write_pages(registry, reports, new, mode=mode)
        for problem in problems:
            warn(problem)
        note(f"{len(new)} pages and the index → {near(reports / 'README.md')}")
    cells = [cell for swept in sweeps for cell in swept.cells]
    if not dask and not problems and all(c.status in measure.KEPT for c in cells):
        _note_finished(registry.root, found, mode, reports, len(cells), store.run)
    return failed == 0 and not problems


def _note_finished(
    root: Path,
    found: Sequence[measure.Found],
    mode: str,
    reports: Path,
    cells: int,
    run: int,
) -> None:
    names = [item.experiment.name for item in found]
    many = f"{len(names)} experiment{'s' if len(names) > 1 else ''}"
    measure.note_finished(
        root,
        names,
        mode,
        reports,
        [package for item in found for package in item.experiment.packages],
        f"nothing to do: all {cells} cells of {many} are finished, "
        f"and nothing has changed since run {run} → {near(reports / 'README.md')}",
    )


def _sweep(
    found: Sequence[measure.Found],
    mode: measure.Mode,
    root: Path,
    store: measure.RunStore,
    running: measure.Executor,
) -> list[measure.Sweep]:
    cases = [case for item in found for case in item.experiment.cases(mode)]
    total, done = len(cases), 0
    known = store.last_seconds(cases)
    left: measure.TimeLeft | None = None
    with meter(found[0].experiment.name if len(found) == 1 else "all") as shown:

        def label(case: measure.Case) -> str:
            return case.label if len(found) == 1 else f"{case.experiment} {case.label}"

        def did(cell: measure.Cell) -> None:
            nonlocal done, left
            done += 1
            # Only now: a cluster knows its workers while the sweep is connected to it.
            left = left or measure.TimeLeft(cases, running.workers, known)
            left.did(cell.case, cell.seconds, reused=cell.reused)
            how = "kept from before" if cell.reused else f"{cell.seconds:.2f} s"
            why = f"{_WAYS_TO_STOP[cell.status]}{cell.message}".strip()
            text = f"{label(cell.case)}: {why or how}"
            important = cell.status != "ok" or done == total
            shown.did(done, total, text, left=left.seconds, important=important)

        sweeps = measure.run_sweeps(
            found,
            mode,
            root,
            on_start=lambda number, of, case: shown.doing(done + 1, total, label(case)),
            on_cell=did,
            store=store,
            executor=running,
            last_seconds=known,
        )
    for swept in sweeps:
        for text in swept.damaged:
            warn(f"{text} It was measured again.")
    return sweeps


def _summary(swept: measure.Sweep) -> str:
    counts: dict[str, int] = {}
    for cell in swept.cells:
        counts[cell.status] = counts.get(cell.status, 0) + 1
    parts = [f"{count} {status.replace('_', ' ')}" for status, count in counts.items()]
    reused = sum(cell.reused for cell in swept.cells)
    kept = f", {reused} kept from before" if reused else ""
    return f"{len(swept.cells)} cells ({', '.join(parts)}{kept})"


def check_function(
    target: str,
    backend: str,
    against: str,
    argnums: int | tuple[int, ...],
    tolerance: float | None,
) -> str:
    """Check the gradient of ``module:function``: the report, or raises when it fails.

    Raises `UserInputError` when there are no example arguments.
    """
    function, arguments = function_and_arguments(target)
    result = dk.check_grads(
        function,
        arguments,
        argnums=argnums,
        backend=backend,
        against=against,
        tolerance=tolerance,
    )
    return str(result)


def function_and_arguments(
    target: str,
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The function that ``module:function`` names, and the example to run it at.

    Raises `UserInputError` for what is no function, and without example arguments.
    """
    module, function = measure.load_attribute(target)
    if not callable(function):
        raise UserInputError(
            f"{target} is a {type(function).__name__}, not a function of arrays."
        )
    return function, example_arguments(module, function, target)


def argument_numbers(text: str) -> int | tuple[int, ...]:
    """Positions of arguments as they are typed.

    >>> argument_numbers("0"), argument_numbers("0,1")
    (0, (0, 1))
    """
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UserInputError(
            f"{text!r} does not list argument positions: write 0 or 0,1."
        ) from None
    return numbers[0] if len(numbers) == 1 else numbers


def example_arguments(module: Any, function: Any, target: str) -> tuple[Any, ...]:
    """The arguments to check a function at.

    ``function.example_args`` first, then the module's ``EXAMPLE_ARGS`` (a dict of them
    is asked by the function's name); either may be a function that returns them.
    """
    name = target.rpartition(":")[2].rpartition(".")[2]
    arguments = getattr(function, "example_args", None)
    if arguments is None:
        arguments = getattr(module, "EXAMPLE_ARGS", None)
        if isinstance(arguments, dict):
            arguments = arguments.get(name)
    if callable(arguments):
        arguments = arguments()
    if arguments is None:
        raise UserInputError(
            f"There is no example to check {target} at. Set {name}.example_args = "
            "(w, x, ...), or EXAMPLE_ARGS = (w, x, ...) in its module; a function that "
            "returns the tuple will do too."
        )
    if not isinstance(arguments, tuple | list):
        raise UserInputError(
            f"The example arguments of {target} are a {type(arguments).__name__}; they "
            "have to be a tuple with one entry per argument, such as (w,)."
        )
    return tuple(arguments)

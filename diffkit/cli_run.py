"""Running experiments and checking a user's function, for the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffkit as dk
from diffkit import measure, report
from diffkit.cli_show import meter, near, note, warn
from diffkit.errors import PageError, UserInputError

_WAYS_TO_STOP = {
    "ok": "",
    "timeout": "timeout: ",
    "out_of_memory": "out of memory: ",
    "too_large": "too large: ",
    "unavailable": "unavailable: ",
    "error": "ERROR: ",
}


def run_experiments(
    registry: measure.Registry,
    found: Sequence[measure.Found],
    mode: measure.Mode,
    output: Path | None,
) -> bool:
    """Sweep and report each experiment; False when a cell raised an error.

    The folders of all reports are tried before anything is measured.
    """
    reports = output or registry.root / "reports"
    for item in found:
        report.check_writable(reports / item.experiment.name)
    failed = 0
    with measure.open_run(registry.root, mode) as store:
        for item in found:
            swept = _sweep(item, mode, registry.root, store)
            failed += len(swept.failed)
            try:
                page = near(report.write_report(item, swept.rows, reports, mode))
            except PageError as problem:
                failed += 1
                page = f"no page: {problem}"
            note(f"{item.experiment.name}: {_summary(swept)} → {page}")
            for cell in swept.failed:
                warn(f"{item.experiment.name}, {cell.case.label}: {cell.message}")
        for text in store.notices:
            warn(text)
        note(f"run {store.run} → {near(store.path)}")
    path, problems = report.write_index(registry, reports)
    for problem in problems:
        warn(f"left out of the index: {problem}")
    note(f"index → {near(path)}")
    return failed == 0


def _sweep(
    found: measure.Found, mode: measure.Mode, root: Path, store: measure.Store
) -> measure.Sweep:
    name = found.experiment.name
    with meter(name) as shown:

        def did(cell: measure.Cell) -> None:
            how = "kept from before" if cell.reused else f"{cell.seconds:.2f} s"
            why = f"{_WAYS_TO_STOP[cell.status]}{cell.message}".strip()
            text = f"{cell.case.label}: {why or how}"
            shown.did(cell.number, cell.total, text)

        swept = measure.run_sweep(
            found,
            mode,
            root,
            on_start=lambda number, total, case: shown.doing(number, total, case.label),
            on_cell=did,
            store=store,
        )
    for text in swept.damaged:
        warn(f"{text} It was measured again.")
    return swept


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
    module, function = measure.load_attribute(target)
    if not callable(function):
        raise UserInputError(
            f"{target} is a {type(function).__name__}, not a function of arrays."
        )
    arguments = example_arguments(module, function, target)
    result = dk.check_grads(
        function,
        arguments,
        argnums=argnums,
        backend=backend,
        against=against,
        tolerance=tolerance,
    )
    return str(result)


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

"""``diffkit results`` and ``compare-runs``: what was measured, and what changed."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from diffkit import measure, report
from diffkit.cli_show import note, table, warn
from diffkit.errors import UserInputError

_store_option = click.option(
    "--store",
    type=click.Path(path_type=Path),
    help="The store to read. Default: .diffkit/results.sqlite of the project.",
)
# Rows of a table that a reader still takes in; CSV and JSON give all.
_SHOWN = 50


@click.command("results")
@click.option("--where", help="An SQL condition over the columns and parameters.")
@click.option("--experiment", help="Rows of this experiment only.")
@click.option("--metric", help="Rows of this metric only.")
@click.option("--run", help="What this run measured or took over: a number, or 'last'.")
@click.option("--every-run", is_flag=True, help="Older measurements of a case too.")
@click.option("--limit", type=click.IntRange(min=0), help="At most so many rows.")
@click.option("--csv", "as_csv", is_flag=True, help="All columns as CSV.")
@click.option("--json", "as_json", is_flag=True, help="All columns as JSON.")
@click.option("--runs", is_flag=True, help="List the runs instead.")
@_store_option
def results(
    where: str | None,
    experiment: str | None,
    metric: str | None,
    run: str | None,
    every_run: bool,
    limit: int | None,
    as_csv: bool,
    as_json: bool,
    runs: bool,
    store: Path | None,
) -> None:
    """Show measured rows, the newest of each case; nothing is changed by it.

    The condition may name every column of the CSV, and the parameters of the cases
    (depth, width ...). Text goes in single quotes.

    \b
    Examples:
      diffkit results --experiment cost_vs_depth --metric gradient_seconds
      diffkit results --where "experiment='cost_vs_depth' and depth >= 4"
      diffkit results --where "status != 'ok'" --every-run
      diffkit results --run last --csv > rows.csv
      diffkit results --runs
    """
    if as_csv and as_json:
        raise UserInputError("--csv and --json were both given: choose one of them.")
    path = store or measure.store_path(measure.project_root())
    if runs:
        _show_runs(measure.list_runs(path))
        return
    if limit is None and not (as_csv or as_json):
        limit = _SHOWN
    found = measure.find_results(
        path,
        where=where,
        experiment=experiment,
        metric=metric,
        run=_run_number(run, path),
        every_run=every_run,
        limit=limit,
    )
    for text in found.damaged:
        warn(f"{text} It is left out here, and measured again by the next run.")
    if as_csv:
        sys.stdout.write(_as_csv(found.records))
        return
    if as_json:
        plain = [
            {name: _plain(value) for name, value in record.items()}
            for record in found.records
        ]
        print(json.dumps(plain, indent=1, ensure_ascii=False))
        return
    _show(found)


@click.command("compare-runs")
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option("--all", "every", is_flag=True, help="Times without a verdict too.")
@_store_option
def compare_runs(before: str, after: str, every: bool, store: Path | None) -> int:
    """Compare two runs, cell by cell: counts exactly, times as ratios B ÷ A.

    A and B are each the number of a run, 'last', the first digits of a commit, a
    data.csv of a report, or another store. A time gets a verdict only where the 99 %
    interval of the ratio of medians excludes one; it knows the noise inside the runs,
    not what else changed between them. Times of different machines are not compared.
    The exit code is 1 when a count differs.

    \b
    Examples:
      diffkit compare-runs 3 last
      diffkit compare-runs 6afc9ab c8bba09
      diffkit compare-runs old/data.csv reports/cost_vs_depth/data.csv
    """
    found = measure.compare_rows(_rows(before, store), _rows(after, store))
    if not found.cells:
        raise UserInputError(
            f"{before} and {after} have no cell in common: {len(found.only_before)} "
            f"cells are in the one and {len(found.only_after)} others in the other."
        )
    note(f"{found.cells} cells on both sides, {found.equal_counts} counts equal")
    _show_differences("counts that differ", found.counts)
    _show_differences("other figures that differ", found.figures)
    if found.ended:
        note("measured on one side only, or stopped otherwise:")
        table(["cell", "metric", "A", "B"], found.ended, numbers_from=9)
    for side, cells in (("A", found.only_before), ("B", found.only_after)):
        if cells:
            note(f"cells that only {side} has: {len(cells)}")
            for name in cells:
                note(f"  {name}")
    _show_times(found, every)
    return 1 if found.counts else 0


def _rows(name: str, store: Path | None) -> tuple[measure.Row, ...]:
    """Rows of a run, a commit, a CSV file or a store, by what the user wrote."""
    file = Path(name)
    if file.suffix == ".csv":
        return report.read_rows(file)
    if file.is_dir() and (file / "data.csv").is_file():
        return report.read_rows(file / "data.csv")
    run: int | None = None
    commit: str | None = None
    if file.is_file():
        path = file
    else:
        path = store or measure.store_path(measure.project_root())
        if name == "last" or (name.isdecimal() and len(name) < 7):
            run = _run_number(name, path)
        else:
            commit = name
    rows, damaged = measure.stored_rows(path, run=run, commit=commit)
    for text in damaged:
        warn(f"{text} It is left out here.")
    return rows


def _run_number(name: str | None, path: Path) -> int | None:
    if name is None or name.isdecimal():
        return None if name is None else int(name)
    runs = measure.list_runs(path)
    if name != "last" or not runs:
        raise UserInputError(
            f"{name!r} is not the number of a run: write one of those that 'diffkit "
            "results --runs' lists, or last."
        )
    return runs[-1].id


def _show(found: measure.Results) -> None:
    table(
        ["experiment", "parameters", "backend", "runtime", "metric", "value", "status"],
        [
            [
                record["experiment"],
                " ".join(f"{k}={v}" for k, v in record["parameters"].items()),
                record["backend"],
                record["runtime"],
                record["metric"],
                _number(record["value"], record["metric"]),
                record["status"],
            ]
            for record in found.records
        ],
        numbers_from=5,
    )
    shown = len(found.records)
    text = f"{shown} of {found.total} rows"
    if shown < found.total:
        text += " (--limit, --csv or --json for more)"
    if found.older:
        text += f"; {found.older} older ones (--every-run)"
    note(text)


def _show_runs(runs: Sequence[measure.Run]) -> None:
    table(
        ["run", "started", "ended", "how", "mode", "commit", "cells", "experiments"],
        [
            [
                str(run.id),
                run.started[:19].replace("T", " "),
                run.ended[:19].replace("T", " "),
                run.outcome or "going on, or killed",
                run.mode,
                run.commit,
                f"{run.cells}, {run.reused} from before"
                if run.reused
                else f"{run.cells}",
                run.experiments.replace(",", " "),
            ]
            for run in runs
        ],
        numbers_from=9,
    )


def _show_differences(title: str, found: Sequence[measure.Difference]) -> None:
    if not found:
        return
    note(f"{title}: {len(found)}")
    table(
        ["cell", "metric", "A", "B", "B - A"],
        [
            [
                item.cell,
                item.metric,
                _short(item.before),
                _short(item.after),
                # Of two large numbers the difference is what can be seen.
                _short(item.after - item.before, "+"),
            ]
            for item in found
        ],
        numbers_from=2,
    )


def _show_times(found: measure.Comparison, every: bool) -> None:
    if found.times is None:
        sides = [" and ".join(names) or "unknown" for names in found.machines]
        note(
            "times are not compared: they are of different machines "
            f"(A: {sides[0]}; B: {sides[1]})"
        )
        return
    counts = {"slower": 0, "faster": 0, "": 0}
    for item in found.times:
        counts[item.verdict] += 1
    shown = [item for item in found.times if every or item.verdict]
    if shown:
        table(
            ["cell", "metric", "verdict of B", "B ÷ A", "99 % interval"],
            [
                [
                    item.cell,
                    item.metric,
                    item.verdict or "-",
                    report.numbers.times(item.ratio),
                    "too few samples"
                    if math.isnan(item.low)
                    else f"{item.low:.3f} … {item.high:.3f}",
                ]
                for item in sorted(shown, key=lambda item: -item.ratio)
            ],
            numbers_from=3,
        )
    note(
        f"times: {counts['slower']} slower, {counts['faster']} faster, {counts['']} "
        "without a verdict"
    )


def _as_csv(records: Sequence[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([name for name in measure.COLUMNS if name != "exact"])
    for record in records:
        writer.writerow(
            [
                json.dumps(value) if isinstance(value, dict | list) else _plain(value)
                for value in record.values()
            ]
        )
    return out.getvalue()


def _number(value: float | None, metric: str) -> str:
    """A value with the unit that its metric ends in."""
    if value is None:
        return "-"
    unit = metric.rsplit("_", 1)[-1]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if unit == "seconds":
        return report.numbers.seconds(value)
    if unit == "bytes":
        return report.numbers.size(value)
    return report.numbers.count(value) if isinstance(value, int) else f"{value:.4g}"


def _plain(value: Any) -> Any:
    """A value that JSON has, with every digit: not-a-number and the like as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and value.bit_length() > 13_000:
        return hex(value)
    return value


def _short(value: float, sign: str = "") -> str:
    """A number as it is where that is short, else its size."""
    if isinstance(value, int) and abs(value) >= 10**15:
        return report.numbers.count(value)
    return f"{value:{sign}}"

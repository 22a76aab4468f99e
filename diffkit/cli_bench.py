"""Benchmarks from the command line: `diffkit bench run`, `compare` and `gate`."""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from diffkit import measure, report
from diffkit.cli_show import meter, note
from diffkit.errors import UserInputError
from diffkit.files import write_atomically
from diffkit.measure import bench

MAX_SLOWDOWN = "25%"


@click.group("bench")
def bench_group() -> None:
    """Time this version, or two versions side by side, and judge a change.

    Two versions are measured by processes of their own, in turn, on one machine; a
    verdict comes from an interval, never from one number.

    \b
    Examples:
      diffkit bench run --output before.json
      diffkit bench compare main HEAD
      diffkit bench compare before.json after.json
      diffkit bench gate --base origin/main --max-slowdown 25%
    """


_rounds = click.option(
    "--rounds", default=15, show_default=True, help="Samples by each process."
)
_launches = click.option(
    "--launches", default=3, show_default=True, help="Processes of each version."
)
_only = click.option(
    "--only", "only", multiple=True, help="Benchmarks whose name contains this."
)
_path = click.Path(path_type=Path, dir_okay=False)


@bench_group.command("run")
@_only
@_rounds
@_launches
@click.option("--output", type=_path, help="Keep the samples in this JSON file.")
@click.option("--history", type=_path, help="Add a line to this JSON history.")
@click.option("--page", type=_path, help="Write the history as an offline page.")
def run_command(
    only: tuple[str, ...],
    rounds: int,
    launches: int,
    output: Path | None,
    history: Path | None,
    page: Path | None,
) -> int:
    """Time the version that is checked out here.

    \b
    Examples:
      diffkit bench run --only autodiff
      diffkit bench run --history .benchmarks/history.json --page trends.html
    """
    if page is not None and history is None:
        raise UserInputError("--page shows a history: name its file with --history.")
    # Before minutes of work: a history that cannot be read would not take the result.
    entries = bench.read_history(history) if history else ()
    record = _measure({"head": measure.project_root()}, only, rounds, launches)
    for name, measured in record.benchmarks.items():
        said = measured.errors.get("head")
        time = "" if said else f"{_time(measured):.3g} rulers"
        note(f"{name}: {said or time}")
    if output:
        bench.write_record(record, output)
        note(f"samples → {output}")
    if history:
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M")
        entries = (*entries, bench.entry_of(record, "head", now))
        bench.write_history(entries, history)
        note(f"history of {len(entries)} runs → {history}")
    if page:
        write_atomically(page, report.trends.trends_page(entries).encode())
        note(f"trends → {page}")
    return 1 if any(m.errors for m in record.benchmarks.values()) else 0


@bench_group.command("compare")
@click.argument("base")
@click.argument("head", default=".")
@_only
@_rounds
@_launches
@click.option("--max-slowdown", default=MAX_SLOWDOWN, show_default=True)
@click.option("--output", type=_path, help="Keep the samples in this JSON file.")
@click.option("--summary", type=_path, help="Write the Markdown here as well.")
def compare_command(
    base: str,
    head: str,
    only: tuple[str, ...],
    rounds: int,
    launches: int,
    max_slowdown: str,
    output: Path | None,
    summary: Path | None,
) -> int:
    """Compare BASE with HEAD: revisions, folders, or two records of `bench run`.

    HEAD is the folder you are in, by default, uncommitted changes included.

    \b
    Examples:
      diffkit bench compare HEAD~1
      diffkit bench compare v0.1.0 main --only "value_and_grad autodiff"
      diffkit bench compare before.json after.json
    """
    _compare(base, head, only, rounds, launches, max_slowdown, (), output, summary)
    return 0


@bench_group.command("gate")
@click.option("--base", required=True, help="Revision or folder to compare with.")
@click.option("--head", default=".", show_default=True)
@click.option(
    "--max-slowdown",
    default=MAX_SLOWDOWN,
    show_default=True,
    help="How much slower anything may become.",
)
@click.option(
    "--limit", "limits", multiple=True, help="Another limit for one group: GROUP=40%."
)
@_only
@_rounds
@_launches
@click.option("--output", type=_path, help="Keep the samples in this JSON file.")
@click.option(
    "--summary",
    type=_path,
    help="Add the Markdown to this file. Default: $GITHUB_STEP_SUMMARY.",
)
def gate_command(
    base: str,
    head: str,
    max_slowdown: str,
    limits: tuple[str, ...],
    only: tuple[str, ...],
    rounds: int,
    launches: int,
    output: Path | None,
    summary: Path | None,
) -> int:
    """Fail (exit code 1) when a change makes anything slower than it may be.

    \b
    Examples:
      diffkit bench gate --base origin/main --max-slowdown 25%
      diffkit bench gate --base HEAD~1 --limit "prepare symbolic-cse=60%"
    """
    summary = summary or _summary_of_the_job()
    judged = _compare(
        base, head, only, rounds, launches, max_slowdown, limits, output, summary
    )
    return 1 if judged.slower else 0


def _compare(
    base: str,
    head: str,
    only: Sequence[str],
    rounds: int,
    launches: int,
    max_slowdown: str,
    limits: Sequence[str],
    output: Path | None,
    summary: Path | None,
) -> bench.Judgement:
    allowed = _percent(max_slowdown)
    by_group = dict(map(_limit, limits))
    files = [Path(name) for name in (base, head) if Path(name).suffix == ".json"]
    if len(files) == 1:
        raise UserInputError(
            f"{base} and {head}: compare two records, or two revisions. Times of a "
            "record were taken at another moment, and cannot be interleaved any more."
        )
    if files:
        record = bench.merged(*map(bench.read_record, files))
    else:
        root = measure.project_root()
        with ExitStack() as stack:
            sides = {
                side: (
                    Path(name).resolve()
                    if (Path(name) / "diffkit").is_dir()
                    else stack.enter_context(bench.checked_out(root, name))
                )
                for side, name in (("base", base), ("head", head))
            }
            record = _measure(sides, only, rounds, launches)
    judged = bench.judge(record, allowed, by_group)
    text = report.trends.summary(record, judged)
    if output:
        bench.write_record(record, output)
    if summary:
        with summary.open("a", encoding="utf-8") as file:
            file.write(text)
    note(text)
    return judged


def _measure(sides, only: Sequence[str], rounds: int, launches: int) -> bench.Record:
    names = [
        name
        for name in bench.BENCHMARKS
        if not only or any(part in name for part in only)
    ]
    if not names:
        raise UserInputError(
            f"No benchmark's name contains {' or '.join(only)}. There are: "
            f"{', '.join(bench.BENCHMARKS)}."
        )
    with meter("bench") as shown:
        return bench.measure_sides(
            sides, names, rounds=rounds, launches=launches, progress=shown.doing
        )


def _time(measured: bench.Measured) -> float:
    return bench.normalised(measured.samples["head"], measured.rulers["head"])


def _percent(text: str) -> float:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", text)
    if found is None:
        raise UserInputError(
            f"{text!r} is no slowdown: write a percentage such as 25%."
        )
    return float(found[1]) / 100


def _limit(text: str) -> tuple[str, float]:
    group, sign, limit = text.rpartition("=")
    if not sign:
        raise UserInputError(f"{text!r} is no limit: write GROUP=40%.")
    return group.strip(), _percent(limit)


def _summary_of_the_job() -> Path | None:
    name = os.environ.get("GITHUB_STEP_SUMMARY")
    return Path(name) if name else None

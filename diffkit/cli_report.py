"""``diffkit report``: pages from the data that was measured before, and their check."""

from __future__ import annotations

from pathlib import Path

import click

from diffkit import measure, report
from diffkit.cli_show import near, note, warn


@click.command("report")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing: fail unless everything in reports/ follows from its data.",
)
@click.option(
    "--partial",
    is_flag=True,
    help="With --check: claims may still be without a verdict.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of the reports. Default: reports/ of the project.",
)
@click.option("--workers", type=click.IntRange(1), help="Processes that draw.")
def report_command(
    names: tuple[str, ...],
    check: bool,
    partial: bool,
    output: Path | None,
    workers: int | None,
) -> int:
    """Write the pages of NAME... (or all) again from their data, measuring nothing.

    Every page and figure, the index, claims.md, ERRATA.md and report.html follow from
    the data.csv of each experiment. With --check they are compared instead of written,
    and the exit code is 1 when a file differs (its first differing line is shown) or a
    claim has no verdict.

    \b
    Examples:
      diffkit report
      diffkit report cost_vs_depth
      diffkit report --check
    """
    registry = measure.discover()
    reports = output or registry.root / "reports"
    for name in names:
        registry[name]  # An unknown name is refused before anything is written.
    if check and names:
        raise click.UsageError("--check looks at all reports: name none.")
    if partial and not check:
        raise click.UsageError("--partial goes with --check.")
    if check:
        problems = report.check_pages(
            registry, reports, partial=partial, workers=workers
        )
    else:
        written, problems = report.write_pages(
            registry, reports, names, workers=workers
        )
        for name in written:
            note(f"{name} → {near(reports / name / 'README.md')}")
        note(f"index → {near(reports / 'README.md')}")
    for problem in problems:
        warn(problem)
    if check and not problems:
        note(f"{near(reports)}: everything follows from its data")
    return 1 if problems else 0

"""A small project in a folder: one experiment whose cells end in every way.

Written to a temporary folder by the tests of sweeps, reports and the command line; it
needs no backend, so that what is tested is the harness.
"""

from pathlib import Path

TINY = '''
"""What does the harness do with cells of every kind?"""

import os
import time
from pathlib import Path

from diffkit import measure, report
from diffkit.errors import ExpressionBudgetError

HERE = Path(__file__).resolve().parent.parent
KINDS = {kinds!r}


def cases(mode):
    return [
        measure.case(
            "tiny",
            "null",
            size=size,
            kind=kind,
            limits=measure.Limits(seconds=2.0, bytes=1 << 30),
        )
        for size, kind in enumerate(KINDS if mode == "quick" else KINDS * 2, start=1)
    ]


def measure_one(case):
    # Leaves a trace, so that a test can count how often a cell was measured.
    with open(HERE / "calls.txt", "a") as file:
        file.write(f"{{case['size']}}\\n")
    kind = case["kind"]
    if kind == "slow":
        time.sleep(60)
    if kind == "wait":
        time.sleep(0.4)
    if kind == "raises":
        raise RuntimeError("planted")
    if kind == "too_large":
        raise ExpressionBudgetError("operations", 10, 10**40)
    if kind == "foreign":
        return [measure.case("tiny", "null", size=99).row("work_seconds", 1.0)]
    return [
        case.row("work_seconds", case["size"] * 0.5, samples=[0.25, 0.5]),
        case.row("tree_operations", 3 ** (40 * case["size"])),
    ]


def figure(rows):
    figure, (axes,) = report.figures.panels(1, 1, width=5, height=3)
    work = [row for row in rows if row.metric == "work_seconds"]
    report.figures.draw(
        axes,
        [
            report.figures.Line(
                report.figures.look_of("null"),
                [(row["size"], row.value) for row in work],
                [(9, "timeout")],
            )
        ],
        title="Work grows with size",
        x="size",
        y="seconds",
    )
    return figure


def findings(rows):
    work = [row.value for row in rows if row.metric == "work_seconds"]
    return measure.Findings(
        {{"most": report.numbers.seconds(max(work, default=0.0))}},
        (measure.Verdict("C1", "it does", "right"),),
    )


EXPERIMENT = measure.Experiment(
    name="tiny",
    question="Does work grow with size?",
    claims=("C1",),
    cases=cases,
    measure=measure_one,
    figure=figure,
    findings=findings,
    answer="The most work took {{most}}.",
    page="More words about {{most}}, and `code with 2 digits`.",
    metrics={{"work_seconds": "seconds of pretended work"}},
)
'''


def write_project(root: Path, kinds: list[str], name: str = "tiny") -> Path:
    """A project with one experiment whose quick cells are of these kinds."""
    folder = root / "experiments"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.py"
    (folder / "claims.toml").write_text(
        '[claims.C1]\nsources = ["A"]\ntext = "it grows"\n'
    )
    path.write_text(TINY.format(kinds=kinds).replace('"tiny"', f'"{name}"'))
    return path


def calls(root: Path) -> list[int]:
    """Sizes of the cells that were measured, in order."""
    path = root / "calls.txt"
    return [int(line) for line in path.read_text().split()] if path.exists() else []

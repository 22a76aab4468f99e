"""The race: one gradient of a network, by three ways, over a grid of depths and widths.

Tanh networks with inputs and hidden layers of one width, one output, mean squared
error: textbook central differences, the formula written out, and reverse mode. A way
that a budget or a limit stops has lost, and its row says why. Run it alone::

    python experiments/race.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from diffkit import measure, report
from diffkit.backends import symbolic
from diffkit.measure import WAYS, Case, Mode, Row
from diffkit.prepared import trace_program

NAME = "race"
#: The lanes, in the order in which the lesson explains them.
LANES = ("finite_differences_central", "symbolic_expanded", "autodiff")
DEPTHS: dict[Mode, tuple[int, ...]] = {
    "quick": (1, 2, 4, 8),
    "full": (1, 2, 4, 8, 16, 32, 64),
}
WIDTHS: dict[Mode, tuple[int, ...]] = {
    "quick": (2, 4, 8, 32),
    "full": (2, 4, 8, 16, 32, 64, 128),
}
#: A number that no width has, so that counting never takes samples for units.
BATCH = 24
#: A longer formula is counted and not written out, so that the race ends.
LONGEST_OPERATIONS = 200_000
#: Samples of each gradient; many networks are measured and each is cheap.
SAMPLES, BUDGET_SECONDS = 9, 0.05
LIMITS = measure.Limits(seconds=20.0, bytes=2 << 30)


def cases(mode: Mode) -> list[Case]:
    """Every lane at every depth and width."""
    return [
        measure.case(
            NAME,
            way,
            runtime=WAYS[way].runtime,
            limits=LIMITS,
            depth=depth,
            width=width,
        )
        for depth in DEPTHS[mode]
        for width in WIDTHS[mode]
        for way in LANES
    ]


def problem(depth: int, width: int) -> measure.Problem:
    """The loss of a network with ``depth`` hidden tanh layers."""
    return measure.Network((width,) * (depth + 1) + (1,), batch=BATCH).problem()


def measure_case(case: Case) -> list[Row]:
    """Work and time of one gradient; a formula that is too long is a row too."""
    measure.warm_up()
    asked = problem(case["depth"], case["width"])
    counted: list[Row] = []
    if case.backend == "symbolic_expanded":
        # By layers, in milliseconds; deriving what is then refused takes many seconds.
        program = trace_program(asked.function, asked.arguments, 0, False).program
        operations = symbolic.count_forms(program)["expanded"].tree_operations
        counted = [
            case.row("formula_operations", operations),
            case.row("budget_operations", LONGEST_OPERATIONS),
        ]
        if operations > LONGEST_OPERATIONS:
            why = (
                f"written out the formula has {report.numbers.count(operations)} "
                f"operations, and the race stops at {LONGEST_OPERATIONS:,}"
            )
            return [
                *counted,
                case.row("gradient_seconds", None, status="too_large", message=why),
            ]
    way = WAYS[case.backend]
    timed = measure.time_gradient(
        asked,
        way.backend,
        way.options,
        samples=SAMPLES,
        budget_seconds=BUDGET_SECONDS,
    )
    info = timed.prepared.info
    return [
        *counted,
        case.row("parameters_count", timed.prepared.program.parameters),
        case.row("primal_evaluations", info.evaluations),
        case.row("run_operations", info.operations),
        case.row("prepare_seconds", sum(info.seconds.values())),
        case.timing("gradient_seconds", timed.gradient),
        case.timing("primal_seconds", timed.primal),
        case.timing("gradient_engine_ratio", timed.ratio),
        case.row("deviation_error", timed.deviation),
    ]


def stops(rows: Sequence[Row], way: str) -> list[Row]:
    """Cells of a lane that did not reach the end."""
    return [
        row
        for row in rows
        if (row.backend, row.metric) == (way, measure.CELL_METRIC)
        and row.status in ("timeout", "out_of_memory", "too_large")
    ]


def seconds_of(rows: Sequence[Row]) -> dict[tuple[int, int], dict[str, float]]:
    """(depth, width) -> seconds of a gradient by lane, for lanes that reached it."""
    found: dict[tuple[int, int], dict[str, float]] = {}
    for row in rows:
        if row.metric == "gradient_seconds" and row.value is not None:
            place = (row["depth"], row["width"])
            found.setdefault(place, {})[row.backend] = row.value
    return found


def winners(rows: Sequence[Row]) -> dict[tuple[int, int], str]:
    """(depth, width) -> the lane that was first, where all of them are known."""
    known = seconds_of(rows)
    stopped = {(r["depth"], r["width"], w) for w in LANES for r in stops(rows, w)}
    return {
        place: min(lanes, key=lanes.__getitem__)
        for place, lanes in sorted(known.items())
        if all(way in lanes or (*place, way) in stopped for way in LANES)
    }


def figure(rows: Sequence[Row]):
    """Seconds of a gradient against depth, a panel for each width."""
    figures = report.figures
    widths = sorted({row["width"] for row in rows}) or list(WIDTHS["quick"])
    chosen = [widths[0], widths[len(widths) // 2], widths[-1]]
    known = seconds_of(rows)
    shown, panels = figures.panels(1, 3, width=16.0, height=4.8)
    titles = (
        "Narrow: reverse mode leads already",
        "Wider: the formula is too long sooner",
        "Wide: every weight costs differences two runs",
    )
    for panel, width, title in zip(panels, chosen, titles, strict=True):
        figures.draw(
            panel,
            [
                figures.Line(
                    figures.look_of(way),
                    sorted(
                        (depth, lanes[way])
                        for (depth, at), lanes in known.items()
                        if at == width and way in lanes
                    ),
                    sorted(
                        (row["depth"], row.status)
                        for row in stops(rows, way)
                        if row["width"] == width
                    ),
                )
                for way in LANES
            ],
            title=title,
            x=f"hidden layers of {width} units",
            y="seconds for one gradient",
        )
    return shown


def findings(rows: Sequence[Row]) -> measure.Findings:
    """The facts that the page may state."""
    numbers, said = report.numbers, report.said
    won = winners(rows)
    first = sum(way == "autodiff" for way in won.values())
    known = seconds_of(rows)
    behind = [
        lanes["finite_differences_central"] / lanes["autodiff"]
        for lanes in known.values()
        if {"finite_differences_central", "autodiff"} <= set(lanes)
    ]
    ratios = [
        row.value
        for row in report.rows_of(rows, "gradient_engine_ratio", "autodiff")
        if row.value is not None
    ]
    prepared = [
        row.value
        for row in report.rows_of(rows, "prepare_seconds", "symbolic_expanded")
        if row.value is not None
    ]
    formulas = [
        row.value
        for row in report.rows_of(rows, "formula_operations")
        if row.value is not None
    ]
    counted = {
        (row["depth"], row["width"]): int(row.value)
        for row in report.rows_of(rows, "parameters_count", LANES[0])
        if row.value is not None
    }
    runs = {
        (row["depth"], row["width"]): int(row.value)
        for row in report.rows_of(rows, "primal_evaluations", LANES[0])
        if row.value is not None
    }
    twice = all(runs[place] == 2 * counted.get(place, 0) for place in runs)
    deviations = [
        row.value
        for row in report.rows_of(rows, "deviation_error")
        if row.value is not None
    ]
    others = {place: way for place, way in won.items() if way != "autodiff"}
    table = report.markdown_table(
        ["layers", "units", "differences", "formula written out", "reverse mode"],
        [
            [str(depth), str(width), *(_cell(rows, way, depth, width) for way in LANES)]
            for depth, width in sorted({(row["depth"], row["width"]) for row in rows})
        ],
    )
    return measure.Findings(
        {
            "won": f"{first} of {len(won)}",
            "lost": _lost(others),
            "networks": len(won),
            "behind_low": said(min(behind, default=None), numbers.times),
            "behind_high": said(max(behind, default=None), numbers.times),
            "reverse_low": said(min(ratios, default=None), numbers.times),
            "reverse_high": said(max(ratios, default=None), numbers.times),
            "stopped": len(stops(rows, "symbolic_expanded")),
            "late": len(stops(rows, LANES[0])),
            "longest": numbers.count(LONGEST_OPERATIONS),
            "formula": said(max(formulas, default=None), numbers.count),
            "prepared": said(max(prepared, default=None), numbers.seconds),
            "exactly": "exactly" if twice else "not always",
            "most_runs": said(max(runs.values(), default=None), numbers.count),
            "most": said(max(counted.values(), default=None), numbers.count),
            "batch": BATCH,
            "table": table,
            "deviation": said(max(deviations, default=None), numbers.scientific),
        }
    )


def _lost(others: dict[tuple[int, int], str]) -> str:
    """The networks where another way was first, in words."""
    if not others:
        return "nowhere was another way first"
    names = {
        "finite_differences_central": "differences",
        "symbolic_expanded": "the formula",
    }
    told = [
        f"{names[way]} at depth {depth} and width {width}"
        for (depth, width), way in others.items()
    ]
    return "elsewhere it was " + ", ".join(told)


def _cell(rows: Sequence[Row], way: str, depth: int, width: int) -> str:
    value = report.value_of(rows, "gradient_seconds", way, depth=depth, width=width)
    if value is not None:
        return report.numbers.seconds(value)
    for row in stops(rows, way):
        if (row["depth"], row["width"]) == (depth, width):
            return f"stopped: {row.status.replace('_', ' ')}"
    return "no result"


ANSWER = """
Reverse mode was first in {won} networks, at {reverse_low} to {reverse_high} one forward
pass; central differences took {behind_low} to {behind_high} its time, and the formula
written out was stopped in {stopped} of the {networks}.
"""

PAGE = """
One gradient (with its value) of a tanh network with a batch of {batch}, by each of the
three ways that a course teaches. The time is that of the compiled programs; what has to
be prepared once is apart. Reverse mode was first in {won} networks;
{lost}.

{table}

Central differences evaluate the network {exactly} twice for each parameter, {most_runs}
times at {most} parameters, inside the engine and without returning to Python in
between. The formula written out is stopped where it has more than {longest} operations,
counted before it is made (the longest would have {formula}); it runs as generated
NumPy, because the engine would share what is equal, and took up to {prepared} to derive
and compile. In {late} networks differences were stopped by the limit on time.

All of them computed the same gradient: none differs from reverse mode by more than
{deviation} of the largest entry.
"""

METRICS = {
    "gradient_seconds, primal_seconds": "the compiled program alone, and one forward "
    "pass of the engine in turn with it, in seconds of the processor; medians",
    "gradient_engine_ratio": "value and gradient over one forward pass of the engine, "
    "whatever runs the way itself; median of ratios of samples taken in turn",
    "prepare_seconds": "deriving and compiling, once, by the clock",
    "primal_evaluations": "evaluations of the function for one gradient",
    "run_operations": "scalar operations of one value and gradient over the batch",
    "formula_operations": "operations of the formula of one sample, written out; those "
    "of the formulas that were stopped are counted too",
    "budget_operations": "a formula of more operations is stopped",
    "parameters_count": "parameters of the network",
    "deviation_error": "largest difference from reverse mode over the largest entry",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="Which way gives a gradient first, for a network of this depth and width?",
    claims=(),
    cases=cases,
    measure=measure_case,
    figure=figure,
    findings=findings,
    answer=ANSWER,
    page=PAGE,
    metrics=METRICS,
)

if __name__ == "__main__":
    from diffkit.cli import run_file

    sys.exit(run_file(__file__))

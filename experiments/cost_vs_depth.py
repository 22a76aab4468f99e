"""What a gradient costs as a network gets deeper, by every way of obtaining it.

Tanh networks of width 4 on Fisher's Iris measurements (150 flowers, 4 lengths each,
standardised), mean squared error against the one-hot species. Run it alone::

    python experiments/cost_vs_depth.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from diffkit import losses, measure, nn, report, train
from diffkit.errors import ExpressionBudgetError
from diffkit.measure import Case, Mode, Row

NAME = "cost_vs_depth"
WIDTH, CLASSES = 4, 3
DEPTHS = {"quick": (1, 2, 3, 4, 6, 8), "full": (1, 2, 3, 4, 5, 6, 7, 8)}
DEEPER = {"quick": (16, 32, 64, 128), "full": (16, 32, 64, 128, 256, 512, 1000)}
#: How deep a way goes, where that is not the depths that all of them are asked for:
#: further, or less far where SymPy needs many seconds.
DEEPEST = {
    "quick": {"autodiff": 1000, "symbolic_shared": 64, "symbolic_cse": 6},
    "full": {"autodiff": 1000, "symbolic_shared": 64},
}
#: Errors are proved so deep: the balls of more layers need ever more bits, and the
#: proof would take most of a cell that is there to measure a cost.
PROVED = 64

#: Way of differentiating -> (backend, its options, what runs the arithmetic).
WAYS: dict[str, tuple[str, dict[str, str], str]] = {
    "autodiff": ("autodiff", {}, "engine"),
    "forward": ("forward", {}, "engine"),
    "finite_differences_central": (
        "finite_differences",
        {"method": "central"},
        "engine",
    ),
    "finite_differences_forward": (
        "finite_differences",
        {"method": "forward"},
        "engine",
    ),
    "symbolic_expanded": ("symbolic", {"form": "expanded"}, "numpy"),
    "symbolic_cse": ("symbolic", {"form": "cse"}, "engine"),
    "symbolic_shared": ("symbolic", {"form": "shared"}, "engine"),
    "null": ("null", {}, "none"),
}
#: Of each call, taken in turn, and how long all of them may take.
SAMPLES, BUDGET_SECONDS = 25, 0.4
LIMITS = measure.Limits(seconds=20.0, bytes=2 << 30)


def cases(mode: Mode) -> list[Case]:
    """Every way at every depth, the cheap ones deeper."""
    return [
        measure.case(
            NAME,
            way,
            runtime=WAYS[way][2],
            limits=LIMITS,
            depth=depth,
        )
        for way in WAYS
        for depth in (*DEPTHS[mode], *DEEPER[mode])
        if depth <= DEEPEST[mode].get(way, max(DEPTHS[mode]))
    ]


def iris() -> tuple[np.ndarray, np.ndarray]:
    """All 150 flowers: standardised measurements and one-hot species."""
    x, labels = train.data.iris(test=0.0).train
    return x, np.eye(CLASSES)[labels]


def problem(depth: int, seed: int = 0) -> measure.Problem:
    """The loss of a network with ``depth`` hidden tanh layers, at its first weights."""
    layers = [
        layer for _ in range(depth) for layer in (nn.Linear(WIDTH, WIDTH), nn.Tanh())
    ]
    net = nn.Sequential(*layers, nn.Linear(WIDTH, CLASSES))
    params = net.init(np.random.default_rng(seed))

    def loss(params, x, y):
        return losses.mse(net.apply(params, x), y)

    return measure.Problem(loss, (params, *iris()))


def measure_case(case: Case) -> list[Row]:
    """All metrics of one way at one depth; a budget that stops it is a row too."""
    backend, options, _ = WAYS[case.backend]
    measure.warm_up()
    try:
        cost = measure.measure_gradient(
            problem(case["depth"], case.seed),
            backend,
            options,
            samples=SAMPLES,
            budget_seconds=BUDGET_SECONDS,
            prove=case["depth"] <= PROVED,
        )
    except ExpressionBudgetError as stopped:
        return [
            case.row("gradient_ratio", None, status="too_large", message=str(stopped))
        ]
    phases = [
        case.row(f"prepare_{phase}_seconds", seconds)
        for phase, seconds in cost.phases.items()
    ]
    rows = [
        case.row("parameters_count", cost.parameters),
        case.timing("prepare_seconds", cost.prepare),
        *phases,
        case.row("first_call_seconds", cost.first_seconds),
        case.timing("gradient_seconds", cost.gradient),
        case.timing("primal_seconds", cost.primal),
        case.timing("call_seconds", cost.call),
        case.timing("gradient_engine_ratio", cost.engine_ratio),
        case.row("primal_evaluations", cost.evaluations),
        case.row("run_operations", cost.operations),
        case.row("planned_bytes", cost.planned_bytes),
        case.row("peak_bytes", cost.peak_bytes),
    ]
    if case.backend == "null":
        return rows
    rows += [
        case.timing("gradient_ratio", cost.ratio),
        case.row("tree_operations", cost.tree_operations),
        case.row("shared_operations", cost.shared_operations),
    ]
    if cost.relative_error is None:
        return rows
    return [
        *rows,
        case.row("relative_error", cost.relative_error),
        case.row("worst_entry_relative_error", cost.entry_error),
        case.row("reference_bits", cost.reference_bits),
    ]


def series(
    rows: Sequence[Row], way: str, metric: str, look: report.figures.Look | None = None
) -> report.figures.Line:
    """One line of a figure: a metric of one way against depth, with its stops."""
    points = [
        (row["depth"], row.value)
        for row in rows
        if row.backend == way and row.metric == metric and row.value is not None
    ]
    stops = [
        (row["depth"], row.status)
        for row in rows
        if row.backend == way
        and row.metric == measure.CELL_METRIC
        and row.status in ("timeout", "out_of_memory", "too_large")
    ]
    return report.figures.Line(
        look or report.figures.look_of(way), sorted(points), sorted(stops)
    )


def figure(rows: Sequence[Row]):
    """Four panels against depth: cost, size, preparation, error."""
    figures = report.figures
    shown, axes = figures.panels(2, 2, width=12.5, height=8.6)
    ways = [way for way in WAYS if way != "null"]
    figures.draw(
        axes[0],
        [series(rows, way, "gradient_ratio") for way in ways],
        title="Reverse mode costs a few forward passes at any depth",
        x="hidden layers",
        y="gradient ÷ forward pass, same runtime",
    )
    figures.draw(
        axes[1],
        [
            figures.Line(
                figures.Look("written out", "#CC79A7", "v"),
                series(rows, "symbolic_cse", "tree_operations").points,
            ),
            figures.Line(
                figures.Look("shared afterwards", "#7F3C8D", "P"),
                series(rows, "symbolic_cse", "shared_operations").points,
            ),
            figures.Line(
                figures.Look("shared throughout", "#000000", "*", "--"),
                series(rows, "symbolic_shared", "shared_operations").points,
            ),
        ],
        title="Written out, the formula explodes; shared, it does not",
        x="hidden layers",
        y="operations in the gradient's formula",
    )
    figures.draw(
        axes[2],
        [series(rows, way, "prepare_seconds") for way in ways],
        title="What has to be paid before the first gradient",
        x="hidden layers",
        y="seconds to prepare",
    )
    exact = figures.Look("all others: rounding only", "#0072B2", "o")
    figures.draw(
        axes[3],
        [
            replace(
                series(
                    rows, way, "relative_error", exact if way == "autodiff" else None
                ),
                stopped=(),
                labelled=way == "autodiff" or way.startswith("finite"),
            )
            for way in ways
        ],
        title="Differences lose digits, derivations do not",
        x="hidden layers",
        y="largest error ÷ largest entry",
    )
    return shown


def _value(rows: Sequence[Row], way: str, metric: str, depth: int):
    for row in rows:
        if (row.backend, row.metric, row["depth"]) == (way, metric, depth):
            return row.value
    return None


def findings(rows: Sequence[Row]) -> measure.Findings:
    """The facts that the page may state."""
    numbers = report.numbers
    reached = {
        way: max(
            (
                row["depth"]
                for row in rows
                if row.backend == way and row.metric == "gradient_ratio" and row.value
            ),
            default=0,
        )
        for way in WAYS
    }
    common = max(
        (row["depth"] for row in rows if row.backend == "forward" and row.value),
        default=0,
    )

    def ratio(way: str, depth: int) -> str:
        value = _value(rows, way, "gradient_ratio", depth)
        return "no result" if value is None else numbers.times(value)

    def worst(way: str) -> str:
        errors = [
            row.value
            for row in rows
            if row.backend == way and row.metric == "relative_error"
            if row.value is not None
        ]
        return numbers.scientific(max(errors)) if errors else "no result"

    reverse = [
        row.value
        for row in rows
        if row.backend == "autodiff" and row.metric == "gradient_ratio" and row.value
    ]
    parameters = _value(rows, "autodiff", "parameters_count", common) or 0
    tree = _value(rows, "symbolic_cse", "tree_operations", common) or 0
    shared = _value(rows, "symbolic_shared", "shared_operations", common) or 0
    expanded = [
        row
        for row in rows
        if row.backend == "symbolic_expanded"
        and row.metric == measure.CELL_METRIC
        and row.status != "ok"
    ]
    first_stop = min((row["depth"] for row in expanded), default=0)
    overhead = _value(rows, "null", "call_seconds", common) or 0.0
    whole = _value(rows, "null", measure.CELL_METRIC, common) or 1.0
    beside = _value(rows, "null", measure.HARNESS_METRIC, common)
    call = _value(rows, "autodiff", "call_seconds", common) or 1.0
    facts = {
        "common": common,
        "parameters": numbers.count(parameters),
        "deepest": numbers.count(reached["autodiff"]),
        "reverse_low": numbers.times(min(reverse, default=0.0)),
        "reverse_high": numbers.times(max(reverse, default=0.0)),
        "reverse_common": ratio("autodiff", common),
        "forward_common": ratio("forward", common),
        "central_common": ratio("finite_differences_central", common),
        "differences_common": ratio("finite_differences_forward", common),
        "cse_common": ratio("symbolic_cse", common),
        "shared_common": ratio("symbolic_shared", common),
        "central_evaluations": numbers.count(
            _value(rows, "finite_differences_central", "primal_evaluations", common)
            or 0
        ),
        "tree": numbers.count(tree),
        "shared": numbers.count(shared),
        "expanded_reached": reached["symbolic_expanded"],
        "expanded_stopped": (
            f"was stopped from depth {first_stop} on" if first_stop else "never stopped"
        ),
        "expanded_last": ratio("symbolic_expanded", reached["symbolic_expanded"]),
        "central_error": worst("finite_differences_central"),
        "differences_error": worst("finite_differences_forward"),
        "reverse_error": worst("autodiff"),
        "symbolic_error": worst("symbolic_shared"),
        "reference_digits": 50,
        "proved": max(
            (row["depth"] for row in rows if row.metric == "reference_bits"), default=0
        ),
        "overhead": numbers.seconds(overhead),
        "overhead_share": f"{100 * overhead / call:.0f} %",
        "harness": report.said(beside, numbers.seconds),
        "harness_share": report.said(
            beside, lambda value: f"{100 * value / whole:.2g} %"
        ),
    }
    verdicts = (
        measure.Verdict(
            "C6",
            f"value and gradient together take {facts['reverse_low']} to "
            f"{facts['reverse_high']} one forward pass, up to depth {facts['deepest']}",
            "conditional",
        ),
        measure.Verdict(
            "C7",
            f"{facts['central_evaluations']} evaluations for {facts['parameters']} "
            f"parameters; {facts['central_common']} the time of a forward pass",
            "right",
        ),
        measure.Verdict(
            "C8",
            f"written out, {facts['tree']} operations at depth {common}; with sharing "
            f"kept, {facts['shared']}",
            "conditional",
        ),
    )
    return measure.Findings(facts, verdicts)


ANSWER = """
Reverse mode costs {reverse_low} to {reverse_high} one forward pass at every depth up to
{deepest}; central differences cost {central_common} at depth {common} already, and the
written-out formula {expanded_stopped}.
"""

PAGE = """
Each network takes the four standardised measurements of an Iris flower through hidden
tanh layers of width four to three outputs; the loss is the mean squared error against
the one-hot species over the whole data set. At depth {common} it has {parameters}
parameters.

## What it costs

A gradient (with its value) at depth {common}, as a multiple of one forward pass of the
same runtime: reverse mode {reverse_common}, symbolic with sharing kept throughout
{shared_common}, symbolic shared afterwards {cse_common}, forward mode {forward_common},
forward differences {differences_common}, central differences {central_common} (exactly
{central_evaluations} evaluations). All of these run on the same engine. The formula
written out in full cannot (the engine would share what is equal): it runs as generated
NumPy over whole columns of the batch, and its forward pass is NumPy's. It ran to depth
{expanded_reached}, where it cost {expanded_last}, and {expanded_stopped}.

These are times of the compiled programs. (Differences and forward mode loop over the
parameters inside the engine, without returning to Python between two evaluations, so
that they cost less than their number of evaluations.) The public call adds what
flattens, checks and nests the arguments: measured with a backend that answers zero it
takes {overhead}, which is {overhead_share} of the public reverse-mode call at depth
{common}. Around that cell, which measures nothing else, the harness took {harness}
({harness_share} of what the cell itself took) to start, ask and end its process; no
measured number contains it.

## Why symbolic differentiation is two different things

The gradient written out, parameter by parameter, has {tree} operations at depth
{common}; the same gradient with every intermediate named once has {shared}. Keeping the
sharing throughout is what turns symbolic differentiation into reverse mode.

## How exact it is

Largest error over depths to {proved}, relative to the largest entry of the gradient,
against a reference proved to {reference_digits} digits: reverse mode {reverse_error},
symbolic {symbolic_error}, central differences {central_error}, forward differences
{differences_error}.
"""

METRICS = {
    "gradient_ratio": "value and gradient over one forward pass of the same runtime, "
    "median of ratios of samples taken in turn",
    "gradient_engine_ratio": "the same over one forward pass of the engine",
    "gradient_seconds, primal_seconds": "the compiled program alone; medians, every "
    "sample is kept",
    "call_seconds": "the public call: the same with flattening, checking and nesting",
    "prepare_seconds": "tracing, deriving and compiling; `prepare_…_seconds` by phase",
    "first_call_seconds": "the first call after preparing",
    "primal_evaluations": "evaluations of the function for one gradient",
    "run_operations": "scalar operations of one value and gradient over the batch",
    "tree_operations": "operations of the derivative written out as a formula",
    "shared_operations": "operations with equal parts counted once",
    "planned_bytes": "memory the backend plans for",
    "peak_bytes": "by how much the process grew while preparing and at the first call",
    "relative_error": "largest deviation over the largest entry of the gradient",
    "worst_entry_relative_error": "largest deviation of an entry over that entry",
    "parameters_count": "parameters of the network",
    "reference_bits": "working precision that proved the reference",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="What does a gradient cost as a network gets deeper?",
    claims=("C6", "C7", "C8"),
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

"""What value and gradient by reverse mode cost beside the value alone.

Tanh networks with inputs and hidden layers of one width, one output, mean squared
error, swept over depth, width and batch, and some networks of every kind: operations,
flops and bytes counted exactly from the table of ops, the ratio that they predict, and
the time measured. Run it alone::

    python experiments/gradient_cost_ratio.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from math import log
from typing import Any

import numpy as np

from diffkit import measure, report
from diffkit.graph import reverse, simplify
from diffkit.measure import Case, Mode, Row

NAME = "gradient_cost_ratio"
DEPTH, WIDTH, BATCH = 3, 32, 32
SWEEPS: dict[str, dict[Mode, tuple[int, ...]]] = {
    "depth": {
        "quick": (1, 2, 4, 8, 16, 32, 64),
        "full": (1, 2, 4, 8, 16, 32, 64, 128, 256),
    },
    "width": {
        "quick": (1, 4, 16, 32, 64, 128, 256),
        "full": (1, 4, 16, 32, 64, 128, 256, 512),
    },
    "batch": {
        "quick": (1, 4, 16, 32, 128, 512),
        "full": (1, 4, 16, 32, 128, 512, 2048, 8192),
    },
}
NETWORK = "network"
NETWORKS = measure.COMPARED_NETWORKS
#: The most that value and gradient may take of the value's time: three products for one
#: where nothing but products counts, and somewhat more where all the rest does.
LARGEST = ("784-512-512-10", "1024×4")
MOST_LARGEST, MOST = 3.0, 3.5
COUNTED = ("operations", "flops", "bytes")
#: What C9 and C6 say, and the bounds of the theory: at most 3 to 4 times the operations
#: and 5 with memory (Baur and Strassen, 1983; Griewank and Walther, 2008, §4.4).
CLAIMED_SAME, CLAIMED_TWICE, BOUND, BOUND_WITH_MEMORY = 1, 2, 4, 5
#: "About" is taken for a quarter either way.
ABOUT = 0.25
#: Of the two largest networks one gradient takes tens of milliseconds.
SWEEP_BUDGET_SECONDS, BUDGET_SECONDS = 0.25, 2.0
LIMITS = measure.Limits(seconds=60.0, bytes=4 << 30)


def cases(mode: Mode) -> list[Case]:
    """Each sweep changes one number of the network in the middle; then the networks."""
    case = partial(measure.case, NAME, "autodiff", runtime="engine", limits=LIMITS)
    swept = [
        case(
            sweep=sweep,
            depth=size if sweep == "depth" else DEPTH,
            width=size if sweep == "width" else WIDTH,
            batch=size if sweep == "batch" else BATCH,
        )
        for sweep, sizes in SWEEPS.items()
        for size in sizes[mode]
    ]
    return swept + [case(sweep=NETWORK, network=name) for name in NETWORKS]


def network_of(case: Case) -> measure.Network:
    """The network that a case asks about."""
    if case["sweep"] == NETWORK:
        return NETWORKS[case["network"]]
    sizes = (case["width"],) * (case["depth"] + 1)
    return measure.Network((*sizes, 1), batch=case["batch"])


def measure_case(case: Case) -> list[Row]:
    """Exact counts of both programs, and the time of the one beside the other."""
    measure.warm_up()
    problem = network_of(case).problem()
    budget = BUDGET_SECONDS if case["sweep"] == NETWORK else SWEEP_BUDGET_SECONDS
    timed = measure.time_gradient(
        problem, "autodiff", samples=15, budget_seconds=budget
    )
    program = timed.prepared.program
    primal = simplify(program.graph).size()
    both = simplify(reverse(program.graph, program.wrt)).size()
    counts = [
        case.row(f"{which}_{what}", getattr(size, what))
        for which, size in (("primal", primal), ("gradient", both))
        for what in COUNTED
    ]
    return [
        case.row("parameters_count", program.parameters),
        *counts,
        *(
            case.row(f"{what}_ratio", getattr(both, what) / getattr(primal, what))
            for what in COUNTED
        ),
        case.row("time_ratio", timed.ratio.median_seconds, samples=timed.ratio.samples),
        case.row(
            "gradient_seconds",
            timed.gradient.median_seconds,
            samples=timed.gradient.samples,
        ),
        case.row(
            "primal_seconds", timed.primal.median_seconds, samples=timed.primal.samples
        ),
    ]


def points(rows: Sequence[Row], sweep: str, metric: str) -> list[tuple[int, float]]:
    """(size, value) along one sweep."""
    found = report.rows_of(rows, metric, sweep=sweep)
    return sorted((row[sweep], row.value) for row in found if row.value is not None)


def by_network(rows: Sequence[Row], metric: str) -> dict[str, float]:
    """A metric of each network that was measured, smallest network first."""
    found = {name: report.value_of(rows, metric, network=name) for name in NETWORKS}
    return {name: value for name, value in found.items() if value is not None}


def counts_of(rows: Sequence[Row]) -> list[tuple[float, np.ndarray]]:
    """(time ratio, [[gradient flops, bytes], [primal flops, bytes]]) of each cell."""
    found = []
    for timed in report.rows_of(rows, "time_ratio"):
        case: dict[str, Any] = dict(timed.parameters)
        counts = [
            [
                report.value_of(rows, f"{which}_{what}", **case)
                for what in ("flops", "bytes")
            ]
            for which in ("gradient", "primal")
        ]
        if timed.value is not None and None not in [*counts[0], *counts[1]]:
            found.append((timed.value, np.array(counts, np.float64)))
    return found


def predicted(counts: np.ndarray, flops_a_byte: float) -> float:
    """The ratio of times, if moving a byte takes as long as so many flops.

    Flops alone are 0; bytes alone are what a large number tends to.
    """
    gradient, primal = counts @ np.array([1.0, flops_a_byte])
    return float(gradient / primal)


def fitted(found: Sequence[tuple[float, np.ndarray]]) -> float:
    """The one constant whose worst prediction is the best, in ratios.

    From a tight grid: each prediction lies between those by flops and by bytes, and
    moves one way, so that there is nothing else to find.
    """

    def worst(flops_a_byte: float) -> float:
        return max(abs(log(predicted(c, flops_a_byte) / time)) for time, c in found)

    grid = [0.0, *np.geomspace(1e-2, 1e3, 501)]
    return float(min(grid, key=worst))


def figure(rows: Sequence[Row]):
    """Ratios against depth, width and batch, and of networks beside what is predicted.

    Between what is claimed and the bound of the theory.
    """
    figures = report.figures
    shown, axes = figures.panels(2, 2, width=13.0, height=10.4)
    looks = {
        "time": figures.Look("time, measured", "#0072B2", "o"),
        "operations": figures.Look("operations", "#000000", "*", "--"),
        "flops": figures.Look("flops", "#D55E00", "s", "--"),
        "bytes": figures.Look("bytes moved", "#009E73", "^", "--"),
    }
    rules = [
        figures.Rule(CLAIMED_SAME, "claimed: one forward pass"),
        figures.Rule(CLAIMED_TWICE, "claimed: twice"),
        figures.Rule(BOUND, "bound on operations (Baur, Strassen)"),
        figures.Rule(BOUND_WITH_MEMORY, "bound with memory"),
    ]
    titles = {
        "depth": "Deeper: the counts settle below the bound",
        "width": "Wider: products dominate, two more for each",
        "batch": "Larger batches: the counts settle",
    }
    names = {"depth": "hidden layers", "width": "units a layer", "batch": "samples"}
    _bars(axes[3], rows)
    for panel, (sweep, title) in zip(axes, titles.items(), strict=False):
        figures.draw(
            panel,
            [
                figures.Line(look, points(rows, sweep, f"{what}_ratio"))
                for what, look in looks.items()
            ],
            title=title,
            x=names[sweep],
            y="value and gradient ÷ value",
            y_scale="linear",
            y_reach=(0.8, 5.4),
            rules=rules,
        )
    return shown


def _bars(panel, rows: Sequence[Row]) -> None:
    """Measured, predicted by flops, predicted by bytes: a group for each network."""
    figures = report.figures
    series = {
        "time_ratio": figures.Look("measured", "#0072B2", "o"),
        "flops_ratio": figures.Look("predicted by flops", "#D55E00", "s"),
        "bytes_ratio": figures.Look("predicted by bytes", "#009E73", "^"),
    }
    figures.bars(
        panel,
        [figures.Bars(look, by_network(rows, name)) for name, look in series.items()],
        title="Networks: the measured ratio beside the predicted ones",
        x="value and gradient ÷ value",
        show="{:.2f}".format,
    )


def findings(rows: Sequence[Row]) -> measure.Findings:
    """The facts that the page may state."""
    numbers = report.numbers

    def spread(metric: str, sweep: str | None = None) -> tuple[float, float] | None:
        sweeps = (sweep,) if sweep else tuple(SWEEPS)
        values = [y for s in sweeps for _, y in points(rows, s, metric)]
        return (min(values), max(values)) if values else None

    def said(metric: str, sweep: str | None = None, less: float = 0.0) -> str:
        ends = spread(metric, sweep)
        if ends is None:
            return "no result"
        low, high = (numbers.times(end - less) for end in ends)
        return low if low == high else f"{low} to {high}"

    def end(sweep: str, metric: str, place: int) -> str:
        found = points(rows, sweep, metric)
        return numbers.times(found[place][1]) if found else "no result"

    first, last = partial(end, place=0), partial(end, place=-1)

    facts = {
        "depth": DEPTH,
        "width": WIDTH,
        "batch": BATCH,
        "time": said("time_ratio"),
        "operations": said("operations_ratio"),
        "flops": said("flops_ratio"),
        "bytes": said("bytes_ratio"),
        "backward_time": said("time_ratio", less=1.0),
        "backward_operations": said("operations_ratio", less=1.0),
        "shallow_time": first("depth", "time_ratio"),
        "deep_time": last("depth", "time_ratio"),
        "deep_operations": last("depth", "operations_ratio"),
        "widest": (points(rows, "width", "time_ratio") or [("no", 0)])[-1][0],
        "wide_time": last("width", "time_ratio"),
        "wide_operations": last("width", "operations_ratio"),
        "wide_bytes": last("width", "bytes_ratio"),
        "bound": BOUND,
        "bound_with_memory": BOUND_WITH_MEMORY,
        "below": _below(rows),
        "about": f"{100 * ABOUT:.0f} %",
        "off": _off(rows),
        "deepest": (points(rows, "depth", "time_ratio") or [("no", 0)])[-1][0],
        **_law(rows),
    }
    times = spread("time_ratio")
    if times is None:
        return measure.Findings(facts)
    twice = (1 - ABOUT) * CLAIMED_TWICE, (1 + ABOUT) * CLAIMED_TWICE
    inside = sum(
        twice[0] <= y <= twice[1]
        for sweep in SWEEPS
        for _, y in points(rows, sweep, "time_ratio")
    )
    total = sum(len(points(rows, sweep, "time_ratio")) for sweep in SWEEPS)
    same = times[1] <= CLAIMED_SAME + ABOUT
    return measure.Findings(
        facts,
        (
            measure.Verdict(
                "C6",
                f"value and gradient take {facts['time']} a forward pass in time, "
                f"{facts['operations']} in operations; the time is within "
                f"{facts['about']} of twice in {inside} of {total} networks, and goes "
                f"from {facts['shallow_time']} to {facts['deep_time']} with depth",
                "right" if inside == total else "conditional" if inside else "wrong",
            ),
            measure.Verdict(
                "C9",
                f"never below {numbers.times(times[0])}; the backward pass alone takes "
                f"{facts['backward_time']} a forward pass",
                "right"
                if same
                else "conditional"
                if times[0] <= CLAIMED_SAME + ABOUT
                else "wrong",
            ),
        ),
    )


def most(network: str) -> float:
    """The most that value and gradient may take, in times of the value."""
    return MOST_LARGEST if network in LARGEST else MOST


def _law(rows: Sequence[Row]) -> dict[str, object]:
    """What was predicted of each network, what was measured, and what is allowed."""
    numbers = report.numbers
    times = by_network(rows, "time_ratio")
    flops, moved = by_network(rows, "flops_ratio"), by_network(rows, "bytes_ratio")
    found = counts_of(rows)
    weight = fitted(found) if found else None
    both = {}
    for name in times:
        counts = counts_of([row for row in rows if row.get(NETWORK) == name])
        if counts and weight is not None:
            both[name] = predicted(counts[0][1], weight)
    lines = [
        [
            name,
            str(NETWORKS[name].batch),
            numbers.times(time),
            *(
                report.said(one.get(name), numbers.times)
                for one in (flops, moved, both)
            ),
            f"≤ {numbers.times(most(name))}",
            "yes" if time <= most(name) else "no",
        ]
        for name, time in times.items()
    ]

    def off(weight: float | None) -> str:
        if weight is None:
            return "no result"
        worst = max(abs(time / predicted(c, weight) - 1) for time, c in found)
        return f"{100 * worst:.0f} %"

    above = [name for name, time in times.items() if time > most(name)]
    return {
        "table": report.markdown_table(
            [
                "network",
                "batch",
                "measured",
                "by flops",
                "by bytes",
                "by both",
                "wanted",
                "met",
            ],
            lines,
        ),
        "wanted": f"{len(times) - len(above)} of {len(times)}",
        "weight": report.said(weight, "{:.2g}".format),
        "off_both": off(weight),
        "off_flops": off(0.0 if found else None),
        "most_largest": MOST_LARGEST,
        "most": MOST,
        "largest": " and ".join(LARGEST),
    }


def _below(rows: Sequence[Row]) -> str:
    """In how many networks the bound on operations holds."""
    values = [y for sweep in SWEEPS for _, y in points(rows, sweep, "operations_ratio")]
    return f"{sum(y <= BOUND for y in values)} of {len(values)}"


def _off(rows: Sequence[Row]) -> str:
    """By how much the counted flops miss the measured time, at most."""
    apart = [
        abs(time / flops - 1)
        for sweep in SWEEPS
        for (_, time), (_, flops) in zip(
            points(rows, sweep, "time_ratio"),
            points(rows, sweep, "flops_ratio"),
            strict=False,
        )
    ]
    return f"{100 * max(apart):.0f} %" if apart else "no result"


ANSWER = """
By reverse mode a value with its whole gradient takes {time} the time of the value alone
and {operations} its operations: never just one forward pass, about twice in some
networks and not in others, and below the bound of the theory in {below}.
"""

PAGE = """
The two sources contradict each other: all gradients "in essentially the time of one
forward pass", and "about twice". Both leave open what is counted: the backward pass
alone, or value and gradient together. Here value and gradient together are put beside
the value alone; the backward pass alone is one less.

## Counted

From the table of ops, exactly: {operations} in scalar operations, {flops} in flops
(each op weighted by its cost), {bytes} in bytes moved. A dense layer is one matrix
product forward and two backward, one for the weights and one for what came in, except
that nothing asks for the derivative by the data. Narrow networks are dominated by what
is done elementwise, where the derivative of an activation is cheaper than the
activation. Baur and Strassen (`1983`) prove that a gradient never takes more than a
small multiple of the operations, {bound} by the usual accounting and
{bound_with_memory} with moves of memory (Griewank and Walther, `2008`): it holds in
{below} networks.

## Measured

In time: {time}; the backward pass alone {backward_time}. From one hidden layer to
{deepest}, at width {width} and batch {batch}, the ratio goes from {shallow_time} to
{deep_time}, while operations settle at {deep_operations}: the cost is of the order of
the depth, as claimed, and the factor is no constant, because a deeper network keeps
more values for the way back. At width {widest} it takes {wide_time}, where operations
say {wide_operations} and bytes {wide_bytes}. Flops alone, with no constant fitted, miss
the measured ratio by {off} at most: time is also memory, and what a call costs.

## Predicted

The table of ops predicts the ratio before anything runs: as that of the flops, if a
processor did nothing else; as that of the bytes, if it only moved them; or by both,
with one constant fitted to all cells of this page, namely that moving a byte takes as
long as {weight} flops. By both, the worst cell is off by {off_both}; by flops alone, by
{off_flops}.

{table}

Where nothing but products counts, a gradient is three products for one, less the one
that would give the derivative by the data: so {largest} may take {most_largest} times
the value, and the others, where all the rest counts too, {most}. That is met by
{wanted} networks.
"""

METRICS = {
    "time_ratio": "time of value and gradient over that of the value, both by the "
    "engine, median of ratios of samples taken in turn",
    "operations_ratio, flops_ratio, bytes_ratio": "the same of exact counts, after "
    "both programs are simplified",
    "primal_…, gradient_…": "the counts themselves: scalar operations; operations "
    "weighted by what an op costs; bytes of operands and results",
    "gradient_seconds, primal_seconds": "seconds of the processor, medians",
    "parameters_count": "parameters of the network",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="What does a gradient cost beside the value it is the gradient of?",
    claims=("C6", "C9"),
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

"""What a gradient costs as a network gets more parameters: evaluations, and time.

Networks 10-h-1 with tanh at batch 32, mean squared error, the two of the sources
(10-32-1 and 10-64-32-1) and one that fits on a blackboard, 2-4-1. Run it alone::

    python experiments/parameter_scaling.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from diffkit import measure, report
from diffkit.measure import Case, Mode, Row

NAME = "parameter_scaling"
#: The networks that the sources ask about.
NAMED = ("10-32-1", "10-64-32-1")
HIDDEN = {"quick": (2, 8, 32, 64, 128, 256), "full": (2, 8, 32, 64, 128, 256, 512)}
#: As few parameters as a lesson writes down by hand.
SMALLEST = "2-4-1"
#: A million parameters, near enough: reverse mode does them, nothing else is asked to.
LARGEST = "10-83333-1"
MILLION = 10**6
#: Below this a call's fixed cost hides how the work grows; laws are fitted from here.
FITTED_FROM = 300

WAYS: dict[str, tuple[str, dict[str, str]]] = {
    "autodiff": ("autodiff", {}),
    "forward": ("forward", {}),
    "finite_differences_central": ("finite_differences", {"method": "central"}),
    "finite_differences_forward": ("finite_differences", {"method": "forward"}),
}
#: Evaluations for a gradient of P parameters: what the claim says, or the method does.
EXPECTED = {
    "autodiff": lambda p: 1,
    "forward": lambda p: p,
    "finite_differences_central": lambda p: 2 * p,
    "finite_differences_forward": lambda p: p + 1,
}
LIMITS = measure.Limits(seconds=60.0, bytes=2 << 30)


def cases(mode: Mode) -> list[Case]:
    """Every way on every network, and reverse mode on the largest."""
    networks = [SMALLEST, *(f"10-{h}-1" for h in HIDDEN[mode])]
    networks += [name for name in NAMED if name not in networks]
    asked = [(way, network) for network in networks for way in WAYS]
    asked.append(("autodiff", LARGEST))
    return [
        measure.case(NAME, way, runtime="engine", limits=LIMITS, network=network)
        for way, network in asked
    ]


def problem(network: str) -> measure.Problem:
    """The loss of a network, written 10-32-1."""
    sizes = tuple(int(size) for size in network.split("-"))
    return measure.Network(sizes, batch=32).problem()


def measure_case(case: Case) -> list[Row]:
    """Evaluations counted while they run, and time beside a forward pass."""
    backend, options = WAYS[case.backend]
    measure.warm_up()
    timed = measure.time_gradient(
        problem(case["network"]), backend, options, samples=9, budget_seconds=0.15
    )
    prepared = timed.prepared
    leaves = prepared.leaves(problem(case["network"]).arguments)
    return [
        case.row("parameters_count", prepared.program.parameters),
        case.row("primal_evaluations", evaluations(prepared, leaves)),
        case.row(
            "gradient_ratio", timed.ratio.median_seconds, samples=timed.ratio.samples
        ),
        case.row(
            "gradient_seconds",
            timed.gradient.median_seconds,
            samples=timed.gradient.samples,
        ),
        case.row(
            "primal_seconds", timed.primal.median_seconds, samples=timed.primal.samples
        ),
        case.row("deviation_error", timed.deviation),
    ]


def evaluations(prepared, leaves) -> int:
    """Evaluations of the function for one gradient, counted where they are made.

    Differences count each as it runs; of the derivations the plan is told.
    """
    compiled = prepared.compiled
    if not hasattr(compiled, "evaluations_run"):
        return prepared.info.evaluations
    before = compiled.evaluations_run
    compiled.gradient(leaves)
    return compiled.evaluations_run - before


def points(rows: Sequence[Row], way: str, metric: str) -> list[tuple[int, float]]:
    """(parameters, value) of one way, by parameters."""
    sizes = {
        row["network"]: int(row.value)
        for row in rows
        if row.metric == "parameters_count" and row.value is not None
    }
    return sorted(
        (sizes[row["network"]], row.value)
        for row in rows
        if (row.backend, row.metric) == (way, metric) and row.value is not None
        if row["network"] in sizes
    )


def law(rows: Sequence[Row], way: str, metric: str) -> measure.Law | None:
    """The power law in the number of parameters, None with fewer than three points."""
    fitted = [(p, y) for p, y in points(rows, way, metric) if p >= FITTED_FROM]
    if len(fitted) < 3:
        return None
    sizes, values = zip(*fitted, strict=True)
    return measure.fit_law("power", sizes, values)


def exact(rows: Sequence[Row], way: str) -> bool | None:
    """Whether every count is exactly what is expected; None without counts."""
    counted = points(rows, way, "primal_evaluations")
    return all(n == EXPECTED[way](p) for p, n in counted) if counted else None


def figure(rows: Sequence[Row]):
    """Evaluations and time against parameters, and the way to a million."""
    figures = report.figures
    shown, (counts, ratios, seconds) = figures.panels(1, 3, width=18.0, height=5.2)
    sizes = dict(_named_sizes(rows))
    rules = [figures.Rule(p, name, "x") for name, p in sizes.items()]
    figures.draw(
        counts,
        [
            figures.Line(
                figures.look_of(way),
                [
                    (p, n)
                    for p, n in points(rows, way, "primal_evaluations")
                    if p < MILLION / 2
                ],
            )
            for way in WAYS
        ],
        title="Differences evaluate the network for every parameter",
        x="parameters",
        y="evaluations for one gradient (counted)",
        rules=rules,
    )
    figures.draw(
        ratios,
        [
            figures.Line(figures.look_of(way), points(rows, way, "gradient_ratio"))
            for way in WAYS
        ],
        title="Reverse mode does not care how many there are",
        x="parameters",
        y="gradient ÷ forward pass",
    )
    lines = [
        figures.Line(
            figures.look_of(way), points(rows, way, "gradient_seconds"), labelled=False
        )
        for way in WAYS
    ]
    for way in WAYS:
        fitted, known = (
            law(rows, way, "gradient_seconds"),
            points(rows, way, "gradient_seconds"),
        )
        if fitted is None or way == "autodiff":
            continue
        look = figures.look_of(way)
        reach = [known[-1][0], 10**4, 10**5, MILLION]
        reach = [p for p in reach if p >= known[-1][0]]
        lines.append(
            figures.Line(
                figures.Look(f"{look.name},\nextrapolated", look.colour, "", ":"),
                [(p, fitted.at(p).value) for p in reach],
                band=[(p, fitted.at(p).low, fitted.at(p).high) for p in reach],
                labelled=way != "finite_differences_forward",
            )
        )
    lines[0] = figures.Line(lines[0].look, lines[0].points)
    figures.draw(
        seconds,
        lines,
        title="To a million parameters (dotted: extrapolation)",
        x="parameters",
        y="seconds for one gradient",
    )
    for axes in (ratios, seconds):  # the sizes lie too close together to be named
        powers = range(2, 7)
        axes.set_xticks(
            [10**k for k in powers], [report.numbers.power_of_ten(k) for k in powers]
        )
    return shown


def _named_sizes(rows: Sequence[Row]) -> list[tuple[str, int]]:
    return [
        (row["network"], int(row.value))
        for row in rows
        if (row.backend, row.metric) == ("autodiff", "parameters_count")
        if row.value is not None and row["network"] in NAMED
    ]


def _rate(fitted: measure.Law | None) -> str:
    if fitted is None:
        return "no result"
    rate = fitted.rate
    return f"{rate.value:.2f} ({rate.low:.2f} to {rate.high:.2f})"


def findings(rows: Sequence[Row]) -> measure.Findings:
    """The facts that the page may state."""
    numbers = report.numbers
    central, one_sided = "finite_differences_central", "finite_differences_forward"
    counted = {way: dict(points(rows, way, "primal_evaluations")) for way in WAYS}
    table = report.markdown_table(
        ["network", "parameters", "central", "forward differences", "time of central"],
        [
            [
                name,
                numbers.count(p),
                report.said(counted[central].get(p), numbers.count),
                report.said(counted[one_sided].get(p), numbers.count),
                report.said(
                    dict(points(rows, central, "gradient_ratio")).get(p), numbers.times
                ),
            ]
            for name, p in _named_sizes(rows)
        ],
    )
    seconds = {way: law(rows, way, "gradient_seconds") for way in WAYS}
    ratios = {way: law(rows, way, "gradient_ratio") for way in WAYS}
    far = {way: fitted.at(MILLION) for way, fitted in seconds.items() if fitted}
    largest = report.value_of(rows, "gradient_ratio", "autodiff", network=LARGEST)
    took = report.value_of(rows, "gradient_seconds", "autodiff", network=LARGEST)
    sizes = [p for p, _ in points(rows, central, "primal_evaluations")]

    reverse = [y for _, y in points(rows, "autodiff", "gradient_ratio")]

    def carried(way: str) -> str:
        if way not in far:
            return "no result"
        at = far[way]
        low, high = numbers.duration(at.low), numbers.duration(at.high)
        return f"{numbers.duration(at.value)} (between {low} and {high})"

    right = exact(rows, central) and exact(rows, one_sided)
    facts = {
        "fewest": numbers.count(min(sizes, default=0)),
        "most": numbers.count(max(sizes, default=0)),
        "exactly": "exactly" if right else "not in every case",
        "networks": table,
        "reverse_low": report.said(min(reverse, default=None), numbers.times),
        "reverse_high": report.said(max(reverse, default=None), numbers.times),
        "million": numbers.count(MILLION),
        "passes": numbers.count(2 * MILLION),
        "fitted_from": FITTED_FROM,
        "central_time": carried(central),
        "one_sided_time": carried(one_sided),
        "forward_time": carried("forward"),
        "largest": numbers.count(_size_of(rows, LARGEST)),
        "largest_time": report.said(took, numbers.seconds),
        "largest_ratio": report.said(largest, numbers.times),
        "deviation": _worst(rows, ("autodiff", "forward")),
        "difference_deviation": _worst(rows, (central, one_sided)),
        **{
            f"{way}_{what}": _rate(fitted)
            for what, laws in (("rate", seconds), ("ratio_rate", ratios))
            for way, fitted in laws.items()
        },
    }
    verdicts = []
    if (held := exact(rows, central)) is not None:
        verdicts.append(
            measure.Verdict(
                "C7",
                f"{facts['exactly']} two evaluations for each parameter, counted from "
                f"{facts['fewest']} to {facts['most']} parameters; so "
                f"{facts['passes']} for {facts['million']}",
                "right" if held else "wrong",
            )
        )
    if _named_sizes(rows):
        told = "; ".join(
            f"{name}: {numbers.count(p)} parameters, "
            f"{report.said(counted[central].get(p), numbers.count)} evaluations"
            for name, p in _named_sizes(rows)
        )
        verdicts.append(measure.Verdict("C30", told, "measured"))
    return measure.Findings(facts, tuple(verdicts))


def _size_of(rows: Sequence[Row], network: str) -> int:
    found = report.value_of(rows, "parameters_count", "autodiff", network=network)
    return int(found or 0)


def _worst(rows: Sequence[Row], ways: Sequence[str]) -> str:
    found = [
        row.value
        for row in rows
        if row.metric == "deviation_error" and row.backend in ways
        if row.value is not None
    ]
    return report.said(max(found, default=None), report.numbers.scientific)


ANSWER = """
Central differences take {exactly} two evaluations for each parameter, forward
differences one each and one more; reverse mode takes {reverse_low} to {reverse_high}
one forward pass from {fewest} parameters to {largest}.
"""

PAGE = """
Evaluations are counted where they are made. For the networks that the sources ask
about, with the time of a central-difference gradient as a multiple of one forward pass:

{networks}

Every other network, from {fewest} to {most} parameters, obeys the same two laws, two
evaluations for each parameter and one for each and one more, {exactly}.

## Time

One evaluation is no fixed price: a network with more parameters is also slower to
evaluate. So the time of a gradient by differences grows faster than the count. Power
laws fitted in log space to the networks of {fitted_from} parameters and more, with
confidence intervals of the exponent:

* central differences: exponent {finite_differences_central_rate}, beside one forward
  pass {finite_differences_central_ratio_rate};
* forward differences: {finite_differences_forward_rate}, beside one forward pass
  {finite_differences_forward_ratio_rate};
* forward mode: {forward_rate}, beside one forward pass {forward_ratio_rate};
* reverse mode: {autodiff_rate}, beside one forward pass {autodiff_ratio_rate}.

## A million parameters

By the counts, {passes} evaluations for {million} parameters. By the fitted laws, as an
extrapolation far beyond what was measured, one gradient would take {central_time} by
central differences, {one_sided_time} by forward differences and {forward_time} by
forward mode. Reverse mode needs no extrapolation: at {largest} parameters it was
measured, at {largest_time} for a value and gradient, {largest_ratio} a forward pass.

All of them computed the same gradient: forward mode differs from reverse mode by
{deviation} of the largest entry at most, differences by {difference_deviation}.
"""

METRICS = {
    "parameters_count": "parameters of the network",
    "primal_evaluations": "evaluations of the function for one gradient, counted",
    "gradient_ratio": "value and gradient over one forward pass of the engine, median "
    "of ratios of samples taken in turn",
    "gradient_seconds, primal_seconds": "the compiled program alone, in seconds "
    "of the processor; medians",
    "deviation_error": "largest difference from reverse mode over the largest entry",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="How does the cost of a gradient grow with the number of parameters?",
    claims=("C7", "C30"),
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

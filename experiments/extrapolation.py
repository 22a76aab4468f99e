"""The growth laws of small networks carried to 1.8 trillion parameters.

Networks of four hidden tanh layers of one width and one output, one sample at a time.
Everything beyond the largest of them is extrapolation, and is called that wherever it
stands. Run it alone::

    python experiments/extrapolation.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from diffkit import measure, report
from diffkit.measure import Case, Mode, Row

NAME = "extrapolation"
LAYERS = 4
#: As many parameters as the largest language models are said to have.
TARGET = 1_800_000_000_000
WIDTHS: dict[str, dict[Mode, tuple[int, ...]]] = {
    "autodiff": {
        "quick": (8, 16, 32, 64, 96, 128, 192, 256, 384, 512),
        "full": (8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048),
    },
    "finite_differences_central": {"quick": (8, 16, 32), "full": (8, 16, 32, 64)},
}
#: Below this what a call costs hides how the work grows.
FITTED_FROM = 10_000
BYTES_PER_SCALAR = 8
YEAR_SECONDS = 31_557_600.0
#: 13.8 thousand million years (Planck Collaboration, 2020).
AGE_OF_THE_UNIVERSE_SECONDS = 13.8e9 * YEAR_SECONDS
LIMITS = measure.Limits(seconds=60.0, bytes=4 << 30)


def cases(mode: Mode) -> list[Case]:
    """Reverse mode and the forward pass beside it; differences on the smallest."""
    return [
        measure.case(NAME, way, runtime="engine", limits=LIMITS, width=width)
        for way, widths in WIDTHS.items()
        for width in widths[mode]
    ]


def measure_case(case: Case) -> list[Row]:
    """Parameters, evaluations, seconds and planned bytes of one network."""
    measure.warm_up()
    sizes = (case["width"],) * (LAYERS + 1)
    problem = measure.Network((*sizes, 1), batch=1).problem()
    central = case.backend != "autodiff"
    timed = measure.time_gradient(
        problem,
        "finite_differences" if central else "autodiff",
        {"method": "central"} if central else {},
        samples=9,
        budget_seconds=0.3,
    )
    info = timed.prepared.info
    return [
        case.row("parameters_count", timed.prepared.program.parameters),
        case.row("primal_evaluations", info.evaluations),
        case.row(
            "gradient_seconds",
            timed.gradient.median_seconds,
            samples=timed.gradient.samples,
        ),
        case.row(
            "primal_seconds", timed.primal.median_seconds, samples=timed.primal.samples
        ),
        case.row("planned_bytes", info.bytes),
        case.row("deviation_error", timed.deviation),
    ]


def points(rows: Sequence[Row], way: str, metric: str) -> list[tuple[int, float, Row]]:
    """(parameters, value, row) of one way, by parameters."""
    sizes = {
        (row.backend, row["width"]): int(row.value or 0)
        for row in report.rows_of(rows, "parameters_count")
    }
    found = [
        (sizes[way, row["width"]], row.value, row)
        for row in report.rows_of(rows, metric, way)
        if (way, row["width"]) in sizes and row.value is not None
    ]
    return sorted(found, key=lambda point: point[0])


def law(rows: Sequence[Row], metric: str) -> measure.Choice | None:
    """Both laws of a metric of reverse mode in P, None with fewer than three points."""
    fitted = [point for point in points(rows, "autodiff", metric) if _counts(point)]
    if len(fitted) < 3:
        return None
    return measure.choose_law([p for p, _, _ in fitted], [y for _, y, _ in fitted])


def _counts(point: tuple[int, float, Row]) -> bool:
    return point[0] >= FITTED_FROM


def noise(rows: Sequence[Row], metric: str) -> measure.Interval | None:
    """The exponent's interval from the noise of the samples alone."""
    fitted = [point for point in points(rows, "autodiff", metric) if _counts(point)]
    if len(fitted) < 3 or not all(row.samples for _, _, row in fitted):
        return None
    return measure.bootstrap_law(
        "power",
        [p for p, _, _ in fitted],
        [row.samples for _, _, row in fitted],
        np.random.default_rng(0),
    ).rate


def differences_at(rows: Sequence[Row], parameters: float) -> measure.Interval | None:
    """Seconds of a central-difference gradient: 2P passes, each as the law has it."""
    choice = law(rows, "primal_seconds")
    if choice is None:
        return None
    one, passes = choice.power.at(parameters), 2 * parameters
    return measure.Interval(passes * one.value, passes * one.low, passes * one.high)


def figure(rows: Sequence[Row]):
    """Seconds and bytes against parameters, dotted where they are extrapolated."""
    figures = report.figures
    shown, (seconds, memory) = figures.panels(1, 2, width=15.0, height=6.0)
    looks = {
        "central": figures.look_of("finite_differences_central"),
        "gradient_seconds": figures.look_of("autodiff"),
        "primal_seconds": figures.Look("one forward pass", "#009E73", "^"),
        "planned_bytes": figures.look_of("autodiff"),
    }

    def pair(look, known, at) -> list:
        """The measured line, and the law beyond it with its interval."""
        known = [(p, y) for p, y, _ in known]
        lines = [figures.Line(look, known, labelled=False)]
        if not known or at(TARGET) is None:
            return lines
        reach = np.geomspace(known[-1][0], TARGET, 12)
        far = [(float(p), at(float(p))) for p in reach]
        beyond = figures.Look(f"{look.name},\nextrapolated", look.colour, "", ":")
        band = [(p, interval.low, interval.high) for p, interval in far]
        values = [(p, interval.value) for p, interval in far]
        return [*lines, figures.Line(beyond, values, band=band)]

    def of(metric: str):
        choice = law(rows, metric)
        return lambda p: None if choice is None else choice.power.at(p)

    central = points(rows, "finite_differences_central", "gradient_seconds")
    figures.draw(
        seconds,
        [
            *pair(looks["central"], central, lambda p: differences_at(rows, p)),
            *(
                line
                for metric in ("gradient_seconds", "primal_seconds")
                for line in pair(
                    looks[metric], points(rows, "autodiff", metric), of(metric)
                )
            ),
        ],
        title="Extrapolation (dotted): differences grow about as the square",
        x="parameters; measured where there are markers",
        y="seconds on one core",
        rules=[
            figures.Rule(YEAR_SECONDS, "a year"),
            figures.Rule(AGE_OF_THE_UNIVERSE_SECONDS, "the age of the universe"),
        ],
    )
    figures.draw(
        memory,
        pair(
            looks["planned_bytes"],
            points(rows, "autodiff", "planned_bytes"),
            of("planned_bytes"),
        ),
        title="Extrapolation (dotted): memory grows with the parameters",
        x="parameters; measured where there are markers",
        y="bytes planned for value and gradient",
    )
    for axes in (seconds, memory):
        powers = range(3, 13, 3)
        axes.set_xticks(
            [10.0**k for k in powers], [report.numbers.power_of_ten(k) for k in powers]
        )
    return shown


def findings(rows: Sequence[Row]) -> measure.Findings:
    """The facts that the page may state."""
    numbers = report.numbers
    laws = {
        metric: law(rows, metric)
        for metric in ("primal_seconds", "gradient_seconds", "planned_bytes")
    }

    def far(interval: measure.Interval | None, words) -> str:
        if interval is None:
            return "no result"
        low, high = words(interval.low), words(interval.high)
        return f"{words(interval.value)} (between {low} and {high})"

    def at_target(metric: str, words) -> str:
        choice = laws[metric]
        return far(choice.power.at(TARGET) if choice else None, words)

    def rate(metric: str) -> str:
        choice = laws[metric]
        if choice is None:
            return "no result"
        found = choice.power.rate
        return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"

    counted = points(rows, "finite_differences_central", "primal_evaluations")
    exactly = bool(counted) and all(n == 2 * p for p, n, _ in counted)
    sizes = [p for p, _, _ in points(rows, "autodiff", "parameters_count")]
    noisy = noise(rows, "primal_seconds")
    chosen = {choice.chosen for choice in laws.values() if choice}
    facts = {
        "layers": LAYERS,
        "target": numbers.count(TARGET),
        "passes": numbers.count(2 * TARGET) if exactly else "no exact number of",
        "smallest": numbers.count(min(sizes, default=0)),
        "largest": numbers.count(max(sizes, default=0)),
        "factor": numbers.scientific(TARGET / max(sizes, default=TARGET)),
        "fitted_from": numbers.count(FITTED_FROM),
        "fitted": sum(p >= FITTED_FROM for p in sizes),
        "primal_rate": rate("primal_seconds"),
        "reverse_rate": rate("gradient_seconds"),
        "bytes_rate": rate("planned_bytes"),
        "noise": (f"{noisy.low:.3f} to {noisy.high:.3f}" if noisy else "no result"),
        "chosen": " or ".join(sorted(chosen)) or "no law",
        "primal_target": at_target("primal_seconds", numbers.duration),
        "reverse_target": at_target("gradient_seconds", numbers.duration),
        "central_target": far(differences_at(rows, TARGET), numbers.duration),
        "bytes_target": at_target("planned_bytes", numbers.size),
        "parameter_bytes": numbers.size(BYTES_PER_SCALAR * TARGET),
        "check": _check(rows),
        "universe": numbers.duration(AGE_OF_THE_UNIVERSE_SECONDS),
    }
    if not counted:
        return measure.Findings(facts)
    return measure.Findings(
        facts,
        (
            measure.Verdict(
                "C7",
                f"two evaluations for each parameter in {len(counted)} networks; by "
                f"that law {facts['passes']} for {facts['target']} (extrapolation)",
                "right" if exactly else "wrong",
            ),
        ),
    )


def _check(rows: Sequence[Row]) -> str:
    """Measured central differences over 2P measured forward passes, where both are."""
    passes = {p: y for p, y, _ in points(rows, "autodiff", "primal_seconds")}
    found = [
        y / (2 * p * passes[p])
        for p, y, _ in points(rows, "finite_differences_central", "gradient_seconds")
        if p in passes
    ]
    if not found:
        return "no result"
    low, high = (report.numbers.times(end) for end in (min(found), max(found)))
    return f"{low} to {high}"


ANSWER = """
An extrapolation by a factor of {factor} in size: a gradient of {target} parameters by
central differences would take {passes} forward passes and {central_target} on this
core; by reverse mode {reverse_target}.
"""

PAGE = """
What was measured: networks of {layers} hidden layers with {smallest} to {largest}
parameters, one sample at a time, on one core. What was not: everything beyond. This
page carries the laws of the small networks to {target} parameters, which assumes that
nothing changes on the way: the same kind of network, the same core, memory enough
beside it. No such computer exists. The intervals say how far the fitted lines may be
off, given the scatter about them, and nothing about that assumption.

## The laws

Power laws fitted in log space to the {fitted} networks of {fitted_from} parameters and
more (smaller ones measure what a call costs), chosen as {chosen} growth by the
corrected Akaike criterion against exponentials. Exponents of the number of parameters,
with confidence intervals:

* seconds of one forward pass: {primal_rate}; from the noise of the samples alone, by
  resampling them: {noise};
* seconds of value and gradient by reverse mode: {reverse_rate};
* bytes planned for value and gradient: {bytes_rate}.

## Extrapolated to {target} parameters

* Passes of central differences, by a law that is exact: {passes}.
* One forward pass: {primal_target}.
* One gradient by reverse mode: {reverse_target}.
* One gradient by central differences, that many passes of that length:
  {central_target}. The universe is {universe} old.
* Bytes for value and gradient: {bytes_target}; the parameters alone, in double
  precision, {parameter_bytes}.

Where central differences were measured, in small networks, a gradient took {check} as
long as that many passes called one by one: inside the engine a pass costs less.
"""

METRICS = {
    "parameters_count": "parameters of the network",
    "primal_evaluations": "evaluations of the function for one gradient",
    "gradient_seconds, primal_seconds": "the compiled program alone, in seconds of the "
    "processor; medians, every sample is kept",
    "planned_bytes": "memory that the engine plans for value and gradient",
    "deviation_error": "largest difference from reverse mode over the largest entry",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="What would a gradient of 1.8 trillion parameters take, by extrapolation?",
    claims=("C7",),
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

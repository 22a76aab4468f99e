"""One weight learns: (w − 3)² step by step, and how large a step may be.

Everything the lesson replays: the recorded path of every way of differentiating, runs
at learning rates from crawling to beyond the limit, and the bowl a·x². Run it alone::

    python experiments/one_weight.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from diffkit import losses, measure, optim, report
from diffkit.measure import WAYS, Case, Mode, Row

NAME = "one_weight"
TARGET, ALPHA = 3.0, 0.1
STEPS, SHOWN_STEPS = 60, 3
MOST_STEPS = 1000
RATES = (0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0, 1.01, 1.05, 1.1)
#: Rates whose paths the figure names.
NAMED = (0.02, 0.1, 0.25, 0.95, 1.0, 1.05)
CLOSE = 1e-6
#: Distances that the figure shows.
SHOWN = (2e-5, 2e3)
BOWLS = {"quick": (0.25, 1.0, 4.0), "full": (0.01, 0.1, 0.25, 0.5, 1.0, 4.0, 25.0)}
#: η·a, around the limit of 1.
FRACTIONS = (0.1, 0.5, 0.9, 0.99, 1.0, 1.01, 1.1, 1.5)
BOWL_STEPS, LIMIT_STEPS = 400, 50
POINTS = 7


def cases(mode: Mode) -> list[Case]:
    """Each way at the claimed rate, reverse mode at every rate and in every bowl."""

    def made(way: str, part: str, **parameters: Any) -> Case:
        return measure.case(
            NAME, way, runtime=WAYS[way].runtime, timed=False, part=part, **parameters
        )

    return [
        *(made(way, "steps") for way in WAYS),
        made("autodiff", "rates"),
        *(made("autodiff", "bowl", a=a) for a in BOWLS[mode]),
    ]


def loss(w):
    """(w − 3)², for a vector of one weight."""
    return np.sum((w - TARGET) ** 2)


def measure_case(case: Case) -> list[Row]:
    """The counted rows of one cell."""
    parts = {"steps": _steps, "rates": _rates, "bowl": _bowl}
    return parts[case["part"]](case)


def _steps(case: Case) -> list[Row]:
    prepared = measure.prepare_by(case.backend, loss, np.zeros(1))
    path = measure.descend(prepared, optim.sgd(ALPHA), np.zeros(1), STEPS)
    w = path.points[:, 0]
    closed = TARGET * (1.0 - (1.0 - 2.0 * ALPHA) ** np.arange(STEPS + 1))
    return [
        case.row("w_value", w[-1], samples=w),
        case.row("squared_loss", path.values[-1], samples=path.values),
        case.row("gradient_value", path.gradients[-1, 0], samples=path.gradients[:, 0]),
        case.row("closed_form_error", float(np.max(np.abs(w - closed)))),
        *(
            case.row(f"w_after_{k}_value", float(w[k]))
            for k in range(1, SHOWN_STEPS + 1)
        ),
        *_mse(case),
    ]


def _rates(case: Case) -> list[Row]:
    prepared = measure.prepare_by(case.backend, loss, np.zeros(1))
    rows = []
    for rate in RATES:
        path = measure.descend(
            prepared,
            optim.sgd(rate),
            np.zeros(1),
            MOST_STEPS,
            reached=lambda w, _: bool(abs(w[0] - TARGET) <= CLOSE / 10),
        )
        far = np.abs(path.points[:, 0] - TARGET)
        label = f"rate_{rate:g}"
        rows += [
            case.row(
                f"{label}_w_value",
                path.last[0],
                samples=path.points[: STEPS + 1, 0],
            ),
            case.row(f"{label}_factor_ratio", float(far[1] / far[0])),
        ]
        close = np.flatnonzero(far <= CLOSE)
        if close.size:
            rows.append(case.row(f"{label}_steps_count", int(close[0])))
    limit = measure.largest_that(lambda rate: _shrinks(prepared, rate, 0.0), 0.5, 2.0)
    return [*rows, case.row("limit_value", limit)]


def _shrinks(prepared, rate: float, start: float, target: float = TARGET) -> bool:
    """Whether the distance from the minimum is smaller after some steps."""
    path = measure.descend(prepared, optim.sgd(rate), [start], LIMIT_STEPS)
    return bool(abs(path.last[0] - target) < abs(start - target))


def _mse(case: Case) -> list[Row]:
    rng = np.random.default_rng(case.seed)
    predicted, y = rng.normal(size=POINTS), rng.normal(size=POINTS)
    prepared = measure.prepare_by(case.backend, losses.mse, predicted, y)
    _, gradient = prepared(predicted, y)
    claimed = 2.0 / POINTS * (predicted - y)
    return [
        case.row("mse_gradient_error", measure.relative_error(gradient, claimed)),
        case.row("outputs_count", POINTS),
    ]


def _bowl(case: Case) -> list[Row]:
    a = case["a"]
    start = np.ones(1)
    prepared = measure.prepare_by(case.backend, lambda x: np.sum(a * x**2), start)
    left = [
        abs(
            measure.descend(prepared, optim.sgd(f / a), start, BOWL_STEPS).last[0]
        ).item()
        for f in FRACTIONS
    ]
    limit = measure.largest_that(
        lambda rate: _shrinks(prepared, rate, 1.0, 0.0), 0.5 / a, 2.0 / a
    )
    return [
        case.row("distance_left_value", left[-1], samples=left),
        case.row("limit_value", limit),
        case.row("limit_times_a_ratio", limit * a),
    ]


def figure(rows: Sequence[Row]):
    """Distance from the minimum at several rates, and by what a step multiplies it."""
    figures = report.figures
    shown, (paths, factors) = figures.panels(1, 2, width=12.0, height=4.6)
    looks = figures.looks([f"α = {rate:g}" for rate in NAMED])
    figures.draw(
        paths,
        [
            figures.Line(
                look,
                report.until_outside(
                    [
                        abs(w - TARGET)
                        for w in report.samples_of(rows, f"rate_{rate:g}_w_value")
                    ],
                    *SHOWN,
                ),
            )
            for rate, look in zip(NAMED, looks.values(), strict=True)
        ],
        title="One weight on (w − 3)²: the error falls or grows geometrically",
        x="step",
        y="distance from the minimum, |w − 3|",
        x_scale="linear",
        y_limits=SHOWN,
    )
    measured = [
        (rate, report.value_of(rows, f"rate_{rate:g}_factor_ratio")) for rate in RATES
    ]
    figures.draw(
        factors,
        [
            figures.Line(
                figures.Look("|1 − 2α|", "#777777", "", "--"),
                [(rate, abs(1 - 2 * rate)) for rate in np.linspace(0.0, 1.15, 116)],
            ),
            figures.Line(
                figures.Look("measured", "#0072B2", "o", "none"),
                [(rate, factor) for rate, factor in measured if factor is not None],
            ),
        ],
        title="Each step multiplies the error by |1 − 2α|: below 1 for 0 < α < 1",
        x="learning rate α",
        y="error after a step ÷ before it",
        x_scale="linear",
        y_scale="linear",
        rules=[figures.Rule(1.0, "above this line it diverges")],
    )
    return shown


def findings(rows: Sequence[Row]) -> measure.Findings:
    """The facts that the page may state."""
    numbers, said, value = report.numbers, report.said, report.value_of

    def worst(metric: str, differences: bool = False) -> float | None:
        return max(
            (
                float(row.value or 0.0)
                for row in report.rows_of(rows, metric)
                if row.backend.startswith("finite") == differences
            ),
            default=None,
        )

    first = [value(rows, f"w_after_{k}_value", "autodiff") for k in (1, 2, 3)]
    limit = value(rows, "limit_value", "autodiff", part="rates")
    bowls = report.rows_of(rows, "limit_times_a_ratio", part="bowl")
    off = max((abs(float(row.value or 0.0) - 1.0) for row in bowls), default=None)
    counts = report.markdown_table(
        ["α", "factor", f"steps to within {numbers.scientific(CLOSE)}"],
        [
            [
                f"{rate:g}",
                said(value(rows, f"rate_{rate:g}_factor_ratio"), "{:.3g}".format),
                said(value(rows, f"rate_{rate:g}_steps_count"))
                if value(rows, f"rate_{rate:g}_steps_count") is not None
                else f"not in {numbers.count(MOST_STEPS)}",
            ]
            for rate in RATES
        ],
    )
    facts = {
        "alpha": f"{ALPHA:g}",
        "target": f"{TARGET:g}",
        "first": ", ".join(said(w, "{:.4g}".format) for w in first),
        "steps": STEPS,
        "closed_error": said(worst("closed_form_error"), numbers.scientific),
        "closed_differences": said(
            worst("closed_form_error", True), numbers.scientific
        ),
        "mse_error": said(worst("mse_gradient_error"), numbers.scientific),
        "mse_differences": said(worst("mse_gradient_error", True), numbers.scientific),
        "outputs": POINTS,
        "limit": said(limit, "{:.6f}".format),
        "bowls": len(bowls),
        "bowl_off": said(off, numbers.scientific),
        "bowl_steps": BOWL_STEPS,
        "ways": len({row.backend for row in report.rows_of(rows, "w_value")}),
        "table": counts,
    }
    verdicts = []
    if first[1] is not None and limit is not None:
        verdicts.append(
            measure.Verdict(
                "C1",
                f"{facts['first']}; w = 3(1 − 0.8ᵏ) after k steps to within "
                f"{facts['closed_error']}; converges for 0 < α < {facts['limit']}",
                "right"
                if [round(w or 0, 9) for w in first[:2]] == [0.6, 1.08]
                else "wrong",
            )
        )
    if off is not None:
        verdicts.append(
            measure.Verdict(
                "C14",
                f"the gradient is (2/m)(ŷ − y) to within {facts['mse_error']}; descent "
                f"on ax² converges for 0 < η < 1/a only (limit · a = 1 to within "
                f"{facts['bowl_off']})",
                "conditional",
            )
        )
    return measure.Findings(facts, tuple(verdicts))


def tables(rows: Sequence[Row]) -> dict[str, str]:
    """The tables beside the figure."""
    facts = findings(rows).facts
    return {
        "Steps to the minimum, by learning rate": facts["table"],
    }


ANSWER = """
With α = {alpha} the weight goes {first}, … as the closed form says to within
{closed_error}; the largest rate that still converges is {limit}.
"""

PAGE = """
The loss is (w − {target})², the start is zero, and a step is w ← w − α·dL/dw. Every way
of differentiating took the same {steps} steps.

## The path

Each step multiplies the distance from {target} by `1 − 2α`, so that after k steps
w = {target}·`(1 − (1 − 2α)ᵏ)`. Of {ways} ways, central differences
deviate from this closed form by up to {closed_differences} over {steps} steps, the
others by up to {closed_error}.

## How large a step may be

By bisection on recorded runs the weight comes closer to its minimum for every rate up
to {limit}. For the bowl a·x² the limit is the reciprocal of a: over {bowls} bowls,
measured limit times a differs from one by at most {bowl_off}. At the limit itself the
weight jumps from one side to the other for ever; below it, it converges.

## The gradient of the mean squared error

For {outputs} outputs, the gradient of every way is `(2/m)(ŷ − y)` to within
{mse_error} of its largest entry, and to within {mse_differences} by central
differences.
"""

METRICS = {
    "w_value": "the weight after the last step; samples: after every step, from 0",
    "squared_loss, gradient_value": "loss and derivative at the same steps",
    "closed_form_error": "largest deviation of the path from 3(1 − (1 − 2α)ᵏ)",
    "w_after_K_value": "the weight after K steps, with every digit",
    "rate_A_w_value": "the last weight at the rate A; samples: after every step up to "
    f"{STEPS}",
    "rate_A_factor_ratio": "distance from the minimum after one step over before",
    "rate_A_steps_count": f"steps until the weight is within {CLOSE:g} of the minimum",
    "limit_value": "the largest rate that still shrinks the distance, by bisection",
    "mse_gradient_error": "deviation from (2/m)(ŷ − y) over the largest entry",
    "distance_left_value": f"|x| after {BOWL_STEPS} steps from 1; samples: at "
    f"ηa = {', '.join(f'{f:g}' for f in FRACTIONS)}",
    "limit_times_a_ratio": "the limit found in the bowl ax², times a",
    "outputs_count": "outputs m of the mean squared error",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="How does one weight learn, and how large may its steps be?",
    claims=("C1", "C14"),
    cases=cases,
    measure=measure_case,
    figure=figure,
    findings=findings,
    answer=ANSWER,
    page=PAGE,
    metrics=METRICS,
    tables=tables,
)

if __name__ == "__main__":
    from diffkit.cli import run_file

    sys.exit(run_file(__file__))

"""Losses: gradients on every backend, what each says to a wrong answer, and Huber.

Run it alone::

    python experiments/losses.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from diffkit import functions, losses, measure, optim, report, train
from diffkit.measure import WAYS, Case, Mode, Row

NAME = "losses"
SAMPLES, CLASSES = 6, 4
WEIGHTS = (0.5, 1.0, 2.0, 4.0)
POSITIVE_WEIGHT = 5.0
#: Logits of an answer that should be 1, from certain and wrong to certain and right.
Z = np.linspace(-20.0, 20.0, 161)
DELTAS = (0.5, 1.0, 2.0)
ERRORS = np.linspace(-3.0, 3.0, 241)
RATE, ACCURATE = 0.5, 0.85
STEPS = {"quick": 400, "full": 4000}
#: The weights of a logistic model that is certain and wrong, and of one that knows
#: nothing.
STARTS = {"wrong": (-6.0, 12.0, 0.0), "neutral": (0.0, 0.0, 0.0)}
SIGNALS = ("mse", "cross-entropy", "weighted", "focal")


def cases(mode: Mode) -> list[Case]:
    """Gradients by each way; signals, trainings and Huber once."""

    def made(way: str, part: str, **parameters: Any) -> Case:
        return measure.case(
            NAME, way, runtime=WAYS[way].runtime, timed=False, part=part, **parameters
        )

    return [
        *(made(way, "gradients") for way in WAYS),
        made("autodiff", "signal"),
        made("autodiff", "huber"),
        *(
            made("autodiff", "training", start=start, steps=STEPS[mode])
            for start in STARTS
        ),
    ]


def problems() -> dict[str, tuple[Callable[..., Any], np.ndarray, np.ndarray]]:
    """For each loss: the function, a prediction and a target, seeded."""
    rng = np.random.default_rng(33)
    numbers, wanted = rng.normal(size=(2, SAMPLES, 2)) * 2
    logits = rng.normal(size=(SAMPLES, CLASSES)) * 3
    labels = rng.integers(CLASSES, size=SAMPLES)
    soft = functions.softmax(rng.normal(size=(SAMPLES, CLASSES)))
    yes = rng.integers(2, size=(SAMPLES, 2)).astype(float)
    binary = rng.normal(size=(SAMPLES, 2)) * 3
    log_p = functions.log_softmax(logits)
    weights = np.array(WEIGHTS)
    bce = losses.binary_cross_entropy_with_logits
    return {
        "mse": (losses.mse, numbers, wanted),
        "mae": (losses.mae, numbers, wanted),
        "huber": (losses.huber, numbers, wanted),
        "bce": (losses.binary_cross_entropy, functions.sigmoid(binary), yes),
        "bce_logits": (bce, binary, yes),
        "bce_weighted": (
            partial(bce, positive_weight=POSITIVE_WEIGHT),
            binary,
            yes,
        ),
        "focal": (losses.focal, binary, yes),
        "ce": (losses.cross_entropy, logits, labels),
        "ce_soft": (losses.cross_entropy, logits, soft),
        "ce_weighted": (partial(losses.cross_entropy, weights=weights), logits, labels),
        "ce_from_p": (
            losses.cross_entropy_from_probabilities,
            functions.softmax(logits),
            labels,
        ),
        "nll": (losses.nll, log_p, labels),
        "focal_ce": (losses.focal_cross_entropy, logits, labels),
        "kl": (losses.kl_divergence, log_p, soft),
    }


#: What the table calls them.
NAMES = {
    "mse": "mean squared error",
    "mae": "mean absolute error",
    "huber": "Huber",
    "bce": "binary cross-entropy of probabilities",
    "bce_logits": "binary cross-entropy of logits",
    "bce_weighted": "the same, positives weighted",
    "focal": "focal",
    "ce": "cross-entropy, labels",
    "ce_soft": "cross-entropy, distributions",
    "ce_weighted": "cross-entropy, classes weighted",
    "ce_from_p": "cross-entropy of probabilities",
    "nll": "negative log-likelihood",
    "focal_ce": "focal, several classes",
    "kl": "Kullback–Leibler divergence",
}


def measure_case(case: Case) -> list[Row]:
    """The counted rows of one cell."""
    parts = {
        "gradients": _gradients,
        "signal": _signal,
        "huber": _huber,
        "training": _training,
    }
    return parts[case["part"]](case)


def _gradients(case: Case) -> list[Row]:
    rows = []
    for name, (loss, prediction, target) in problems().items():
        prepared = measure.prepare_by(case.backend, loss, prediction, target)
        value, gradient = prepared(prediction, target)
        truth = measure.reference_gradient(prepared, prediction, target)
        rows += [
            case.row(f"{name}_loss", value),
            case.row(f"{name}_gradient_value", gradient.flat[0], samples=gradient.flat),
            case.row(f"{name}_ulps", truth.ulps([gradient]).largest_ulps),
            case.row(f"{name}_relative_error", truth.errors([gradient])[0]),
        ]
    return rows


def _signal(case: Case) -> list[Row]:
    """Gradients by the logit of an answer that should be 1."""
    ones = np.ones_like(Z)
    bce = losses.binary_cross_entropy_with_logits
    signals: dict[str, Callable[..., Any]] = {
        "mse": lambda z, t: losses.mse(functions.sigmoid(z), t, "sum"),
        "cross-entropy": lambda z, t: bce(z, t, "sum"),
        "weighted": lambda z, t: bce(z, t, "sum", positive_weight=POSITIVE_WEIGHT),
        "focal": lambda z, t: losses.focal(z, t, "sum"),
    }
    rows = [case.row("logit_value", Z[0], samples=Z)]
    for name, loss in signals.items():
        _, slope = measure.prepare_by(case.backend, loss, Z, ones)(Z, ones)
        rows.append(case.row(f"{name}_signal_value", slope[0], samples=slope))
    return rows


def claimed_huber(e: Any, delta: float) -> Any:
    """The formula as the source prints it: e² inside, δ(|e| − δ/2) outside."""
    return np.where(np.abs(e) <= delta, np.square(e), delta * (np.abs(e) - delta / 2.0))


def _huber(case: Case) -> list[Row]:
    rows = [case.row("error_value", ERRORS[0], samples=ERRORS)]
    forms: dict[str, Callable[[Any, float], Any]] = {
        "claimed": claimed_huber,
        "right": lambda e, delta: losses.huber(e, 0.0 * e, "none", delta=delta),
    }
    for form, function in forms.items():
        for delta in DELTAS:
            inside, outside = np.array([delta]), np.nextafter([delta], np.inf)
            summed = partial(lambda e, f, d: np.sum(f(e, d)), f=function, d=delta)
            prepared = measure.prepare_by(case.backend, summed, inside)
            (below, slope_in), (above, slope_out) = (
                prepared(at) for at in (inside, outside)
            )
            rows += [
                case.row(f"{form}_delta_{delta:g}_jump_value", below - above),
                case.row(
                    f"{form}_delta_{delta:g}_slope_jump_value",
                    slope_in[0] - slope_out[0],
                ),
            ]
        along = np.asarray(function(ERRORS, 1.0))
        rows.append(case.row(f"{form}_curve_loss", along[0], samples=along))
    return rows


def _training(case: Case) -> list[Row]:
    x, labels = train.data.moons().train
    y = labels.astype(float)
    trained: dict[str, Callable[..., Any]] = {
        "mse": lambda p, x, y: losses.mse(functions.sigmoid(x @ p[:2] + p[2]), y),
        "cross-entropy": lambda p, x, y: losses.binary_cross_entropy_with_logits(
            x @ p[:2] + p[2], y
        ),
    }
    start = np.array(STARTS[case["start"]])
    rows = []
    for name, loss in trained.items():
        prepared = measure.prepare_by(case.backend, loss, start, x, y)
        path = measure.descend(
            lambda p, f=prepared: f(p, x, y), optim.sgd(RATE), start, case["steps"]
        )
        right = [
            float(np.mean((x @ p[:2] + p[2] > 0) == (y > 0.5))) for p in path.points
        ]
        rows += [
            case.row(f"{name}_accuracy", right[-1], samples=right),
            case.row(f"{name}_training_loss", path.values[-1], samples=path.values),
            case.row(f"{name}_first_gradient_value", np.linalg.norm(path.gradients[0])),
        ]
        arrived = [step for step, share in enumerate(right) if share >= ACCURATE]
        if arrived:
            rows.append(case.row(f"{name}_steps_count", arrived[0]))
    return rows


def figure(rows: Sequence[Row]):
    """Signals, trainings, Huber as claimed and as it is, and errors of gradients."""
    figures = report.figures
    shown, (signals, training, huber, errors) = figures.panels(
        2, 2, width=13.6, height=9.4
    )
    z = report.samples_of(rows, "logit_value")
    looks = figures.looks(SIGNALS)
    figures.draw(
        signals,
        [
            figures.Line(
                looks[name],
                [
                    (at, abs(slope))
                    for at, slope in zip(
                        z, report.samples_of(rows, f"{name}_signal_value"), strict=False
                    )
                    if at <= 10
                ],
            )
            for name in SIGNALS
        ],
        title="Certain and wrong, the squared error says next to nothing",
        x="logit of an answer that should be 1 (left: certain and wrong)",
        y="size of the gradient",
        x_scale="linear",
        y_limits=(1e-13, 20.0),
    )
    curves = {}
    for start in STARTS:
        for name in ("mse", "cross-entropy"):
            path = report.samples_of(rows, f"{name}_accuracy", start=start)[:401]
            curves[f"{name}, {start} start"] = list(enumerate(path))
    looks = figures.looks(list(curves))
    figures.draw(
        training,
        [figures.Line(looks[name], points) for name, points in curves.items()],
        title="From a wrong start only cross-entropy learns; else both do",
        x="step",
        y="accuracy of a logistic model",
        x_scale="linear",
        y_scale="linear",
    )
    e = report.samples_of(rows, "error_value")
    names = {"claimed": "as claimed", "right": "½e² inside"}
    looks = figures.looks(list(names.values()))
    figures.draw(
        huber,
        [
            figures.Line(
                looks[name],
                list(
                    zip(e, report.samples_of(rows, f"{form}_curve_loss"), strict=False)
                ),
            )
            for form, name in names.items()
        ],
        title="Huber's loss as claimed jumps at δ; with ½e² it does not",
        x="error e (δ = 1)",
        y="loss",
        x_scale="linear",
        y_scale="linear",
    )
    worst = {
        NAMES[name]: max(
            (
                float(row.value or 0.0)
                for row in report.rows_of(rows, f"{name}_ulps")
                if not row.backend.startswith("finite")
            ),
            default=None,
        )
        for name in NAMES
    }
    figures.bars(
        errors,
        [
            figures.Bars(
                figures.Look("worst of the exact ways", "#0072B2", "o"),
                {name: off for name, off in worst.items() if off is not None},
            )
        ],
        title="Every exact way is within a few ulps for every loss",
        x="largest error of the exact ways, ulps of the gradient's largest entry",
        show="{:.1f}".format,
    )
    return shown


def findings(rows: Sequence[Row]) -> measure.Findings:
    """The facts that the page may state."""
    numbers, said, value = report.numbers, report.said, report.value_of
    exact = [way for way in WAYS if not way.startswith("finite")]
    worst = [
        (float(row.value or 0.0), NAMES[name], row.backend)
        for name in NAMES
        for row in report.rows_of(rows, f"{name}_ulps")
        if row.backend in exact
    ]
    differences = [
        float(row.value or 0.0)
        for name in NAMES
        for row in report.rows_of(
            rows, f"{name}_relative_error", "finite_differences_central"
        )
    ]
    table = report.markdown_table(
        ["loss", *(report.figures.look_of(way).name for way in WAYS)],
        [
            [
                title,
                *(
                    said(value(rows, f"{name}_ulps", way), "{:.2f}".format)
                    if way in exact
                    else said(
                        value(rows, f"{name}_relative_error", way), numbers.scientific
                    )
                    for way in WAYS
                ),
            ]
            for name, title in NAMES.items()
        ],
    )

    def signal(name: str, at: float) -> float | None:
        z = report.samples_of(rows, "logit_value")
        slopes = report.samples_of(rows, f"{name}_signal_value")
        places = [i for i, here in enumerate(z) if abs(here - at) < 1e-9]
        return abs(slopes[places[0]]) if places and slopes else None

    def steps(name: str, start: str) -> str:
        if value(rows, f"{name}_accuracy", start=start) is None:
            return "no result"
        arrived = value(rows, f"{name}_steps_count", start=start)
        most = max((row.get("steps") or 0 for row in rows), default=0)
        return (
            f"not within {numbers.count(most)} steps"
            if arrived is None
            else f"after {numbers.count(arrived)} steps"
        )

    jumps = report.markdown_table(
        ["δ", "jump as claimed", "δ² ÷ 2", "jump of the slope", "jump with ½e²"],
        [
            [
                f"{delta:g}",
                said(
                    value(rows, f"claimed_delta_{delta:g}_jump_value"), "{:.6f}".format
                ),
                f"{delta**2 / 2:.6f}",
                said(
                    value(rows, f"claimed_delta_{delta:g}_slope_jump_value"),
                    "{:.6f}".format,
                ),
                said(
                    value(rows, f"right_delta_{delta:g}_jump_value"), numbers.scientific
                ),
            ]
            for delta in DELTAS
        ],
    )
    jump = value(rows, "claimed_delta_1_jump_value")
    top = max(worst, default=None)
    facts = {
        "losses": len(NAMES),
        "ulps": "no result" if top is None else f"{top[0]:.2f}",
        "worst_loss": "no loss" if top is None else top[1],
        "differences": said(max(differences, default=None), numbers.scientific),
        "table": table,
        "jumps": jumps,
        "jump": said(jump, "{:g}".format),
        "mse_signal": said(signal("mse", -10.0), numbers.scientific),
        "ce_signal": said(signal("cross-entropy", -10.0), "{:.5f}".format),
        "focal_easy": said(signal("focal", 3.0), numbers.scientific),
        "ce_easy": said(signal("cross-entropy", 3.0), numbers.scientific),
        "logit": "−10",
        "easy": "3",
        "weight": f"{POSITIVE_WEIGHT:g}",
        "accurate": f"{ACCURATE:.0%}",
        "mse_wrong": steps("mse", "wrong"),
        "ce_wrong": steps("cross-entropy", "wrong"),
        "mse_neutral": steps("mse", "neutral"),
        "ce_neutral": steps("cross-entropy", "neutral"),
    }
    verdicts = []
    if top is not None and value(rows, "mse_accuracy", start="wrong") is not None:
        verdicts.append(
            measure.Verdict(
                "C33",
                f"all gradients within {facts['ulps']} ulps by every exact way; from a "
                f"wrong and certain start MSE has {facts['accurate']} right "
                f"{facts['mse_wrong']}, cross-entropy {facts['ce_wrong']}; from a "
                f"neutral one {facts['mse_neutral']} and {facts['ce_neutral']}",
                "conditional",
            )
        )
    if jump is not None:
        verdicts.append(
            measure.Verdict(
                "C22",
                f"it jumps by δ²/2 at |e| = δ ({facts['jump']} for δ = 1) and its "
                "slope halves there; with ½e² inside, value and slope meet",
                "wrong" if abs(jump) > 1e-9 else "right",
            )
        )
    return measure.Findings(facts, tuple(verdicts))


def tables(rows: Sequence[Row]) -> dict[str, str]:
    """The tables beside the figure."""
    facts = findings(rows).facts
    return {
        "Errors in ulps of the largest entry (differences: relative to it)": facts[
            "table"
        ],
        "Huber's loss at δ": facts["jumps"],
    }


ANSWER = """
Every exact way has the gradients of {losses} losses within {ulps} ulps; to an answer
that is certain and wrong the squared error replies with {mse_signal}, cross-entropy
with {ce_signal}; and Huber's loss as claimed jumps by {jump}.
"""

PAGE = """
Each loss on seeded predictions and targets, differentiated by the prediction; the
reference is proved to fifty digits.

## Gradients of every loss on every backend

Errors in ulps of the gradient's largest entry; for central differences, relative to
that entry. The worst of the exact ways is {ulps} ulps ({worst_loss}), the worst of
central differences {differences}.

## What a loss says to a wrong answer

The answer should be one, and the logit is {logit}: certain, and wrong. The derivative
of the squared error through the sigmoid is {mse_signal} there, since σ′ is nearly zero;
that of cross-entropy is {ce_signal}. Focal loss turns away from what is easy: at a
logit of {easy} its gradient is {focal_easy}, that of cross-entropy {ce_easy}. A
weight of {weight} on positives multiplies their gradient by {weight}.

When has a logistic model on two moons {accurate} of the rows right? Started certain and
wrong: {mse_wrong} with the squared error, {ce_wrong} with cross-entropy. Started from
zero: {mse_neutral}, and {ce_neutral}. The poor signal is one of saturation.

## Huber's loss, as claimed and as it is

As claimed (e² inside, δ(|e| − δ ÷ two) outside) the loss and its slope jump where the
pieces should meet:

"""

METRICS = {
    "L_loss, L_gradient_value": "a loss and its gradient's first entry; samples: all",
    "L_ulps": "largest error in ulps of the gradient's largest entry",
    "L_relative_error": "largest error over the largest entry",
    "logit_value, S_signal_value": "gradient by the logit of an answer that "
    "should be 1",
    "claimed_…, right_…": "Huber's loss by both formulas: jumps of value and slope at "
    "δ, and the curve over `error_value` for δ = 1",
    "S_accuracy, S_training_loss": "a logistic model at the end; samples: every step",
    "S_steps_count": f"steps until {ACCURATE:g} of the rows are right",
    "S_first_gradient_value": "length of the gradient at the start",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="What does each loss say to a wrong answer, and is its gradient right?",
    claims=("C33", "C22"),
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

"""The exercise "from scratch": a line through 100 points, trained and solved.

Data of NumPy's legacy generator with seed 42 (y = 2x + 0.5 and noise), gradient
descent at rate 0.1 for 100 steps from zero by every way of differentiating, least
squares in closed form, and the largest rate that still converges. Run it alone::

    python experiments/linear_regression.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from diffkit import losses, measure, optim, report, train, transform
from diffkit.measure import WAYS, Case, Mode, Row

NAME = "linear_regression"
RATE, STEPS = 0.1, 100
ORIGIN = np.zeros(2)
#: Rates as parts of the limit, and how long each runs.
PARTS = (0.1, 0.5, 0.9, 0.99, 1.0, 1.01, 1.1)
NAMED = (0.1, 0.5, 0.99, 1.0, 1.01, 1.1)
#: Losses above the minimum that the figure shows.
SHOWN = (1e-12, 1e6)
LIMIT_STEPS = {"quick": 400, "full": 4000}
#: What the exercise drew its data from.
TRUE_W, TRUE_B = 2.0, 0.5


def cases(mode: Mode) -> list[Case]:
    """Training by each way; the closed form and the limit once."""
    return [
        *(
            measure.case(
                NAME, way, runtime=WAYS[way].runtime, timed=False, part="train"
            )
            for way in WAYS
        ),
        *(
            measure.case(
                NAME,
                "autodiff",
                runtime="engine",
                timed=False,
                part=part,
                steps=LIMIT_STEPS[mode],
            )
            for part in ("closed_form", "limit")
        ),
    ]


def exercise() -> tuple[np.ndarray, np.ndarray]:
    """The exercise's x and y, columns of 100 rows."""
    return train.data.linear_regression().train


def loss(p, x, y):
    """Mean squared error of the line p[0]·x + p[1]."""
    return losses.mse(p[0] * x + p[1], y)


def least_squares(features: np.ndarray, y: np.ndarray) -> np.ndarray:
    """θ = (XᵀX)⁻¹Xᵀy, without forming the inverse."""
    return np.linalg.solve(features.T @ features, features.T @ y).ravel()


def measure_case(case: Case) -> list[Row]:
    """The counted rows of one cell."""
    parts = {"train": _train, "closed_form": _closed_form, "limit": _limit}
    return parts[case["part"]](case)


def _train(case: Case) -> list[Row]:
    x, y = exercise()
    prepared = measure.prepare_by(case.backend, loss, ORIGIN, x, y)
    path = measure.descend(lambda p: prepared(p, x, y), optim.sgd(RATE), ORIGIN, STEPS)
    best = least_squares(np.column_stack([x, np.ones_like(x)]), y)
    predictions = path.points @ np.array([x[0, 0], 1.0])
    slopes = path.gradients
    return [
        case.row("example_x_value", x[0, 0]),
        case.row("example_y_value", y[0, 0]),
        case.row("example_prediction_value", predictions[-1], samples=predictions),
        case.row("w_gradient_value", slopes[-1, 0], samples=slopes[:, 0]),
        case.row("b_gradient_value", slopes[-1, 1], samples=slopes[:, 1]),
        case.row("w_value", path.last[0], samples=path.points[:, 0]),
        case.row("b_value", path.last[1], samples=path.points[:, 1]),
        case.row("mse_loss", path.values[-1], samples=path.values),
        case.row("origin_loss", path.values[0]),
        case.row("from_least_squares_error", np.max(np.abs(path.last - best))),
        case.row("primal_evaluations", STEPS * int(prepared.info.evaluations)),
    ]


def _closed_form(case: Case) -> list[Row]:
    x, y = exercise()
    best = least_squares(np.column_stack([x, np.ones_like(x)]), y)
    _, slope = transform.value_and_grad(loss)(best, x, y)
    # Linear in the parameters, not in x: the same formula still solves it.
    bent = np.column_stack([np.sin(x), x**2, np.ones_like(x)])
    theta = least_squares(bent, y)[:, None]
    _, bent_slope = transform.value_and_grad(lambda t: losses.mse(bent @ t, y))(theta)
    return [
        case.row("least_squares_w_value", best[0]),
        case.row("least_squares_b_value", best[1]),
        case.row("least_squares_loss", loss(best, x, y)),
        case.row("true_line_loss", loss(np.array([TRUE_W, TRUE_B]), x, y)),
        case.row("slope_at_best_error", np.max(np.abs(slope))),
        case.row("slope_at_best_bent_error", np.max(np.abs(bent_slope))),
        case.row("line_hessian_change_ratio", _hessian_change(loss, 2, x, y)),
        case.row("net_hessian_change_ratio", _hessian_change(_bent_net, 3, x, y)),
    ]


def _bent_net(p, x, y):
    """A network of one hidden tanh unit: not linear in its parameters."""
    return losses.mse(p[2] * np.tanh(p[0] * x + p[1]), y)


def _hessian_change(function, size: int, x: np.ndarray, y: np.ndarray) -> float:
    """How far the Hessian differs between two points, over its largest entry."""
    first, second = (
        transform.hessian(function)(np.full(size, at), x, y) for at in (0.5, 1.5)
    )
    return measure.relative_error(second, first)


def _limit(case: Case) -> list[Row]:
    x, y = exercise()
    prepared = measure.prepare_by(case.backend, loss, ORIGIN, x, y)

    def run(rate: float, steps: int) -> measure.Descent:
        return measure.descend(
            lambda p: prepared(p, x, y), optim.sgd(rate), ORIGIN, steps
        )

    hessian = transform.hessian(loss)(ORIGIN, x, y)
    small, large = np.linalg.eigvalsh(hessian)
    limit = 2.0 / large
    best = least_squares(np.column_stack([x, np.ones_like(x)]), y)
    least = loss(best, x, y)

    def settles(rate: float) -> bool:
        values = run(rate, case["steps"] // 4).values
        half = len(values) // 2
        # Once it has converged it stays, to rounding.
        return bool(values[-1] <= values[half] * (1 + 1e-9))

    rows = [
        case.row("hessian_small_value", small),
        case.row("hessian_large_value", large),
        case.row("condition_ratio", large / small),
        case.row("predicted_limit_value", limit),
        case.row(
            "measured_limit_value",
            measure.largest_that(settles, 0.5 * limit, 2.0 * limit),
        ),
    ]
    for part in PARTS:
        path = run(part * limit, case["steps"])
        left = np.maximum(path.values - least, 0.0)
        rows.append(case.row(f"part_{part:g}_above_best_loss", left[-1], samples=left))
    return rows


def figure(rows: Sequence[Row]):
    """The path of w and b, and the loss at rates around the limit."""
    figures = report.figures
    shown, (paths, rates) = figures.panels(1, 2, width=12.4, height=4.6)
    lines = []
    for way, dash in (("autodiff", "-"), ("finite_differences_central", ":")):
        look = figures.look_of(way)
        for name in ("w", "b"):
            path = report.samples_of(rows, f"{name}_value", way)
            label = f"{name} by {look.name}"
            lines.append(
                figures.Line(
                    figures.Look(label, look.colour, look.marker, dash),
                    list(enumerate(path)),
                )
            )
    best = {
        name: report.value_of(rows, f"least_squares_{name}_value")
        for name in ("w", "b")
    }
    figures.draw(
        paths,
        lines,
        title="Whoever differentiates, descent goes to least squares",
        x="step",
        y="parameter",
        x_scale="linear",
        y_scale="linear",
        rules=[
            figures.Rule(at, f"{name} of least squares")
            for name, at in best.items()
            if at is not None
        ],
    )
    looks = figures.looks(
        ["the limit" if part == 1.0 else f"{part:g} × limit" for part in NAMED]
    )
    figures.draw(
        rates,
        [
            figures.Line(
                look,
                report.until_outside(
                    report.samples_of(rows, f"part_{part:g}_above_best_loss")[:201],
                    *SHOWN,
                ),
            )
            for part, look in zip(NAMED, looks.values(), strict=True)
        ],
        title="Beyond 2 ÷ the largest curvature every step makes it worse",
        x="step",
        y="loss above its minimum",
        x_scale="linear",
        y_limits=SHOWN,
    )
    return shown


def findings(rows: Sequence[Row]) -> measure.Findings:
    """The facts that the page may state."""
    numbers, said, value = report.numbers, report.said, report.value_of

    def six(metric: str, way: str | None = None) -> str:
        return said(value(rows, metric, way), "{:.6f}".format)

    table = report.markdown_table(
        ["way", "w", "b", "loss", "from least squares", "evaluations"],
        [
            [
                report.figures.look_of(way).name,
                six("w_value", way),
                six("b_value", way),
                said(value(rows, "mse_loss", way), "{:.8f}".format),
                said(value(rows, "from_least_squares_error", way), numbers.scientific),
                said(value(rows, "primal_evaluations", way), numbers.count),
            ]
            for way in WAYS
        ],
    )
    trained = {
        (six("w_value", way), six("b_value", way))
        for way in WAYS
        if value(rows, "w_value", way) is not None
    }
    facts = {
        "w": six("w_value", "autodiff"),
        "b": six("b_value", "autodiff"),
        "best_w": six("least_squares_w_value"),
        "best_b": six("least_squares_b_value"),
        "best_loss": said(value(rows, "least_squares_loss"), "{:.6f}".format),
        "true_loss": said(value(rows, "true_line_loss"), "{:.6f}".format),
        "origin": said(value(rows, "origin_loss"), "{:.4f}".format),
        "left": said(
            value(rows, "from_least_squares_error", "autodiff"), numbers.scientific
        ),
        "limit": said(value(rows, "predicted_limit_value"), "{:.6f}".format),
        "measured_limit": said(value(rows, "measured_limit_value"), "{:.6f}".format),
        "large": said(value(rows, "hessian_large_value"), "{:.6f}".format),
        "small": said(value(rows, "hessian_small_value"), "{:.6f}".format),
        "condition": said(value(rows, "condition_ratio"), "{:.3f}".format),
        "agree": "the same six decimals" if len(trained) == 1 else "different decimals",
        "slope": said(value(rows, "slope_at_best_error"), numbers.scientific),
        "bent": said(value(rows, "slope_at_best_bent_error"), numbers.scientific),
        "line_change": said(
            value(rows, "line_hessian_change_ratio"), numbers.scientific
        ),
        "net_change": said(value(rows, "net_hessian_change_ratio"), "{:.2f}".format),
        "rate": f"{RATE:g}",
        "steps": STEPS,
        "table": table,
    }
    verdicts = []
    if value(rows, "w_value", "autodiff") is not None:
        verdicts.append(
            measure.Verdict(
                "C12",
                f"w = {facts['w']}, b = {facts['b']} after {STEPS} steps; least "
                f"squares has {facts['best_w']}, {facts['best_b']}; diverges above a "
                f"rate of {facts['limit']}",
                "right",
            )
        )
        verdicts.append(
            measure.Verdict(
                "C11",
                f"the exercise's data give {facts['origin']} at the origin; the data "
                "behind the claim are not given",
                "conditional",
            )
        )
    if value(rows, "slope_at_best_error") is not None:
        verdicts.append(
            measure.Verdict(
                "C32",
                "the formula solves every model that is linear in its parameters, also "
                f"one bent in x (slope left {facts['bent']}); a tanh unit's Hessian "
                f"changes by {facts['net_change']} of its largest entry from point to "
                "point, so that no such formula exists",
                "conditional",
            )
        )
    return measure.Findings(facts, tuple(verdicts))


def tables(rows: Sequence[Row]) -> dict[str, str]:
    """The tables beside the figure."""
    facts = findings(rows).facts
    return {
        "After the same training": facts["table"],
    }


ANSWER = """
After {steps} steps at rate {rate} every way has w = {w} and b = {b}, which is {left}
from least squares; above a rate of {limit} it diverges.
"""

PAGE = """
The data are the exercise's own, drawn by NumPy's legacy generator with its seed. The
start is zero, where the mean squared error is {origin}.

## The same training, three ways to differentiate

All ways have {agree}.

## What to compare it with

The noise moves the best line away from the one that the data were drawn from: least
squares in closed form has w = {best_w} and b = {best_b} and a loss of {best_loss}, less
than the true line's {true_loss}. At that point the gradient by reverse mode is {slope}.
Descent is on its way to this point, and not to the true line: after {steps} steps it is
{left} away.

## How large a rate may be

The loss is a quadratic bowl. Its Hessian, by reverse mode over reverse mode, has the
eigenvalues {small} and {large} (condition number {condition}), so that descent
converges for rates below two over the larger one, {limit}. Bisection on recorded runs
finds {measured_limit}.

## When the closed form exists

It needs a model that is linear in its *parameters*: with the features sin x, x² and a
constant the same formula leaves a slope of {bent}. The line's Hessian is the same
everywhere (largest change {line_change}); that of a network of one tanh unit changes by
{net_change} of its largest entry between two points, and there is no such formula.
""".replace("x²", "`x**2`")

METRICS = {
    "w_value, b_value": f"parameters after {STEPS} steps; samples: after every step",
    "w_gradient_value, b_gradient_value": "the loss's derivative by them; samples: "
    "after every step",
    "example_x_value, example_y_value, example_prediction_value": "the first of the "
    "points, and what the line says for it; samples: after every step",
    "mse_loss": "loss after the last step; samples: after every step",
    "origin_loss": "loss at w = b = 0",
    "from_least_squares_error": "largest distance of a parameter from least squares",
    "primal_evaluations": "evaluations of the loss for all gradients of the training",
    "least_squares_…": "the closed form, and its loss",
    "slope_at_best_error": "largest entry of the gradient at the closed form",
    "slope_at_best_bent_error": "the same for the features sin x, x², 1",
    "line_hessian_change_ratio, net_hessian_change_ratio": "difference of the Hessians "
    "at two points over the largest entry",
    "predicted_limit_value": "2 over the largest eigenvalue of the Hessian",
    "measured_limit_value": "the largest rate at which the loss still falls",
    "part_P_above_best_loss": "loss above its minimum at P times the limit; samples: "
    "after every step",
    "hessian_small_value, hessian_large_value": "eigenvalues of the loss's Hessian",
    "condition_ratio": "the larger over the smaller",
    "true_line_loss": "loss of the line that the data were made from",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="Does gradient descent find the line that least squares finds?",
    claims=("C12", "C32", "C11"),
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

"""XOR: what no line can separate, and how often a hidden layer learns it.

Run it alone::

    python experiments/xor.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from diffkit import functions, losses, measure, nn, optim, report, train, transform
from diffkit.measure import Case, Mode, Row

NAME = "xor"
WIDTHS = (1, 2, 3, 4, 8, 16)
ACTIVATIONS = ("tanh", "relu")
SEEDS = {"quick": 10, "full": 100}
STEPS = {"quick": 200, "full": 1000}
RATE = 0.1
#: A run has learned the table when it is right four times out of four and sure of it.
LEARNED_LOSS = 0.1
LINEAR_STEPS = 300
ANGLES = 720
OFFSETS = np.linspace(-1.55, 1.55, 32)
SEEN_WIDTH = 4
GRID = np.linspace(-0.5, 1.5, 41)


def cases(mode: Mode) -> list[Case]:
    """The best linear model, and networks of every width and activation."""

    def made(part: str, **parameters: Any) -> Case:
        return measure.case(
            NAME,
            "autodiff",
            runtime="engine",
            timed=False,
            limits=measure.Limits(seconds=120.0),
            part=part,
            **parameters,
        )

    return [
        made("linear"),
        *(
            made(
                "hidden",
                activation=activation,
                seeds=SEEDS[mode],
                steps=STEPS[mode],
            )
            for activation in ACTIVATIONS
        ),
    ]


def table() -> tuple[np.ndarray, np.ndarray]:
    """The truth table: four corners, and a column of 0 and 1."""
    x, labels = train.data.xor().train
    return x, labels[:, None].astype(float)


def measure_case(case: Case) -> list[Row]:
    """The counted rows of one cell."""
    return _linear(case) if case["part"] == "linear" else _hidden(case)


def squared(p, x, y):
    """Mean squared error of a linear model with weights p[:2] and bias p[2]."""
    return losses.mse(x @ p[:2, None] + p[2], y)


def entropy(p, x, y):
    """Binary cross-entropy of the same model, taken as a logit."""
    return losses.binary_cross_entropy_with_logits(x @ p[:2, None] + p[2], y)


def _linear(case: Case) -> list[Row]:
    x, y = table()
    rows = []
    for name, loss, best in (
        ("mse", squared, np.array([0.0, 0.0, 0.5])),
        ("bce", entropy, np.zeros(3)),
    ):
        start = np.random.default_rng(case.seed).normal(size=3)
        prepared = measure.prepare_by(case.backend, loss, start, x, y)
        path = measure.descend(
            lambda p, f=prepared: f(p, x, y), optim.adam(RATE), start, LINEAR_STEPS
        )
        value, slope = prepared(best, x, y)
        curvature = np.linalg.eigvalsh(transform.hessian(loss)(best, x, y))
        rows += [
            case.row(f"linear_{name}_loss", path.values[-1], samples=path.values),
            # A stationary point of a convex loss is its global minimum.
            case.row(f"best_{name}_loss", value),
            case.row(f"best_{name}_slope_error", np.max(np.abs(slope))),
            case.row(f"best_{name}_curvature_value", curvature[0], samples=curvature),
        ]
    angles = np.arange(ANGLES) * 2 * np.pi / ANGLES
    sides = x @ np.stack([np.cos(angles), np.sin(angles)])
    said = sides[:, :, None] > OFFSETS
    right = np.mean(said == (y > 0.5)[:, :, None], axis=0)
    return [
        *rows,
        case.row("best_line_accuracy", np.max(right)),
        case.row("lines_count", right.size),
    ]


def _hidden(case: Case) -> list[Row]:
    x, y = table()
    rows = []
    seen: tuple[nn.Sequential, Any] | None = None
    for width in WIDTHS:
        net = nn.mlp((2, width, 1), case["activation"])

        def loss(params, x, y, net=net):
            return losses.binary_cross_entropy_with_logits(net.apply(params, x), y)

        first = net.init(np.random.default_rng(0))
        prepared = measure.prepare_by(case.backend, loss, first, x, y)
        ends, right, curves = [], [], []
        for seed in range(case["seeds"]):
            params = net.init(np.random.default_rng(seed))
            start, value_and_grad, nested = measure.on_vector(prepared, params, x, y)
            path = measure.descend(
                value_and_grad, optim.adam(RATE), start, case["steps"]
            )
            params = nested(path.last)
            curves.append(path.values)
            ends.append(path.values[-1])
            right.append(np.mean((net.apply(params, x) > 0) == (y > 0.5)))
            if width == SEEN_WIDTH and ends[-1] == min(ends):
                seen = net, params
        good = [
            share == 1.0 and end <= LEARNED_LOSS
            for share, end in zip(right, ends, strict=True)
        ]
        middle = np.median(np.array(curves), axis=0)
        rows += [
            case.row(f"width_{width}_learned_count", sum(good)),
            case.row(f"width_{width}_median_loss", np.median(ends), samples=ends),
            case.row(f"width_{width}_worst_accuracy", min(right), samples=right),
            case.row(f"width_{width}_curve_loss", middle[-1], samples=middle),
        ]
    assert seen is not None
    net, params = seen
    points = np.array([(u, v) for v, u in product(GRID, GRID)])
    surface = functions.sigmoid(net.apply(params, points))[:, 0]
    return [
        *rows,
        case.row("axis_value", GRID[-1], samples=GRID),
        case.row("probability_value", surface[-1], samples=surface),
    ]


def figure(rows: Sequence[Row]):
    """Runs that learn by width, losses of the linear model, and one decision."""
    figures = report.figures
    shown, (counts, curves, surface) = figures.panels(1, 3, width=16.0, height=4.6)
    seeds = {row.get("seeds") for row in rows if row.get("seeds")}
    out_of = max(seeds, default=0)
    look = figures.looks(ACTIVATIONS)
    figures.draw(
        counts,
        [
            figures.Line(
                look[activation],
                [
                    (width, float(row.value or 0) / out_of)
                    for width in WIDTHS
                    for row in report.rows_of(
                        rows, f"width_{width}_learned_count", activation=activation
                    )
                ],
            )
            for activation in ACTIVATIONS
        ],
        title="Wider layers learn XOR more often",
        x="hidden units",
        y=f"share of {out_of} seeds that learn it",
        y_scale="linear",
        y_limits=(-0.05, 1.1),
    )
    names = figures.looks(["linear", *(f"{w} hidden" for w in (1, 2, 4, 8))])
    median = {
        "linear": report.samples_of(rows, "linear_bce_loss"),
        **{
            f"{w} hidden": report.samples_of(
                rows, f"width_{w}_curve_loss", activation="tanh"
            )
            for w in (1, 2, 4, 8)
        },
    }
    figures.draw(
        curves,
        [
            figures.Line(names[name], list(enumerate(losses_))[:201])
            for name, losses_ in median.items()
        ],
        title="A line stays at log 2: a coin's toss",
        x="step",
        y="cross-entropy, median over seeds (tanh)",
        x_scale="linear",
        rules=[figures.Rule(float(np.log(2)), "log 2")],
    )
    axis = report.samples_of(rows, "axis_value", activation="tanh")
    heights = report.samples_of(rows, "probability_value", activation="tanh")
    figures.contours(
        surface,
        axis,
        axis,
        np.reshape(heights, (len(axis), len(axis))) if heights else [[np.nan]],
        title=f"What {SEEN_WIDTH} tanh units make of the plane",
        x="first input",
        y="second input",
        unit="predicted probability of 1",
    )
    if heights:
        x, y = table()
        for kind, marker in ((0, "o"), (1, "s")):
            at = x[y[:, 0] == kind]
            surface.plot(
                *at.T,
                marker,
                color="#ffffff",
                markeredgecolor="#000000",
                markersize=9,
                label=f"truth {kind}",
                zorder=6,
            )
        surface.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.13),
            ncols=2,
            fontsize=figures.SMALL,
        )
    return shown


def findings(rows: Sequence[Row]) -> measure.Findings:
    """The facts that the page may state."""
    numbers, said, value = report.numbers, report.said, report.value_of
    out_of = max((row.get("seeds") or 0 for row in rows), default=0)

    def learned(activation: str, width: int) -> str:
        found = value(rows, f"width_{width}_learned_count", activation=activation)
        return said(found, lambda n: f"{n:g} of {out_of}")

    most = [
        (int(row.value or 0), row.get("activation"), width)
        for width in WIDTHS
        for row in report.rows_of(rows, f"width_{width}_learned_count")
    ]
    best = max(most, default=(0, "no network", 0))
    facts = {
        "mse": said(value(rows, "best_mse_loss"), "{:.6f}".format),
        "bce": said(value(rows, "best_bce_loss"), "{:.6f}".format),
        "mse_run": said(value(rows, "linear_mse_loss"), "{:.6f}".format),
        "bce_run": said(value(rows, "linear_bce_loss"), "{:.6f}".format),
        "mse_slope": said(value(rows, "best_mse_slope_error"), numbers.scientific),
        "bce_slope": said(value(rows, "best_bce_slope_error"), numbers.scientific),
        "mse_curvature": said(value(rows, "best_mse_curvature_value"), "{:.4f}".format),
        "bce_curvature": said(value(rows, "best_bce_curvature_value"), "{:.4f}".format),
        "line": said(value(rows, "best_line_accuracy"), "{:.0%}".format),
        "lines": said(value(rows, "lines_count"), numbers.count),
        "best": f"{best[0]} of {out_of}",
        "best_net": f"{best[2]} {best[1]} units",
        "limit": f"{LEARNED_LOSS:g}",
        "seeds": out_of,
        "steps": max((row.get("steps") or 0 for row in rows), default=0),
        "table": report.markdown_table(
            ["hidden units", *ACTIVATIONS],
            [
                [
                    str(width),
                    *(learned(activation, width) for activation in ACTIVATIONS),
                ]
                for width in WIDTHS
            ],
        ),
    }
    verdicts = []
    if value(rows, "best_line_accuracy") is not None and most:
        verdicts.append(
            measure.Verdict(
                "C25",
                f"no line gets more than {facts['line']} right, and a linear model's "
                f"loss is never below {facts['mse']} (MSE) or {facts['bce']} "
                f"(cross-entropy); {facts['best_net']} learn it from {facts['best']} "
                "seeds",
                "right",
            )
        )
    return measure.Findings(facts, tuple(verdicts))


def tables(rows: Sequence[Row]) -> dict[str, str]:
    """The tables beside the figure."""
    facts = findings(rows).facts
    return {
        "Seeds that learn the table, by hidden units": facts["table"],
    }


ANSWER = """
No line gets more than {line} of the table right; a hidden layer of {best_net} learns it
from {best} seeds.
"""

PAGE = """
The truth table has four rows. A linear model's loss is convex in its parameters, so
that a point without slope is its global minimum.

## The best that a linear model can do

With the mean squared error the best is {mse} (slope there {mse_slope}, smallest
curvature {mse_curvature}); with cross-entropy it is {bce}, the loss of a coin's toss
(slope {bce_slope}, smallest curvature {bce_curvature}). Training ends at {mse_run} and
{bce_run}. Of {lines} lines with a direction, none gets more than {line} right.

## How often a hidden layer learns it

Runs out of {seeds} seeds, of {steps} full-batch steps of Adam, that have all four rows
right with a loss of at most {limit}:

One unit cuts the plane once, which is a line again. A unit of relu that starts on the
flat side for all four rows stays there, so that narrow relu layers fail from many
seeds.
"""

METRICS = {
    "linear_mse_loss, linear_bce_loss": "a linear model after the last step; samples: "
    "every step",
    "best_mse_loss, best_bce_loss": "loss at the point without slope, with the slope "
    "and the smallest eigenvalue of the Hessian there",
    "best_line_accuracy": "the largest share right over all lines tried",
    "width_N_learned_count": "seeds from which N hidden units learn the table",
    "width_N_median_loss, width_N_worst_accuracy": "at the end; samples: every seed",
    "width_N_curve_loss": "median loss at the end; samples: step by step",
    "probability_value": f"predicted by one network of {SEEN_WIDTH} units on a grid "
    "with `axis_value` along both sides; samples: all, row by row",
    "best_…_slope_error, best_…_curvature_value": "gradient and least curvature of the "
    "loss at the best line: it is a minimum",
    "lines_count": "lines that were tried",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="Can it learn XOR?",
    claims=("C25",),
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

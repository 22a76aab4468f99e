"""The loss over weight and bias, and the arrow of steepest descent by every way.

The data are those of the exercise "from scratch" (seed 42). Run it alone::

    python experiments/loss_surface.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from diffkit import losses, measure, report, train
from diffkit.measure import WAYS, Case, Mode, Row

NAME = "loss_surface"
CLAIMED_LOSS = 6.1718
W = np.linspace(-1.0, 5.0, 49)
B = np.linspace(-2.5, 3.5, 49)
#: Where gradients are taken, every fourth point of the grid: (w, b), b by b.
AT = np.array([(w, b) for w in W[::4] for b in B[::4]])
#: Where the figure draws them and the reference is proved: more arrows would hide the
#: loss, and more proofs take minutes.
DRAWN = np.isin(AT[:, 0], (-0.5, 1.0, 3.0, 4.5)) & np.isin(
    AT[:, 1], (-2.0, -0.5, 1.5, 3.0)
)
SEEDS = {"quick": 500, "full": 20_000}
#: The decimals that the claim has.
DECIMALS = 4


def cases(mode: Mode) -> list[Case]:
    """The grid once, arrows by each way, and other draws of the same exercise."""

    def made(way: str, part: str, seeds: int = 0) -> Case:
        return measure.case(
            NAME,
            way,
            runtime=WAYS[way].runtime,
            timed=False,
            part=part,
            seeds=seeds,
        )

    return [
        made("autodiff", "grid"),
        *(made(way, "arrows") for way in WAYS),
        made("autodiff", "draws", SEEDS[mode]),
    ]


def loss(p, x, y):
    """Mean squared error of the line p[0]·x + p[1]."""
    return losses.mse(p[0] * x + p[1], y)


def measure_case(case: Case) -> list[Row]:
    """The counted rows of one cell."""
    parts = {"grid": _grid, "arrows": _arrows, "draws": _draws}
    return parts[case["part"]](case)


def _grid(case: Case) -> list[Row]:
    x, y = train.data.linear_regression().train
    prepared = measure.prepare_by(case.backend, loss, np.zeros(2), x, y)
    grid = [float(prepared.value(np.array([w, b]), x, y)) for w in W for b in B]
    design = np.column_stack([x, np.ones_like(x)])
    best = np.linalg.lstsq(design, y, rcond=None)[0].ravel()
    return [
        case.row("w_axis_value", W[-1], samples=W),
        case.row("b_axis_value", B[-1], samples=B),
        case.row("grid_loss", min(grid), samples=grid),
        case.row("origin_loss", prepared.value(np.zeros(2), x, y)),
        case.row("optimum_w_value", best[0]),
        case.row("optimum_b_value", best[1]),
        case.row("optimum_loss", prepared.value(best, x, y)),
    ]


def _arrows(case: Case) -> list[Row]:
    x, y = train.data.linear_regression().train
    prepared = measure.prepare_by(case.backend, loss, np.zeros(2), x, y)
    given = [prepared(p, x, y)[1] for p in AT]
    slopes = np.array(given)
    truth = [measure.reference_gradient(prepared, p, x, y) for p in AT[DRAWN]]
    errors = [t.errors([g])[0] for t, g in zip(truth, slopes[DRAWN], strict=True)]
    reverse = measure.prepare_by("autodiff", loss, np.zeros(2), x, y)
    by_reverse = np.array([reverse(p, x, y)[1] for p in AT])
    apart = np.abs(slopes - by_reverse).max(axis=1) / np.abs(by_reverse).max(axis=1)
    return [
        case.row("at_w_value", AT[-1, 0], samples=AT[:, 0]),
        case.row("at_b_value", AT[-1, 1], samples=AT[:, 1]),
        case.row("arrow_w_value", slopes[0, 0], samples=slopes[:, 0]),
        case.row("arrow_b_value", slopes[0, 1], samples=slopes[:, 1]),
        case.row("from_reverse_error", apart.max(), samples=apart),
        case.row("relative_error", max(errors), samples=errors),
    ]


def _draws(case: Case) -> list[Row]:
    """The loss at the origin for other seeds of the same recipe."""
    found = np.array(
        [
            np.mean(train.data.linear_regression(rng=seed).train[1] ** 2)
            for seed in range(case["seeds"])
        ]
    )
    share = (0.0, 0.025, 0.5, 0.975, 1.0)
    return [
        case.row("draws_count", len(found)),
        case.row("claimed_loss", CLAIMED_LOSS),
        case.row(
            "reaching_count", int(np.sum(np.round(found, DECIMALS) == CLAIMED_LOSS))
        ),
        case.row("above_count", int(np.sum(found >= CLAIMED_LOSS))),
        case.row(
            "draws_loss",
            np.median(found),
            samples=[np.quantile(found, q) for q in share],
        ),
    ]


def figure(rows: Sequence[Row]):
    """The landscape with arrows by all ways, and the loss at the origin over draws."""
    figures = report.figures
    shown, (axes, draws) = figures.panels(1, 2, width=13.0, height=5.0)
    w = report.samples_of(rows, "w_axis_value")
    b = report.samples_of(rows, "b_axis_value")
    grid = report.samples_of(rows, "grid_loss")
    best_w = report.value_of(rows, "optimum_w_value")
    best_b = report.value_of(rows, "optimum_b_value")
    figures.contours(
        axes,
        w,
        b,
        np.array(grid).reshape(len(w), len(b)).T if grid else np.empty((0, 0)),
        title="Arrows of steepest descent: every way draws the same",
        x="weight w",
        y="bias b",
        unit="mean squared error",
        scale="log",
        best=None if best_w is None or best_b is None else (best_w, best_b),
    )
    # From wide to narrow, so that each is seen on top of the one before.
    widths = {
        "autodiff": ("#ffffff", 0.012),
        "symbolic_shared": ("#000000", 0.007),
        "finite_differences_central": ("#E69F00", 0.003),
    }
    for way, (colour, width) in widths.items():
        by_w = np.array(report.samples_of(rows, "arrow_w_value", way))
        by_b = np.array(report.samples_of(rows, "arrow_b_value", way))
        if grid and by_w.size:
            axes.quiver(
                *AT[DRAWN].T,
                -by_w[DRAWN],
                -by_b[DRAWN],
                color=colour,
                angles="xy",
                scale_units="xy",
                scale=9.0,
                width=width,
                headwidth=0.022 / width,
                headlength=0.028 / width,
                headaxislength=0.028 / width,
                label=figures.look_of(way).name,
                zorder=3,
            )
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.13),
            ncols=3,
            facecolor="#888888",
            frameon=True,
            fontsize=figures.SMALL,
        )
    spread = report.samples_of(rows, "draws_loss")
    figures.bars(
        draws,
        [
            figures.Bars(
                figures.Look("", "#0072B2", "o"),
                {
                    "as claimed": report.value_of(rows, "claimed_loss"),
                    "the exercise's seed": report.value_of(rows, "origin_loss"),
                    "median of other seeds": spread[2] if spread else None,
                },
                {"median of other seeds": (spread[1], spread[3])} if spread else {},
                {"the exercise's seed": "nothing measured"},
            )
        ],
        title="The claimed loss is not that of the exercise's data",
        x="mean squared error at w = b = 0 (thin line: 95 % of the seeds)",
        show="{:.4f}".format,
    )
    return shown


def findings(rows: Sequence[Row]) -> measure.Findings:
    """The facts that the page may state."""
    numbers, said, value = report.numbers, report.said, report.value_of
    errors = {way: value(rows, "relative_error", way, part="arrows") for way in WAYS}
    exact = [
        float(error)
        for way, error in errors.items()
        if error is not None and not way.startswith("finite")
    ]
    spread = report.samples_of(rows, "draws_loss")
    facts = {
        "origin": said(value(rows, "origin_loss"), "{:.4f}".format),
        "w": said(value(rows, "optimum_w_value"), "{:.6f}".format),
        "b": said(value(rows, "optimum_b_value"), "{:.6f}".format),
        "least": said(value(rows, "optimum_loss"), "{:.6f}".format),
        "claimed": f"{CLAIMED_LOSS:g}",
        "points": len(AT),
        "proved": int(DRAWN.sum()),
        "grid": f"{len(W)} × {len(B)}",
        "exact": said(max(exact, default=None), numbers.scientific),
        "differences": said(errors["finite_differences_central"], numbers.scientific),
        "seeds": said(value(rows, "draws_count"), numbers.count),
        "reaching": said(value(rows, "reaching_count"), numbers.count),
        "above": said(value(rows, "above_count"), numbers.count),
        "median": f"{spread[2]:.4f}" if spread else "no result",
        "low": f"{spread[1]:.4f}" if spread else "no result",
        "high": f"{spread[3]:.4f}" if spread else "no result",
        "table": report.markdown_table(
            ["way", "largest error of an arrow"],
            [
                [report.figures.look_of(way).name, said(error, numbers.scientific)]
                for way, error in errors.items()
            ],
        ),
    }
    verdicts = []
    if value(rows, "origin_loss") is not None:
        verdicts.append(
            measure.Verdict(
                "C11",
                f"{facts['origin']} at the origin on the exercise's data, whose "
                f"optimum is w = {facts['w']}, b = {facts['b']}; {facts['above']} of "
                f"{facts['seeds']} other seeds reach {facts['claimed']} at all",
                "conditional",
            )
        )
    return measure.Findings(facts, tuple(verdicts))


def tables(rows: Sequence[Row]) -> dict[str, str]:
    """The tables beside the figure."""
    facts = findings(rows).facts
    return {
        "Arrows against the proved reference": facts["table"],
    }


ANSWER = """
A bowl with its minimum at w = {w}, b = {b} and a loss of {origin} at the origin, not
{claimed}; the arrows of steepest descent of all exact ways agree to {exact}.
"""

PAGE = """
The mean squared error of the line w·x + b on the exercise's data, on a grid of {grid}
points, with its minimum of {least} at w = {w} and b = {b} by least squares.

## The arrow of steepest descent

At {points} points of the grid the gradient was taken by every way. At {proved} of them,
which the figure draws, it was compared with a proved reference; the error is that of
the arrow relative to its larger component.

## A loss that cannot be reproduced

The source prints a loss of {claimed} at the origin for data that it does not give. Its
own exercise gives {origin} there. Drawing the exercise again with {seeds} other seeds
gives a median of {median}, and {low} to {high} for the middle ninety-five in a hundred.
Seeds that reach the claimed loss or more: {above}; seeds that have its decimals:
{reaching}.
"""

METRICS = {
    "w_axis_value, b_axis_value": "the axes of the grid, as samples",
    "grid_loss": "least loss on the grid; samples: all, b running fastest",
    "origin_loss, optimum_loss": "loss at w = b = 0, and at least squares",
    "optimum_w_value, optimum_b_value": "least squares",
    "at_w_value, at_b_value": "the last point that has an arrow; samples: all of them",
    "arrow_w_value, arrow_b_value": "the gradient at the first point; samples: at all",
    "from_reverse_error": "largest difference from reverse mode's gradient over its "
    "larger entry; samples: at all points",
    "relative_error": "largest error of a gradient over its larger entry; samples: at "
    f"{', '.join(f'({w:g}, {b:g})' for w, b in AT[DRAWN])}",
    "draws_loss": "median loss at the origin over seeds; samples: least, 2.5 %, "
    "median, 97.5 %, largest",
    "reaching_count, above_count": "seeds with the claimed loss to its decimals, and "
    "with that loss or more",
    "claimed_loss": "the loss that the source states",
    "draws_count": "other seeds that were drawn",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="What does the loss look like over weight and bias?",
    claims=("C11",),
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

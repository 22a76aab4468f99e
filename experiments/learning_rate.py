"""The learning rate: crawls, converges or diverges, on a line and on a network.

The line is the exercise's (seed 42), where theory says what the limit is, and is fitted
by three losses; the network is 2-8-1 on two moons, where curvature changes along the
way. Run it alone::

    python experiments/learning_rate.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import optimize

from diffkit import losses, measure, nn, optim, report, train, transform
from diffkit.measure import Case, Mode, Row

NAME = "learning_rate"
#: The claimed rates, and others around the line's limit.
LINE_RATES = (
    0.001,
    0.005,
    0.02,
    0.05,
    0.1,
    0.2,
    0.4,
    0.55,
    0.7,
    0.9,
    0.95,
    0.953,
    0.954,
    0.96,
    1.0,
    1.2,
)
NET_RATES = (0.02, 0.1, 0.4, 0.95, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
SHOWN_LINE = (0.005, 0.02, 0.1, 0.4, 0.95, 1.0)
SHOWN_NET = (0.02, 0.1, 0.4, 1.0, 5.0, 50.0)
#: A run has arrived when this part of the first loss above the best is left.
ARRIVED = 1e-6
LINE_STEPS = {"quick": 4000, "full": 40_000}
NET_STEPS = {"quick": 400, "full": 5000}
#: The same line by other losses: rates below and past the limit of each that has one.
FIT_RATES = (0.02, 0.1, 0.4, 0.95, 1.0, 1.2, 1.9, 2.2)
FIT_STEPS, FIT_GRID = 60, 49
FIT_LOSSES: Mapping[str, Callable[[Any, Any], Any]] = {
    "mse": losses.mse,
    "mae": losses.mae,
    "huber": losses.huber,
}
FIT_NAMES = {"mse": "squared error", "mae": "absolute error", "huber": "Huber's"}
#: What the network has to reach, and how many samples of a path are kept.
NET_LOSS = 0.2
KEPT = 201


def cases(mode: Mode) -> list[Case]:
    """All rates on each problem, and on the line by each loss."""
    problems = {"line": LINE_STEPS[mode], "net": NET_STEPS[mode]}
    problems |= {f"fit_{name}": FIT_STEPS for name in FIT_LOSSES}
    return [
        measure.case(
            NAME, "autodiff", runtime="engine", timed=False, problem=name, steps=steps
        )
        for name, steps in problems.items()
    ]


def line_loss(p, x, y):
    """Mean squared error of the line p[0]·x + p[1]."""
    return losses.mse(p[0] * x + p[1], y)


def measure_case(case: Case) -> list[Row]:
    """The counted rows of one problem."""
    problem = case["problem"]
    if problem.startswith("fit_"):
        return _fit(case, problem.removeprefix("fit_"))
    return _line(case) if problem == "line" else _net(case)


def _line(case: Case) -> list[Row]:
    x, y = train.data.linear_regression().train
    start = np.zeros(2)
    prepared = measure.prepare_by(case.backend, line_loss, start, x, y)
    design = np.column_stack([x, np.ones_like(x)])
    best = np.linalg.lstsq(design, y, rcond=None)[0].ravel()
    least = float(prepared.value(best, x, y))
    above = float(prepared.value(start, x, y)) - least
    curvature = np.linalg.eigvalsh(transform.hessian(line_loss)(start, x, y))
    rows = [
        case.row("limit_value", 2.0 / curvature[-1]),
        case.row("best_rate_value", 2.0 / (curvature[0] + curvature[-1])),
        case.row("best_loss", least),
    ]
    for rate in LINE_RATES:
        path = measure.descend(
            lambda p: prepared(p, x, y),
            optim.sgd(rate),
            start,
            case["steps"],
            reached=lambda p, value: value - least <= ARRIVED * above,
        )
        rows += _run(case, rate, path, least)
        rows += [
            case.row(f"rate_{rate:g}_{name}_value", at[-1], samples=at[:KEPT])
            for name, at in zip("wb", path.points.T, strict=True)
        ]
    return rows


def _fit(case: Case, name: str) -> list[Row]:
    """The line by one loss: its surface, its minimum, and the way down by each rate."""
    x, y = train.data.linear_regression().train

    def loss(p, x, y):
        return FIT_LOSSES[name](p[0] * x + p[1], y)

    start = np.zeros(2)
    prepared = measure.prepare_by(case.backend, loss, start, x, y)
    ws, bs = np.linspace(-1.0, 5.0, FIT_GRID), np.linspace(-2.5, 3.5, FIT_GRID)
    grid = [float(prepared.value(np.array([w, b]), x, y)) for w in ws for b in bs]
    best = _least_absolute(x, y) if name == "mae" else _least(prepared, x, y)
    rows = [
        case.row("w_axis_value", ws[-1], samples=ws),
        case.row("b_axis_value", bs[-1], samples=bs),
        case.row("grid_loss", min(grid), samples=grid),
        case.row("best_w_value", best[0]),
        case.row("best_b_value", best[1]),
        case.row("best_loss", prepared.value(best, x, y)),
    ]
    curvature = np.linalg.eigvalsh(transform.hessian(loss)(best, x, y))
    if curvature[-1] > 0:
        rows.append(case.row("limit_value", 2.0 / curvature[-1]))
    for rate in FIT_RATES:
        path = measure.descend(
            lambda p: prepared(p, x, y), optim.sgd(rate), start, case["steps"]
        )
        label = f"rate_{rate:g}"
        rises = int(np.sum(np.diff(path.values) > 0))
        rows += [
            case.row(f"{label}_w_value", path.last[0], samples=path.points[:, 0]),
            case.row(f"{label}_b_value", path.last[1], samples=path.points[:, 1]),
            case.row(f"{label}_run_loss", path.values[-1], samples=path.values),
            case.row(f"{label}_rises_count", rises),
        ]
    return rows


def _least(prepared: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The minimum of a smooth convex loss of the line."""
    return optimize.minimize(
        lambda p: prepared(p, x, y), np.zeros(2), jac=True, options={"gtol": 1e-12}
    ).x


def _least_absolute(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The least sum of absolute errors: a linear program, with a bound on each."""
    count = len(x)
    design = np.column_stack([x, np.ones_like(x)])
    bounds = -np.eye(count)
    found = optimize.linprog(
        np.repeat([0.0, 1.0], [2, count]),
        A_ub=np.block([[design, bounds], [-design, bounds]]),
        b_ub=np.concatenate([y, -y]).ravel(),
        bounds=[(None, None)] * 2 + [(0, None)] * count,
    )
    return found.x[:2]


def _net(case: Case) -> list[Row]:
    net = nn.mlp((2, 8, 1), "tanh")
    x, labels = train.data.moons().train
    y = labels[:, None].astype(float)

    def loss(params, x, y):
        return losses.binary_cross_entropy_with_logits(net.apply(params, x), y)

    params = net.init(np.random.default_rng(case.seed))
    prepared = measure.prepare_by(case.backend, loss, params, x, y)
    start, value_and_grad, _ = measure.on_vector(prepared, params, x, y)
    rows = [
        case.row("limit_value", 2.0 / _sharpness(value_and_grad, start)),
        case.row("start_loss", prepared.value(params, x, y)),
    ]
    for rate in NET_RATES:
        path = measure.descend(
            value_and_grad, optim.sgd(rate), start, case["steps"], bound=1e9
        )
        rows += _run(case, rate, path, 0.0)
        arrived = np.flatnonzero(path.values <= NET_LOSS)
        if arrived.size:
            rows.append(case.row(f"rate_{rate:g}_steps_count", int(arrived[0])))
        if path.ended == "diverged":
            continue
        # A run that was thrown to where all units are saturated has no limit.
        if sharpness := _sharpness(value_and_grad, path.last):
            name = f"rate_{rate:g}_limit_at_end_value"
            rows.append(case.row(name, 2.0 / sharpness))
    return rows


def _run(case: Case, rate: float, path: measure.Descent, least: float) -> list[Row]:
    left = np.maximum(path.values - least, 0.0)
    rows = [
        case.row(f"rate_{rate:g}_above_best_loss", left[-1], samples=left[:KEPT]),
        case.row(f"rate_{rate:g}_rises_count", int(np.sum(np.diff(path.values) > 0))),
        case.row(f"rate_{rate:g}_diverged_count", int(path.ended == "diverged")),
    ]
    if path.ended == "reached":
        rows.append(case.row(f"rate_{rate:g}_steps_count", path.steps))
    return rows


def _sharpness(value_and_grad, at: np.ndarray, rounds: int = 60) -> float:
    """The Hessian's largest eigenvalue by power iteration on gradient differences.

    Zero where the gradient does not change at all.
    """
    rng = np.random.default_rng(0)
    v = rng.normal(size=at.shape)
    step, largest = 1e-5, 0.0
    for _ in range(rounds):
        if not (size := float(np.linalg.norm(v))):
            return 0.0
        v = v / size
        image = value_and_grad(at + step * v)[1] - value_and_grad(at - step * v)[1]
        image = image / (2 * step)
        largest = float(v @ image)
        v = image
    return abs(largest)


def figure(rows: Sequence[Row]):
    """Loss by step at several rates, and steps to arrive against the rate."""
    figures = report.figures
    shown, axes = figures.panels(2, 2, width=12.6, height=8.4)
    for column, (problem, rates, title, limits) in enumerate(
        (
            ("line", SHOWN_LINE, "A line: crawls, converges, diverges", (1e-7, 1e4)),
            ("net", SHOWN_NET, "A network: the same, with more between", (1e-2, 1e2)),
        )
    ):
        looks = figures.looks([f"{rate:g}" for rate in rates])
        figures.draw(
            axes[column],
            [
                figures.Line(
                    look,
                    report.until_outside(
                        report.samples_of(
                            rows, f"rate_{name}_above_best_loss", problem=problem
                        )[:121],
                        *limits,
                    ),
                )
                for name, look in looks.items()
            ],
            title=title,
            x="step",
            y="loss above its minimum" if problem == "line" else "loss",
            x_scale="linear",
            y_limits=limits,
        )
        limit = report.value_of(rows, "limit_value", problem=problem)
        every = LINE_RATES if problem == "line" else NET_RATES
        steps = [
            (rate, float(row.value or 0.0))
            for rate in every
            for row in report.rows_of(
                rows, f"rate_{rate:g}_steps_count", problem=problem
            )
        ]
        lost = [
            (rate, row)
            for rate in every
            for row in report.rows_of(
                rows, f"rate_{rate:g}_above_best_loss", problem=problem
            )
            if rate not in dict(steps)
        ]
        top = 3 * max((count for _, count in steps), default=1.0)
        figures.draw(
            axes[2 + column],
            [
                figures.Line(figures.Look("arrives", "#0072B2", "o"), steps),
                figures.Line(
                    figures.Look("never", "#D55E00", "X", "none"),
                    [(rate, top) for rate, _ in lost],
                ),
            ],
            title=(
                "The best rate lies close below the limit"
                if problem == "line"
                else "Beyond the first limit a network may still learn"
            ),
            x="learning rate",
            y=(
                f"steps until {ARRIVED:g} of the loss is left"
                if problem == "line"
                else f"steps to a loss of {NET_LOSS:g}"
            ),
            rules=[] if limit is None else [figures.Rule(limit, "limit", "x")],
        )
    return shown


def findings(rows: Sequence[Row]) -> measure.Findings:
    """The facts that the page may state."""
    numbers, said, value = report.numbers, report.said, report.value_of

    def steps_of(problem: str, rate: float) -> float | None:
        return value(rows, f"rate_{rate:g}_steps_count", problem=problem)

    def told(problem: str, rate: float) -> str:
        if value(rows, f"rate_{rate:g}_diverged_count", problem=problem) is None:
            return "no result"
        steps = steps_of(problem, rate)
        if steps is not None:
            return f"arrives after {numbers.count(steps)} steps"
        if value(rows, f"rate_{rate:g}_diverged_count", problem=problem):
            return "diverges"
        return "does not arrive"

    def table(problem: str, rates: Sequence[float]) -> str:
        return report.markdown_table(
            ["rate", "what happens", "steps that made it worse"],
            [
                [
                    f"{rate:g}",
                    told(problem, rate),
                    said(
                        value(rows, f"rate_{rate:g}_rises_count", problem=problem),
                        numbers.count,
                    ),
                ]
                for rate in rates
            ],
            numbers_from=2,
        )

    def fastest(problem: str, rates: Sequence[float]) -> tuple[float, float] | None:
        found = [
            (steps, rate)
            for rate in rates
            if (steps := steps_of(problem, rate)) is not None
        ]
        return min(found, default=None)

    line, net = fastest("line", LINE_RATES), fastest("net", NET_RATES)
    limit = value(rows, "limit_value", problem="line")
    kinds = [
        [
            FIT_NAMES[name],
            said(value(rows, "limit_value", problem=f"fit_{name}"), "{:.4f}".format)
            if value(rows, "best_loss", problem=f"fit_{name}") is None
            or value(rows, "limit_value", problem=f"fit_{name}") is not None
            else "none",
            *(
                said(
                    value(rows, f"rate_{rate:g}_run_loss", problem=f"fit_{name}"),
                    numbers.scientific,
                )
                for rate in FIT_RATES
            ),
        ]
        for name in FIT_LOSSES
    ]
    wilder = [
        rate
        for rate in NET_RATES
        if steps_of("net", rate) is not None
        and rate > (value(rows, "limit_value", problem="net") or np.inf)
    ]
    facts = {
        "limit": said(limit, "{:.6f}".format),
        "best_rate": said(
            value(rows, "best_rate_value", problem="line"), "{:.4f}".format
        ),
        "net_limit": said(value(rows, "limit_value", problem="net"), "{:.2f}".format),
        "line_best": "no result" if line is None else f"{line[1]:g}",
        "line_steps": "no result" if line is None else numbers.count(line[0]),
        "net_best": "no result" if net is None else f"{net[1]:g}",
        "net_steps": "no result" if net is None else numbers.count(net[0]),
        "line_table": table("line", LINE_RATES),
        "net_table": table("net", NET_RATES),
        "fit_table": report.markdown_table(
            ["loss", "limit", *(f"at {rate:g}" for rate in FIT_RATES)], kinds
        ),
        "fit_steps": FIT_STEPS,
        "arrived": numbers.scientific(ARRIVED),
        "net_loss": f"{NET_LOSS:g}",
        "wilder": ", ".join(f"{rate:g}" for rate in wilder) or "none",
        **{
            f"at_{name}": told("line", rate)
            for name, rate in (
                ("slow", 0.02),
                ("usual", 0.1),
                ("fast", 0.4),
                ("edge", 0.95),
                ("one", 1.0),
            )
        },
    }
    verdicts = []
    if limit is not None:
        verdicts.append(
            measure.Verdict(
                "C19",
                f"on the exercise, 0.02 {facts['at_slow']}, 0.1 {facts['at_usual']}, "
                f"0.4 {facts['at_fast']}, 0.95 {facts['at_edge']} and 1.0 "
                f"{facts['at_one']}; the limit is {facts['limit']}",
                "right",
            )
        )
    return measure.Findings(facts, tuple(verdicts))


def tables(rows: Sequence[Row]) -> dict[str, str]:
    """The tables beside the figure."""
    facts = findings(rows).facts
    return {
        "The line": facts["line_table"],
        "The network": facts["net_table"],
        f"The line by three losses: the loss after {FIT_STEPS} steps": facts[
            "fit_table"
        ],
    }


ANSWER = """
On the exercise's line rates below {limit} converge, fastest of those tried {line_best}
({line_steps} steps); just below the limit descent rings, above it diverges.
"""

PAGE = """
Plain gradient descent over the whole data, from one start, at many rates.

## A line, where the limit is known

The loss is a quadratic bowl: rates below two over its largest curvature converge, here
{limit}, and the best constant rate is two over the sum of the curvatures, {best_rate}.
A run has arrived when {arrived} of the first loss above the minimum is left.

## The same line by other losses

Three losses of the same data from the same start; the limit is two over the largest
curvature at the minimum. The squared error has a slope that grows with the distance, so
past its limit each step goes further than the last, and the run is lost. The slope of
Huber's loss is bounded: past its limit the run rings about the minimum and stays there.
The absolute error has no curvature and no limit: every constant rate ends by jumping
about the minimum, the wider the larger it is.

## A network, where it is not

A network of eight tanh units on two moons, with cross-entropy. At the start two over
the largest curvature is {net_limit}. A run has arrived at a loss of {net_loss}; the
fastest rate tried is {net_best} ({net_steps} steps). Rates beyond the first limit that
arrive all the same: {wilder}. The loss rises on the way, until the run is where the
curvature is small enough for its rate.

"""

METRICS = {
    "limit_value": "2 over the largest curvature at the start",
    "best_rate_value": "2 over the sum of the largest and the smallest curvature",
    "rate_A_above_best_loss": "loss less its minimum (of the network: the loss) after "
    f"the last step at the rate A; samples: the first {KEPT} steps",
    "rate_A_w_value, rate_A_b_value": "parameters of the line; samples: the same steps",
    "rate_A_steps_count": "steps to arrive, where it does",
    "rate_A_rises_count": "steps after which the loss was larger than before",
    "rate_A_diverged_count": "1 where it left every bound",
    "rate_A_limit_at_end_value": "2 over the largest curvature where the run ended",
    "start_loss, best_loss": "loss at the start, and the least that is known",
    "best_w_value, best_b_value": "where a loss of the line is least",
    "w_axis_value, b_axis_value": "the axes of the grid, as samples",
    "grid_loss": "least loss on the grid; samples: all, b running fastest",
    "rate_A_run_loss": "loss after the last step at the rate A; samples: every step",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="How large should a learning rate be?",
    claims=("C19",),
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

"""Seven optimizers, each at its best rate of a few, on a ravine, spirals and digits.

And three statements about them: AdaGrad's rate decays to zero, the two textbook forms
of momentum differ by a factor in their rate, and RMSProp needs its ε. Run it alone::

    python experiments/optimizers.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from diffkit import losses, measure, nn, optim, report, train
from diffkit.measure import Case, Mode, Row
from diffkit.measure.descent import descend
from diffkit.report.lookup import rows_of, said, samples_of, value_of

NAME = "optimizers"
OPTIMIZERS: dict[str, Callable[[float], optim.Optimizer]] = {
    "sgd": optim.sgd,
    "momentum": optim.momentum,
    "nesterov": optim.nesterov,
    "adagrad": optim.adagrad,
    "rmsprop": optim.rmsprop,
    "adam": optim.adam,
    "adamw": optim.adamw,
}
PROBLEMS = ("ravine", "spirals", "digits")
#: How many rates are tried for each.
GRID: Mapping[Mode, int] = {"quick": 5, "full": 9}
#: The rate in the middle of the grid: one for gradients stepped by as they are, another
#: for those that are scaled to size one.
MIDDLE = {
    "sgd": 0.1,
    "momentum": 0.02,
    "nesterov": 0.02,
    "adagrad": 0.2,
    "rmsprop": 0.02,
    "adam": 0.05,
    "adamw": 0.05,
}
#: A ravine bends a hundred times more across than along.
BEND = 100.0
START = (-8.0, 1.0)
STEPS = {"quick": 200, "full": 1000}
EPOCHS = {
    "spirals": {"quick": 60, "full": 300},
    "digits": {"quick": 4, "full": 20},
}
DECAY = 1000
MARKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
BETAS = (0.5, 0.9, 0.99)
LIMITS = measure.Limits(seconds=120.0, bytes=2 << 30)


def cases(mode: Mode) -> list[Case]:
    """Every optimizer on every problem, and the three statements."""

    def one(part: str, optimizer: str, **fields: Any) -> Case:
        return measure.case(
            NAME,
            "autodiff",
            runtime="engine",
            timed=False,
            limits=LIMITS,
            part=part,
            optimizer=optimizer,
            **fields,
        )

    return [
        *(
            one(
                problem,
                name,
                rates=GRID[mode],
                work=STEPS[mode] if problem == "ravine" else EPOCHS[problem][mode],
            )
            for problem in PROBLEMS
            for name in OPTIMIZERS
        ),
        one("decay", "adagrad", work=DECAY),
        *(one("forms", "momentum", beta=beta, work=100) for beta in BETAS),
        *(one("epsilon", "rmsprop", epsilon=epsilon) for epsilon in (0.0, 1e-8)),
    ]


def measure_case(case: Case) -> list[Row]:
    """The rows of one part."""
    parts = {
        "ravine": _on_ravine,
        "spirals": _on_data,
        "digits": _on_data,
        "decay": _decay,
        "forms": _forms,
        "epsilon": _epsilon,
    }
    return parts[case["part"]](case)


def grid(optimizer: str, problem: str, count: int) -> list[float]:
    """Rates about the middle one, in steps of √10."""
    ratio = 10.0**0.5
    middle = MIDDLE[optimizer]
    # Plain descent diverges from 2/BEND on.
    if problem == "ravine" and optimizer in ("sgd", "momentum", "nesterov"):
        middle = 1.8 / BEND if optimizer == "sgd" else 1.0 / BEND
    return [middle * ratio ** (k - count // 2) for k in range(count)]


def ravine(w: np.ndarray) -> tuple[float, np.ndarray]:
    """(x² + BEND·y²)/2 and its gradient, at w = (x, y)."""
    bends = np.array([1.0, BEND])
    return float(0.5 * np.sum(bends * w * w)), bends * w


def _best(case: Case, runs: Mapping[float, float]) -> tuple[float, list[Row]]:
    """The rate with the lowest loss, and rows about all of them."""
    finite = {rate: loss for rate, loss in runs.items() if np.isfinite(loss)}
    best = min(finite, key=lambda rate: finite[rate])
    return best, [
        case.row("best_rate_value", best, samples=list(finite)),
        case.row("end_loss", finite[best], samples=list(finite.values())),
        case.row("diverged_rates_count", len(runs) - len(finite)),
    ]


def _on_ravine(case: Case) -> list[Row]:
    make, steps = OPTIMIZERS[case["optimizer"]], case["work"]
    runs = {
        rate: descend(ravine, make(rate), START, steps)
        for rate in grid(case["optimizer"], "ravine", case["rates"])
    }
    best, rows = _best(
        case,
        {
            rate: np.inf if run.ended == "diverged" else float(run.values[-1])
            for rate, run in runs.items()
        },
    )
    values, (x, y) = runs[best].values.tolist(), runs[best].points.T.tolist()
    return [
        *rows,
        case.row("descent_loss", values[-1], samples=values),
        case.row("path_x_value", x[-1], samples=x),
        case.row("path_y_value", y[-1], samples=y),
    ]


def problem(name: str) -> tuple[nn.Sequential, Callable[..., Any], Any, Any, int]:
    """Network, loss, training rows, validation rows and batch size."""
    if name == "digits":
        data = train.data.digits(validation=0.25)
        return (
            nn.mlp((64, 16, 10), "relu"),
            losses.cross_entropy,
            data.train,
            data.validation,
            64,
        )
    data = train.data.spirals(200, test=0.25)
    (x, y), (vx, vy) = data.train, data.test
    return (
        nn.mlp((2, 16, 16, 1), "tanh"),
        losses.binary_cross_entropy_with_logits,
        (x, y[:, None].astype(float)),
        (vx, vy[:, None].astype(float)),
        len(x),
    )


def _on_data(case: Case) -> list[Row]:
    net, loss, rows, check, batch = problem(case["part"])
    runs = {
        rate: train.fit(
            net,
            loss,
            OPTIMIZERS[case["optimizer"]](rate),
            rows,
            epochs=case["work"],
            batch_size=batch,
            validation=check,
            rng=case.seed,
            on_divergence="stop",
            progress=False,
        )
        for rate in grid(case["optimizer"], case["part"], case["rates"])
    }
    best, found = _best(
        case,
        {
            rate: float(run.losses().to_numpy()[-1])
            if run.diverged_at is None
            else np.inf
            for rate, run in runs.items()
        },
    )
    return [*found, *measure.curve_rows(case, runs[best])]


def _decay(case: Case) -> list[Row]:
    """AdaGrad's rate under a steady gradient, read from its steps, and on digits."""
    optimizer, w = optim.adagrad(1.0), np.zeros(1)
    state, slope = optimizer.init(w), np.ones(1)
    rates = []
    for _ in range(case["work"]):
        updates, state = optimizer.update(slope, state)
        rates.append(float(-updates[0]))
    return [
        case.row("effective_rate_value", rates[-1], samples=rates),
        case.row("hundredth_rate_value", rates[99]),
        case.row(
            "power_value",
            measure.fit_law("power", range(1, len(rates) + 1), rates).rate.value,
        ),
    ]


def _forms(case: Case) -> list[Row]:
    """The two forms of momentum on the ravine, at one rate and at rates made alike."""
    beta, steps, rate = case["beta"], case["work"], 0.1 / BEND

    def path(optimizer: optim.Optimizer) -> np.ndarray:
        return descend(ravine, optimizer, START, steps).points

    summed = path(optim.momentum(rate, beta))
    averaged = path(optim.averaged_momentum(rate, beta))
    rescaled = path(optim.averaged_momentum(rate / (1 - beta), beta))
    size = float(np.max(np.abs(summed)))

    def steady(optimizer: optim.Optimizer) -> float:
        """The length of a step after many under a gradient of one."""
        state, updates = optimizer.init(np.zeros(1)), np.zeros(1)
        for _ in range(5000):
            updates, state = optimizer.update(np.ones(1), state)
        return float(-updates[0])

    ratio = steady(optim.momentum(rate, beta)) / steady(
        optim.averaged_momentum(rate, beta)
    )
    return [
        case.row("steady_rate_ratio", ratio),
        case.row("same_rate_error", float(np.max(np.abs(summed - averaged))) / size),
        case.row("rescaled_error", float(np.max(np.abs(summed - rescaled))) / size),
    ]


def _epsilon(case: Case) -> list[Row]:
    """One step of RMSProp where one entry of the gradient is zero."""
    optimizer = optim.rmsprop(0.01, eps=case["epsilon"])
    slope = np.array([0.0, 1.0])
    with np.errstate(all="ignore"):
        updates, _ = optimizer.update(slope, optimizer.init(slope))
    return [
        case.row("entries_count", len(slope)),
        case.row("nan_entries_count", int(np.isnan(updates).sum())),
    ]


def _lines(rows: Sequence[Row], metric: str, part: str) -> list[report.figures.Line]:
    looks = report.figures.looks(list(OPTIMIZERS))
    return [
        report.figures.Line(
            looks[name],
            list(enumerate(samples_of(rows, metric, part=part, optimizer=name))),
        )
        for name in OPTIMIZERS
    ]


def figure(rows: Sequence[Row]):
    """Descents on the three problems, the rates that work, and AdaGrad's decay."""
    figures = report.figures
    shown, axes = figures.panels(2, 3, width=16.5, height=9.0)
    figures.draw(
        axes[0],
        _lines(rows, "descent_loss", "ravine"),
        title="In a ravine, momentum beats plain descent",
        x="step",
        y="value",
        x_scale="linear",
        y_limits=(1e-12, 1e3),
    )
    rates = samples_of(rows, "effective_rate_value")
    paths = figures.looks(("sgd", "momentum"))
    xs, ys = np.linspace(-9, 3, 61), np.linspace(-1.5, 1.5, 61)
    figures.contours(
        axes[1],
        xs,
        ys,
        0.5 * (xs[None, :] ** 2 + BEND * ys[:, None] ** 2),
        title="The ways down the ravine",
        x="along",
        y="across",
        unit="value",
        scale="linear",
        paths=[
            figures.Path(
                look,
                list(
                    zip(
                        samples_of(rows, "path_x_value", optimizer=name)[:60],
                        samples_of(rows, "path_y_value", optimizer=name)[:60],
                        strict=False,
                    )
                ),
            )
            for name, look in paths.items()
        ],
        best=(0.0, 0.0),
    )
    figures.draw(
        axes[2],
        [
            figures.Line(
                figures.Look("AdaGrad", "#CC79A7", "v"),
                [(k, rates[k - 1]) for k in MARKS if k <= len(rates)],
            )
        ],
        title="AdaGrad's rate decays under a steady gradient",
        x="step",
        y="effective rate, share of the given one",
    )
    for place, part, name in ((3, "spirals", "Spirals"), (4, "digits", "Digits")):
        figures.draw(
            axes[place],
            _lines(rows, "train_loss", part),
            title=f"{name}: each at the best of its rates",
            x="epoch",
            y="training loss",
            x_scale="linear",
        )
    looks = figures.looks(PROBLEMS)
    figures.bars(
        axes[5],
        [
            figures.Bars(
                looks[part],
                {
                    name: value_of(rows, "best_rate_value", part=part, optimizer=name)
                    for name in OPTIMIZERS
                },
                why=dict.fromkeys(OPTIMIZERS, "no result"),
            )
            for part in PROBLEMS
        ],
        title="No one rate suits all: the best of those tried",
        x="rate",
        scale="log",
        show="{:.2g}".format,
    )
    return shown


def findings(rows: Sequence[Row]) -> measure.Findings:
    """Facts and verdicts from whatever was measured."""
    numbers = report.numbers

    def order(part: str) -> str:
        found = {
            row["optimizer"]: float(row.value or 0.0)
            for row in rows_of(rows, "end_loss", part=part)
        }
        ranked = sorted(found, key=lambda name: found[name])
        return ", ".join(f"{n} {_short(found[n])}" for n in ranked) or "no result"

    def winner(part: str) -> str:
        return (
            order(part).partition(" ")[0]
            if rows_of(rows, "end_loss", part=part)
            else "no result"
        )

    def form(metric: str, beta: float) -> float | None:
        return value_of(rows, metric, part="forms", beta=beta)

    def lost(epsilon: float) -> str:
        value = value_of(rows, "nan_entries_count", part="epsilon", epsilon=epsilon)
        return said(value, numbers.count)

    power = value_of(rows, "power_value")
    most = max(
        (float(row.value or 0) for row in rows_of(rows, "rescaled_error")), default=None
    )
    facts = {
        "bend": f"{BEND:g}",
        "ravine": order("ravine"),
        "spirals": order("spirals"),
        "digits": order("digits"),
        "ravine_winner": winner("ravine"),
        "spirals_winner": winner("spirals"),
        "digits_winner": winner("digits"),
        "rates": max((row["rates"] for row in rows_of(rows, "end_loss")), default=0),
        "decay_steps": numbers.count(DECAY),
        "decayed": said(value_of(rows, "effective_rate_value"), "{:.4f}".format),
        "power": said(power, "{:.3f}".format),
        "beta": "0.9",
        "steady": said(form("steady_rate_ratio", 0.9), numbers.times),
        "apart": said(form("same_rate_error", 0.9), "{:.0%}".format),
        "together": said(most, numbers.scientific),
        "without": lost(0.0),
        "with": lost(1e-8),
    }
    verdicts = (
        measure.Verdict(
            "C21",
            f"lowest training loss at its best rate: {facts['ravine_winner']} in the "
            f"ravine, {facts['spirals_winner']} on spirals, "
            f"{facts['digits_winner']} on digits; AdaGrad's rate falls as "
            f"the step to the power {facts['power']}; "
            f"the two momenta differ by {facts['steady']} at β {facts['beta']} and "
            f"take one path once rescaled (apart by {facts['together']}); RMSProp "
            f"without ε makes {facts['without']} of two entries NaN where a gradient "
            f"is zero, with it {facts['with']}",
            "right" if power is not None else "measured",
        ),
    )
    return measure.Findings(facts, verdicts)


def _short(value: float) -> str:
    plain = 0.001 <= abs(value) < 1000
    return f"{value:.3g}" if plain else report.numbers.scientific(value)


ANSWER = """
None is best everywhere: with the rate tuned for each, the lowest training loss is that
of {ravine_winner} in a ravine, {spirals_winner} on spirals and {digits_winner} on
digits.
"""

PAGE = """
Every optimizer is given the best of {rates} rates, on each problem anew; its other
numbers are the usual ones. Losses at the end, lowest first.

* A ravine, {bend} times steeper across than along, which flatters those that scale
  each parameter by itself, as it lies along the axes: {ravine}.
* Spirals, a network of two hidden layers, whole batches: {spirals}.
* Digits, a network of one hidden layer, mini-batches: {digits}.

## AdaGrad's rate decays to zero

Under a steady gradient the effective rate after {decay_steps} steps is {decayed} of the
one given, and falls as the number of steps to the power {power}: by the formula, one
over the square root of the steps. It never rises again, whatever the gradient does.

## Two forms of momentum

One form sums gradients, the other averages them. At β {beta} and the same rate the
first takes steps {steady} as long under a steady gradient, and on the ravine the two
paths come to lie {apart} of its length apart. With the second form's rate divided by
one minus β the paths coincide: {together} apart at the most, which is rounding, over
all values of β tried.

## RMSProp without its ε

One of the sources leaves ε out. Where an entry of the gradient has been zero since the
start, zero is divided by zero: {without} of the two entries of the update is NaN,
against {with} with ε.
"""

METRICS = {
    "end_loss": "training loss (or value) at the end at the best rate; every rate that "
    "stayed finite as samples",
    "best_rate_value": "that rate; the rates of those samples",
    "diverged_rates_count": "rates that did not stay finite",
    "descent_loss": "value on the ravine by step, as samples",
    "path_x_value, path_y_value": "where it was, by step",
    "train_loss, validation_loss": "of the best rate; every epoch as samples",
    "effective_rate_value": "length of AdaGrad's step under a gradient of one",
    "power_value": "exponent of that length as a power of the step",
    "steady_rate_ratio": "summed over averaged momentum, under a steady gradient",
    "same_rate_error": "largest distance of the two paths over the path's size",
    "rescaled_error": "the same after dividing one rate by one minus β",
    "nan_entries_count": "entries of one update that are NaN",
    "diverged_count": "1 for a training that stopped being finite, else 0",
    "entries_count": "entries of the parameters",
    "hundredth_rate_value": "AdaGrad's effective rate at step 100",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="Which optimizer gets lowest when each has its best rate?",
    claims=("C21",),
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

"""Schedules: what the rate does, and what that does to the loss, over several seeds.

A small classifier of 8 × 8 digits, mini-batches, momentum; every schedule may rise to
the same rate and has the same number of steps. Run it alone::

    python experiments/schedules.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from statistics import mean, stdev

import numpy as np

from diffkit import losses, measure, nn, optim, report, train
from diffkit.measure import Case, Mode, Row
from diffkit.optim import schedules
from diffkit.report.lookup import rows_of, said, samples_of

NAME = "schedules"
PEAK, BATCH, HIDDEN = 0.3, 64, 16
EPOCHS = {"quick": 8, "full": 30}
SEEDS = {"quick": 3, "full": 10}
KINDS = (
    "constant",
    "step",
    "cosine",
    "warm-up, cosine",
    "warm-up, linear",
    "one cycle",
    "on plateau",
)
LIMITS = measure.Limits(seconds=120.0, bytes=2 << 30)


def cases(mode: Mode) -> list[Case]:
    """Every schedule; a cell trains all of its seeds."""
    return [
        measure.case(
            NAME,
            "autodiff",
            runtime="engine",
            timed=False,
            limits=LIMITS,
            schedule=kind,
            epochs=EPOCHS[mode],
            seeds=SEEDS[mode],
        )
        for kind in KINDS
    ]


def rate_of(kind: str, steps: int) -> float | schedules.Schedule:
    """The rate of a kind over so many steps, with the same peak."""
    warmup = max(steps // 10, 1)
    return {
        "constant": PEAK,
        "step": schedules.Step(PEAK, every=-(-steps // 3), factor=0.1),
        "cosine": schedules.Cosine(PEAK, steps),
        "warm-up, cosine": schedules.WarmupCosine(PEAK, warmup, steps),
        "warm-up, linear": schedules.WarmupLinear(PEAK, warmup, steps),
        "one cycle": schedules.OneCycle(PEAK, steps),
        "on plateau": PEAK,
    }[kind]


def measure_case(case: Case) -> list[Row]:
    """Curves of every seed, one row a seed for each end, and the rate by step."""
    data = train.data.digits(validation=0.25)
    per_epoch = len(train.Batches(len(data.train[0]), BATCH))
    steps = case["epochs"] * per_epoch
    rate = rate_of(case["schedule"], steps)
    optimizer = optim.momentum(rate)
    if case["schedule"] == "on plateau":
        optimizer = optim.chain(optimizer, plateau_of())
    runs = [
        train.fit(
            nn.mlp((64, HIDDEN, 10), "relu"),
            losses.cross_entropy,
            optimizer,
            data.train,
            epochs=case["epochs"],
            batch_size=BATCH,
            validation=data.validation,
            metrics={
                "accuracy": train.metrics.accuracy,
                "final_loss": losses.cross_entropy,
            },
            rng=seed,
            on_divergence="stop",
            progress=False,
        )
        for seed in range(case["seeds"])
    ]
    rows: list[Row] = []
    for seed, run in enumerate(runs):
        rows += measure.curve_rows(
            case, run, ("accuracy", "final_loss"), prefix=f"seed_{seed}_"
        )
    for metric in ("train_final_loss", "validation_loss", "validation_accuracy"):
        ends = [row.value for row in rows if row.metric.endswith(metric)]
        known = [float(value) for value in ends if value is not None]
        if known:
            rows.append(case.row(f"mean_{metric}", mean(known), samples=known))
    watched = case["schedule"] == "on plateau"
    rates = rates_by_step(rate, runs[0], per_epoch, watched=watched)
    return [*rows, case.row("rate_value", rates[-1], samples=rates)]


def rates_by_step(
    rate: float | schedules.Schedule,
    run: train.History,
    per_epoch: int,
    *,
    watched: bool,
) -> list[float]:
    """The rate at every step of a training.

    That of a plateau is replayed by the transform itself, told the losses it was told.
    """
    seen = run.losses("validation").to_numpy()[1:]
    if callable(rate):
        return [rate(step) for step in range(len(seen) * per_epoch)]
    plateau = plateau_of()
    state, rates = plateau.init(np.zeros(1)), []
    assert plateau.observe is not None
    for loss in seen:
        rates += [rate * float(state.factor)] * per_epoch
        if watched:
            state = plateau.observe(state, float(loss))
    return rates


def plateau_of() -> optim.Optimizer:
    """What the reducing schedule does: to a third after an epoch without progress."""
    return optim.reduce_on_plateau(1 / 3, patience=0)


def _line(
    rows: Sequence[Row], look: report.figures.Look, metric: str, kind: str
) -> report.figures.Line:
    """Mean over seeds by epoch."""
    curves = [
        row.samples
        for row in rows
        if row.metric.startswith("seed_")
        and row.metric.endswith(metric)
        and row.get("schedule") == kind
    ]
    length = min((len(curve) for curve in curves), default=0)
    at = [[curve[i] for curve in curves] for i in range(length)]
    return report.figures.Line(look, [(i, mean(v)) for i, v in enumerate(at)])


def figure(rows: Sequence[Row]):
    """Rates, curves, and ends over seeds."""
    figures = report.figures
    shown, axes = figures.panels(1, 3, width=16.5, height=5.2)
    looks = figures.looks(KINDS)
    figures.draw(
        axes[0],
        [
            figures.Line(
                looks[kind],
                list(enumerate(samples_of(rows, "rate_value", schedule=kind))),
            )
            for kind in KINDS
        ],
        title="The same peak, spent differently",
        x="step",
        y="rate",
        x_scale="linear",
        y_scale="linear",
    )
    figures.draw(
        axes[1],
        [_line(rows, looks[kind], "validation_loss", kind) for kind in KINDS],
        title="Rates that end low end calm",
        x="epoch",
        y="validation loss, mean over seeds",
        x_scale="linear",
    )
    both = figures.looks(("training", "validation"))
    metrics = {
        "training": "mean_train_final_loss",
        "validation": "mean_validation_loss",
    }
    figures.bars(
        axes[2],
        [
            figures.Bars(
                both[name],
                {kind: _mean(rows, metric, kind) for kind in KINDS},
                spread={
                    kind: (min(found), max(found))
                    for kind in KINDS
                    if (found := samples_of(rows, metric, schedule=kind))
                },
                why=dict.fromkeys(KINDS, "no result"),
            )
            for name, metric in metrics.items()
        ],
        title="Loss at the end, and the range over seeds",
        x="loss of all rows",
        show="{:.3f}".format,
    )
    return shown


def _mean(rows: Sequence[Row], metric: str, kind: str) -> float | None:
    found = samples_of(rows, metric, schedule=kind)
    return mean(found) if found else None


def findings(rows: Sequence[Row]) -> measure.Findings:
    """Facts and verdicts from whatever was measured."""
    numbers = report.numbers

    def ranked(metric: str, digits: str = ".3f") -> str:
        ends = {kind: _mean(rows, metric, kind) for kind in KINDS}
        known = {kind: value for kind, value in ends.items() if value is not None}
        order = sorted(known, key=lambda kind: known[kind])
        parts = []
        for kind in order:
            seeds = samples_of(rows, metric, schedule=kind)
            apart = f" ± {stdev(seeds):{digits}}" if len(seeds) > 1 else ""
            parts.append(f"{kind} {known[kind]:{digits}}{apart}")
        return "; ".join(parts) or "no result"

    def first(metric: str) -> str:
        ends = {kind: _mean(rows, metric, kind) for kind in KINDS}
        known = {kind: value for kind, value in ends.items() if value is not None}
        return min(known, key=lambda kind: known[kind]) if known else "no result"

    def end(kind: str) -> float | None:
        return _mean(rows, "mean_train_final_loss", kind)

    held = rows_of(rows, "rate_value", schedule="on plateau")
    lowest = min(held[0].samples, default=None) if held else None
    facts = {
        "peak": f"{PEAK:g}",
        "hidden": HIDDEN,
        "seeds": max((row.get("seeds", 0) for row in rows), default=0),
        "epochs": max((row.get("epochs", 0) for row in rows), default=0),
        "training": ranked("mean_train_final_loss", ".4f"),
        "validation": ranked("mean_validation_loss"),
        "training_first": first("mean_train_final_loss"),
        "validation_first": first("mean_validation_loss"),
        "constant_end": said(end("constant"), "{:.4f}".format),
        "cosine_end": said(end("cosine"), "{:.4f}".format),
        "plateau_lowest": said(lowest, numbers.count),
    }
    verdicts = (
        measure.Verdict(
            "C31",
            f"mean training loss at the end, over {facts['seeds']} seeds: "
            f"{facts['training']}",
            "measured",
        ),
    )
    return measure.Findings(facts, verdicts)


ANSWER = """
With the same peak rate and the same steps, {training_first} has the lowest training
loss at the end and {validation_first} the lowest validation loss; a constant rate ends
at {constant_end}, a cosine at {cosine_end}.
"""

PAGE = """
A classifier of handwritten digits with {hidden} hidden units, momentum, mini-batches,
{epochs} epochs and {seeds} seeds. Every schedule may rise to {peak}.

* Training loss of all rows at the end, mean ± standard deviation: {training}.
* Validation loss likewise: {validation}.

Where the deviations overlap the order means nothing. Reducing on a plateau is the one
that looks at the loss: with the first seed it came down to {plateau_lowest}. Schedules
are told how many steps there will be, and are best at their end; stopped halfway they
are not.
"""

METRICS = {
    "mean_train_final_loss, mean_validation_loss": "loss of all rows at the end, mean "
    "over seeds; every seed as samples",
    "rate_value": "the rate by step, as samples; on a plateau, that of the first seed",
    "mean_validation_accuracy": "share of digits right, likewise",
    "seed_…_train_loss": "one seed; every epoch as samples, and so with the others",
    "seed_S_…": "one seed: losses and accuracies by epoch as samples, "
    "the last loss of all rows, and whether it diverged",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="Which schedule of the rate ends lowest?",
    claims=("C31",),
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

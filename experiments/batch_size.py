"""Whole batch, one row, or something between: noise, updates and cost.

A small classifier of 8 × 8 digits. How noisy the gradient of a batch is, against the
gradient of all rows; what is learned in equal epochs and in equal updates; what an
epoch costs. And how many batches 50,000 rows make. Run it alone::

    python experiments/batch_size.py
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from optree import tree_leaves

from diffkit import losses, measure, nn, optim, prepare, report, train
from diffkit.measure import Case, Mode, Row
from diffkit.report.lookup import rows_of, said, samples_of, value_of

NAME = "batch_size"
#: Rows to train on: divided by every size but one.
ROWS = 1152
SIZES = (1, 8, 32, 64, 128, 512, ROWS)
RATES = {3: (0.02, 0.1, 0.5), 6: (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)}
HOW_MANY: Mapping[Mode, int] = {"quick": 3, "full": 6}
EPOCHS = {"quick": 2, "full": 20}
UPDATES = {"quick": 144, "full": 1152}
DRAWS = {"quick": 200, "full": 2000}
HIDDEN = 16
#: The arithmetic of the source.
IMAGES, BATCH, LONG = 50_000, 64, 100
LIMITS = measure.Limits(seconds=120.0, bytes=3 << 30)


def cases(mode: Mode) -> list[Case]:
    """Noise, equal epochs, equal updates and time by size; and the loader's count."""

    def one(part: str, timed: bool = False, **fields: Any) -> Case:
        return measure.case(
            NAME,
            "autodiff",
            runtime="engine",
            timed=timed,
            limits=LIMITS,
            part=part,
            **fields,
        )

    return [
        *(one("noise", batch=size, work=DRAWS[mode]) for size in SIZES),
        *(
            one(part, batch=size, work=work[mode], rates=HOW_MANY[mode])
            for part, work in (("epochs", EPOCHS), ("updates", UPDATES))
            for size in SIZES
        ),
        *(one("time", timed=True, batch=size, work=1) for size in SIZES),
        *(one("loader", batch=BATCH, work=LONG, drop=drop) for drop in (True, False)),
    ]


def measure_case(case: Case) -> list[Row]:
    """The rows of one part."""
    parts = {
        "noise": _noise,
        "epochs": _learned,
        "updates": _learned,
        "time": _time,
        "loader": _loader,
    }
    return parts[case["part"]](case)


def problem() -> tuple[nn.Sequential, train.data.Dataset]:
    """The network, and the digits with 1,152 rows to train on."""
    data = train.data.digits(validation=0.198)
    x, labels = data.train
    assert len(x) >= ROWS
    kept = replace(data, train=(x[:ROWS], labels[:ROWS]))
    return nn.mlp((64, HIDDEN, 10), "relu"), kept


class Gradients:
    """Flat gradients of batches at the network's first weights."""

    def __init__(self, size: int) -> None:
        net, data = problem()
        self.x, self.labels = data.train
        self.params = net.init(np.random.default_rng(0))

        def loss(params, x, labels):
            return losses.cross_entropy(net.apply(params, x), labels)

        first = (self.x[:size], self.labels[:size])
        self.prepared = prepare(loss, self.params, *first)

    def __call__(self, rows: np.ndarray | slice) -> np.ndarray:
        """The gradient of these rows as one vector."""
        _, grads = self.prepared(self.params, self.x[rows], self.labels[rows])
        return np.concatenate([leaf.ravel() for leaf in tree_leaves(grads)])


def _noise(case: Case) -> list[Row]:
    size = case["batch"]
    batch, alone = Gradients(size), Gradients(1)
    rows = np.arange(ROWS)
    each = np.array([alone(rows[i : i + 1]) for i in rows])
    whole = each.mean(axis=0)
    variance = float(np.mean(np.sum((each - whole) ** 2, axis=1)))
    generator = np.random.default_rng(case.seed)
    apart = []
    for _ in range(case["work"]):
        drawn = generator.permutation(ROWS)[:size]
        apart.append(float(np.sum((batch(drawn) - whole) ** 2)))
    # Drawn without replacement, as an epoch draws: all rows have no noise.
    expected = variance / size * (ROWS - size) / (ROWS - 1)
    return [
        case.row("noise_variance_value", float(np.mean(apart))),
        case.row("expected_variance_value", expected),
        case.row("one_row_variance_value", variance),
        case.row("gradient_square_value", float(np.sum(whole**2))),
    ]


def _learned(case: Case) -> list[Row]:
    """The best of a few rates: what they all gave, and the best one's curve."""
    runs = {rate: _trained(case, rate) for rate in RATES[case["rates"]]}
    # Compared over all training rows, at the parameters of the end.
    ends = {
        rate: run.metric("final_loss", "train").to_numpy()[-1]
        if run.diverged_at is None
        else np.inf
        for rate, run in runs.items()
    }
    best = min(ends, key=lambda rate: ends[rate])
    shown = runs[best]
    tried = [value for value in ends.values() if np.isfinite(value)]
    sizes = shown.frame.loc[shown.frame["split"] == "batch", "rows"]
    operations = sum(shown.programs[size].operations for size in sizes.tolist())
    return [
        *measure.curve_rows(case, shown, ("final_loss", "accuracy")),
        case.row("best_rate_value", best),
        case.row("every_rate_loss", min(tried), samples=tried),
        case.row("updates_count", len(sizes)),
        case.row("gradient_operations", operations),
    ]


def _trained(case: Case, rate: float) -> train.History:
    net, data = problem()
    x, labels = data.train
    size, work = case["batch"], case["work"]
    if case["part"] == "updates":
        # One long epoch over as many shuffled copies as so many updates take.
        generator = np.random.default_rng(case.seed)
        copies = -(-size * work // ROWS)
        order = np.concatenate([generator.permutation(ROWS) for _ in range(copies)])
        order = order[: size * work]
        x, labels, work = x[order], labels[order], 1
    return train.fit(
        net,
        losses.cross_entropy,
        optim.sgd(rate),
        (x, labels),
        epochs=work,
        batch_size=size,
        shuffle=case["part"] == "epochs",
        validation=data.validation,
        metrics={
            "accuracy": train.metrics.accuracy,
            "final_loss": losses.cross_entropy,
        },
        rng=case.seed,
        on_divergence="stop",
        progress=False,
    )


def _time(case: Case) -> list[Row]:
    """Seconds of the gradients of an epoch, beside those of the whole batch."""
    measure.warm_up()
    batch, whole = Gradients(case["batch"]), Gradients(ROWS)
    batches = ROWS / case["batch"]
    first = slice(0, case["batch"])
    timings = measure.interleaved(
        {
            "batch": partial(
                batch.prepared, batch.params, batch.x[first], batch.labels[first]
            ),
            "whole": partial(
                whole.prepared, whole.params, whole.x[:ROWS], whole.labels[:ROWS]
            ),
        },
        sample_seconds=0.02,
        budget_seconds=0.7,
    )
    compared = measure.ratio(timings["batch"], timings["whole"])
    one = timings["batch"]
    return [
        case.row(
            "epoch_seconds",
            batches * one.median_seconds,
            samples=[batches * sample for sample in one.samples],
        ),
        case.row(
            "epoch_over_whole_ratio",
            batches * compared.median_seconds,
            samples=[batches * sample for sample in compared.samples],
        ),
        case.row("update_operations", batch.prepared.info.operations),
    ]


def _loader(case: Case) -> list[Row]:
    """Batches counted as the loader hands them out, not computed."""
    batches = train.Batches(IMAGES, case["batch"], drop_last=case["drop"])
    generator = np.random.default_rng(case.seed)
    counts = [sum(1 for _ in batches.epoch(generator)) for _ in range(case["work"])]
    return [
        case.row("epoch_updates_count", counts[0]),
        case.row("all_updates_count", sum(counts)),
        case.row("last_batch_count", batches.sizes[-1]),
    ]


def _by_size(rows: Sequence[Row], metric: str, part: str) -> list[tuple[int, float]]:
    found = rows_of(rows, metric, part=part)
    return sorted((row["batch"], float(row.value or 0.0)) for row in found)


def _curves(rows: Sequence[Row], part: str) -> list[report.figures.Line]:
    looks = report.figures.looks([_name(size) for size in SIZES])
    lines = []
    for size in SIZES:
        curve = samples_of(rows, "validation_loss", part=part, batch=size)
        lines.append(report.figures.Line(looks[_name(size)], list(enumerate(curve))))
    return lines


def _name(size: int) -> str:
    return "all rows" if size == ROWS else f"batch {size}"


def figure(rows: Sequence[Row]):
    """Noise, curves by epoch, loss after equal work, and cost."""
    figures = report.figures
    shown, axes = figures.panels(2, 2, width=13.5, height=9.0)
    looks = figures.looks(
        ["measured", "predicted", "equal epochs", "equal updates", "seconds"]
    )
    figures.draw(
        axes[0],
        [
            figures.Line(
                looks["measured"],
                _by_size(rows, "noise_variance_value", "noise")[:-1],
            ),
            figures.Line(
                replace(looks["predicted"], dash="--"),
                _by_size(rows, "expected_variance_value", "noise"),
            ),
        ],
        title="A batch of B rows has one B-th of a row's noise",
        x="rows in a batch",
        y="mean square distance from the full gradient",
    )
    figures.draw(
        axes[1],
        _curves(rows, "epochs"),
        title="In equal epochs smaller batches get further: more updates",
        x="epoch",
        y="validation loss (best of the rates tried)",
        x_scale="linear",
    )
    figures.draw(
        axes[2],
        [
            figures.Line(
                looks[f"equal {part}"],
                _by_size(rows, "every_rate_loss", part),
            )
            for part in ("epochs", "updates")
        ],
        title="Equal epochs favour small batches, equal updates large ones",
        x="rows in a batch",
        y="training loss at the end",
    )
    figures.draw(
        axes[3],
        [
            figures.Line(
                looks["seconds"],
                _by_size(rows, "epoch_over_whole_ratio", "time"),
            )
        ],
        title="The same operations in small pieces take longer",
        x="rows in a batch",
        y="an epoch's gradients, time over one whole batch",
    )
    return shown


def findings(rows: Sequence[Row]) -> measure.Findings:
    """Facts and verdicts from whatever was measured."""
    numbers = report.numbers
    noise = [
        (size, value)
        for size, value in _by_size(rows, "noise_variance_value", "noise")
        if size <= 128 and value > 0
    ]
    # What is left of the law near the whole batch: (N − B)/(N − 1), divided out.
    free = [(size, value * (ROWS - 1) / (ROWS - size)) for size, value in noise]
    slope = (
        measure.fit_law("power", *zip(*free, strict=True)) if len(free) > 2 else None
    )

    def ended(part: str, size: int) -> float | None:
        return value_of(rows, "every_rate_loss", part=part, batch=size)

    def best(part: str) -> str:
        found = dict(_by_size(rows, "every_rate_loss", part))
        return _name(min(found, key=lambda at: found[at])) if found else "no result"

    def loader(metric: str, drop: bool) -> float | None:
        return value_of(rows, metric, part="loader", drop=drop)

    def took(size: int) -> float | None:
        return value_of(rows, "epoch_over_whole_ratio", part="time", batch=size)

    work = {
        part: max(
            (row["work"] for row in rows_of(rows, "updates_count", part=part)),
            default=0,
        )
        for part in ("epochs", "updates")
    }
    updates = {
        size: value_of(rows, "updates_count", part="epochs", batch=size)
        for size in SIZES
    }
    signal = value_of(rows, "gradient_square_value", part="noise", batch=1)
    alone = value_of(rows, "one_row_variance_value", part="noise", batch=1)
    whole = numbers.count
    facts = {
        "rows": whole(ROWS),
        "slope": said(slope.rate.value if slope else None, "{:.3f}".format),
        "slope_low": said(slope.rate.low if slope else None, "{:.3f}".format),
        "slope_high": said(slope.rate.high if slope else None, "{:.3f}".format),
        "equal_size": said(
            None if not (signal and alone) else alone / signal, "{:.0f}".format
        ),
        "epochs": work["epochs"],
        "updates": whole(work["updates"]),
        "updates_one": said(updates[1], whole),
        "updates_all": said(updates[ROWS], whole),
        "best_epochs": best("epochs"),
        "best_updates": best("updates"),
        "epochs_one": said(ended("epochs", 1), "{:.3g}".format),
        "epochs_middle": said(ended("epochs", 32), "{:.3g}".format),
        "epochs_all": said(ended("epochs", ROWS), "{:.3g}".format),
        "updates_loss_one": said(ended("updates", 1), "{:.3g}".format),
        "updates_loss_middle": said(ended("updates", 32), "{:.3g}".format),
        "updates_loss_all": said(ended("updates", ROWS), "{:.3g}".format),
        "middle": 32,
        "time_one": said(took(1), numbers.times),
        "time_middle": said(took(32), numbers.times),
        "images": whole(IMAGES),
        "batch": BATCH,
        "long": LONG,
        "dropped": said(loader("epoch_updates_count", True), whole),
        "dropped_long": said(loader("all_updates_count", True), whole),
        "kept": said(loader("epoch_updates_count", False), whole),
        "kept_long": said(loader("all_updates_count", False), whole),
        "rest": said(loader("last_batch_count", False), whole),
    }
    verdicts = (
        measure.Verdict(
            "C15",
            f"{facts['dropped']} and {facts['dropped_long']} only where the last, "
            f"partial batch of {facts['rest']} is dropped; else {facts['kept']} and "
            f"{facts['kept_long']}",
            "conditional" if loader("epoch_updates_count", True) else "measured",
        ),
        measure.Verdict(
            "C20",
            f"the noise falls as B to the power {facts['slope']}; after "
            f"{facts['epochs']} epochs {facts['best_epochs']} is ahead, after "
            f"{facts['updates']} updates {facts['best_updates']}; the gradients of an "
            f"epoch one row at a time take {facts['time_one']} the whole batch's time",
            "right" if slope else "measured",
        ),
    )
    return measure.Findings(facts, verdicts)


ANSWER = """
The noise of a gradient falls as the batch to the power {slope}; in equal epochs
{best_epochs} is ahead, in equal updates {best_updates}, and an epoch of single rows
takes {time_one} the time of the whole batch's gradient.
"""

PAGE = """
A classifier of handwritten digits, {rows} rows, stochastic gradient descent.

## Noise

The mean square distance of a batch's gradient from that of all rows, at the first
weights, over random batches. For batches drawn without replacement, as an epoch draws
them, theory says the variance of one row, over B, times the share of rows not drawn.
With that share divided out the measured power is {slope} ({slope_low} to {slope_high},
interval of the fit); the law says minus one. Noise and gradient are of one size at
batches of about {equal_size} rows.

## What is learned

Each size has its rate chosen from the same few. After {epochs} epochs the training
loss is {epochs_one} with single rows ({updates_one} updates), {epochs_middle} with
batches of {middle} and {epochs_all} with the whole batch ({updates_all} updates). After
{updates} updates each it is {updates_loss_one}, {updates_loss_middle} and
{updates_loss_all}: an update with more rows is a better one, and costs as many times
more.

## What it costs

The operations of an epoch hardly depend on the size; the time does, as every call has a
cost of its own and small matrices use the machine badly. One row at a time takes
{time_one} the time of the whole batch's gradient, batches of {middle} take
{time_middle}.

## How many batches

The source counts {dropped} iterations in an epoch of {images} images at batch {batch},
and {dropped_long} in {long} epochs. The loader hands out that many only when the last
batch, of {rest} images, is dropped; otherwise {kept} and {kept_long}.
"""

METRICS = {
    "noise_variance_value": "mean square distance of a batch's gradient from the whole",
    "expected_variance_value": "the same by theory, from the variance of single rows",
    "one_row_variance_value": "that variance, over all rows",
    "gradient_square_value": "square of the whole gradient's norm",
    "every_rate_loss": "training loss at the end, best rate; every rate as samples",
    "best_rate_value": "the rate that gave it",
    "train_loss, validation_loss": "of the best rate; every epoch as samples",
    "train_accuracy, validation_accuracy": "the share of digits right, likewise",
    "train_final_loss, validation_final_loss": "loss of all rows at the parameters of "
    "each epoch's end",
    "updates_count": "updates in the training",
    "gradient_operations": "scalar operations of all its gradients",
    "epoch_seconds": "time of the gradients of one epoch (so many batches as make up "
    "all rows, the last in part); raw samples",
    "update_operations": "scalar operations of one gradient",
    "epoch_over_whole_ratio": "the same over one gradient of all rows, in turn",
    "epoch_updates_count, all_updates_count": "batches counted as they are handed out",
    "diverged_count": "1 for a training that stopped being finite, else 0",
    "last_batch_count": "rows in the last, partial batch",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="How large should a batch be?",
    claims=("C15", "C20"),
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

"""Overfitting, and what holds it back: dropout, decay, stopping early, augmentation.

A network of far more parameters than it has rows: 200 digits of 8 × 8 pixels to train
on, a fifth of them labelled wrongly, as data are in practice. Run it alone::

    python experiments/regularization.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from statistics import mean

import numpy as np

from diffkit import losses, measure, nn, optim, report, train
from diffkit.measure import Case, Mode, Row
from diffkit.report.lookup import rows_of, said, samples_of

NAME = "regularization"
ROWS, WRONG, WIDTH, BATCH, RATE = 200, 0.2, 64, 50, 1e-2
EPOCHS = {"quick": 60, "full": 300}
SEEDS = {"quick": 2, "full": 5}
KINDS = (
    "none",
    "dropout",
    "weight decay",
    "early stopping",
    "augmentation",
    "all of them",
)
LIMITS = measure.Limits(seconds=120.0, bytes=2 << 30)


def cases(mode: Mode) -> list[Case]:
    """Every kind; a cell trains all of its seeds."""
    return [
        measure.case(
            NAME,
            "autodiff",
            runtime="engine",
            timed=False,
            limits=LIMITS,
            kind=kind,
            epochs=EPOCHS[mode],
            seeds=SEEDS[mode],
        )
        for kind in KINDS
    ]


def rows_with_mistakes(seed: int) -> tuple[train.data.Pair, train.data.Pair, int]:
    """Training rows, clean rows to validate on, and how many labels are wrong."""
    data = train.data.digits(test=0.25, rng=seed)
    x, labels = (part[:ROWS] for part in data.train)
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(ROWS)[: round(WRONG * ROWS)]
    labels = labels.copy()
    labels[chosen] = (labels[chosen] + generator.integers(1, 10, len(chosen))) % 10
    return (x, labels), data.test, len(chosen)


def network(kind: str) -> nn.Sequential:
    """Two hidden layers of 64 relus, perhaps with dropout after each."""
    drop = [nn.Dropout(0.5)] if kind in ("dropout", "all of them") else []
    return nn.Sequential(
        nn.Linear(64, WIDTH),
        nn.ReLU(),
        *drop,
        nn.Linear(WIDTH, WIDTH),
        nn.ReLU(),
        *drop,
        nn.Linear(WIDTH, 10),
    )


def fitted(kind: str, epochs: int, seed: int) -> train.History:
    """One training, measured on its rows and on clean ones after every epoch."""
    rows, check, _ = rows_with_mistakes(seed)
    whole = kind == "all of them"
    decay = 0.3 if kind == "weight decay" or whole else 0.0
    return train.fit(
        network(kind),
        losses.cross_entropy,
        optim.adamw(RATE, weight_decay=decay),
        rows,
        epochs=epochs,
        batch_size=BATCH,
        validation=check,
        # In evaluation: without dropout, and on the rows as they are.
        metrics={
            "evaluated_loss": losses.cross_entropy,
            "accuracy": train.metrics.accuracy,
        },
        early_stopping=(
            train.EarlyStopping(patience=10)
            if kind == "early stopping" or whole
            else None
        ),
        augment=train.data.with_shifts if kind == "augmentation" or whole else None,
        rng=seed,
        progress=False,
    )


def measure_case(case: Case) -> list[Row]:
    """Curves of every seed, and the means of what the parameters kept are worth."""
    rows: list[Row] = []
    kept: dict[str, list[float]] = {}
    for seed in range(case["seeds"]):
        run = fitted(case["kind"], case["epochs"], seed)
        rows += measure.curve_rows(
            case, run, ("evaluated_loss", "accuracy"), prefix=f"seed_{seed}_"
        )
        stopped = case["kind"] in ("early stopping", "all of them")
        epoch = run.best.epoch if stopped and run.best else None
        kept.setdefault("epochs_count", []).append(float(run.losses("train").index[-1]))
        for split in ("train", "validation"):
            for metric in ("evaluated_loss", "accuracy"):
                curve = run.metric(metric, split)
                ends = curve.to_numpy()
                # Training rows begin after epoch 1, validation rows before it.
                last = len(ends) - 1
                place = last if epoch is None else max(epoch - int(curve.index[0]), 0)
                kept.setdefault(f"{split}_{metric}", []).append(float(ends[place]))
        least = run.losses("validation")
        kept.setdefault("least_validation_loss", []).append(float(least.min()))
    rows += [
        case.row(f"mean_{name}", mean(values), samples=values)
        for name, values in kept.items()
    ]
    _, _, wrong = rows_with_mistakes(0)
    return [
        *rows,
        case.row("wrong_labels_count", wrong),
        case.row("parameters_count", network(case["kind"]).parameter_count),
    ]


def _mean(rows: Sequence[Row], metric: str, kind: str) -> float | None:
    found = samples_of(rows, f"mean_{metric}", kind=kind)
    return mean(found) if found else None


def figure(rows: Sequence[Row]):
    """Training against validation, validation by kind, and the ends."""
    figures = report.figures
    shown, axes = figures.panels(2, 2, width=13.5, height=9.0)

    def curve(kind: str, split: str) -> list[tuple[int, float]]:
        found = samples_of(rows, f"seed_0_{split}_evaluated_loss", kind=kind)
        return list(enumerate(found, 1 if split == "train" else 0))

    both = figures.looks(("training", "validation"))
    figures.draw(
        axes[0],
        [
            figures.Line(both["training"], curve("none", "train")),
            figures.Line(both["validation"], curve("none", "validation")),
        ],
        title="Unchecked, it learns the wrong labels by heart",
        x="epoch",
        y="loss",
        x_scale="linear",
    )
    looks = figures.looks(KINDS)
    figures.draw(
        axes[1],
        [figures.Line(looks[kind], curve(kind, "validation")) for kind in KINDS],
        title="What each cure makes of the validation loss",
        x="epoch",
        y="validation loss, first seed",
        x_scale="linear",
        y_scale="linear",
    )
    for place, metric, title, x in (
        (2, "evaluated_loss", "A low training loss is no merit", "loss of all rows"),
        (3, "accuracy", "What the parameters kept are worth", "share of digits right"),
    ):
        figures.bars(
            axes[place],
            [
                figures.Bars(
                    both[name],
                    {kind: _mean(rows, f"{split}_{metric}", kind) for kind in KINDS},
                    why=dict.fromkeys(KINDS, "no result"),
                )
                for name, split in (("training", "train"), ("validation", "validation"))
            ],
            title=title,
            x=f"{x}, mean over seeds",
            show="{:.2f}".format,
        )
    return shown


def findings(rows: Sequence[Row]) -> measure.Findings:
    """Facts and verdicts from whatever was measured."""
    numbers = report.numbers

    def told(kind: str, metric: str, form: str = "{:.2f}") -> str:
        return said(_mean(rows, metric, kind), form.format)

    def pair(kind: str) -> str:
        before = told(kind, "train_evaluated_loss")
        return f"{before}/{told(kind, 'validation_evaluated_loss')}"

    worth = {
        kind: value
        for kind in KINDS
        if (value := _mean(rows, "validation_accuracy", kind)) is not None
    }
    best = max(worth, key=lambda kind: worth[kind]) if worth else "no result"
    losses_ = {
        kind: value
        for kind in KINDS
        if (value := _mean(rows, "validation_evaluated_loss", kind)) is not None
    }
    lowest = min(losses_, key=lambda kind: losses_[kind]) if losses_ else "no result"
    count = rows_of(rows, "parameters_count", kind="none")
    wrong = rows_of(rows, "wrong_labels_count")
    facts = {
        "rows": ROWS,
        "wrong": said(wrong[0].value if wrong else None, numbers.count),
        "parameters": said(count[0].value if count else None, numbers.count),
        "seeds": max((row.get("seeds", 0) for row in rows), default=0),
        "epochs": max((row.get("epochs", 0) for row in rows), default=0),
        "best": best,
        "best_accuracy": told(best, "validation_accuracy", "{:.0%}"),
        "lowest": lowest,
        "lowest_loss": told(lowest, "validation_evaluated_loss"),
        "none": pair("none"),
        "none_train": told("none", "train_evaluated_loss"),
        "none_validation": told("none", "validation_evaluated_loss"),
        "none_least": told("none", "least_validation_loss"),
        "none_accuracy": told("none", "validation_accuracy", "{:.0%}"),
        "stopped_epochs": told("early stopping", "epochs_count", "{:.0f}"),
        **{
            f"{kind.replace(' ', '_')}_pair": f"{pair(kind)} and "
            f"{told(kind, 'validation_accuracy', '{:.0%}')}"
            for kind in KINDS
        },
    }
    base = losses_.get("none", 0.0)
    helped = [k for k in KINDS[1:] if k in losses_ and losses_[k] < base]
    hurt = [k for k in KINDS[1:] if k in losses_ and losses_[k] >= base]
    facts |= {"helped": ", ".join(helped) or "none", "hurt": ", ".join(hurt) or "none"}
    known = bool(losses_)
    verdicts = (
        measure.Verdict(
            "C29",
            f"training/validation loss {facts['none']} unchecked; "
            + "; ".join(f"{kind} {pair(kind)}" for kind in KINDS[1:]),
            "right" if known and helped else "measured",
        ),
    )
    return measure.Findings(facts, verdicts)


ANSWER = """
Unchecked, the training loss ends at {none_train} and the validation loss at
{none_validation}; the lowest validation loss is that of {lowest} ({lowest_loss}), the
highest accuracy that of {best} ({best_accuracy}, against {none_accuracy}).
"""

PAGE = """
{rows} pictures of digits to train on, {wrong} of them with a wrong label, and a network
of {parameters} parameters; {epochs} epochs, {seeds} seeds. Losses are measured in
evaluation: without dropout, on rows that are not augmented; validation labels are all
right. The source's example is a training loss of almost nothing beside a validation
loss a hundred times as large; these are our own numbers.

Training/validation loss at the end, and validation accuracy, means over seeds:

* none: {none_pair} (at its best epoch the validation loss was {none_least});
* dropout: {dropout_pair};
* weight decay: {weight_decay_pair};
* early stopping: {early_stopping_pair}, after {stopped_epochs} epochs;
* augmentation, pictures moved by a pixel: {augmentation_pair};
* all of them: {all_of_them_pair}.

The network has room to learn the wrong labels by heart, and does: that is what the
training loss rewards. A cure makes the training loss worse; better than without one is
the validation loss of: {helped}. Not better: {hurt}.
"""

METRICS = {
    "mean_train_evaluated_loss, mean_validation_evaluated_loss": "loss of all rows by "
    "the parameters kept, mean over seeds; every seed as samples",
    "mean_train_accuracy, mean_validation_accuracy": "share of digits right, likewise",
    "mean_least_validation_loss": "the lowest validation loss of any epoch",
    "mean_epochs_count": "epochs trained",
    "seed_…_train_loss": "one seed: the mean batch loss as it is in training, every "
    "epoch as samples",
    "seed_…_train_evaluated_loss": "one seed: the loss of all rows in evaluation",
    "wrong_labels_count": "training rows with a wrong label",
    "seed_S_…": "the same of one seed: losses and accuracies "
    "by epoch as samples, and whether it diverged",
    "parameters_count": "parameters of the network",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="What keeps a network from learning its training rows by heart?",
    claims=("C29",),
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

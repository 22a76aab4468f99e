"""A joint risk: what a linear model cannot see, and whether probabilities are honest.

Synthetic students, invented for teaching: absence and falling grades weigh together. A
linear model, a network, and a network trained too long are compared with the true risk,
which is known here because the data are made up. Run it alone::

    python experiments/student_dropout.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

import numpy as np

from diffkit import losses, measure, nn, optim, report, train
from diffkit.measure import Case, Mode, Row
from diffkit.report.lookup import rows_of, said, samples_of, value_of

NAME = "student_dropout"
ROWS = {"quick": 2000, "full": 4000}
SEEDS = 10
MODELS = ("linear", "network", "overfitted", "true risk")
EPOCHS = {"quick": 20, "full": 80}
#: The network trained too long: wider, and so many times the epochs.
LONGER = 5
BINS, GRID = 10, 13
#: The map's rows (share of lessons missed) and columns (change of grades, points).
ABSENCE = np.round(np.linspace(0.0, 0.6, GRID), 2)
CHANGE = np.round(np.linspace(-1.5, 1.5, GRID), 2)
THRESHOLDS = np.round(np.linspace(0.05, 0.95, 19), 2)
LIMITS = measure.Limits(seconds=120.0, bytes=2 << 30)


def cases(mode: Mode) -> list[Case]:
    """Every model; a cell trains all ten seeds."""
    return [
        measure.case(
            NAME,
            "autodiff",
            runtime="engine",
            timed=False,
            limits=LIMITS,
            model=model,
            rows=ROWS[mode],
            epochs=EPOCHS[mode],
        )
        for model in MODELS
    ]


def students(rows: int, seed: int) -> train.data.Dataset:
    """Made-up students: some to train on, some to validate, some to test."""
    return train.data.student_dropout(rows, validation=0.25, rng=seed)


def raw(data: train.data.Dataset, x: np.ndarray) -> np.ndarray:
    """Rows as they were drawn, before standardising."""
    return x * data.scale + data.mean


def measure_case(case: Case) -> list[Row]:
    """Scores of ten seeds; of the first, curves over probability and a map."""
    rows: list[Row] = []
    scores: dict[str, list[float]] = {}
    for seed in range(SEEDS):
        data = students(case["rows"], seed)
        predict, run = model(case["model"], data, case["epochs"], seed)
        for split, (x, labels) in (("train", data.train), ("test", data.test)):
            for name, value in judged(predict(x), labels).items():
                scores.setdefault(f"{split}_{name}", []).append(value)
        if seed == 0:
            if run is not None:
                rows += measure.curve_rows(case, run)
            rows += _shown(case, data, predict)
    return [
        *rows,
        *(
            case.row(f"mean_{name}", mean(values), samples=values)
            for name, values in scores.items()
        ),
    ]


def model(name: str, data: train.data.Dataset, epochs: int, seed: int) -> Any:
    """A function from standardised rows to probabilities, and how it was trained."""
    if name == "true risk":
        return lambda x: train.data.dropout_risk(raw(data, x)), None
    sizes = {"linear": (3, 1), "network": (3, 16, 1), "overfitted": (3, 32, 32, 1)}
    net = nn.mlp(sizes[name], "tanh")
    long = LONGER if name == "overfitted" else 1
    (x, y), held_out = data.train, data.validation
    assert held_out is not None
    run = train.fit(
        net,
        losses.binary_cross_entropy_with_logits,
        optim.adam(0.02),
        (x, y[:, None].astype(float)),
        epochs=epochs * long,
        batch_size=128,
        validation=(held_out[0], held_out[1][:, None].astype(float)),
        # The overfitted one is what a reader of the training loss alone would keep.
        early_stopping=(
            None if name == "overfitted" else train.EarlyStopping(patience=epochs)
        ),
        rng=seed,
        progress=False,
    )
    return lambda x: train.metrics.probabilities(net.apply(run.params, x)), run


def judged(p: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Loss, Brier score, calibration error, area under the curve, accuracy."""
    inside = np.clip(p, 1e-12, 1 - 1e-12)
    loss = losses.binary_cross_entropy(inside, labels.astype(float))
    return {
        "loss": float(loss),
        "brier_value": train.metrics.brier(p, labels),
        "calibration_error": train.metrics.expected_calibration_error(p, labels, BINS),
        "auc_value": train.metrics.roc_auc(p, labels),
        "accuracy": train.metrics.accuracy(p, labels, threshold=0.5),
    }


def risk_grid(feedback: float = 0.0) -> np.ndarray:
    """Students on a grid: absence by row, change of grades by column, as drawn."""
    absence, change = np.meshgrid(ABSENCE, CHANGE, indexing="ij")
    return np.stack(
        [absence.ravel(), change.ravel(), np.full(GRID**2, feedback)], axis=1
    )


def _shown(case: Case, data: train.data.Dataset, predict: Any) -> list[Row]:
    x, labels = data.test
    p = predict(x)
    curve = train.metrics.reliability_curve(p, labels, BINS)
    grid = risk_grid()
    mapped = predict((grid - data.mean) / data.scale)
    off = mapped - train.data.dropout_risk(grid)
    flagged = [p >= threshold for threshold in THRESHOLDS]
    reached = [float(np.mean(f[labels == 1])) for f in flagged]
    alarms = [float(np.mean(f[labels == 0])) for f in flagged]
    return [
        case.row("predicted_value", len(curve.counts), samples=curve.predicted),
        case.row("observed_value", len(curve.counts), samples=curve.observed),
        case.row("bin_rows_count", int(curve.counts.sum()), samples=curve.counts),
        case.row("map_value", float(mapped.mean()), samples=mapped),
        case.row("map_absence_value", GRID, samples=ABSENCE),
        case.row("map_change_value", GRID, samples=CHANGE),
        case.row("map_error", float(np.abs(off).max())),
        case.row("interaction_value", interaction(mapped)),
        case.row("threshold_value", len(THRESHOLDS), samples=THRESHOLDS),
        case.row("reached_value", reached[9], samples=reached),
        case.row("false_alarms_value", alarms[9], samples=alarms),
    ]


def interaction(mapped: np.ndarray) -> float:
    """How much more two troubles weigh together than one by one, in log odds.

    Of the corners of the map: both − absence alone − falling grades alone + neither. A
    linear model has none, whatever it has learned.
    """
    p = np.clip(mapped, 1e-12, 1 - 1e-12).reshape(GRID, GRID)
    z = np.log(p / (1 - p))
    return float(z[-1, 0] - z[-1, -1] - z[0, 0] + z[0, -1])


def figure(rows: Sequence[Row]):
    """Reliability, scores, maps of the risk, thresholds, and the training losses."""
    figures = report.figures
    shown, axes = figures.panels(2, 3, width=16.5, height=9.5)
    looks = figures.looks(MODELS)
    diagonal = figures.Look("honest", "#999999", "", "--")
    figures.draw(
        axes[0],
        [
            figures.Line(diagonal, [(0.0, 0.0), (1.0, 1.0)]),
            *(
                figures.Line(looks[name], _pairs(rows, name, "predicted", "observed"))
                for name in MODELS
            ),
        ],
        title="Trained too long, it is sure of what is not so",
        x="predicted probability",
        y="observed share of students",
        x_scale="linear",
        y_scale="linear",
    )
    named = [name for name in MODELS if name != "true risk"]
    for place, name in ((1, "linear"), (2, "network")):
        mapped = samples_of(rows, "map_value", model=name)
        table = (
            np.reshape(mapped, (GRID, GRID))[::-1]
            if len(mapped) == GRID**2
            else np.full((1, 1), np.nan)
        )
        even = len(mapped) == GRID**2
        figures.heat_map(
            axes[place],
            table,
            columns=[f"{c:.1f}" if i % 3 == 0 else "" for i, c in enumerate(CHANGE)]
            if even
            else [""],
            rows=[f"{a:.0%}" if i % 3 == 0 else "" for i, a in enumerate(ABSENCE[::-1])]
            if even
            else [""],
            title={
                "linear": "A linear model sees two separate slopes",
                "network": "A network sees that they weigh together",
            }[name],
            x="change of grades, points",
            y="lessons missed",
            unit="predicted risk",
            middle=None,
        )
    both = figures.looks(("training", "test"))
    figures.bars(
        axes[3],
        [
            figures.Bars(
                both[split],
                {
                    name: value_of(rows, f"mean_{part}_loss", model=name)
                    for name in MODELS
                },
                why=dict.fromkeys(MODELS, "no result"),
            )
            for split, part in (("training", "train"), ("test", "test"))
        ],
        title="The lowest training loss is the worst model",
        x="loss, mean over ten seeds",
        show="{:.3f}".format,
    )
    scores = figures.looks(("calibration error", "Brier score"))
    figures.bars(
        axes[4],
        [
            figures.Bars(
                scores[label],
                {
                    name: value_of(rows, f"mean_test_{metric}", model=name)
                    for name in MODELS
                },
                why=dict.fromkeys(MODELS, "no result"),
            )
            for label, metric in (
                ("calibration error", "calibration_error"),
                ("Brier score", "brier_value"),
            )
        ],
        title="Calibration tells what accuracy hides",
        x="on test students, mean over ten seeds",
        show="{:.3f}".format,
    )
    figures.draw(
        axes[5],
        [
            # From the highest threshold to the lowest: labels stand where all arrive.
            figures.Line(
                looks[name], _pairs(rows, name, "false_alarms", "reached")[::-1]
            )
            for name in (*named, "true risk")
        ],
        title="A threshold buys students reached with false alarms",
        x="share of stayers who are alarmed",
        y="share of leavers who are reached",
        x_scale="linear",
        y_scale="linear",
    )
    return shown


def _pairs(
    rows: Sequence[Row], name: str, across: str, up: str
) -> list[tuple[float, float]]:
    found = (samples_of(rows, f"{part}_value", model=name) for part in (across, up))
    return list(zip(*found, strict=False))


def findings(rows: Sequence[Row]) -> measure.Findings:
    """Facts and verdicts from whatever was measured."""

    def told(metric: str, name: str) -> str:
        found = samples_of(rows, f"mean_{metric}", model=name)
        apart = f" ± {stdev(found):.3f}" if len(found) > 1 else ""
        return f"{mean(found):.3f}{apart}" if found else "no result"

    def value(metric: str, name: str) -> float | None:
        return value_of(rows, metric, model=name)

    def at(threshold: float, metric: str, name: str) -> str:
        found = samples_of(rows, metric, model=name)
        place = int(np.argmin(np.abs(THRESHOLDS - threshold)))
        return said(found[place] if len(found) > place else None, "{:.0%}".format)

    names = {"linear": "linear", "network": "network", "over": "overfitted"}
    facts: dict[str, Any] = {
        "rows": report.numbers.count(
            max((row["rows"] for row in rows_of(rows, "map_error")), default=0)
        ),
        "seeds": SEEDS,
        "low": "0.3",
        "high": "0.5",
    }
    for short, name in {**names, "truth": "true risk"}.items():
        facts |= {
            f"{short}_train": told("train_loss", name),
            f"{short}_test": told("test_loss", name),
            f"{short}_brier": told("test_brier_value", name),
            f"{short}_ece": told("test_calibration_error", name),
            f"{short}_auc": told("test_auc_value", name),
            f"{short}_right": told("test_accuracy", name),
            f"{short}_interaction": said(
                value("interaction_value", name), "{:.2f}".format
            ),
            f"{short}_off": said(value("map_error", name), "{:.2f}".format),
            f"{short}_low": f"{at(0.3, 'reached_value', name)} for "
            f"{at(0.3, 'false_alarms_value', name)}",
            f"{short}_high": f"{at(0.5, 'reached_value', name)} for "
            f"{at(0.5, 'false_alarms_value', name)}",
        }
    good, bad = (value("mean_test_brier_value", n) for n in ("network", "linear"))
    worse = value("mean_test_brier_value", "overfitted")
    holds = None not in (good, bad, worse) and (good or 0) < min(bad or 0, worse or 0)
    verdicts = (
        measure.Verdict(
            "C28",
            f"on synthetic students the network finds an interaction of "
            f"{facts['network_interaction']} (true {facts['truth_interaction']}, "
            f"linear {facts['linear_interaction']}); AUC {facts['network_auc']} "
            f"against {facts['linear_auc']}. Trained too long its training loss falls "
            f"to {facts['over_train']} and its calibration error rises to "
            f"{facts['over_ece']} from {facts['network_ece']}",
            "right" if holds else "measured",
        ),
    )
    return measure.Findings(facts, verdicts)


ANSWER = """
Yes: on synthetic students the network ranks with an area of {network_auc}, a linear
model with {linear_auc}; trained too long, its training loss falls to {over_train}, but
its calibration error rises from {network_ece} to {over_ece}.
"""

PAGE = """
The students are **synthetic**: {rows} of them for each of {seeds} seeds, invented for
teaching, from no real student. Absence and falling grades weigh together, the more so
the less support there is. Because the data are made up, the true risk is known, and is
the best that any model can do. All figures are on test students, mean over seeds ±
standard deviation.

## The joint risk

The interaction is what two troubles together add, in log odds, to the sum of each
alone. The truth has {truth_interaction}; the network finds {network_interaction}; a
linear model has {linear_interaction}, however long it is trained. Area under the curve:
linear {linear_auc}, network {network_auc}, overfitted {over_auc}, true risk
{truth_auc}. On the map the network is off by {network_off} at the most, the linear
model by {linear_off}.

## Whether probabilities are honest

| | linear | network | overfitted | true risk |
| --- | ---: | ---: | ---: | ---: |
| training loss | {linear_train} | {network_train} | {over_train} | {truth_train} |
| test loss | {linear_test} | {network_test} | {over_test} | {truth_test} |
| Brier score | {linear_brier} | {network_brier} | {over_brier} | {truth_brier} |
| calibration error | {linear_ece} | {network_ece} | {over_ece} | {truth_ece} |
| accuracy | {linear_right} | {network_right} | {over_right} | {truth_right} |

The training loss alone would choose the overfitted model. Its training loss lies below
that of the true risk itself, which is a sign that it has learned the noise. The
calibration error of the true risk is not zero: it is what chance leaves with so few
students in a bin.

## What a threshold costs

Calling for help from a predicted risk of {low} on reaches, with the network,
{network_low} (leavers reached, for stayers alarmed), and with the linear model
{linear_low}; from {high} on, {network_high} and {linear_high}. Where to stand is not a
matter of the model but of what a missed student and a false alarm cost.
"""

METRICS = {
    "mean_test_loss": "cross-entropy of test students, mean over seeds; every seed as "
    "samples, and so with the others",
    "mean_test_brier_value": "Brier score",
    "mean_test_calibration_error": "expected calibration error in ten bins",
    "mean_test_auc_value": "area under the ROC curve",
    "mean_test_accuracy": "share of students right at one half",
    "predicted_value, observed_value, bin_rows_count": "reliability curve of the first "
    "seed, by bin, as samples",
    "map_value": "predicted risk on a grid (absence by row, change of grades by "
    "column, neutral feedback), as samples",
    "map_absence_value, map_change_value": "where that grid lies: share of lessons "
    "missed by row, change of grades by column, as samples",
    "map_error": "largest distance of that map from the true risk",
    "interaction_value": "interaction of the map's corners, in log odds",
    "threshold_value, reached_value, false_alarms_value": "thresholds, and the share "
    "of leavers and of stayers at or above each",
    "train_loss, validation_loss": "first seed; every epoch as samples",
    "diverged_count": "1 for a training that stopped being finite, else 0",
    "mean_train_…": "the same on the students trained on, mean over the seeds",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="Does a network see a joint risk, and are its probabilities honest?",
    claims=("C28",),
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

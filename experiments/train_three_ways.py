"""One training, one seed, by every way of differentiating: the same curve, other costs.

The whole pipeline on Iris flowers: first weights, loss, optimizer, mini-batches,
validation, best checkpoint. And a classifier of 50,000 parameters on 8 × 8 digits on
one core. Run it alone::

    python experiments/train_three_ways.py
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import optree

from diffkit import losses, measure, nn, optim, prepare, report, train
from diffkit.measure import Case, Mode, Row, ways
from diffkit.report.lookup import rows_of, said, samples_of, value_of
from diffkit.train.checkpoint import load

NAME = "train_three_ways"
#: The ways that are trained by.
NAMES = (
    "autodiff",
    "symbolic_shared",
    "forward",
    "finite_differences_central",
)
WAYS: dict[str, ways.Way] = {
    **{name: ways.WAYS[name] for name in NAMES},
    "finite_differences_forward": ways.Way("finite_differences", {"method": "forward"}),
}
#: What facts call them.
SHORT = {
    "autodiff": "reverse",
    "symbolic_shared": "symbolic",
    "forward": "forward",
    "finite_differences_central": "central",
    "finite_differences_forward": "one_sided",
}
SIZES, BATCH, RATE = (4, 8, 3), 24, 0.05
EPOCHS = {"quick": 30, "full": 150}
#: A classifier of about 50,000 parameters.
LARGE = (64, 256, 128, 10)
LARGE_EPOCHS = {"quick": 10, "full": 30}
LIMITS = measure.Limits(seconds=120.0, bytes=2 << 30)


def cases(mode: Mode) -> list[Case]:
    """Every way on Iris, and the large classifier on digits."""
    return [
        *(
            measure.case(
                NAME,
                way,
                runtime=WAYS[way].runtime,
                limits=LIMITS,
                part="ways",
                epochs=EPOCHS[mode],
            )
            for way in WAYS
        ),
        measure.case(
            NAME,
            "autodiff",
            runtime="engine",
            limits=LIMITS,
            part="digits",
            epochs=LARGE_EPOCHS[mode],
        ),
    ]


def measure_case(case: Case) -> list[Row]:
    """The rows of one part."""
    measure.warm_up()
    return _way(case) if case["part"] == "ways" else _digits(case)


def pipeline(backend: Any, epochs: int, seed: int, folder: Path) -> train.History:
    """The whole training on Iris, its checkpoints in a folder."""
    flowers = train.data.iris(validation=0.2)
    return train.fit(
        nn.mlp(SIZES, "tanh"),
        losses.cross_entropy,
        optim.adam(RATE),
        flowers.train,
        epochs=epochs,
        backend=backend,
        batch_size=BATCH,
        validation=flowers.validation,
        metrics={"accuracy": train.metrics.accuracy},
        checkpoint=folder,
        checkpoint_every=epochs,
        rng=seed,
        progress=False,
    )


def same_digits(curve: np.ndarray, other: np.ndarray) -> float:
    """Digits to which two curves agree, at the point where they agree least.

    The precision of float64 where they are the same.
    """
    apart = np.max(np.abs(curve - other) / np.abs(other))
    return float(-np.log10(max(apart, np.finfo(float).eps / 2)))


def _way(case: Case) -> list[Row]:
    backend = WAYS[case.backend].make()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        start = perf_counter()
        run = pipeline(backend, case["epochs"], case.seed, folder / "own")
        seconds = perf_counter() - start
        best = load(folder / "own" / "best.safetensors")
        start = perf_counter()
        reverse = pipeline("autodiff", case["epochs"], case.seed, folder / "reverse")
        beside = perf_counter() - start
    mine, theirs = (h.losses("batch").to_numpy() for h in (run, reverse))
    apart = np.abs(mine - theirs) / np.abs(theirs)
    assert run.best is not None
    kept = zip(
        optree.tree_leaves(best.params),
        optree.tree_leaves(run.best.params),
        strict=True,
    )
    count = run.frame.loc[run.frame["split"] == "batch", "rows"].tolist()
    infos = [run.programs[size] for size in count]
    flowers = train.data.iris(validation=0.2)
    net = nn.mlp(SIZES, "tanh")
    outputs = net.apply(best.params, flowers.test[0])
    compared = _over_reverse(backend)
    return [
        *measure.curve_rows(case, run, ("accuracy",)),
        case.row("batch_loss", float(mine[-1]), samples=mine.tolist()),
        case.row("same_digits_value", same_digits(mine, theirs)),
        case.row("curve_error", float(apart.max()), samples=apart.tolist()),
        case.row("parameters_count", net.parameter_count),
        case.row("gradients_count", len(count)),
        case.row("primal_evaluations", sum(info.evaluations for info in infos)),
        case.row("run_operations", sum(info.operations for info in infos)),
        case.row("prepare_seconds", run.phases["prepare"]),
        case.row("gradient_seconds", run.phases["gradient"]),
        case.row("training_seconds", seconds),
        case.row(
            "gradient_over_reverse_ratio",
            compared.median_seconds,
            samples=compared.samples,
        ),
        case.row("training_over_reverse_ratio", seconds / beside),
        case.row("best_epoch_count", run.best.epoch),
        case.row("best_validation_loss", run.best.value),
        case.row(
            "checkpoint_differs_count",
            sum(not np.array_equal(one, other) for one, other in kept),
        ),
        case.row("test_accuracy", train.metrics.accuracy(outputs, flowers.test[1])),
    ]


def _over_reverse(backend: Any) -> measure.Timing:
    """Time of one batch's gradient over reverse mode's, sample by sample in turn."""
    x, labels = (part[:BATCH] for part in train.data.iris().train)
    net = nn.mlp(SIZES, "tanh")
    params = net.init(np.random.default_rng(0))

    def loss(params, x, labels):
        return losses.cross_entropy(net.apply(params, x), labels)

    calls = {
        name: partial(prepare(loss, params, x, labels, backend=one), params, x, labels)
        for name, one in (("own", backend), ("reverse", "autodiff"))
    }
    timings = measure.interleaved(calls, budget_seconds=0.3)
    return measure.ratio(timings["own"], timings["reverse"])


def _digits(case: Case) -> list[Row]:
    data = train.data.digits(validation=0.15)
    net = nn.mlp(LARGE, "relu")
    start = perf_counter()
    run = train.fit(
        net,
        losses.cross_entropy,
        optim.adam(2e-3),
        data.train,
        epochs=case["epochs"],
        batch_size=64,
        validation=data.validation,
        metrics={"accuracy": train.metrics.accuracy},
        early_stopping=train.EarlyStopping(patience=case["epochs"]),
        rng=case.seed,
        progress=False,
    )
    seconds = perf_counter() - start
    outputs = net.apply(run.params, data.test[0])
    return [
        *measure.curve_rows(case, run, ("accuracy",)),
        case.row("parameters_count", net.parameter_count),
        case.row("training_seconds", seconds),
        case.row("test_rows_count", len(data.test[0])),
        case.row("test_accuracy", train.metrics.accuracy(outputs, data.test[1])),
    ]


def figure(rows: Sequence[Row]):
    """Curves that coincide, costs that do not, and the large classifier."""
    figures = report.figures
    shown, axes = figures.panels(2, 2, width=13.5, height=9.0)
    figures.draw(
        axes[0],
        [
            figures.Line(
                figures.look_of(way),
                list(enumerate(samples_of(rows, "curve_error", way, part="ways"), 1)),
            )
            for way in WAYS
            if way != "autodiff"
        ],
        title="One seed, one curve: they differ by their rounding or their step",
        x="update",
        y="difference from reverse mode ÷ batch loss",
        x_scale="linear",
    )
    for place, metric, title, x in (
        (
            1,
            "run_operations",
            "The same curve costs very different work",
            "scalar operations of all gradients",
        ),
        (
            2,
            "gradient_over_reverse_ratio",
            "And very different times",
            "time of a batch's gradient, over reverse mode's in turn",
        ),
    ):
        figures.bars(
            axes[place],
            [
                figures.Bars(
                    figures.Look("", "#0072B2", "o"),
                    {
                        figures.look_of(way).name: value_of(
                            rows, metric, way, part="ways"
                        )
                        for way in WAYS
                    },
                    why={figures.look_of(way).name: "no result" for way in WAYS},
                )
            ],
            title=title,
            x=x,
            scale="log",
            show=report.numbers.count if place == 1 else report.numbers.times,
        )
    looks = figures.looks(("training", "validation"))
    figures.draw(
        axes[3],
        [
            figures.Line(
                looks[name],
                list(
                    enumerate(
                        samples_of(rows, f"{split}_accuracy", part="digits"),
                        1 if split == "train" else 0,
                    )
                ),
            )
            for name, split in (("training", "train"), ("validation", "validation"))
        ],
        title="The large classifier of digits, on one core",
        x="epoch",
        y="share of digits right",
        x_scale="linear",
        y_scale="linear",
    )
    return shown


def findings(rows: Sequence[Row]) -> measure.Findings:
    """Facts and verdicts from whatever was measured."""
    numbers = report.numbers

    def of(metric: str, way: str = "autodiff") -> float | None:
        return value_of(rows, metric, way, part="ways")

    def digits(metric: str) -> float | None:
        return value_of(rows, metric, part="digits")

    facts: dict[str, Any] = {}
    for way in WAYS:
        short = SHORT[way]
        facts[f"{short}_digits"] = said(of("same_digits_value", way), "{:.1f}".format)
        facts[f"{short}_evaluations"] = said(
            of("primal_evaluations", way), numbers.count
        )
        facts[f"{short}_operations"] = said(of("run_operations", way), numbers.count)
        facts[f"{short}_time"] = said(
            of("gradient_over_reverse_ratio", way), numbers.times
        )
        facts[f"{short}_prepare"] = said(of("prepare_seconds", way), numbers.seconds)
    agree = [float(row.value or 0.0) for row in rows_of(rows, "same_digits_value")]
    differ = [row.value for row in rows_of(rows, "checkpoint_differs_count")]
    facts |= {
        "parameters": said(of("parameters_count"), numbers.count),
        "gradients": said(of("gradients_count"), numbers.count),
        "epochs": max(
            (row["epochs"] for row in rows_of(rows, "batch_loss")), default=0
        ),
        "least": said(min(agree, default=None), "{:.1f}".format),
        "best_epoch": said(of("best_epoch_count"), numbers.count),
        "best_loss": said(of("best_validation_loss"), "{:.3f}".format),
        "iris_accuracy": said(of("test_accuracy"), "{:.0%}".format),
        "checkpoints": "to the last bit" if differ and not any(differ) else "not all",
        "large": said(digits("parameters_count"), numbers.count),
        "large_seconds": said(digits("training_seconds"), numbers.seconds),
        "large_epochs": max(
            (row["epochs"] for row in rows_of(rows, "test_rows_count")), default=0
        ),
        "large_accuracy": said(digits("test_accuracy"), "{:.1%}".format),
        "large_rows": said(digits("test_rows_count"), numbers.count),
    }
    seconds = digits("training_seconds")
    verdicts = (
        measure.Verdict(
            "C35",
            f"the trainer does all of it: best epoch {facts['best_epoch']} of "
            f"{facts['epochs']} by validation loss, its checkpoint read back "
            f"{facts['checkpoints']}, {facts['iris_accuracy']} of the test flowers "
            "right",
            "right" if differ else "measured",
        ),
        measure.Verdict(
            "C36",
            f"{facts['large']} parameters, {facts['large_epochs']} epochs on real "
            f"digits of 8 by 8 pixels: {facts['large_seconds']} on one core, "
            f"{facts['large_accuracy']} of {facts['large_rows']} test digits right",
            "right" if seconds is not None and seconds < 60 else "measured",
        ),
    )
    return measure.Findings(facts, verdicts)


ANSWER = """
All ways follow the same curve to {least} digits or more over {gradients} gradients; for
it central differences evaluate the network {central_evaluations} times and reverse mode
{reverse_evaluations} times.
"""

PAGE = """
## One training, five ways

A network of {parameters} parameters on Iris flowers, from one seed, through the whole
pipeline: first weights, cross-entropy, Adam, shuffled mini-batches, {epochs} epochs,
validation after each, and the best parameters kept in a checkpoint. Only the backend
changes. Digits to which every batch loss agrees with reverse mode's, evaluations of the
network, operations of all gradients, and time of a gradient over reverse mode's:

* reverse mode: {reverse_evaluations} evaluations, {reverse_operations} operations;
* symbolic, shared: {symbolic_digits} digits,
  {symbolic_evaluations} evaluations, {symbolic_operations} operations,
  {symbolic_time}, after {symbolic_prepare} of preparing (reverse mode
  {reverse_prepare});
* forward mode: {forward_digits} digits, {forward_evaluations} evaluations,
  {forward_operations} operations, {forward_time};
* central differences: {central_digits} digits, {central_evaluations} evaluations,
  {central_operations} operations, {central_time}.

Forward differences, whose error is larger, follow to {one_sided_digits} digits with
{one_sided_evaluations} evaluations: a training adds up what each of its gradients was
wrong by.

The best epoch by validation loss was {best_epoch}, at {best_loss}; its checkpoint, read
back from disk, holds those parameters {checkpoints}, and {iris_accuracy} of the test
flowers are right.

## A classifier of digits on one core

{large} parameters, {large_epochs} epochs: {large_seconds} on one core, preparing
included, and {large_accuracy} of {large_rows} test digits right. The source speaks of
larger pictures and a graphics card; with these smaller ones no such thing is needed.
"""

METRICS = {
    "batch_loss": "loss of the last batch; of every batch as samples",
    "same_digits_value": "digits to which every batch loss agrees with reverse mode's",
    "curve_error": "largest relative difference of a batch loss from reverse mode's; "
    "every batch as samples",
    "primal_evaluations": "evaluations of the network for all gradients",
    "run_operations": "scalar operations of all gradients",
    "prepare_seconds, gradient_seconds, training_seconds": "preparing, all gradients, "
    "and the whole training, once",
    "gradient_over_reverse_ratio": "time of a batch's gradient (the public call) over "
    "reverse mode's, median of ratios of samples taken in turn",
    "training_over_reverse_ratio": "the whole training over one by reverse mode in the "
    "same process, once each: a rough figure",
    "best_epoch_count, best_validation_loss": "where validation was lowest",
    "checkpoint_differs_count": "arrays of the best checkpoint that differ from those "
    "in memory",
    "test_accuracy": "share of test rows right by the best parameters",
    "train_loss, validation_loss": "after the last epoch; every epoch as samples",
    "train_accuracy, validation_accuracy": "likewise",
    "diverged_count": "1 for a training that stopped being finite, else 0",
    "gradients_count": "gradients of the training",
    "parameters_count": "parameters of the network",
    "test_rows_count": "rows that no training saw",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="Does it matter to a training how its gradients are obtained?",
    claims=("C35", "C36"),
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

"""Shards of a batch: whether their averaged gradient is that of the whole batch.

A small classifier of 8 × 8 digits; batches cut into one to eight shards, even and
uneven, averaged with and without weights, against the gradient of the whole batch.
Run it alone::

    python experiments/data_parallel.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from optree import tree_leaves

from diffkit import losses, measure, nn, optim, prepare, report, train
from diffkit.measure import Case, Mode, Row
from diffkit.report.lookup import rows_of, said, samples_of, value_of
from diffkit.train.gradients import shard_sizes

NAME = "data_parallel"
SHARDS = (1, 2, 3, 4, 5, 6, 7, 8)
#: How a batch is cut: rows, and the rows of its first shard (0: as even as can be).
#: Every number of shards divides 840.
CUTS = {"even": (840, 0), "nearly even": (61, 0), "one large shard": (64, 40)}
HIDDEN = {"quick": 16, "full": 64}
EPOCHS = {"quick": 3, "full": 10}
LIMITS = measure.Limits(seconds=120.0, bytes=2 << 30)


def cases(mode: Mode) -> list[Case]:
    """Every cut into every number of shards, and trainings by one and more threads."""

    def one(part: str, shards: int, cut: str, **fields: int) -> Case:
        return measure.case(
            NAME,
            "autodiff",
            runtime="engine",
            timed=False,
            limits=LIMITS,
            part=part,
            shards=shards,
            cut=cut,
            hidden=HIDDEN[mode],
            **fields,
        )

    return [
        *(one("gradient", shards, cut) for cut in CUTS for shards in SHARDS),
        *(
            one("training", shards, "nearly even", epochs=EPOCHS[mode])
            for shards in (1, 2, 4, 8)
        ),
    ]


def measure_case(case: Case) -> list[Row]:
    """The rows of one part."""
    return _gradient(case) if case["part"] == "gradient" else _training(case)


def sizes_of(cut: str, shards: int) -> list[int]:
    """Rows of each shard; with one large shard the others share what is left."""
    rows, first = CUTS[cut]
    if not first or shards == 1:
        return shard_sizes(rows, shards)
    return [first, *shard_sizes(rows - first, shards - 1)]


def averages(
    parts: Sequence[np.ndarray], sizes: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """The shards' gradients averaged with the weights of their rows, and without."""
    rows = sum(sizes)
    weighted = sum(n / rows * g for n, g in zip(sizes, parts, strict=True))
    return np.asarray(weighted), np.mean(parts, axis=0)


def _gradient(case: Case) -> list[Row]:
    net = nn.mlp((64, case["hidden"], 10), "tanh")
    params = net.init(np.random.default_rng(case.seed))
    sizes = sizes_of(case["cut"], case["shards"])
    x, labels = (part[: sum(sizes)] for part in train.data.digits().train)

    def loss(params: Any, x: Any, labels: Any) -> Any:
        return losses.cross_entropy(net.apply(params, x), labels)

    def differentiate(x: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, int]:
        prepared = prepare(loss, params, x, labels)
        _, grads = prepared(params, x, labels)
        flat = np.concatenate([leaf.ravel() for leaf in tree_leaves(grads)])
        return flat, prepared.info.operations

    whole, work = differentiate(x, labels)
    ends = np.cumsum([0, *sizes])
    parts, works = zip(
        *(differentiate(x[a:b], labels[a:b]) for a, b in pairwise(ends)),
        strict=True,
    )
    weighted, plain = averages(parts, sizes)
    largest = float(np.max(np.abs(whole)))
    unit = float(np.spacing(largest))
    off = float(np.max(np.abs(weighted - whole)))
    return [
        case.row("weighted_ulps", off / unit),
        case.row("weighted_error", off / largest),
        case.row("plain_error", float(np.max(np.abs(plain - whole))) / largest),
        case.row("largest_shard_count", max(sizes)),
        case.row("smallest_shard_count", min(sizes)),
        case.row("whole_operations", work),
        case.row("shards_operations", sum(works)),
        # The longest shard is what the others wait for.
        case.row("possible_speedup_ratio", work / max(works)),
        case.row("numbers_sent_count", whole.size * case["shards"]),
    ]


def _training(case: Case) -> list[Row]:
    data = train.data.digits(validation=0.25)
    fitted = partial(
        train.fit,
        nn.mlp((64, case["hidden"], 10), "tanh"),
        losses.cross_entropy,
        optim.adam(1e-2),
        data.train,
        epochs=case["epochs"],
        batch_size=CUTS["nearly even"][0],
        validation=data.validation,
        rng=case.seed,
        progress=False,
    )
    run, whole = fitted(shards=case["shards"]), fitted()
    mine, theirs = (h.losses("batch").to_numpy() for h in (run, whole))
    apart = np.abs(mine - theirs) / np.abs(theirs)
    return [
        *measure.curve_rows(case, run),
        case.row("curve_error", float(apart.max()), samples=apart.tolist()),
    ]


def _by_shards(rows: Sequence[Row], metric: str, cut: str) -> list[tuple[int, float]]:
    found = rows_of(rows, metric, part="gradient", cut=cut)
    return sorted((row["shards"], float(row.value or 0.0)) for row in found)


def figure(rows: Sequence[Row]):
    """Errors of both averages, the possible speed-up, and the curves of training."""
    figures = report.figures
    shown, axes = figures.panels(2, 2, width=13.5, height=9.0)
    looks = figures.looks(list(CUTS))
    for place, metric, title, y in (
        (
            0,
            "weighted_ulps",
            "Weighted by rows, the average is the whole gradient",
            "largest deviation, ulps of the largest entry",
        ),
        (
            1,
            "plain_error",
            "Without weights, uneven shards give another gradient",
            "largest deviation ÷ largest entry",
        ),
    ):
        figures.draw(
            axes[place],
            [figures.Line(looks[cut], _by_shards(rows, metric, cut)) for cut in CUTS],
            title=title,
            x="shards",
            y=y,
            x_scale="linear",
            y_scale="linear" if place == 0 else "log",
        )
    best = figures.Look("as many times as shards", "#999999", "", "--")
    figures.draw(
        axes[2],
        [
            figures.Line(best, [(n, float(n)) for n in SHARDS]),
            *(
                figures.Line(
                    looks[cut], _by_shards(rows, "possible_speedup_ratio", cut)
                )
                for cut in CUTS
            ),
        ],
        title="The largest shard bounds what can be gained",
        x="shards",
        y="operations of the whole ÷ of the largest shard",
        x_scale="linear",
        y_scale="linear",
    )
    trained = sorted({row["shards"] for row in rows_of(rows, "curve_error")})
    names = figures.looks([f"{n} shards" for n in trained])
    figures.draw(
        axes[3],
        [
            figures.Line(
                names[f"{n} shards"],
                list(enumerate(samples_of(rows, "curve_error", shards=n), 1)),
            )
            for n in trained
        ],
        title="Rounding is all that tells the trainings apart",
        x="update",
        y="relative difference of the batch loss",
        x_scale="linear",
        y_scale="linear",
    )
    return shown


def findings(rows: Sequence[Row]) -> measure.Findings:
    """Facts and verdicts from whatever was measured."""
    numbers = report.numbers

    def most(metric: str, cut: str | None = None) -> float | None:
        where = {} if cut is None else {"cut": cut}
        values = [
            float(row.value or 0.0)
            for row in rows_of(rows, metric, part="gradient", **where)
        ]
        return max(values, default=None)

    curve = [float(row.value or 0.0) for row in rows_of(rows, "curve_error")]
    top = max(SHARDS)

    def at_top(metric: str, cut: str) -> float | None:
        return value_of(rows, metric, part="gradient", cut=cut, shards=top)

    whole = value_of(rows, "whole_operations", part="gradient", cut="even", shards=top)
    cut = at_top("shards_operations", "even")
    facts = {
        "top": top,
        "hidden": max(
            (row["hidden"] for row in rows_of(rows, "weighted_ulps")), default=0
        ),
        "ulps": said(most("weighted_ulps"), "{:.1f}".format),
        "even_plain": said(most("plain_error", "even"), numbers.scientific),
        "nearly_plain": said(most("plain_error", "nearly even"), "{:.2%}".format),
        "large_plain": said(most("plain_error", "one large shard"), "{:.0%}".format),
        "nearly_rows": CUTS["nearly even"][0],
        "large_rows": CUTS["one large shard"][0],
        "large_first": CUTS["one large shard"][1],
        "speedup_even": said(at_top("possible_speedup_ratio", "even"), numbers.times),
        "speedup_large": said(
            at_top("possible_speedup_ratio", "one large shard"), numbers.times
        ),
        "together": said(
            cut / whole if cut is not None and whole else None, "{:.3f}".format
        ),
        "curve": said(max(curve, default=None), numbers.scientific),
    }
    verdicts = (
        measure.Verdict(
            "C34",
            f"data parallelism: weighted by rows, one to {top} shards give the whole "
            f"gradient to {facts['ulps']} ulps of its largest entry; averaged without "
            f"weights, uneven shards are off by up to {facts['large_plain']}",
            "conditional" if most("plain_error") is not None else "measured",
        ),
    )
    return measure.Findings(facts, verdicts)


ANSWER = """
Yes, if shards are weighted by their rows: to {ulps} ulps of its largest entry for one
to {top} shards. Averaged without weights, uneven shards give a gradient that is wrong
by up to {large_plain}.
"""

PAGE = """
A classifier of digits with {hidden} hidden units. The loss is a mean over rows, so the
gradient of a batch is the mean of its rows' gradients, and that of its shards'
gradients weighted by their rows.

## Weights matter

Cut evenly, both averages are the whole gradient but for rounding ({ulps} ulps of the
largest entry at most, and {even_plain} without weights). A batch of {nearly_rows} rows
cannot be cut evenly: averaged without weights its gradient is off by up to
{nearly_plain} of the largest entry, which passes unnoticed. With a first shard of
{large_first} of {large_rows} rows it is off by up to {large_plain}.

## What is gained

At {top} shards all of them together take {together} of the operations of the whole
batch (some sums over rows fall to the averaging), and the largest shard bounds the
gain: {speedup_even} at {top} even shards, {speedup_large} with the one large shard.
What has to be sent is one gradient a shard and update, whatever the batch.

## Training

Trainings on one to {top} threads, one shard each, from one seed: batch losses differ by
{curve} of themselves at the most. Sums are rounded in another order, and a training
carries that along; nothing else tells them apart.
"""

METRICS = {
    "weighted_ulps": "largest deviation of the weighted average from the whole batch's "
    "gradient, in ulps of that gradient's largest entry",
    "weighted_error, plain_error": "largest deviation over that entry, with and "
    "without weights",
    "whole_operations, shards_operations": "scalar operations of the gradient: of the "
    "whole batch, of all shards together",
    "possible_speedup_ratio": "operations of the whole over those of the largest shard",
    "numbers_sent_count": "numbers that the shards hand over for one update",
    "curve_error": "largest relative difference of a batch loss from a training on "
    "whole batches; every batch as samples",
    "train_loss, validation_loss": "every epoch as samples",
    "diverged_count": "1 for a training that stopped being finite, else 0",
    "largest_shard_count, smallest_shard_count": "rows of a shard",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="Is the average of the shards' gradients the gradient of the batch?",
    claims=("C34",),
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

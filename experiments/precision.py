"""Half as many bits: what is lost of a gradient, of a training, and what is gained.

Gradients in float32 and float64 against proved digits, by depth and by width; trainings
of digits in both, with parameters stored in float16, and in mixed precision, where a
float32 copy takes the steps. float16 is simulated by rounding. Run it alone::

    python experiments/precision.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import optree

from diffkit import losses, measure, nn, prepare, report, train
from diffkit.measure import Case, Mode, Row
from diffkit.measure.reference import reference_gradient
from diffkit.report.lookup import rows_of, said, samples_of, value_of

NAME = "precision"
DTYPES = ("float32", "float64")
WIDTH, ROWS = 8, 8
DEPTHS = {"quick": (1, 4, 16), "full": (1, 2, 4, 8, 16, 32, 64)}
WIDTHS = {"quick": (4, 16), "full": (2, 4, 8, 16, 32)}
TIMED = {"quick": (16, 128, 512), "full": (16, 64, 128, 256, 512, 1024)}
#: What a training computes in, and what its parameters are stored in.
WAYS = (
    "float64",
    "float32",
    "float16 stored",
    "mixed, unscaled",
    "mixed, scaled",
)
#: Multiplies the loss before its gradient is rounded to float16; divided out after.
SCALE = 1024.0
EPOCHS = {"quick": 60, "full": 200}
#: A rate whose steps any precision takes, and one whose steps are small.
RATES = {"large": 0.3, "small": 0.003}
BATCH, HIDDEN = 64, 32
LIMITS = measure.Limits(seconds=120.0, bytes=3 << 30)


def cases(mode: Mode) -> list[Case]:
    """Errors by depth and width, trainings, and the ratio of times."""

    def one(part: str, way: str, timed: bool = False, **fields: Any) -> Case:
        return measure.case(
            NAME,
            "autodiff",
            runtime="engine",
            timed=timed,
            limits=LIMITS,
            part=part,
            way=way,
            **fields,
        )

    found = [
        *(
            one("error", dtype, depth=depth, width=WIDTH)
            for dtype in DTYPES
            for depth in DEPTHS[mode]
        ),
        *(
            one("error", dtype, depth=2, width=width)
            for dtype in DTYPES
            for width in WIDTHS[mode]
        ),
        *(
            one("training", way, epochs=EPOCHS[mode], rate=rate)
            for rate in RATES.values()
            for way in WAYS
        ),
        *(one("time", "float32", timed=True, width=width) for width in TIMED[mode]),
    ]
    return list(dict.fromkeys(found))  # both sweeps of errors have one cell in common


def measure_case(case: Case) -> list[Row]:
    """The rows of one part."""
    parts = {"error": _error, "training": _training, "time": _time}
    return parts[case["part"]](case)


def program(depth: int, width: int, rows: int, dtype: str) -> tuple[Any, tuple]:
    """A mean squared error of a tanh network and its arguments, in one precision.

    All numbers are float32 numbers, so that both precisions, and the exact reference,
    compute the gradient of the same function at the same point.
    """
    net = nn.mlp((width,) * (depth + 1) + (1,), "tanh")
    generator = np.random.default_rng(0)
    params: Any = net.init(generator, np.float32)
    x = generator.standard_normal((rows, width)).astype(np.float32)
    y = generator.standard_normal((rows, 1)).astype(np.float32)

    def loss(params: Any, x: Any, y: Any) -> Any:
        return losses.mse(net.apply(params, x), y)

    params = optree.tree_map(lambda a: np.asarray(a, dtype), params)
    return loss, (params, x.astype(dtype), y.astype(dtype))


def _error(case: Case) -> list[Row]:
    loss, arguments = program(case["depth"], case["width"], ROWS, case["way"])
    prepared = prepare(loss, *arguments)
    _, gradient = prepared(*arguments)
    reference = reference_gradient(prepared, *arguments)
    leaves = [np.asarray(leaf) for leaf in optree.tree_leaves(gradient)]
    relative, entry = reference.errors(leaves)
    ulps = reference.ulps(leaves)
    return [
        case.row("relative_error", relative),
        case.row("worst_entry_relative_error", entry),
        case.row("gradient_ulps", ulps.largest_ulps),
        case.row("worst_entry_ulps", ulps.ulps),
        case.row("reference_bits", reference.bits),
        case.row("planned_bytes", prepared.info.bytes),
    ]


def half(tree: Any) -> Any:
    """Every number rounded to float16, kept in the dtype it had."""
    return optree.tree_map(lambda a: a.astype(np.float16).astype(a.dtype), tree)


def lost_share(gradient: Any, scale: float) -> float:
    """The share of entries that are not zero, and are once rounded to float16."""
    flat = np.concatenate([leaf.ravel() for leaf in optree.tree_leaves(gradient)])
    there = flat != 0
    with np.errstate(over="ignore"):
        gone = (flat * scale).astype(np.float16) == 0
    return float(np.mean(gone[there])) if there.any() else 0.0


def stepped(way: str, rate: float) -> Callable[[Any, Callable[[Any], Any]], Any]:
    """One step of plain descent, as a way stores parameters and gradients.

    Takes the stored parameters and a function from parameters to gradient.
    """

    def plain(params: Any, gradient_at: Callable[[Any], Any]) -> Any:
        return optree.tree_map(
            lambda p, g: p - p.dtype.type(rate) * g, params, gradient_at(params)
        )

    def stored(params: Any, gradient_at: Callable[[Any], Any]) -> Any:
        return half(plain(params, gradient_at))

    def mixed(scale: float, params: Any, gradient_at: Callable[[Any], Any]) -> Any:
        factor = np.float32(scale)

        def rounded(master: Any) -> Any:
            scaled = optree.tree_map(lambda g: g * factor, gradient_at(half(master)))
            return optree.tree_map(lambda g: g / factor, half(scaled))

        return plain(params, rounded)

    return {
        "float64": plain,
        "float32": plain,
        "float16 stored": stored,
        "mixed, unscaled": partial(mixed, 1.0),
        "mixed, scaled": partial(mixed, SCALE),
    }[way]


def _training(case: Case) -> list[Row]:
    """Mini-batches in the same order for every way, whatever it stores."""
    way = case["way"]
    dtype = np.float64 if way == "float64" else np.float32
    data = train.data.digits(validation=0.25, dtype=dtype)
    net = nn.mlp((64, HIDDEN, 10), "relu")
    first = net.init(np.random.default_rng(case.seed), np.float32)
    params = optree.tree_map(lambda a: a.astype(dtype), half(first))
    x, labels = data.train
    apart = data.validation or data.test

    def loss(params: Any, x: Any, labels: Any) -> Any:
        return losses.cross_entropy(net.apply(params, x), labels)

    batches = train.Batches(len(x), BATCH, drop_last=True)
    prepared = prepare(loss, params, x[:BATCH], labels[:BATCH])
    step, generator = stepped(way, case["rate"]), np.random.default_rng(case.seed)

    def losses_now() -> tuple[float, float, float]:
        seen = half(params) if way.startswith("mixed") else params
        outputs = net.apply(seen, apart[0])
        right = train.metrics.accuracy(outputs, apart[1])
        held_out = float(losses.cross_entropy(outputs, apart[1]))
        return float(loss(seen, x, labels)), held_out, right

    curve, gone = [losses_now()], 0.0
    for _ in range(case["epochs"]):
        for rows in batches.epoch(generator):
            params = step(params, lambda p, at=rows: prepared(p, x[at], labels[at])[1])
        curve.append(losses_now())
    gradient = prepared(params, x[:BATCH], labels[:BATCH])[1]
    gone = lost_share(gradient, SCALE if way == "mixed, scaled" else 1.0)
    training, held_out, right = (list(part) for part in zip(*curve, strict=True))
    return [
        case.row("train_loss", training[-1], samples=training),
        case.row("validation_loss", held_out[-1], samples=held_out),
        case.row("validation_accuracy", right[-1], samples=right),
        case.row("underflow_value", gone),
    ]


def _time(case: Case) -> list[Row]:
    """A gradient in float32 and in float64, sampled in turn."""
    measure.warm_up()
    calls, planned = {}, {}
    for dtype in DTYPES:
        loss, arguments = program(2, case["width"], 64, dtype)
        prepared = prepare(loss, *arguments)
        planned[dtype] = prepared.info.bytes
        calls[dtype] = partial(prepared.compiled, prepared.leaves(arguments))
    timings = measure.interleaved(calls, sample_seconds=0.03, budget_seconds=0.9)
    faster = measure.ratio(timings["float64"], timings["float32"])
    return [
        *(
            case.row(
                f"{dtype}_seconds",
                timings[dtype].median_seconds,
                samples=timings[dtype].samples,
            )
            for dtype in DTYPES
        ),
        case.row("speed_ratio", faster.median_seconds, samples=faster.samples),
        case.row("bytes_ratio", planned["float64"] / planned["float32"]),
    ]


def _by(rows: Sequence[Row], metric: str, way: str, along: str) -> list:
    fixed: dict[str, Any] = {"width": WIDTH} if along == "depth" else {"depth": 2}
    found = rows_of(rows, metric, part="error", way=way, **fixed)
    return sorted((row[along], float(row.value or 0.0)) for row in found)


def figure(rows: Sequence[Row]):
    """Errors by depth and width, trainings, and the ratio of times."""
    figures = report.figures
    shown, axes = figures.panels(2, 2, width=13.5, height=9.0)
    kinds = {"largest": "relative_error", "its own": "worst_entry_relative_error"}
    looks = figures.looks([f"{dtype}, {kind}" for dtype in DTYPES for kind in kinds])
    for place, along, title in (
        (0, "depth", "Deep down, small entries lose digits; large ones do not"),
        (1, "width", "Width costs few digits"),
    ):
        figures.draw(
            axes[place],
            [
                figures.Line(looks[f"{dtype}, {kind}"], _by(rows, metric, dtype, along))
                for dtype in DTYPES
                for kind, metric in kinds.items()
            ],
            title=title,
            x="hidden layers" if along == "depth" else "units in a layer",
            y="error ÷ largest entry, or ÷ the entry itself",
        )
    ways = figures.looks(WAYS)
    figures.draw(
        axes[2],
        [
            figures.Line(
                ways[way],
                list(
                    enumerate(
                        samples_of(
                            rows,
                            "train_loss",
                            part="training",
                            way=way,
                            rate=RATES["small"],
                        )
                    )
                ),
            )
            for way in WAYS
        ],
        title="Stored in float16, small steps are lost; a float32 copy keeps them",
        x="epoch",
        y="training loss, small rate",
        x_scale="linear",
        y_scale="linear",
    )
    times = rows_of(rows, "speed_ratio")
    figures.draw(
        axes[3],
        [
            figures.Line(
                figures.Look("float64 ÷ float32", "#0072B2", "o"),
                sorted((row["width"], float(row.value or 0.0)) for row in times),
            )
        ],
        title="What float32 gains grows with the matrices",
        x="units in a layer",
        y="time of a gradient, float64 over float32",
        y_scale="linear",
        rules=[figures.Rule(1.0, "no gain")],
    )
    return shown


def findings(rows: Sequence[Row]) -> measure.Findings:
    """Facts and verdicts from whatever was measured."""
    numbers = report.numbers

    def most(metric: str, dtype: str) -> float | None:
        found = rows_of(rows, metric, part="error", way=dtype)
        return max((float(row.value or 0.0) for row in found), default=None)

    def trained(
        way: str, metric: str = "train_loss", rate: str = "large"
    ) -> float | None:
        return value_of(rows, metric, part="training", way=way, rate=RATES[rate])

    def loss(way: str, rate: str = "large") -> str:
        return said(trained(way, rate=rate), "{:.4f}".format)

    speeds = {
        row["width"]: float(row.value or 0.0) for row in rows_of(rows, "speed_ratio")
    }
    widest = max(speeds, default=0)
    narrow = min(speeds, default=0)
    wide64, wide32 = trained("float64"), trained("float32")
    apart = abs(wide32 / wide64 - 1) if wide64 and wide32 is not None else None
    facts: dict[str, Any] = {
        "depth": max(
            (row["depth"] for row in rows_of(rows, "relative_error")), default=0
        ),
        "single": said(most("relative_error", "float32"), numbers.scientific),
        "double": said(most("relative_error", "float64"), numbers.scientific),
        "single_ulps": said(most("gradient_ulps", "float32"), "{:.1f}".format),
        "double_ulps": said(most("gradient_ulps", "float64"), "{:.1f}".format),
        "single_entry": said(most("worst_entry_ulps", "float32"), numbers.count),
        "double_entry": said(most("worst_entry_ulps", "float64"), numbers.count),
        "epochs": max(
            (row["epochs"] for row in rows_of(rows, "underflow_value")), default=0
        ),
        "apart": said(apart, numbers.scientific),
        "loss_double": loss("float64"),
        "loss_single": loss("float32"),
        "loss_stored": loss("float16 stored"),
        "loss_unscaled": loss("mixed, unscaled"),
        "loss_scaled": loss("mixed, scaled"),
        "rate": f"{RATES['large']:g}",
        "small": f"{RATES['small']:g}",
        "small_double": loss("float64", "small"),
        "small_stored": loss("float16 stored", "small"),
        "small_scaled": loss("mixed, scaled", "small"),
        "gone_unscaled": said(
            trained("mixed, unscaled", "underflow_value"), "{:.1%}".format
        ),
        "gone_scaled": said(
            trained("mixed, scaled", "underflow_value"), "{:.1%}".format
        ),
        "scale": f"{SCALE:,.0f}",
        "narrow": narrow,
        "narrow_speed": said(speeds.get(narrow), numbers.times),
        "widest": widest,
        "widest_speed": said(speeds.get(widest), numbers.times),
        "bytes": said(value_of(rows, "bytes_ratio", width=widest), numbers.times),
    }
    verdicts = (
        measure.Verdict(
            "C34",
            f"mixed precision: float32 gradients are right to {facts['single']} of "
            f"their largest entry (float64 {facts['double']}); training loss at rate "
            f"{facts['rate']} {facts['loss_single']} in float32, "
            f"{facts['loss_double']} in float64; at rate {facts['small']} "
            f"{facts['small_double']} in float64, {facts['small_stored']} with "
            f"parameters stored in float16, {facts['small_scaled']} with a float32 "
            "copy and a scaled loss",
            "conditional" if apart is not None else "measured",
        ),
    )
    return measure.Findings(facts, verdicts)


ANSWER = """
Little: `float32` gradients are wrong by {single} of their largest entry at the most,
and the training loss differs by {apart} of itself from that in `float64`, where a
gradient takes {widest_speed} as long at {widest} units a layer.
"""

PAGE = """
## Gradients

Tanh networks up to {depth} layers deep, judged by balls that prove their digits; both
precisions compute the same function at the same point. The largest error, over the
largest entry of the gradient, is {single} in `float32` and {double} in `float64`. In
ulps of each precision that is {single_ulps} and {double_ulps}: the same sums, rounded
as often. An entry that nearly cancels can be wrong by more of its own ulps:
{single_entry} and {double_entry}.

## Trainings

The same batches in the same order, plain gradient descent, {epochs} epochs. At rate
{rate} the training loss ends at {loss_double} in `float64`, {loss_single} in `float32`
({apart} of itself apart) and {loss_stored} with parameters stored in `float16`: large
steps survive any rounding. At rate {small} it ends at {small_double} in `float64` and
at {small_stored} with parameters stored in `float16`, where a step smaller than half a
unit in the last place of its parameter is rounded away.

Mixed precision keeps a `float32` copy that takes the steps, and rounds only what is
computed with: {small_scaled} at rate {small}. At rate {rate} it is {loss_unscaled} with
gradients rounded to `float16` as they are, and {loss_scaled} with the loss multiplied
by {scale} before and divided after.

That scaling is for gradients too small for `float16`: at the end {gone_unscaled} of the
entries that are not zero vanish without it, {gone_scaled} with it.

`float16` is simulated here by rounding what is stored; sums inside a layer run in
`float32`, as they do on the machines that have `float16`.

## What is gained

A gradient in `float64` takes {narrow_speed} as long as in `float32` at {narrow} units a
layer and {widest_speed} at {widest}, and {bytes} the memory at the latter. Small
networks gain little, as a call's own cost does not depend on the precision.
"""

METRICS = {
    "relative_error": "largest deviation over the largest entry of the gradient",
    "worst_entry_relative_error": "largest deviation of an entry over that entry",
    "gradient_ulps": "largest deviation in ulps of the gradient's largest entry, in "
    "the gradient's own precision",
    "worst_entry_ulps": "largest deviation in ulps of the entry itself",
    "reference_bits": "working precision that proved the reference",
    "train_loss, validation_loss": "loss of all rows after the last epoch; every epoch "
    "as samples, from before the first step",
    "validation_accuracy": "share of digits right, likewise",
    "underflow_value": "share of the last gradient's entries that rounding to float16 "
    "makes zero",
    "float32_seconds, float64_seconds": "one gradient; medians, raw samples",
    "speed_ratio": "float64 over float32, median of ratios of samples taken in turn",
    "bytes_ratio": "memory that the engine plans for, float64 over float32",
    "planned_bytes": "memory that a gradient plans for, in either precision",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="What is lost, and what gained, with half as many bits?",
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

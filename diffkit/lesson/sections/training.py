"""Same learning, different bill: one training by three ways, on three axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

from diffkit.lesson import chart
from diffkit.lesson.data import (
    Data,
    GapError,
    Measured,
    Number,
    given,
    ratio,
)
from diffkit.lesson.section import Section, View
from diffkit.lesson.spread import spread
from diffkit.report import numbers

NAME = "training"
#: The three ways, how they are drawn, and all five with what they are called.
DRAWN = ("autodiff", "symbolic_shared", "finite_differences_central")
WAYS = {
    "autodiff": "reverse mode",
    "symbolic_shared": "symbols, shared",
    "forward": "forward mode",
    "finite_differences_forward": "forward differences",
    "finite_differences_central": "central differences",
}
#: So many epochs are drawn, and can be picked.
MOST = 30
OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw")


@dataclass(frozen=True, slots=True)
class Run:
    """A training: the loss of each epoch, and what all of its gradients took."""

    way: str
    losses: tuple[float, ...]
    evaluations: Number
    seconds: Number

    def cost(self, axis: str, epoch: int) -> float:
        """What has been spent when an epoch ends: every gradient costs the same."""
        whole = {
            "epochs": len(self.losses),
            "evaluations": self.evaluations,
            "seconds": self.seconds,
        }
        return float(whole[axis]) * epoch / len(self.losses)


def view(data: Data) -> View:
    """One seed by every way; optimizers and batch sizes beside it."""
    rows = data["train_three_ways"]
    runs = [_run(rows, way) for way in DRAWN]
    epochs = _epochs(min(len(run.losses) for run in runs))
    evaluations = {way: _of(rows, "primal_evaluations", way) for way in WAYS}
    dearest = evaluations["finite_differences_central"]
    optimizers, batches = data["optimizers"], data["batch_size"]
    return View(
        {
            "charts": [(axis, _chart(axis, runs, epochs)) for axis in AXES],
            "axes": [(axis, label) for axis, (label, _) in AXES.items()],
            "epochs": len(runs[0].losses),
            "picked": len(epochs),
            "ways": [WAYS[run.way] for run in runs],
            "lines": [_line(rows, way) for way in WAYS],
            "parameters": _of(rows, "parameters_count", "autodiff"),
            "gradients": _of(rows, "gradients_count", "autodiff"),
            "least": evaluations["autodiff"],
            "dearest": dearest,
            "times": ratio(dearest, evaluations["autodiff"], numbers.times),
            "slower": _of(
                rows, "gradient_over_reverse_ratio", "finite_differences_central"
            ),
            "digits": _of(
                rows,
                "same_digits_value",
                "finite_differences_central",
                words="{:.1f}".format,
            ),
            "pipeline": {
                name: _of(rows, metric, "autodiff")
                for name, metric in (
                    ("best", "best_epoch_count"),
                    ("loss", "best_validation_loss"),
                    ("differs", "checkpoint_differs_count"),
                )
            },
            "right": _share(rows, "ways"),
            "large": {
                "parameters": rows.number("parameters_count", part="digits"),
                "seconds": rows.number("training_seconds", part="digits"),
                "rows": rows.number("test_rows_count", part="digits"),
                "right": _share(rows, "digits"),
            },
            **_optimizers(optimizers),
            **_batches(batches),
        },
        {
            "epochs": epochs,
            "ways": [
                {
                    "name": WAYS[run.way],
                    "loss": [run.losses[epoch - 1] for epoch in epochs],
                    "evaluations": float(run.evaluations),
                    "seconds": float(run.seconds),
                }
                for run in runs
            ],
        },
    )


def _of(
    rows: Measured,
    metric: str,
    way: str,
    words: Callable[[float], str] | None = None,
) -> Number:
    return rows.number(metric, way, part="ways", words=words)


def _share(rows: Measured, part: str) -> Number:
    return rows.number("test_accuracy", "autodiff", part=part, words="{:.1%}".format)


def _run(rows: Measured, way: str) -> Run:
    return Run(
        way,
        rows.samples("train_loss", way, part="ways"),
        _of(rows, "primal_evaluations", way),
        _of(rows, "gradient_seconds", way),
    )


#: What the curves may be drawn over: the choice, and the label of the axis.
AXES = {
    "epochs": ("epochs", "epoch"),
    "evaluations": ("evaluations of the network", "evaluations of the network so far"),
    "seconds": ("seconds", "seconds spent on gradients so far"),
}
_TITLES = {
    "epochs": "Over epochs the three ways have one curve",
    "evaluations": "Over evaluations differences lie far to the right: each gradient "
    "costs two for every parameter",
    "seconds": "Over seconds reverse mode and symbols lie close together, differences "
    "far to the right",
}


def _epochs(last: int, most: int = MOST) -> list[int]:
    return spread(range(1, last + 1), most)


def _chart(axis: str, runs: list[Run], epochs: list[int]) -> Markup:
    points = {
        run.way: [(run.cost(axis, epoch), run.losses[epoch - 1]) for epoch in epochs]
        for run in runs
    }
    costs = [x for line in points.values() for x, _ in line]
    x = (
        chart.Axis(AXES[axis][1], 0, max(costs))
        if axis == "epochs"
        else chart.fit(AXES[axis][1], costs, log=True)
    )
    y = chart.fit(
        "training loss",
        [loss for line in points.values() for _, loss in line],
        log=True,
    )
    kinds = ("line", "line", "dots")
    lines = [
        chart.Line(
            WAYS[way], line, look=1 + place, kind=kinds[place], dashed=place == 1
        )
        for place, (way, line) in enumerate(points.items())
    ]
    balls = Markup("").join(
        Markup('<circle class="here" id="training-{}-ball{}" r="0"/>').format(
            axis, place
        )
        for place in range(len(runs))
    )
    return chart.chart(
        f"training-{axis}", _TITLES[axis], x, y, lines, extra=balls, right=180
    )


def _line(rows: Measured, way: str) -> list[object]:
    return [
        WAYS[way],
        _of(rows, "primal_evaluations", way),
        _of(rows, "run_operations", way),
        _of(rows, "gradient_over_reverse_ratio", way),
        _of(rows, "same_digits_value", way, words="{:.1f}".format),
    ]


def _optimizers(rows: Measured) -> dict[str, object]:
    """Training loss on spirals by epoch, each at its best rate; three of the claims."""
    curves = {
        name: rows.samples("train_loss", part="spirals", optimizer=name)
        for name in OPTIMIZERS
    }
    most = max(map(len, curves.values()))
    y = chart.fit("training loss", [v for c in curves.values() for v in c], log=True)
    looks = enumerate(curves.items(), 1)
    lines = [
        chart.Line(
            name,
            [(epoch, curve[epoch - 1]) for epoch in _epochs(len(curve), 2 * MOST)],
            look=look,
            dashed=look % 2 == 0,
        )
        for look, (name, curve) in looks
    ]
    betas = rows.numbers("steady_rate_ratio", by="beta", part="forms")
    beta = 0.9 if 0.9 in betas else list(betas)[-1]
    parts = ("ravine", "spirals", "digits")
    return {
        "optimizers": chart.chart(
            "training-optimizers",
            "Training loss by epoch on spirals: each optimizer at its best rate",
            chart.Axis("epoch", 0, most),
            y,
            lines,
            right=110,
        ),
        "ends": [
            [
                name,
                *(rows.number("end_loss", part=part, optimizer=name) for part in parts),
            ]
            for name in OPTIMIZERS
        ],
        "decay": rows.number("power_value", part="decay", words="{:.3f}".format),
        "beta": given(beta),
        "forms": betas[beta],
        "lost": rows.number("nan_entries_count", part="epsilon", epsilon=0.0),
        "entries": rows.number("entries_count", part="epsilon", epsilon=0.0),
    }


def _batches(rows: Measured) -> dict[str, object]:
    """Noise, cost and result by the size of a batch."""
    noise = rows.numbers("noise_variance_value", by="batch", part="noise")
    times = rows.numbers("epoch_over_whole_ratio", by="batch", part="time")
    equal = {
        part: rows.numbers("train_final_loss", by="batch", part=part)
        for part in ("epochs", "updates")
    }
    sizes = [n for n in noise if all(n in one for one in (times, *equal.values()))]
    if len(sizes) < 2:
        raise GapError(rows.name, "no two sizes of batch with all of it", rows.mode)
    # The whole batch has no noise but rounding.
    points = [
        (_float(n), float(noise[n])) for n in sizes if n != max(map(_float, sizes))
    ]
    return {
        "noise": chart.chart(
            "training-noise",
            "The noise of a gradient falls as the batch grows",
            chart.fit("rows in a batch", [n for n, _ in points], log=True),
            chart.fit("mean square of the noise", [v for _, v in points], log=True),
            [chart.Line("noise", points, look=1, kind="both")],
            right=70,
        ),
        "sizes": [
            [
                given(f"{_float(n):,.0f}"),
                noise[n],
                times[n],
                equal["epochs"][n],
                equal["updates"][n],
            ]
            for n in sizes
        ],
        "single": times[sizes[0]],
    }


def _float(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)


SECTION = Section(
    NAME,
    "9",
    "Same learning, different bill",
    ("train_three_ways", "optimizers", "batch_size"),
    ("C20", "C21", "C35", "C36"),
    view,
)

"""A case: a joint risk of made-up students, and whether probabilities are honest."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from diffkit.lesson import chart
from diffkit.lesson.data import Data, GapError, Measured, Number, given
from diffkit.lesson.heat_map import heat_maps
from diffkit.lesson.section import Section, View

NAME = "student"
MODELS = ("linear", "network", "overfitted", "true risk")
#: Those whose map is drawn.
MAPPED = ("linear", "network", "true risk")
#: Scores of the table: heading -> metric.
SCORES = {
    "training loss": "mean_train_loss",
    "test loss": "mean_test_loss",
    "Brier score": "mean_test_brier_value",
    "calibration error": "mean_test_calibration_error",
    "area under the curve": "mean_test_auc_value",
}
#: The kinds of `regularization` that stand side by side.
UNCHECKED, STOPPED = "none", "early stopping"


def view(data: Data) -> View:
    """Maps, thresholds, reliability, scores and curves of the models."""
    rows, cures = data["student_dropout"], data["regularization"]
    maps = {name: rows.samples("map_value", model=name) for name in MAPPED}
    absence = rows.samples("map_absence_value")
    change = rows.samples("map_change_value")
    _fits(rows, maps, len(absence) * len(change))
    thresholds = rows.samples("threshold_value")
    reach = {name: _shares(rows, name, len(thresholds)) for name in MODELS}
    return View(
        {
            "students": given(f"{_parameter(rows, 'rows'):,}"),
            "seeds": given(len(rows.samples("mean_test_loss"))),
            "models": [*MODELS],
            "cells": (len(absence), len(change)),
            "maps": _maps(maps, absence, change),
            "corners": _corners(rows, absence, change),
            "interaction": {
                name: rows.number("interaction_value", model=name, words=_two)
                for name in MODELS
            },
            "off": {
                name: rows.number("map_error", model=name, words=_two)
                for name in MODELS
            },
            "mean": {
                (metric, name): rows.number(metric, model=name, words=_three)
                for metric in SCORES.values()
                for name in MODELS
            },
            "mapped": [*MAPPED],
            "score_names": [*SCORES],
            "score_lines": [
                [
                    name,
                    *(
                        rows.number(m, model=name, words=_three)
                        for m in SCORES.values()
                    ),
                ]
                for name in MODELS
            ],
            "thresholds": len(thresholds),
            "start": min(5, len(thresholds) - 1),
            "trade": _trade(reach),
            "bought": _bought(rows, thresholds),
            "reliability": _reliability(rows),
            "bins": _bins(rows),
            "seeds_drawn": _seeds(rows),
            "curves": _curves(rows),
            "ends": [[name, *_ends(rows, name)] for name in ("network", "overfitted")],
            "cures": _cures(cures),
            "cure_ends": [[kind, *_cured(cures, kind)] for kind in _kinds(cures)],
            "cured": {kind: _cured(cures, kind) for kind in (UNCHECKED, STOPPED)},
        },
        {
            "models": MODELS,
            "absence": absence,
            "change": change,
            "mapped": MAPPED,
            "maps": [maps[name] for name in MAPPED],
            "thresholds": thresholds,
            "reached": [reach[name][0] for name in MODELS],
            "alarms": [reach[name][1] for name in MODELS],
        },
    )


def _two(value: float) -> str:
    return f"{value:.2f}"


def _three(value: float) -> str:
    return f"{value:.3f}"


def _parameter(rows: Measured, name: str) -> float:
    found = rows.row("map_value")[name] if rows.row("map_value").get(name) else None
    if not isinstance(found, int | float):
        raise GapError(rows.name, f"no {name} of its cases", rows.mode)
    return found


def _fits(rows: Measured, maps: dict[str, tuple[float, ...]], cells: int) -> None:
    for name, values in maps.items():
        if len(values) != cells:
            raise GapError(
                rows.name,
                f"map_value of {name} has {len(values)} places for {cells}",
                rows.mode,
            )


def _shares(rows: Measured, name: str, count: int) -> Sequence[tuple[float, ...]]:
    """Leavers reached and stayers alarmed, by threshold."""
    found = [
        rows.samples(metric, model=name)
        for metric in ("reached_value", "false_alarms_value")
    ]
    if any(len(values) != count for values in found):
        raise GapError(rows.name, f"shares of {name} at every threshold", rows.mode)
    return found


def _maps(maps, absence, change) -> Markup:
    return heat_maps(
        "student-maps",
        "Predicted risk by lessons missed and change of grades: the linear model has "
        "straight bands, the network and the true risk one hot corner",
        {name: maps[name] for name in MAPPED},
        down=absence,
        across=change,
        down_label="lessons missed",
        across_label="change of grades, points",
    )


def _corners(rows: Measured, absence, change) -> list[list[object]]:
    """Corners of the maps: place, and the risk by each model."""
    lines = []
    for i in (0, len(absence) - 1):
        for j in (0, len(change) - 1):
            row = rows.row("map_absence_value"), rows.row("map_change_value")
            place = [
                rows.said(row[0], sample=i, words="{:.0%}".format),
                rows.said(row[1], sample=j, words=_signed),
            ]
            risks = [
                rows.number(
                    "map_value",
                    model=name,
                    sample=i * len(change) + j,
                    words="{:.0%}".format,
                )
                for name in MAPPED
            ]
            lines.append([*place, *risks])
    return lines


def _signed(value: float) -> str:
    return f"{value:+g}".replace("-", "−")


def _trade(reach) -> Markup:
    lines = [
        chart.Line(
            name,
            # From the highest threshold to the lowest: labels stand where all arrive.
            list(zip(alarms, reached, strict=True))[::-1],
            look=1 + place,
            dashed=place >= 2,
            name=name,
        )
        for place, (name, (reached, alarms)) in enumerate(reach.items())
    ]
    return chart.chart(
        "student-trade",
        "Share of leavers reached by share of stayers alarmed: the network's curve "
        "lies above the linear model's, and every point costs false alarms",
        chart.Axis("stayers alarmed", 0, 1, words="{:.0%}".format),
        chart.Axis("leavers reached", 0, 1, words="{:.0%}".format),
        lines,
        extra='<circle class="here" id="student-ball" r="0"/>',
    )


def _bought(rows: Measured, thresholds) -> list[list[object]]:
    """What some thresholds buy, by the linear model and by the network."""
    places = range(1, len(thresholds), 6)
    said = "{:.0%}".format
    return [
        [
            rows.number("threshold_value", sample=k, words="{:.2f}".format),
            *(
                rows.number(metric, model=name, sample=k, words=said)
                for name in ("linear", "network")
                for metric in ("reached_value", "false_alarms_value")
            ),
        ]
        for k in places
    ]


def _reliability(rows: Measured) -> Markup:
    lines = [chart.Line("honest", [(0, 0), (1, 1)], look=6, dashed=True)]
    for place, name in enumerate(("linear", "network", "overfitted")):
        predicted, observed = (
            rows.samples(metric, model=name)
            for metric in ("predicted_value", "observed_value")
        )
        points = list(zip(predicted, observed, strict=False))
        lines.append(
            chart.Line(name, points, look=1 + place, kind="both", dashed=place == 2)
        )
    return chart.chart(
        "student-reliability",
        "Share of students who left by predicted risk: trained too long, a model says "
        "more than is so",
        chart.Axis("predicted risk", 0, 1, words="{:.0%}".format),
        chart.Axis("share that left", 0, 1, words="{:.0%}".format),
        lines,
    )


def _bins(rows: Measured) -> list[list[object]]:
    """Every other bin of the network and of the overfitted one."""
    shown = ("predicted_value", "observed_value")
    return [
        [
            name,
            *(
                rows.number(metric, model=name, sample=k, words="{:.0%}".format)
                for metric in shown
            ),
        ]
        for name in ("network", "overfitted")
        for k in range(0, len(rows.samples(shown[0], model=name)), 2)
    ]


def _seeds(rows: Measured) -> Markup:
    """One dot a seed: calibration error by model."""
    found = {
        name: rows.samples("mean_test_calibration_error", model=name) for name in MODELS
    }
    lines = [
        chart.Line(
            "", [(value, len(MODELS) - place) for value in values], 1 + place, "dots"
        )
        for place, (name, values) in enumerate(found.items())
    ]
    ticks = tuple(float(n) for n in range(1, len(MODELS) + 1))
    return chart.chart(
        "student-seeds",
        "Calibration error of every seed by model: the network's is lowest but for the "
        "true risk's",
        chart.fit(
            "calibration error", [0, *(v for some in found.values() for v in some)]
        ),
        chart.Axis(
            "",
            0.5,
            len(MODELS) + 0.5,
            ticks=ticks,
            words=lambda at: MODELS[len(MODELS) - round(at)].removesuffix("ted"),
        ),
        lines,
        height=230,
        right=30,
    )


def _pair(
    name: str, title: str, both: Sequence[Sequence[float]], high: float
) -> Markup:
    training, validation = both
    lines = [
        chart.Line("training", _thinned(training, 1), 1),
        chart.Line("validation", _thinned(validation, 0), 2, dashed=True),
    ]
    return chart.chart(
        name,
        title,
        chart.Axis("epoch", 0, max(len(training), 1)),
        chart.Axis("loss", 0, high),
        lines,
        width=440,
        height=290,
        right=104,
    )


def _thinned(values: Sequence[float], first: int) -> list[chart.Point]:
    """Epoch and loss; of a long training every few epochs, and the last."""
    step = max(1, len(values) // 40)
    points = [(first + k, value) for k, value in enumerate(values)]
    return [*points[:-1:step], *points[-1:]]


def _curves(rows: Measured) -> list[tuple[str, Markup]]:
    """Good fit and overfitting on one scale."""
    found = {
        name: [
            rows.samples(f"{split}_loss", model=name)
            for split in ("train", "validation")
        ]
        for name in ("network", "overfitted")
    }
    high = _top(found.values())
    titles = {
        "network": ("Good fit", "training and validation loss fall together"),
        "overfitted": (
            "Overfitting",
            "the training loss goes on falling while the validation loss rises",
        ),
    }
    return [
        (
            titles[name][0],
            _pair(f"student-{name}", ": ".join(titles[name]), both, high),
        )
        for name, both in found.items()
    ]


def _top(curves) -> float:
    every = [value for both in curves for values in both for value in values]
    return chart.fit("loss", [0, *every]).high


def _ends(rows: Measured, name: str) -> list[Number]:
    """Losses at the end; the lowest validation loss and its epoch come with them."""
    validation = rows.samples("validation_loss", model=name)
    best = min(range(len(validation)), key=validation.__getitem__)
    return [
        rows.number("train_loss", model=name, sample=-1, words=_three),
        rows.number("validation_loss", model=name, sample=-1, words=_three),
        rows.number("validation_loss", model=name, sample=best, words=_three),
    ]


def _cures(cures: Measured) -> list[tuple[str, Markup]]:
    found = {
        kind: [
            cures.samples(f"seed_0_{split}_evaluated_loss", kind=kind)
            for split in ("train", "validation")
        ]
        for kind in (UNCHECKED, STOPPED)
    }
    high = _top(found.values())
    titles = {
        UNCHECKED: ("Unchecked", "the wrong labels are learned by heart"),
        STOPPED: ("Early stopping", "training ends where validation is lowest"),
    }
    return [
        (
            titles[kind][0],
            _pair(
                f"student-{kind.replace(' ', '_')}",
                ": ".join(titles[kind]),
                both,
                high,
            ),
        )
        for kind, both in found.items()
    ]


def _kinds(cures: Measured) -> list[str]:
    found = cures.having("mean_validation_evaluated_loss")
    return list(dict.fromkeys(str(row["kind"]) for row in found))


def _cured(cures: Measured, kind: str) -> list[Number]:
    return [
        cures.number("mean_train_evaluated_loss", kind=kind, words=_two),
        cures.number("mean_validation_evaluated_loss", kind=kind, words=_two),
        cures.number("mean_validation_accuracy", kind=kind, words="{:.0%}".format),
    ]


SECTION = Section(
    NAME,
    "11",
    "A case: who will drop out?",
    ("student_dropout", "regularization"),
    ("C28", "C29", "W10"),
    view,
)

"""Downhill: recorded runs over surfaces, from above and in perspective."""

from __future__ import annotations

import re

from markupsafe import Markup

from diffkit.lesson.data import Data, GapError, Measured, Number, given
from diffkit.lesson.heat import Heights
from diffkit.lesson.section import Section, View
from diffkit.lesson.terrain import Terrain, Walk

NAME = "downhill"
FITS = {
    "mse": "Squared error",
    "mae": "Absolute error",
    "huber": "Huber's loss",
}
SURFACES = {
    "ravine": "A ravine",
    "saddle": "A saddle",
    "rosenbrock": "Rosenbrock's valley",
}
OPTIMIZERS = {"sgd": "descent", "momentum": "momentum", "adam": "Adam"}
#: The rates whose walks the still figures draw.
SHOWN = (0.02, 0.1, 0.95, 1.9)
#: Points of a walk, and of a side of the surface in perspective, that are handed over.
MOST, SIDE = 61, 17
#: Settings of the view: hundredths of a full turn, and degrees of tilt.
TURNS, TILTS = (-50, 50, 2), (10, 90, 5)
#: Where the slider of steps begins: far enough that there is a way to see.
BEGIN = 20


def view(data: Data) -> View:
    """Three losses of a line at every rate, and three surfaces by optimizers."""
    fits, made = data["learning_rate"], data["landscapes"]
    rates = _rates(fits)
    terrains = [_fit(fits, name, rates) for name in FITS]
    terrains += [_surface(made, name) for name in SURFACES]
    losses = data["losses"]
    return View(
        {
            "drawings": [(one.name, one.title, _drawing(one)) for one in terrains],
            "places": (len(rates), MOST, _count(TURNS), _count(TILTS)),
            "starts": (
                rates.index(0.1) if 0.1 in rates else 0,
                BEGIN,
                _place(TURNS, -10),
                _place(TILTS, 35),
            ),
            "choices": [(one.name, one.title) for one in terrains],
            "optimizers": list(enumerate(OPTIMIZERS.values())),
            "turns": TURNS,
            "tilts": TILTS,
            "lines": [_line(fits, rate) for rate in rates],
            "limit": fits.number("limit_value", problem="line", words=_limit),
            "huber": fits.number("limit_value", problem="fit_huber", words=_limit),
            "arrives": [_arrival(fits, rate) for rate in (0.02, 0.1, 0.4, 0.95, 1.0)],
            "ravines": _ravines(made),
            "escapes": _escapes(made),
            "signals": tuple(
                _signal(losses, f"{name}_signal_value")
                for name in ("mse", "cross-entropy")
            ),
        },
        {
            "rates": rates,
            "optimizers": list(OPTIMIZERS.values()),
            "fits": len(FITS),
            "terrains": {one.name: one.payload(SIDE) for one in terrains},
        },
    )


_limit = "{:.4f}".format


def _rates(rows: Measured) -> list[float]:
    """Rates of which the run by each loss was recorded."""
    found = [
        {
            float(name[1])
            for row in rows.rows
            if row.get("problem") == f"fit_{loss}"
            and (name := re.fullmatch(r"rate_(.+)_run_loss", row.metric))
        }
        for loss in FITS
    ]
    rates = sorted(set.intersection(*found))
    if not rates:
        raise GapError(rows.name, "no rate_…_run_loss of every loss", rows.mode)
    return rates


def _heights(rows: Measured, names: tuple[str, str, str], **where: str) -> Heights:
    x, y, values = (rows.samples(name, **where) for name in names)
    if len(values) != len(x) * len(y):
        raise GapError(rows.name, f"no whole grid of {where}", rows.mode)
    return Heights(x, y, values)


def _fit(rows: Measured, name: str, rates: list[float]) -> Terrain:
    problem = f"fit_{name}"
    heights = _heights(
        rows, ("w_axis_value", "b_axis_value", "grid_loss"), problem=problem
    )

    def walk(rate: float) -> Walk:
        w, b, losses = (
            rows.samples(f"rate_{rate:g}_{part}", problem=problem)[:MOST]
            for part in ("w_value", "b_value", "run_loss")
        )
        return Walk(f"α = {rate:g}", w, b, losses, rate in SHOWN)

    u, v, least = (
        float(rows.number(f"best_{part}", problem=problem))
        for part in ("w_value", "b_value", "loss")
    )
    walks = [walk(rate) for rate in rates]
    return Terrain(
        name, FITS[name], heights, ("weight w", "bias b"), walks, (u, v, least)
    )


def _surface(rows: Measured, name: str) -> Terrain:
    by_rows = _heights(rows, ("v_value", "u_value", "height_value"), surface=name)
    # Recorded v by v; the lesson's grids run u by u.
    v, u = by_rows.x, by_rows.y
    values = [by_rows.at(j, i) for i in range(len(u)) for j in range(len(v))]
    heights = Heights(u, v, values)
    lowest = min(range(len(values)), key=values.__getitem__)

    def walk(optimizer: str, label: str) -> Walk:
        us, vs, values = (
            rows.samples(f"{optimizer}_{part}", surface=name)
            for part in ("u_value", "v_value", "path_loss")
        )
        return Walk(label, us, vs, values)

    walks = [walk(optimizer, label) for optimizer, label in OPTIMIZERS.items()]
    every = -(-max(walk.steps for walk in walks) // MOST)
    return Terrain(
        name,
        SURFACES[name],
        heights,
        ("u", "v"),
        [walk.thinned(every) for walk in walks],
        (u[lowest // len(v)], v[lowest % len(v)], values[lowest]),
        every,
    )


def _drawing(one: Terrain) -> Markup:
    titles = {
        "mse": "Squared error: small rates crawl, rates near the limit ring about the "
        "minimum, larger ones leave",
        "mae": "Absolute error: the larger the rate, the wider it jumps about the "
        "minimum; no rate leaves",
        "huber": "Huber's loss: far from the minimum steps are bounded, near it they "
        "shrink",
        "ravine": "A ravine: momentum zigzags along it and arrives, descent crawls",
        "saddle": "A saddle: every walk is slow to leave the ridge",
        "rosenbrock": "Rosenbrock's valley: the floor is nearly flat",
    }
    return one.drawing(f"{NAME}-{one.name}", titles[one.name])


def _line(rows: Measured, rate: float) -> list[object]:
    """A rate, the loss after the last recorded step, and steps that went up."""

    def end(name: str) -> Number:
        return rows.number(
            f"rate_{rate:g}_run_loss", words="{:.4g}".format, problem=f"fit_{name}"
        )

    def rises(name: str) -> Number:
        return rows.number(f"rate_{rate:g}_rises_count", problem=f"fit_{name}")

    cells = [part for name in FITS for part in (end(name), rises(name))]
    return [given(f"{rate:g}"), *cells]


def _arrival(rows: Measured, rate: float) -> tuple[object, Number | None]:
    """A rate of the claim, and the steps until it has arrived, where it does."""
    metric = f"rate_{rate:g}_steps_count"
    there = any(
        row.metric == metric and row.get("problem") == "line" for row in rows.rows
    )
    steps = rows.number(metric, problem="line") if there else None
    if steps is None:
        rows.number(f"rate_{rate:g}_diverged_count", problem="line")
    return given(f"{rate:g}"), steps


def _ravines(rows: Measured) -> list[list[object]]:
    """Steps across ravines by condition number."""
    found = {
        int(name[1])
        for row in rows.rows
        if (name := re.fullmatch(r"descent_condition_(\d+)_steps_count", row.metric))
    }
    if not found:
        raise GapError(rows.name, "no descent_condition_…_steps_count", rows.mode)
    return [
        [
            given(f"{condition:,}"),
            *(
                rows.number(f"{name}_condition_{condition}_steps_count")
                for name in ("descent", "momentum")
            ),
        ]
        for condition in sorted(found)
    ]


def _escapes(rows: Measured) -> tuple[Number, Number]:
    """Steps to leave the saddle from the largest and from the smallest offset."""
    found = {
        float(name[1]): rows.said(row)
        for row in rows.rows
        if (name := re.fullmatch(r"offset_(.+)_steps_count", row.metric))
    }
    if not found:
        raise GapError(rows.name, "no offset_…_steps_count", rows.mode)
    return found[max(found)], found[min(found)]


def _signal(rows: Measured, metric: str) -> Number:
    """The derivative by the logit at the most certain wrong answer."""
    logits = rows.samples("logit_value", part="signal")
    return rows.number(
        metric, sample=logits.index(min(logits)), part="signal", words="{:.3g}".format
    )


def _count(ends: tuple[int, int, int]) -> int:
    low, high, step = ends
    return (high - low) // step + 1


def _place(ends: tuple[int, int, int], value: int) -> int:
    return (value - ends[0]) // ends[2]


SECTION = Section(
    NAME,
    "4",
    "Downhill",
    ("learning_rate", "landscapes", "losses"),
    ("W4", "W5", "C19", "C26", "C33"),
    view,
)

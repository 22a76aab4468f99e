"""Way one, nudge every weight: how often, and how far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from diffkit.lesson import chart
from diffkit.lesson.data import Data, GapError, Measured, Number
from diffkit.lesson.section import Section, View
from diffkit.lesson.spread import spread
from diffkit.report import numbers

NAME = "nudge"
CENTRAL, ONE_SIDED = "finite_differences_central", "finite_differences_forward"
REVERSE = "autodiff"
#: The network of the sources that the slider starts at, and is marked in the drawing.
NAMED = "10-64-32-1"
MILLION = 10**6
#: Difference formulas -> their names, and their colours in the drawing of the V.
FORMULAS: Mapping[str, tuple[str, int]] = {
    "forward": ("one-sided", 5),
    "central": ("central", 2),
}
#: So many steps can be picked, and the best ones.
MOST = 61
PROGRAM: dict[str, Any] = {"program": "exp(sin x)", "dtype": "float64"}


@dataclass(frozen=True, slots=True)
class Size:
    """One network: its parameters, and what was counted and timed, where it was run."""

    network: str
    parameters: Number
    evaluations: Number | None
    one_sided: Number | None
    seconds: Number | None
    ratio: Number | None
    reverse_evaluations: Number
    reverse_seconds: Number


def view(data: Data) -> View:
    """Evaluations by parameters, and the error by the step."""
    counted, steps = data["parameter_scaling"], data["step_size"]
    sizes = _sizes(counted)
    run = [size for size in sizes if size.evaluations is not None]
    if not run:
        raise GapError(counted.name, f"no primal_evaluations by {CENTRAL}")
    every = steps.samples("swept_step_value", "central", **PROGRAM)
    foots = {
        name: float(steps.number("best_step_value", name, **PROGRAM))
        for name in FORMULAS
    }
    places = _places(every, foots.values())
    h = [every[place] for place in places]
    swept = {
        name: [_curve(steps, name)[place] for place in places] for name in FORMULAS
    }
    names = [size.network for size in sizes]
    start = names.index(NAMED) if NAMED in names else len(run) - 1
    # The ends, the named one and one between; the drawing has all of them.
    tabled = sorted({0, start // 2, start, len(run) - 1, len(sizes) - 1})
    best = steps.number("best_step_value", "central", words=_scientific, **PROGRAM)
    return View(
        {
            "smallest": run[0],
            "named": sizes[start],
            "largest": sizes[-1],
            "sizes": len(sizes),
            "start": start,
            "count_drawing": _count_drawing(run, sizes[-1]),
            "count_lines": [_line(sizes[place]) for place in tabled],
            "formulas": [(name, said) for name, (said, _) in FORMULAS.items()],
            "steps": len(h),
            "step_start": _nearest(h, float(best)),
            "step_drawing": _step_drawing(steps, h, swept),
            "step_lines": [_step_line(steps, name) for name in FORMULAS],
            "best": best,
            "least": steps.number("least_error", "central", **PROGRAM),
        },
        {
            "sizes": [_handed(size) for size in sizes],
            "steps": h,
            "errors": swept,
            "best": foots,
        },
    )


def _scientific(value: float) -> str:
    return numbers.scientific(value)


def _sizes(rows: Measured) -> list[Size]:
    """The networks, from the smallest; differences are not asked to do the largest."""
    found = sorted(
        rows.having("parameters_count", REVERSE), key=lambda row: row.value or 0
    )

    def maybe(metric: str, way: str, network: str) -> Number | None:
        for row in rows.rows:
            if (row.metric, row.backend, row.get("network")) == (metric, way, network):
                return rows.said(row)
        return None

    return [
        Size(
            network,
            rows.said(row),
            maybe("primal_evaluations", CENTRAL, network),
            maybe("primal_evaluations", ONE_SIDED, network),
            maybe("gradient_seconds", CENTRAL, network),
            maybe("gradient_ratio", CENTRAL, network),
            rows.number("primal_evaluations", REVERSE, network=network),
            rows.number("gradient_seconds", REVERSE, network=network),
        )
        for row in found
        for network in [str(row["network"])]
    ]


def _line(size: Size) -> list[object]:
    return [
        size.parameters,
        size.evaluations or "not run",
        size.reverse_evaluations,
        size.seconds or "not run",
        size.reverse_seconds,
    ]


def _handed(size: Size) -> dict[str, float | None]:
    return {
        name: None if (number := getattr(size, name)) is None else float(number)
        for name in (
            *("parameters", "evaluations", "seconds", "ratio"),
            *("reverse_evaluations", "reverse_seconds"),
        )
    }


def _count_drawing(run: Sequence[Size], largest: Size) -> Markup:
    """Counts against parameters; where nothing was run, shaded, with the law dashed."""

    def points(name: str) -> list[chart.Point]:
        return [
            (float(size.parameters), float(number))
            for size in run
            if (number := getattr(size, name)) is not None
        ]

    central = points("evaluations")
    last = central[-1][0]
    reverse = [*points("reverse_evaluations"), (float(largest.parameters), 1.0)]
    axis = chart.Axis("parameters", 10, MILLION, log=True)
    width, height, right = 640, 380, 150
    edges = [66 + axis.place(p) * (width - right - 66) for p in (last, MILLION)]
    shade = Markup(
        '<rect class="shaded" x="{}" y="14" width="{}" height="{}"/>'
        '<text class="note" x="{}" y="{}">not run: the law only</text>'
    ).format(
        round(edges[0], 1),
        round(edges[1] - edges[0], 1),
        height - 52 - 14,
        round(edges[0] + 8, 1),
        height - 52 - 12,
    )
    return chart.chart(
        f"{NAME}-evaluations",
        "Evaluations of the network for one gradient by its parameters: two for each "
        "by central differences, one each and one more by one-sided ones, one by "
        "reverse mode",
        axis,
        chart.fit("evaluations for one gradient", [1, 2 * MILLION], log=True),
        [
            chart.Line("central", central, 2, "both", name="central"),
            chart.Line("one-sided", points("one_sided"), 5, "both", name="one-sided"),
            chart.Line("", [central[-1], (MILLION, 2 * MILLION)], 2, dashed=True),
            chart.Line("reverse mode", reverse, 1, "both"),
        ],
        rules=[
            chart.Rule(size.network, float(size.parameters), "x")
            for size in run
            if size.network == NAMED
        ],
        extra=shade + Markup('<circle class="here" id="nudge-here" r="0"/>'),
        width=width,
        height=height,
        right=right,
    )


def _places(steps: Sequence[float], best: Iterable[float]) -> list[int]:
    """Places of the steps that can be picked: some of them, and the best ones."""
    return sorted(
        {*spread(range(len(steps)), MOST), *(_nearest(steps, one) for one in best)}
    )


def _nearest(steps: Sequence[float], wanted: float) -> int:
    return min(range(len(steps)), key=lambda place: abs(steps[place] - wanted))


def _curve(rows: Measured, name: str) -> tuple[float, ...]:
    """Errors along the steps, of which there are as many."""
    errors = rows.samples("least_error", name, **PROGRAM)
    steps = rows.samples("swept_step_value", name, **PROGRAM)
    if steps != rows.samples("swept_step_value", "central", **PROGRAM):
        raise GapError(rows.name, f"other steps by {name} than by central", rows.mode)
    if len(errors) != len(steps):
        raise GapError(rows.name, f"no error for some steps by {name}", rows.mode)
    return errors


def _step_drawing(
    rows: Measured,
    steps: Sequence[float],
    swept: Mapping[str, Sequence[float]],
) -> Markup:
    lines = [
        chart.Line(said, _known(steps, swept[name]), look, name=name)
        for name, (said, look) in FORMULAS.items()
    ]
    beside = _known(
        rows.samples("swept_step_value", "complex_step", **PROGRAM),
        rows.samples("least_error", "complex_step", **PROGRAM),
    )
    inside = [(h, e) for h, e in beside if h >= steps[0]]
    lines.append(chart.Line("complex step", inside, 1, dashed=True))
    return chart.chart(
        f"{NAME}-steps",
        "Error of the slope by the step: too large a step truncates, too small a one "
        "rounds, and in between lies the best; the complex step has no left side",
        chart.Axis("step h", steps[0], steps[-1], log=True),
        chart.Axis("error ÷ slope", 1e-17, 10, log=True),
        lines,
        extra='<circle class="here" id="nudge-step-here" r="0"/>',
        right=170,
    )


def _known(steps: Sequence[float], errors: Sequence[float]) -> list[chart.Point]:
    """Points that a logarithmic axis can show: an error of exactly zero is none."""
    return [(h, e) for h, e in zip(steps, errors, strict=True) if e > 0]


def _step_line(rows: Measured, name: str) -> list[object]:
    return [
        FORMULAS[name][0],
        *(
            rows.number(metric, name, words=_scientific, **PROGRAM)
            for metric in (
                *("best_step_value", "least_error"),
                *("automatic_step_value", "automatic_error"),
            )
        ),
    ]


SECTION = Section(
    NAME,
    "6",
    "Way one, nudge every weight",
    ("parameter_scaling", "step_size"),
    ("C7", "C30", "C10"),
    view,
)

"""Landscapes that slow descent down: ravines, saddles, plateaus, test surfaces.

Six optimizers walk six surfaces, each at the best of the same few rates; gradient
descent and momentum cross ravines of growing condition number; and descent leaves a
saddle from smaller and smaller offsets. Run it alone::

    python experiments/landscapes.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit import measure, optim, report
from diffkit.measure import Case, Mode, Row

NAME = "landscapes"
#: A path has arrived when the value is within this of the minimum.
CLOSE = 1e-6
KEPT, GRID = 301, 41
OPTIMIZERS: Mapping[str, Callable[[float], optim.Optimizer]] = {
    "sgd": optim.sgd,
    "momentum": optim.momentum,
    "nesterov": optim.nesterov,
    "adagrad": optim.adagrad,
    "rmsprop": optim.rmsprop,
    "adam": optim.adam,
}
RATES = {
    "quick": (1e-3, 1e-2, 1e-1),
    "full": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0),
}
STEPS = {"quick": 500, "full": 5000}
CONDITIONS = {
    "quick": (1, 3, 10, 30, 100, 300, 1000),
    "full": (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000),
}
OFFSETS = tuple(10.0**-k for k in range(1, 16, 2))
SADDLE_RATE, ESCAPED, MOST_ESCAPE = 0.1, 0.5, 2000
#: By how much the ravine's value has to fall.
FALL = 1e-6


@dataclass(frozen=True, slots=True)
class Surface:
    """A function of (u, v), where it starts, what it shows, and its least value."""

    function: Callable[[Any], Any]
    start: tuple[float, float]
    box: tuple[float, float, float, float]
    least: float = 0.0


def ravine(p, condition: float = 50.0):
    """½(u² + κv²): κ times steeper across than along."""
    return 0.5 * (p[0] ** 2 + condition * p[1] ** 2)


def saddle(p):
    """½u² − ½v² + ¼v⁴: a saddle at the origin between minima at v = ±1."""
    return 0.5 * p[0] ** 2 - 0.5 * p[1] ** 2 + 0.25 * p[1] ** 4


def plateau(p):
    """1 − exp(−½(u² + v²)): flat far from its minimum."""
    return 1.0 - np.exp(-0.5 * (p[0] ** 2 + p[1] ** 2))


def rosenbrock(p):
    """(1 − u)² + 100(v − u²)² (Rosenbrock, 1960)."""
    return (1.0 - p[0]) ** 2 + 100.0 * (p[1] - p[0] ** 2) ** 2


def himmelblau(p):
    """(u² + v − 11)² + (u + v² − 7)² (Himmelblau, 1972): four minima of 0."""
    return (p[0] ** 2 + p[1] - 11.0) ** 2 + (p[0] + p[1] ** 2 - 7.0) ** 2


def beale(p):
    """Σ (cᵢ − u + u·vⁱ)² for c = 1.5, 2.25, 2.625 (Beale, 1958); least at (3, ½)."""
    u, v = p[0], p[1]
    return (
        (1.5 - u + u * v) ** 2
        + (2.25 - u + u * v**2) ** 2
        + (2.625 - u + u * v**3) ** 2
    )


SURFACES: Mapping[str, Surface] = {
    "ravine": Surface(ravine, (-4.0, 1.0), (-5, 5, -1.5, 1.5)),
    "saddle": Surface(saddle, (1.5, 1e-3), (-2, 2, -1.6, 1.6), -0.25),
    "plateau": Surface(plateau, (2.5, 2.0), (-1, 4, -1, 4)),
    "rosenbrock": Surface(rosenbrock, (-1.2, 1.0), (-2, 2, -1, 3)),
    "himmelblau": Surface(himmelblau, (0.0, 0.0), (-5, 5, -5, 5)),
    "beale": Surface(beale, (1.0, 1.0), (-1, 4.5, -1.5, 1.5)),
}


def cases(mode: Mode) -> list[Case]:
    """Each surface; the ravines and the saddle once."""

    def made(part: str, surface: str = "") -> Case:
        return measure.case(
            NAME,
            "autodiff",
            runtime="engine",
            timed=False,
            limits=measure.Limits(seconds=120.0),
            part=part,
            surface=surface,
            mode=mode,
        )

    return [
        *(made("surface", name) for name in SURFACES),
        made("condition"),
        made("escape"),
    ]


def measure_case(case: Case) -> list[Row]:
    """The counted rows of one cell."""
    parts = {"surface": _surface, "condition": _condition, "escape": _escape}
    return parts[case["part"]](case)


def _surface(case: Case) -> list[Row]:
    surface = SURFACES[case["surface"]]
    start = np.array(surface.start)
    prepared = measure.prepare_by(case.backend, surface.function, start)
    left, right, low, high = surface.box
    us, vs = np.linspace(left, right, GRID), np.linspace(low, high, GRID)
    mesh = np.array(np.meshgrid(us, vs))
    heights = np.asarray(surface.function(mesh))
    rows = [
        case.row("u_value", us[-1], samples=us),
        case.row("v_value", vs[-1], samples=vs),
        case.row("height_value", heights.min(), samples=heights.ravel()),
    ]
    for name, make in OPTIMIZERS.items():
        best: tuple[float, float, measure.Descent] | None = None
        for rate in RATES[case["mode"]]:
            path = measure.descend(
                prepared,
                make(rate),
                start,
                STEPS[case["mode"]],
                reached=lambda p, value: value - surface.least <= CLOSE,
                bound=1e6,
            )
            # Fewest steps, then the lowest end; what diverged is never the best.
            score = path.steps if path.ended == "reached" else np.inf
            end = path.values[-1] if path.ended != "diverged" else np.inf
            if best is None or (score, end) < (
                best[2].steps if best[2].ended == "reached" else np.inf,
                best[1],
            ):
                best = (rate, end, path)
        assert best is not None
        rate, _, path = best
        rows += [
            case.row(f"{name}_rate_value", rate),
            case.row(f"{name}_above_least_loss", path.values[-1] - surface.least),
            case.row(f"{name}_u_value", path.last[0], samples=path.points[:KEPT, 0]),
            case.row(f"{name}_v_value", path.last[1], samples=path.points[:KEPT, 1]),
            case.row(f"{name}_path_loss", path.values[-1], samples=path.values[:KEPT]),
        ]
        if path.ended == "reached":
            rows.append(case.row(f"{name}_steps_count", path.steps))
    return rows


def _condition(case: Case) -> list[Row]:
    """Steps across ravines, with the best constants that theory knows."""
    rows = []
    for condition in CONDITIONS[case["mode"]]:

        def value(p, condition=condition):
            return ravine(p, condition)

        # Equal parts of the value along both axes.
        start = np.array([1.0, 1.0 / np.sqrt(condition)])
        prepared = measure.prepare_by(case.backend, value, start)
        first = float(prepared.value(start))
        root = np.sqrt(condition)
        ways = {
            "descent": (
                optim.sgd(2.0 / (1.0 + condition)),
                (condition - 1) / (condition + 1),
            ),
            "momentum": (
                optim.momentum(
                    4.0 / (1.0 + root) ** 2, float(((root - 1) / (root + 1)) ** 2)
                ),
                (root - 1) / (root + 1),
            ),
        }
        for name, (optimizer, factor) in ways.items():
            path = measure.descend(
                prepared,
                optimizer,
                start,
                200 * condition + 200,
                reached=lambda p, value, first=first: value <= FALL * first,
            )
            rows += [
                case.row(f"{name}_condition_{condition}_steps_count", path.steps),
                case.row(f"{name}_condition_{condition}_factor_ratio", factor),
            ]
    return rows


def _escape(case: Case) -> list[Row]:
    """Steps of gradient descent until it has left the saddle."""
    rows = []
    prepared = measure.prepare_by(case.backend, saddle, np.zeros(2))
    for offset in (*OFFSETS, 0.0):
        path = measure.descend(
            prepared,
            optim.sgd(SADDLE_RATE),
            [1.0, offset],
            MOST_ESCAPE,
            reached=lambda p, value: bool(abs(p[1]) >= ESCAPED),
        )
        label = f"offset_{offset:g}"
        rows += [
            case.row(f"{label}_v_value", path.last[1], samples=path.points[:KEPT, 1]),
            case.row(f"{label}_escaped_count", int(path.ended == "reached")),
        ]
        if path.ended == "reached":
            rows.append(case.row(f"{label}_steps_count", path.steps))
    return rows


def figure(rows: Sequence[Row]):
    """Paths on four surfaces, steps by condition number, steps by offset."""
    figures = report.figures
    shown, axes = figures.panels(2, 3, width=16.5, height=9.0)
    looks = figures.looks(list(OPTIMIZERS))
    titles = {
        "ravine": "A ravine: momentum zigzags, descent crawls",
        "saddle": "A saddle: slow to leave, whoever walks",
        "rosenbrock": "Rosenbrock's valley: the floor is nearly flat",
        "beale": "Beale's function: a plateau, then a narrow valley",
    }
    for panel, (name, title) in enumerate(titles.items()):
        us, vs, heights = (
            np.array(report.samples_of(rows, metric, surface=name))
            for metric in ("u_value", "v_value", "height_value")
        )
        least = SURFACES[name].least
        paths = [
            figures.Path(
                look,
                list(
                    zip(
                        report.samples_of(rows, f"{optimizer}_u_value", surface=name),
                        report.samples_of(rows, f"{optimizer}_v_value", surface=name),
                        strict=False,
                    )
                ),
                labelled=False,
            )
            for optimizer, look in looks.items()
            if optimizer in ("sgd", "momentum", "adam")
        ]
        figures.contours(
            axes[panel],
            us,
            vs,
            np.maximum(heights.reshape(len(vs), len(us)) - least, 1e-3)
            if heights.size
            else [[np.nan]],
            title=title,
            x="u",
            y="v",
            unit="value above its minimum",
            scale="log",
            paths=paths,
        )
    for look in (looks[name] for name in ("sgd", "momentum", "adam")):
        axes[0].plot([], [], color=look.colour, label=look.name)
    axes[0].legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.13),
        ncols=3,
        fontsize=figures.SMALL,
    )
    numbers = sorted({c for several in CONDITIONS.values() for c in several})
    figures.draw(
        axes[4],
        [
            figures.Line(
                figures.looks(["descent", "momentum"])[name],
                [
                    (condition, float(row.value or 0))
                    for condition in numbers
                    for row in report.rows_of(
                        rows, f"{name}_condition_{condition}_steps_count"
                    )
                ],
            )
            for name in ("descent", "momentum")
        ],
        title="Steps grow as κ; with the best momentum as √κ",
        x="condition number κ",
        y=f"steps until {FALL:g} of the value is left",
    )
    figures.draw(
        axes[5],
        [
            figures.Line(
                figures.Look("gradient descent", "#0072B2", "o"),
                [
                    (offset, float(row.value or 0))
                    for offset in OFFSETS
                    for row in report.rows_of(rows, f"offset_{offset:g}_steps_count")
                ],
            )
        ],
        title="A saddle: the logarithm of the offset decides",
        x="offset from the saddle's ridge at the start",
        y="steps until it has left",
        y_scale="linear",
    )
    powers = range(-15, 0, 4)
    axes[5].set_xticks(
        [10.0**power for power in powers],
        [report.numbers.power_of_ten(power) for power in powers],
    )
    return shown


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the best line through points."""
    x, y = np.array(points).T
    return float(np.polyfit(x, y, 1)[0])


def findings(rows: Sequence[Row]) -> measure.Findings:
    """The facts that the page may state."""
    numbers, said, value = report.numbers, report.said, report.value_of

    def told(surface: str, optimizer: str) -> str:
        rate = value(rows, f"{optimizer}_rate_value", surface=surface)
        if rate is None:
            return "no result"
        steps = value(rows, f"{optimizer}_steps_count", surface=surface)
        if steps is not None:
            return f"{numbers.count(steps)} at {rate:g}"
        left = value(rows, f"{optimizer}_above_least_loss", surface=surface)
        return f"{said(left, numbers.scientific)} left"

    known = sorted(
        {
            condition
            for several in CONDITIONS.values()
            for condition in several
            if value(rows, f"descent_condition_{condition}_steps_count") is not None
        }
    )

    def steps_at(name: str, condition: int) -> float | None:
        return value(rows, f"{name}_condition_{condition}_steps_count")

    def slope(name: str) -> float | None:
        """Exponent of the steps in the condition number, from 10 on."""
        points = [
            (np.log(c), np.log(steps))
            for c in known
            if c >= 10 and (steps := steps_at(name, c))
        ]
        if len(points) < 3:
            return None
        return _slope(points)

    escapes = [
        (np.log(1 / offset), float(steps))
        for offset in OFFSETS
        if (steps := value(rows, f"offset_{offset:g}_steps_count")) is not None
    ]
    per_decade = _slope(escapes) * float(np.log(10)) if len(escapes) >= 3 else None
    stuck = value(rows, "offset_0_escaped_count")
    modes = {row.get("mode") for row in rows}
    mode: Mode = "full" if "full" in modes else "quick"
    facts = {
        "close": numbers.scientific(CLOSE),
        "most": numbers.count(STEPS[mode]),
        "rates": ", ".join(f"{rate:g}" for rate in RATES[mode]),
        "table": report.markdown_table(
            ["surface", *OPTIMIZERS],
            [
                [surface, *(told(surface, optimizer) for optimizer in OPTIMIZERS)]
                for surface in SURFACES
            ],
        ),
        "conditions": report.markdown_table(
            ["condition number", "descent", "momentum"],
            [
                [
                    numbers.count(condition),
                    *(
                        said(steps_at(name, condition), numbers.count)
                        for name in ("descent", "momentum")
                    ),
                ]
                for condition in known
            ],
        ),
        "largest": numbers.count(max(known, default=0)),
        "descent_steps": said(
            steps_at("descent", max(known, default=0)), numbers.count
        ),
        "momentum_steps": said(
            steps_at("momentum", max(known, default=0)), numbers.count
        ),
        "descent_slope": said(slope("descent"), "{:.2f}".format),
        "momentum_slope": said(slope("momentum"), "{:.2f}".format),
        "per_decade": said(per_decade, "{:.2f}".format),
        "predicted": f"{np.log(10) / np.log1p(SADDLE_RATE):.2f}",
        "near": numbers.scientific(OFFSETS[-1]),
        "near_steps": said(
            value(rows, f"offset_{OFFSETS[-1]:g}_steps_count"), numbers.count
        ),
        "far_steps": said(
            value(rows, f"offset_{OFFSETS[0]:g}_steps_count"), numbers.count
        ),
        "stuck": "never leaves" if stuck == 0 else "was not measured",
        "saddle_rate": f"{SADDLE_RATE:g}",
        "most_escape": numbers.count(MOST_ESCAPE),
    }
    verdicts = []
    if known and per_decade is not None:
        verdicts.append(
            measure.Verdict(
                "C26",
                f"steps grow as κ^{facts['descent_slope']} by descent and as "
                f"κ^{facts['momentum_slope']} by momentum; leaving a saddle takes "
                f"{facts['per_decade']} steps more for each factor of ten nearer, and "
                f"exactly on its ridge descent {facts['stuck']}",
                "right",
            )
        )
    return measure.Findings(facts, tuple(verdicts))


def tables(rows: Sequence[Row]) -> dict[str, str]:
    """The tables beside the figure."""
    facts = findings(rows).facts
    return {
        "Steps to the minimum at the best rate, by optimizer": facts["table"],
        "Steps across a ravine": facts["conditions"],
    }


ANSWER = """
At condition number {largest} a ravine takes gradient descent {descent_steps} steps and
momentum {momentum_steps}; a saddle costs {per_decade} steps for each factor of ten
nearer to its ridge.
"""

PAGE = """
## Six surfaces, six optimizers

The table counts steps until the value is within {close} of its minimum, at the best of
the rates {rates}; where {most} steps are not enough, it says what is left.

## Ravines: the condition number

A quadratic bowl that is κ times steeper across than along, each method with the best
constants that theory knows for it. Steps grow as the condition number to the power of
{descent_slope} by gradient descent, and {momentum_slope} by momentum.

## Saddles: how near is the ridge?

From the ridge of a saddle only the offset grows, by one plus the rate at each step; so
the steps to leave grow with the logarithm of how near the start was. At rate
{saddle_rate} that predicts {predicted} steps for each factor of ten, and the runs took
{per_decade}: {far_steps} steps from the largest offset, {near_steps} from {near}. From
an offset of zero the gradient has no component away from the ridge, and descent
{stuck} in {most_escape} steps.
"""

METRICS = {
    "u_value, v_value, height_value": "the surface on a grid (samples), v by v",
    "O_rate_value, O_steps_count": "the best rate of the optimizer O, and its steps",
    "O_u_value, O_v_value": f"where it ended; samples: the first {KEPT} steps",
    "O_path_loss": "value where it ended; samples: the same steps",
    "O_above_least_loss": "value above the minimum where it ended",
    "descent_condition_K_…, momentum_condition_K_…": "steps across a ravine of "
    "condition number K, and the factor that theory has for each step",
    "offset_D_steps_count": f"steps until |v| is {ESCAPED:g} from the offset D",
    "offset_D_escaped_count": "1 where it left, 0 where it stayed",
    "offset_D_v_value": f"where it ended; samples: the first {KEPT} steps",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="Which landscapes slow descent down, and by how much?",
    claims=("C26",),
    cases=cases,
    measure=measure_case,
    figure=figure,
    findings=findings,
    answer=ANSWER,
    page=PAGE,
    metrics=METRICS,
    tables=tables,
)

if __name__ == "__main__":
    from diffkit.cli import run_file

    sys.exit(run_file(__file__))

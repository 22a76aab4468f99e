"""The V of finite differences: error against the step, and where the V has its foot.

A large step is wrong by truncation, a small one by rounding; in between lies the best
that a formula can do. Swept for four formulas and for the complex step, whose error
never turns up again, on three programs in two precisions. Run it alone::

    python experiments/step_size.py
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optree

from diffkit import measure, report
from diffkit.backends import get_backend
from diffkit.measure import Case, Mode, Network, Problem, Row
from diffkit.transform import prepare

NAME = "step_size"
#: Steps from one unit in the last place of 1 to 1, eight to a power of ten.
STEPS = {
    "float64": np.logspace(-15, 0, 121),
    "float32": np.logspace(-6.5, 0, 53),
}
QUICK_EVERY = 2
#: Steps whose median error is taken where one number stands for a place of the V.
WINDOW = 5


@dataclass(frozen=True, slots=True)
class Formula:
    """A difference formula: its options, and its order p (the error falls as hᵖ)."""

    options: dict[str, Any]
    order: int
    colour: str

    def best(self, dtype: str) -> float:
        """ε^(p/(1+p)): what balancing truncation and rounding leaves."""
        return float(np.finfo(dtype).eps) ** (self.order / (1 + self.order))


FORMULAS = {
    "forward": Formula({"method": "forward"}, 1, "#E69F00"),
    "central": Formula({"method": "central"}, 2, "#D55E00"),
    "central_4": Formula({"method": "central", "order": 4}, 4, "#CC79A7"),
    "central_6": Formula({"method": "central", "order": 6}, 6, "#7F3C8D"),
}
NAMES = {
    "forward": "forward",
    "central": "central",
    "central_4": "central, order 4",
    "central_6": "central, order 6",
    "complex_step": "complex step",
}
#: Steps of the complex step, which subtracts nothing and may be as small as one likes.
COMPLEX_STEPS = np.logspace(-20, 0, 81)


def smooth() -> Problem:
    """exp(sin x) at 1: everything about it is of size one."""
    return Problem(lambda x: np.exp(np.sin(x)), (np.array(1.0),))


def steep() -> Problem:
    """The logistic map, six times: its third derivative is large beside its first."""

    def iterate(r: Any) -> Any:
        x = 0.3
        for _ in range(6):
            x = r * x * (1 - x)
        return x

    return Problem(iterate, (np.array(3.1),))


PROGRAMS: dict[str, Callable[[], Problem]] = {
    "exp(sin x)": smooth,
    "2-8-1 tanh": lambda: Network((2, 8, 1), batch=4).problem(),
    "logistic map": steep,
}
SHOWN = "exp(sin x)"


def cases(mode: Mode) -> list[Case]:
    """Every formula on every program in both precisions; complex steps where smooth."""
    every = QUICK_EVERY if mode == "quick" else 1
    found = [
        _case(formula, "engine", program, dtype, every)
        for program in PROGRAMS
        for dtype in STEPS
        for formula in FORMULAS
    ]
    return [
        *found,
        *(_case("complex_step", "numpy", p, "float64", every) for p in PROGRAMS),
    ]


def _case(way: str, runtime: str, program: str, dtype: str, every: int) -> Case:
    return measure.case(
        NAME,
        way,
        runtime=runtime,
        timed=False,
        program=program,
        dtype=dtype,
        every=every,
    )


def steps_of(case: Case | Row) -> np.ndarray:
    """The steps along which a case's samples lie."""
    way = case.backend
    steps = COMPLEX_STEPS if way == "complex_step" else STEPS[case["dtype"]]
    return steps[:: case["every"]]


def _swept(case: Case) -> Row:
    """The steps, so that a reader of the data knows where each error was measured."""
    steps = [float(step) for step in steps_of(case)]
    return case.row("swept_step_value", steps[0], samples=steps)


def measure_case(case: Case) -> list[Row]:
    """Errors along the steps, the least of them, and what the automatic step gives."""
    problem = PROGRAMS[case["program"]]()
    dtype = np.dtype(case["dtype"])
    nested: Any = problem.arguments
    arguments: Any = optree.tree_map(lambda a: np.asarray(a, dtype), nested)
    truth = measure.reference_gradient(
        prepare(problem.function, *arguments, backend="autodiff"), *arguments
    )
    if case.backend == "complex_step":
        return _complex(case, problem, truth)

    def error(step: float | str) -> float:
        options = FORMULAS[case.backend].options
        backend = get_backend("finite_differences", step=step, **options)
        prepared = prepare(problem.function, *arguments, backend=backend)
        _, gradient = prepared(*arguments)
        leaves: Any = [np.asarray(g) for g in optree.tree_leaves(gradient)]
        return truth.errors(leaves)[0]

    steps = steps_of(case)
    errors = [error(float(step)) for step in steps]
    automatic = get_backend("finite_differences", **FORMULAS[case.backend].options)
    at_one: Any = getattr(automatic, "steps")(np.ones(1, dtype))  # noqa: B009
    least, foot = _foot(errors)
    return [
        case.row("least_error", foot, samples=errors),
        _swept(case),
        case.row("best_step_value", float(steps[least])),
        case.row("automatic_error", error("auto")),
        case.row("automatic_step_value", float(at_one[0])),
        case.row("theory_error", FORMULAS[case.backend].best(dtype.name)),
        *_slopes(case, steps, np.array(errors), float(steps[least])),
    ]


def _foot(errors: Sequence[float]) -> tuple[int, float]:
    """Place and height of the foot: the least median of neighbouring errors."""
    around = np.lib.stride_tricks.sliding_window_view(np.array(errors), WINDOW)
    medians = np.median(around, axis=1)
    least = int(np.argmin(medians))
    return least + WINDOW // 2, float(medians[least])


def _slopes(
    case: Case, steps: np.ndarray, errors: np.ndarray, foot: float
) -> list[Row]:
    """Slopes of log error over log h on both sides of the foot, where there is a side.

    The right arm is fitted from a decade above the foot on to a step of 0.1 at most
    (beyond it terms of higher order take part), the left one from a decade below.
    """
    sides = {
        "truncation": (steps >= 10 * foot) & (steps <= 0.1),
        "rounding": steps <= foot / 10,
    }
    rows = []
    for name, inside in sides.items():
        inside &= errors > 0
        if inside.sum() >= 5:
            x, y = np.log10(steps[inside]), np.log10(errors[inside])
            slope = float(np.polyfit(x, y, 1)[0])
            rows.append(case.row(f"{name}_slope_value", slope))
    return rows


def _complex(case: Case, problem: Problem, truth: measure.Reference) -> list[Row]:
    """Im f(x + ih)/h along the steps, for each scalar parameter in turn."""
    steps = steps_of(case)
    errors = []
    for step in steps:
        gradient = _complex_gradient(problem, float(step))
        errors.append(truth.errors(gradient)[0])
    return [
        case.row("least_error", min(errors), samples=errors),
        _swept(case),
        case.row("smallest_step_error", errors[0]),
    ]


def _complex_gradient(problem: Problem, step: float) -> Any:
    first, *others = problem.arguments
    leaves, tree = optree.tree_flatten(first)
    gradients = []
    for place, leaf in enumerate(leaves):
        slopes = np.empty(np.shape(leaf))
        for index in np.ndindex(slopes.shape):
            moved = [np.array(other, complex) for other in leaves]
            moved[place][index] += 1j * step
            nested = optree.tree_unflatten(tree, moved)
            slopes[index] = np.imag(problem.function(nested, *others)) / step
        gradients.append(slopes)
    return gradients


def _find(
    rows: Sequence[Row], way: str, metric: str, program: str, dtype: str = "float64"
) -> Row | None:
    for row in rows:
        wanted = (way, metric, program, dtype)
        if (row.backend, row.metric, row["program"], row["dtype"]) == wanted:
            return row if row.value is not None else None
    return None


def curve(rows: Sequence[Row], way: str, program: str, dtype: str = "float64"):
    """(step, error) along one V; errors of exactly zero are left out."""
    row = _find(rows, way, "least_error", program, dtype)
    if row is None:
        return []
    return [
        (float(step), error)
        for step, error in zip(steps_of(row), row.samples, strict=True)
        if error > 0
    ]


def figure(rows: Sequence[Row]):
    """Four Vs and a line that stays down; the same in single precision; the foot."""
    figures = report.figures
    shown, (double, single, steepest) = figures.panels(1, 3, width=15.0, height=4.8)

    def lines(program: str, dtype: str) -> list[report.figures.Line]:
        found = [
            figures.Line(
                figures.Look(NAMES[way], formula.colour, ""),
                curve(rows, way, program, dtype),
            )
            for way, formula in FORMULAS.items()
        ]
        if dtype == "float64":
            inside = [
                (h, e) for h, e in curve(rows, "complex_step", program) if h >= 1e-15
            ]
            look = figures.Look(NAMES["complex_step"], "#0072B2", "")
            found.append(figures.Line(look, inside))
        return found

    titles = (
        (double, SHOWN, "float64", "Too large truncates, too small rounds"),
        (single, SHOWN, "float32", "Half the digits, the same V"),
        (steepest, "logistic map", "float64", "A steep function raises the foot"),
    )
    for axes, program, dtype, title in titles:
        figures.draw(
            axes,
            lines(program, dtype),
            title=title,
            x=f"step h ({program}, {dtype})",
            y="error ÷ derivative",
            y_limits=(1e-17, 30.0) if dtype == "float64" else (1e-7, 10.0),
        )
    return shown


def findings(rows: Sequence[Row]) -> measure.Findings:
    """Feet of the Vs, theory beside them, and what the automatic step reaches."""
    numbers = report.numbers

    def number(way: str, metric: str, program: str = SHOWN, dtype: str = "float64"):
        row = _find(rows, way, metric, program, dtype)
        return None if row is None else row.value

    def shown(value: float | None) -> str:
        return "no result" if value is None else numbers.scientific(value)

    def plain(value: float | None) -> str:
        return "no result" if value is None else f"{value:.2f}"

    table = report.markdown_table(
        ["formula", "least error", "at step", "theory", "automatic step", "its error"],
        [
            [
                NAMES[way],
                *(
                    shown(number(way, metric))
                    for metric in (
                        "least_error",
                        "best_step_value",
                        "theory_error",
                        "automatic_step_value",
                        "automatic_error",
                    )
                ),
            ]
            for way in FORMULAS
        ],
    )
    ratios = [
        (number("central", "automatic_error", p) or 0.0) / foot
        for p in PROGRAMS
        if (foot := number("central", "least_error", p))
    ]
    facts = {
        "table": table,
        "central_least": shown(number("central", "least_error")),
        "central_step": shown(number("central", "best_step_value")),
        "forward_least": shown(number("forward", "least_error")),
        "forward_step": shown(number("forward", "best_step_value")),
        "complex": shown(number("complex_step", "smallest_step_error")),
        "complex_step": shown(float(COMPLEX_STEPS[0])),
        "rounding": plain(number("central", "rounding_slope_value")),
        "truncation": plain(number("central", "truncation_slope_value")),
        "truncation_forward": plain(number("forward", "truncation_slope_value")),
        "single": shown(number("central", "least_error", SHOWN, "float32")),
        "window": WINDOW,
        "steep_least": shown(number("central", "least_error", "logistic map")),
        "steep_step": shown(number("central", "best_step_value", "logistic map")),
        "steep_automatic": shown(number("central", "automatic_error", "logistic map")),
        "worst_ratio": numbers.times(max(ratios)) if ratios else "no result",
        "digits": (
            f"{-math.log10(least):.0f}"
            if (least := number("central", "least_error"))
            else "no result"
        ),
    }
    verdict = measure.Verdict(
        "C10",
        f"differences cannot be exact: the best central step leaves "
        f"{facts['central_least']}, the best forward step {facts['forward_least']}, "
        f"and the error grows on both sides of it; the complex step, which subtracts "
        f"nothing, leaves {facts['complex']}",
        "measured",
    )
    return measure.Findings(facts, (verdict,) if ratios else ())


ANSWER = """
No step makes differences exact: central ones reach {central_least} at a step of
{central_step}, forward ones {forward_least} at {forward_step}, and lose digits on both
sides of it.
"""

PAGE = """
The function is exp(sin x) at one, unless said otherwise; the error is relative to the
derivative, which is proved to fifty digits.

A formula of order p is wrong by a multiple of the step to the p (truncation), and by
the rounding of the values it subtracts, divided by the step. On logarithmic axes that
is a V. Fitted, the arms of the central V have slopes {truncation} and {rounding} (the
forward one falls with {truncation_forward}). Theory puts the error at the foot at ε to
the p/(p+`1`). The foot is where the median of {window} neighbouring steps is least, so
that an error which happens to cross zero is not taken for it:

{table}

The complex step subtracts nothing, so it has no left arm: at a step of {complex_step}
it is off by {complex}. In single precision the central foot lies at {single}.

## The foot is not where theory says when the function is steep

Theory supposes that the function and its derivatives are of one size. The logistic map
is not like that: its foot lies at {steep_step} with an error of {steep_least}, while
the automatic step gives {steep_automatic}. Over the programs here the automatic central
step is within {worst_ratio} of the best one.
"""

METRICS = {
    "least_error": "error at the foot of the V, relative to the largest entry (the "
    "least median of neighbouring steps); samples: the error at every step",
    "swept_step_value": "the smallest step; samples: every step, in the order of the "
    "errors",
    "best_step_value": "the step that gave it",
    "automatic_error": "error with the automatic step",
    "automatic_step_value": "that step, for a parameter of one",
    "theory_error": "ε to the p/(p+1)",
    "truncation_slope_value, rounding_slope_value": "slopes of the right and left arm",
    "smallest_step_error": "of the complex step at the smallest step",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="How small should the step of a finite difference be?",
    claims=("C10",),
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

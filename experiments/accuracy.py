"""How many digits of a gradient every way gives, against digits that are proved.

The same programs by every way of differentiating; the judge is ball arithmetic, so that
an error of half a unit in the last place can be told from none. Run it alone::

    python experiments/accuracy.py
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optree

from diffkit import measure, report
from diffkit.backends import get_backend
from diffkit.errors import BackendError, ExpressionBudgetError
from diffkit.measure import Case, Mode, Network, Problem, Row
from diffkit.transform import prepare

NAME = "accuracy"
#: Way -> (backend, its options, what runs the arithmetic).
WAYS: dict[str, tuple[str, dict[str, Any], str]] = {
    "autodiff": ("autodiff", {}, "engine"),
    "forward": ("forward", {}, "engine"),
    "symbolic_shared": ("symbolic", {"form": "shared"}, "engine"),
    "symbolic_cse": ("symbolic", {"form": "cse"}, "engine"),
    "symbolic_expanded": ("symbolic", {"form": "expanded"}, "numpy"),
    "complex_step": ("finite_differences", {"method": "complex"}, "numpy"),
    "ridders": ("finite_differences", {"method": "ridders"}, "engine"),
    "central_order_6": ("finite_differences", {"order": 6}, "engine"),
    "finite_differences_central": ("finite_differences", {}, "engine"),
    "finite_differences_forward": (
        "finite_differences",
        {"method": "forward"},
        "engine",
    ),
}
EXACT = ("autodiff", "forward", "symbolic_shared", "symbolic_cse", "symbolic_expanded")
LOGISTIC_STEPS, LOGISTIC_RATE, LOGISTIC_START = 6, 3.1, 0.3
LIMITS = measure.Limits(seconds=60.0, bytes=2 << 30)


def logistic_map() -> Problem:
    """Iterates of x → r·x·(1−x), differentiated by r: a derivative that cancels."""

    def iterate(r: Any) -> Any:
        x = LOGISTIC_START
        for _ in range(LOGISTIC_STEPS):
            x = r * x * (1 - x)
        return x

    return Problem(iterate, (np.array(LOGISTIC_RATE),))


PROGRAMS: dict[str, Callable[[], Problem]] = {
    "one weight": lambda: Problem(lambda w: (w - 3.0) ** 2, (np.array(0.1),)),
    "logistic map": logistic_map,
    "2-8-1 tanh": lambda: Network((2, 8, 1), batch=4).problem(),
    "4-8-3 softmax": lambda: Network(
        (4, 8, 3), loss="cross_entropy", batch=16
    ).problem(),
    "5 layers of 4": lambda: Network((2, *(4,) * 5, 1), batch=8).problem(),
    "10-64-32-1 tanh": lambda: Network((10, 64, 32, 1), batch=32).problem(),
}
#: The largest one, which takes most of the time.
FULL_ONLY = ("10-64-32-1 tanh",)
#: One sample of this network is scalars all through: its work can be compared.
SCALAR = (2, 4, 4, 1)


def cases(mode: Mode) -> list[Case]:
    """Every program by every way; then the work of two of them, scalar by scalar."""
    found = [
        _case(way, WAYS[way][2], program)
        for program in PROGRAMS
        if mode == "full" or program not in FULL_ONLY
        for way in WAYS
    ]
    return [*found, _case("symbolic_shared", "engine", "scalar work")]


def _case(way: str, runtime: str, program: str) -> Case:
    return measure.case(
        NAME, way, runtime=runtime, timed=False, limits=LIMITS, program=program
    )


def measure_case(case: Case) -> list[Row]:
    """Errors of one gradient, in ulps and relative to its largest entry."""
    if case["program"] == "scalar work":
        return _scalar_work(case)
    problem = PROGRAMS[case["program"]]()
    name, options, _ = WAYS[case.backend]
    try:
        prepared = prepare(
            problem.function, *problem.arguments, backend=get_backend(name, **options)
        )
    except ExpressionBudgetError as stopped:
        return [
            case.row("relative_error", None, status="too_large", message=str(stopped))
        ]
    except BackendError as refused:
        return [
            case.row("relative_error", None, status="unavailable", message=str(refused))
        ]
    _, gradient = prepared(*problem.arguments)
    reference = measure.reference_gradient(prepared, *problem.arguments)
    leaves: Any = [np.asarray(leaf) for leaf in optree.tree_leaves(gradient)]
    off = reference.ulps(leaves)
    relative, entry = reference.errors(leaves)
    return [
        case.row("relative_error", relative),
        case.row("worst_entry_relative_error", entry),
        case.row("largest_ulps", off.largest_ulps),
        case.row("worst_entry_ulps", off.ulps, message=str(off)),
        case.row("primal_evaluations", prepared.info.evaluations),
        case.row("reference_bits", reference.bits),
    ]


def _scalar_work(case: Case) -> list[Row]:
    """Operations of the shared formula and of backprop, for one sample."""
    problem = Network(SCALAR, batch=1).problem()

    def operations(backend: str, **options: Any) -> int:
        chosen = get_backend(backend, **options)
        return prepare(
            problem.function, *problem.arguments, backend=chosen
        ).info.details["shared_operations"]

    return [
        case.row("formula_operations", operations("symbolic", form="shared")),
        case.row("backprop_operations", operations("autodiff")),
    ]


def values(rows: Sequence[Row], way: str, metric: str) -> dict[str, float]:
    """A metric of one way, by program."""
    return {
        str(row["program"]): row.value
        for row in rows
        if row.backend == way and row.metric == metric and row.value is not None
    }


def digits(error: float) -> float:
    """Correct digits of a relative error, at most what float64 can show."""
    least = np.finfo(np.float64).eps / 2
    return -math.log10(max(error, least))


def figure(rows: Sequence[Row]):
    """Digits of every way on every program, as a table in colour."""
    figures = report.figures
    shown, (axes,) = figures.panels(1, 1, width=10.5, height=5.2)
    programs = [p for p in PROGRAMS if any(r["program"] == p for r in rows)]
    table = np.full((len(WAYS), len(programs)), np.nan)
    for line, way in enumerate(WAYS):
        found = values(rows, way, "relative_error")
        for column, program in enumerate(programs):
            if program in found:
                table[line, column] = digits(found[program])
    figures.heat_map(
        axes,
        table,
        rows=[figures.look_of(way).name for way in WAYS],
        columns=programs,
        show="{:.1f}".format,
        title="Derivations keep every digit of float64, differences give some away",
        x="program",
        y="way of differentiating",
        unit="correct digits of the largest entry",
    )
    return shown


def findings(rows: Sequence[Row]) -> measure.Findings:
    """Worst errors by way, and the work of the shared formula beside backprop's."""
    numbers = report.numbers

    def worst(
        way: str,
        metric: str = "relative_error",
        form: Callable[[float], str] = numbers.scientific,
    ) -> str:
        found = values(rows, way, metric)
        return form(max(found.values())) if found else "no result"

    def ulps(number: float) -> str:
        return f"{number:.1f}" if number < 1000 else numbers.scientific(number)

    formula = values(rows, "symbolic_shared", "formula_operations")
    backprop = values(rows, "symbolic_shared", "backprop_operations")
    two = (
        (int(formula["scalar work"]), int(backprop["scalar work"]))
        if formula and backprop
        else None
    )
    exact = [v for way in EXACT for v in values(rows, way, "largest_ulps").values()]
    table = report.markdown_table(
        [
            "way",
            "worst error ÷ largest entry",
            "ulps of the largest entry",
            "evaluations",
        ],
        [
            [
                report.figures.look_of(way).name,
                worst(way),
                worst(way, "largest_ulps", ulps),
                _evaluations(rows, way),
            ]
            for way in WAYS
        ],
    )
    facts = {
        "exact_ulps": ulps(max(exact)) if exact else "no result",
        "autodiff_ulps": worst("autodiff", "largest_ulps", ulps),
        "complex_ulps": worst("complex_step", "largest_ulps", ulps),
        "central": worst(
            "finite_differences_central", "relative_error", numbers.scientific
        ),
        "forward": worst(
            "finite_differences_forward", "relative_error", numbers.scientific
        ),
        "ridders": worst("ridders"),
        "formula": numbers.count(two[0]) if two else "no result",
        "backprop": numbers.count(two[1]) if two else "no result",
        "scalar": "-".join(map(str, SCALAR)),
        "table": table,
        "programs": len({r["program"] for r in rows} & set(PROGRAMS)),
        "steps": LOGISTIC_STEPS,
    }
    verdict = measure.Verdict(
        "C10",
        f"exact to rounding: at most {facts['autodiff_ulps']} ulps, where differences "
        f"lose digits ({facts['central']} central); but the symbolic gradient with its "
        f"sharing kept has the same errors and about the same work ({facts['formula']} "
        f"operations beside {facts['backprop']}): it is symbolic differentiation that "
        "keeps the sharing",
        "conditional",
    )
    return measure.Findings(facts, (verdict,) if exact and two else ())


def _evaluations(rows: Sequence[Row], way: str) -> str:
    found = values(rows, way, "primal_evaluations")
    return report.numbers.count(int(max(found.values()))) if found else "no result"


ANSWER = """
Reverse, forward and symbolic gradients are exact to rounding (at most {exact_ulps} ulps
of the largest entry); central differences are off by {central} at worst, forward
differences by {forward}.
"""

PAGE = """
Every program's gradient is proved to fifty digits in ball arithmetic, and each way's
`float64` result is held against it. An ulp is one unit in the last place of the true
number; errors are given in ulps of the gradient's largest entry, because an entry that
cancels to almost nothing cannot be better than what it was summed from.

{table}

The worst of {programs} programs is shown for each way. The logistic map, iterated
{steps} times, is the unkind one: its derivative is a sum of terms that cancel, so that
every way loses some digits there, and the step that suits a network does not suit it.

## Neither symbolic nor numerical?

Reverse mode is said to be a third thing. Counted scalar by scalar for one sample of a
`{scalar}` tanh network, the symbolic gradient with every intermediate named once does
{formula} operations, and backprop {backprop}. Their results agree to rounding. What
differs is when the sharing is thrown away, and whether it is.
"""

METRICS = {
    "relative_error": "largest deviation of an entry over the gradient's largest entry",
    "worst_entry_relative_error": "largest deviation of an entry over that entry",
    "largest_ulps": "largest deviation in ulps of the gradient's largest entry",
    "worst_entry_ulps": "largest deviation in ulps of the entry itself; the message "
    "names the entry",
    "primal_evaluations": "evaluations of the function for one gradient",
    "reference_bits": "working precision that proved the reference",
    "formula_operations": "scalar operations of the shared formula, one sample",
    "backprop_operations": "scalar operations of reverse mode, one sample",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="How many digits does each way of differentiating give?",
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

"""How many digits every backend keeps, on random programs and op by op.

Seeded random programs (every op, broadcasting, reuse, dead code, kinks and ties) are
run by each backend and judged by ball arithmetic; every elementwise row is measured
alone over its whole range, saturation included. Run it alone::

    python experiments/fuzz.py
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from diffkit import measure, report
from diffkit.backends import get_backend
from diffkit.measure import Case, Mode, Row, accuracy, fuzz, programs
from diffkit.ops import TABLE

NAME = "fuzz"
#: Random programs, and how many of them one cell judges: by every way, so that what a
#: program may be off by is proved once.
PROGRAMS = {"quick": 500, "full": 50_000}
IN_ONE_CELL = {"quick": 125, "full": 2_000}
WAYS: dict[str, tuple[str, dict[str, str]]] = {
    "autodiff": ("autodiff", {}),
    "forward": ("forward", {}),
    "symbolic_shared": ("symbolic", {"form": "shared"}),
    "finite_differences_central": ("finite_differences", {"method": "central"}),
}
RUNTIMES = ("engine", "numpy")
ELEMENTWISE = [op for op in TABLE.values() if op.family == "elementwise"]
#: Where the two forms of a saturating derivative are drawn.
Z = np.linspace(0.1, 60.0, 240)
LEAST_DRAWN = 0.1  # ulps: below half an ulp a result is as good as can be
MESSAGE = 600  # characters of a failure that a row keeps
LIMITS = measure.Limits(seconds=600.0, bytes=2 << 30)


def cases(mode: Mode) -> list[Case]:
    """Random programs by every way together, then the rows alone."""
    size = IN_ONE_CELL[mode]
    found = [
        measure.case(
            NAME,
            "together",
            runtime="engine",
            timed=False,
            limits=LIMITS,
            part="programs",
            first=first,
            programs=size,
        )
        for first in range(0, PROGRAMS[mode], size)
    ]
    for runtime in RUNTIMES:
        found += [
            measure.case(
                NAME,
                "autodiff",
                runtime=runtime,
                timed=False,
                limits=LIMITS,
                part=part,
                first=0,
                programs=0,
            )
            for part in ("rows", "forms")
        ]
    return found


def measure_case(case: Case) -> list[Row]:
    """The counted rows of one cell."""
    if case["part"] == "programs":
        return _programs(case)
    return _rows_alone(case) if case["part"] == "rows" else _forms(case)


class _Tally:
    """What one way made of the programs of a cell."""

    def __init__(self, way: str) -> None:
        name, options = WAYS[way]
        self.way, self.backend = way, get_backend(name, **options)
        self.outcomes: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.worst: defaultdict[str, float] = defaultdict(float)
        self.share, self.first_wrong = 0.0, ""

    def judge(
        self, seed: int, program: programs.RandomProgram, truth: fuzz.Truth | None
    ) -> None:
        """Count one program; what is wrong first is kept in words."""
        if truth is None:
            self.outcomes["undecided"] += 1
            return
        found = fuzz.judge(program, self.backend, truth)
        self.outcomes[found.outcome] += 1
        if found.outcome == "wrong" and not self.first_wrong:
            self.first_wrong = f"seed {seed}: {found.message}"[:MESSAGE]
        if found.errors is None:
            return
        self.share = max(self.share, found.share)
        self.seen.update(truth.operations)
        for name in (*truth.operations, "any"):
            self.worst[name] = max(self.worst[name], found.errors.largest_ulps)

    def rows(self, case: Case) -> list[Row]:
        """The counts as rows of this way."""
        rows = [
            case.row("programs_count", case["programs"]),
            case.row("agrees_count", self.outcomes["agrees"]),
            case.row("wrong_count", self.outcomes["wrong"], message=self.first_wrong),
            case.row("undecided_count", self.outcomes["undecided"]),
            case.row("refused_count", self.outcomes["refused"]),
            case.row("allowed_ratio", self.share),
            *(case.row(f"{name}_count", self.seen[name]) for name in sorted(self.seen)),
            *(
                case.row(f"{name}_ulps", self.worst[name])
                for name in sorted(self.worst)
            ),
        ]
        return [replace(row, backend=self.way) for row in rows]


def _programs(case: Case) -> list[Row]:
    tallies = [_Tally(way) for way in WAYS]
    for seed in range(case["first"], case["first"] + case["programs"]):
        program = programs.random_program(seed)
        truth = fuzz.truth_of(program)
        for tally in tallies:
            tally.judge(seed, program, truth)
    return [row for tally in tallies for row in tally.rows(case)]


def _rows_alone(case: Case) -> list[Row]:
    rows = []
    for op in ELEMENTWISE:
        value, *slopes = accuracy.row_errors(op, _runtime(case))
        rows.append(case.row(f"{op.name}_value_ulps", value.ulps))
        if slopes:
            off = max(slope.ulps for slope in slopes)
            rows.append(case.row(f"{op.name}_derivative_ulps", off))
        rows.append(case.row(f"{op.name}_points_count", value.points))
    return rows


def _forms(case: Case) -> list[Row]:
    rows = []
    for name in accuracy.OTHER_FORMS:
        op = TABLE[name]
        for label, form in (("row", op), ("other", accuracy.in_other_form(op))):
            off = accuracy.row_errors(form, _runtime(case))[1].ulps
            along: Sequence[float] = ()
            if op.arity == 1:
                along = [
                    accuracy.row_errors(form, _runtime(case), [np.array([z])])[1].ulps
                    for z in Z
                ]
            rows.append(case.row(f"{name}_{label}_form_ulps", off, samples=along))
    return rows


def _runtime(case: Case):
    return "engine" if case.runtime == "engine" else "numpy"


def _pick(rows: Sequence[Row], metric: str, way: str, runtime: str = "engine"):
    return [
        row
        for row in rows
        if (row.metric, row.backend, row.runtime) == (metric, way, runtime)
        and row.value is not None
    ]


def _worst(rows: Sequence[Row], metric: str, way: str, runtime: str = "engine"):
    found = [float(row.value or 0) for row in _pick(rows, metric, way, runtime)]
    return max(found, default=0.0)


def _typical(rows: Sequence[Row], metric: str, way: str) -> float:
    """The worst of a cell's programs, in the middle of all cells.

    A program whose gradient cancels to nothing has no largest entry to speak of, and is
    off by any number of its ulps: one such program must not stand for thousands.
    """
    found = [float(row.value or 0) for row in _pick(rows, metric, way)]
    return median(found) if found else 0.0


def _sum(rows: Sequence[Row], metric: str, way: str) -> int:
    return sum(int(row.value or 0) for row in _pick(rows, metric, way))


def figure(rows: Sequence[Row]):
    """Worst error by op in random programs; two forms of three derivatives along z."""
    figures = report.figures
    shown, (bars, curves) = figures.panels(1, 2, width=13.0, height=8.0)
    names = sorted(
        (n for n in TABLE if _pick(rows, f"{n}_count", "autodiff")),
        key=lambda n: (_typical(rows, f"{n}_ulps", "autodiff"), n),
    )
    for way in ("forward", "symbolic_shared", "autodiff"):
        look = figures.look_of(way)
        bars.plot(
            [_typical(rows, f"{n}_ulps", way) for n in names],
            range(len(names)),
            linestyle="none",
            marker=look.marker,
            color=look.colour,
            label=look.name,
        )
    bars.set_yticks(range(len(names)), names, fontsize=7)
    bars.set_xlim(left=0)
    bars.set_xlabel("worst error of a cell's programs, ulps of the largest entry")
    bars.set_title("Random programs, by an op that they contain")
    if names:
        bars.legend(frameon=False)
    for name, colour in (
        ("tanh", "#D55E00"),
        ("sigmoid", "#0072B2"),
        ("erf", "#009E73"),
    ):
        for label, dash in (("row", "-"), ("other", ":")):
            for row in _pick(rows, f"{name}_{label}_form_ulps", "autodiff"):
                off = np.maximum(row.samples, LEAST_DRAWN)
                curves.plot(
                    Z,
                    off,
                    dash,
                    color=colour,
                    label=f"{name}, {'as in the row' if label == 'row' else 'other'}",
                )
    curves.set_yscale("log")
    curves.set_xlabel("z")
    curves.set_ylabel("error of the derivative, ulps")
    curves.set_title("Digits lost on the way to saturation")
    if curves.lines:
        curves.legend(frameon=False)
    return shown


def findings(rows: Sequence[Row]) -> measure.Findings:
    """The facts that the page may state."""
    numbers = report.numbers

    def shown(value: float) -> str:
        if value < 1e4:
            return f"{value:.2f}" if value < 100 else f"{value:.0f}"
        return numbers.scientific(value)

    exact = [way for way in WAYS if not way.startswith("finite")]
    wrong = sum(_sum(rows, "wrong_count", way) for way in WAYS)
    kept = [op.name for op in ELEMENTWISE if op.loss is None]
    kept_worst = max(
        (
            _worst(rows, f"{name}_{what}_ulps", "autodiff", runtime)
            for name in kept
            for what in ("value", "derivative")
            for runtime in RUNTIMES
        ),
        default=0.0,
    )
    table = report.markdown_table(
        [
            "op",
            "programs",
            *(way.replace("_", " ") for way in exact),
            *(f"{way.replace('_', ' ')}, worst of all" for way in exact),
        ],
        [
            [
                f"`{name}`",
                numbers.count(_sum(rows, f"{name}_count", "autodiff")),
                *(shown(_typical(rows, f"{name}_ulps", way)) for way in exact),
                *(shown(_worst(rows, f"{name}_ulps", way)) for way in exact),
            ]
            for name in TABLE
            if _pick(rows, f"{name}_count", "autodiff")
        ],
    )
    alone = report.markdown_table(
        ["op", "value, engine", "derivative, engine", "value, NumPy", "derivative"],
        [
            [
                f"`{op.name}`",
                *(
                    shown(_worst(rows, f"{op.name}_{what}_ulps", "autodiff", runtime))
                    for runtime in RUNTIMES
                    for what in ("value", "derivative")
                ),
            ]
            for op in ELEMENTWISE
            if op.kind == "real"
        ],
    )
    forms = report.markdown_table(
        ["op", "as the row has it", "in the other form"],
        [
            [
                f"`{name}`",
                *(
                    shown(_worst(rows, f"{name}_{label}_form_ulps", "autodiff"))
                    for label in ("row", "other")
                ),
            ]
            for name in accuracy.OTHER_FORMS
        ],
    )
    facts = {
        "programs": numbers.count(_sum(rows, "programs_count", "autodiff")),
        "undecided": numbers.count(_sum(rows, "undecided_count", "autodiff")),
        "wrong": "none" if wrong == 0 else numbers.count(wrong),
        "differences": numbers.count(
            _sum(rows, "agrees_count", "finite_differences_central")
        ),
        "autodiff_ulps": shown(_typical(rows, "any_ulps", "autodiff")),
        "in_one_cell": numbers.count(
            max((int(row["programs"]) for row in rows), default=0)
        ),
        "autodiff_share": f"{100 * _worst(rows, 'allowed_ratio', 'autodiff'):.1f} %",
        "kept": numbers.count(len(kept)),
        "rows": numbers.count(len(ELEMENTWISE)),
        "kept_worst": shown(kept_worst),
        "lossy": " and ".join(f"`{op.name}`" for op in ELEMENTWISE if op.loss),
        "losses": "\n".join(
            f"* `{op.name}`: {op.loss}." for op in ELEMENTWISE if op.loss
        ),
        "sigmoid_row": shown(_worst(rows, "sigmoid_row_form_ulps", "autodiff")),
        "sigmoid_other": shown(_worst(rows, "sigmoid_other_form_ulps", "autodiff")),
        "coarse_bits": fuzz.COARSE_BITS,
        "by_op": table,
        "alone": alone,
        "forms": forms,
    }
    return measure.Findings(facts)


ANSWER = """
Of {programs} random programs {wrong} came out wrong by any backend; alone, {kept} of
{rows} elementwise ops keep value and derivative within {kept_worst} ulps over their
whole range, and {lossy} state what they lose.
"""

PAGE = """
A random program takes one to three small arrays through random steps: every op of the
table, broadcasting, values used twice or never, and inputs that lie exactly on a kink
or tie with each other. The judge is ball arithmetic. One reading of the gradient's
program is proved to be the truth; another, at {coarse_bits} bits, gives radii that say
what rounding may do to this program at this point, and a backend that leaves them is
wrong. Programs that decide something on the edge of that rounding are set aside
({undecided} of them).

## Random programs

The worst error of reverse mode among {in_one_cell} programs is {autodiff_ulps} ulps of
the gradient's largest entry (the median over all such lots), and at most
{autodiff_share} of what the coarse radii allow over all. A program whose gradient
cancels to nothing has no largest entry to speak of: it is off by any number of its
ulps, which the last columns show, and still within the radii. Central differences are
asked for programs without kinks only, to the digits that they have: {differences}
programs agree. By an op that the programs contain, the worst error of any entry in ulps
of the gradient's largest entry, typical of such a lot and over all programs:

{by_op}

## Every elementwise op alone

Worst errors in ulps of the true number, from the smallest floats to saturation:

{alone}

## Two ways to write a derivative

The derivative of the logistic function is written σ(x)·σ(−x), which is off by
{sigmoid_row} ulps at worst; `y·(1 − y)`, as textbooks print it, by {sigmoid_other}.
Where a row gives digits up, it says so:

{losses}

{forms}
"""


METRICS = {
    "programs_count": "programs of the cell; by outcome: `agrees_count`, "
    "`wrong_count`, `refused_count` (differences across a kink), `undecided_count`",
    "allowed_ratio": "largest deviation as a part of what the coarse radii allow",
    "OP_ulps, OP_count": "programs that contain an op: the worst error of an entry in "
    "ulps of the gradient's largest entry, and how many there were",
    "any_ulps": "the same over all programs",
    "OP_value_ulps, OP_derivative_ulps": "one row alone over its range: worst error in "
    "ulps of the true number, against a proved value",
    "OP_points_count": "points compared for it",
    "OP_row_form_ulps, OP_other_form_ulps": "worst error of the first derivative as "
    "the row has it and in the other form; samples: the error along z",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="How many digits of a gradient does every backend keep?",
    claims=(),
    cases=cases,
    measure=measure_case,
    figure=figure,
    findings=findings,
    answer=ANSWER,
    page=PAGE,
    metrics=METRICS,
    tables=lambda rows: {},  # The page has its own.
)

if __name__ == "__main__":
    from diffkit.cli import run_file

    sys.exit(run_file(__file__))

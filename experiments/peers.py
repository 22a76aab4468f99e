"""diffkit beside JAX, PyTorch, autograd, CasADi, SciPy and numdifftools.

The same traced program, read into each library; every result is compared with the exact
gradient before anything is timed; within a network all ways are timed in turn in one
process, by one thread and by two. Two floors stand beside them: the bare matrix
products, and the bytes moved alone. Run it alone::

    python experiments/peers.py
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from time import process_time_ns
from typing import Any

import numpy as np

from diffkit import measure, report
from diffkit.backends.peers.casadi import Casadi
from diffkit.backends.peers.library import installed, require
from diffkit.errors import BackendError, MissingDependencyError
from diffkit.measure import Case, Mode, Row, beside, goals
from diffkit.measure.beside import ENGINE, FLAT, FLOORS, NESTED, PRIMAL, Library

NAME = "peers"
DIFFKIT = Library("diffkit", "autodiff", runtime="engine")
#: Timed together in one process, reverse mode all of them.
TOGETHER: Mapping[str, Library] = {
    NESTED: DIFFKIT,
    "jax": Library("JAX, jit", "jax", runtime="xla", package="jax"),
    "torch": Library("PyTorch, eager", "torch", runtime="torch", package="torch"),
    "autograd": Library("autograd", "autograd", package="autograd"),
    "casadi": Library("CasADi", "casadi", runtime="casadi", package="casadi"),
}
#: Each with diffkit in a process of its own: slow to compile, or slow to run.
ALONE: Mapping[str, Library] = {
    "torch_compile": Library(
        "PyTorch, compiled",
        "torch",
        {"mode": "compile"},
        runtime="torch",
        package="torch",
        warmed=False,
    ),
    "casadi_compiled": Library(
        "CasADi, compiled",
        "casadi",
        {"compiled": True},
        runtime="casadi",
        package="casadi",
    ),
    "scipy": Library("SciPy", "scipy"),
    "numdifftools": Library("numdifftools", "numdifftools", package="numdifftools"),
}
LIBRARIES = {**TOGETHER, **ALONE}
PACKAGES = tuple(sorted({one.package for one in LIBRARIES.values() if one.package}))
#: How calls that no library makes are named in tables.
OTHERS: Mapping[str, str] = {
    FLAT: "diffkit, flat vector",
    ENGINE: "diffkit's engine, without the call",
    PRIMAL: "diffkit's engine, the value alone",
    **dict(
        zip(
            FLOORS,
            (
                "bare products, NumPy's BLAS",
                "bare products, SciPy's BLAS",
                "bytes moved alone",
            ),
            strict=True,
        )
    ),
}
DIFFERENCES = ("scipy", "numdifftools")

NETWORKS = measure.COMPARED_NETWORKS
DOUBLE, SINGLE = "float64", "float32"
#: (network, dtype): every line of the table of figures to reach, by size.
COLUMNS = (
    *((network, DOUBLE) for network in NETWORKS),
    ("784-512-512-10", SINGLE),
    ("1024×4", SINGLE),
)
THREADS = (1, 2)
QUICK = (
    *(("2-8-1", DOUBLE, 1), ("10-64-32-1", DOUBLE, 1)),
    *(("784-512-512-10", DOUBLE, 1), ("784-512-512-10", DOUBLE, 2)),
)
#: What a way that runs alone is asked for.
ASKED: Mapping[str, Mapping[Mode, tuple[str, ...]]] = {
    "torch_compile": {"quick": ("10-64-32-1",), "full": tuple(NETWORKS)},
    "casadi": {"quick": (), "full": ("784-512-512-10",)},
    "casadi_compiled": {
        "quick": ("2-8-1",),
        "full": ("2-8-1", "10-64-32-1", "64-128-10"),
    },
    "scipy": {"quick": ("2-8-1",), "full": tuple(NETWORKS)},
    "numdifftools": {"quick": ("2-8-1",), "full": tuple(NETWORKS)},
}
#: One gradient that is bound to take longer than this is not begun.
PATIENCE_SECONDS = 4.0
#: Largest error, over the gradient's largest entry, with which a way is timed at all.
ALLOWED = {DOUBLE: 1e-11, SINGLE: 1e-4, "differences": 1e-5}
SAMPLES, BUDGET_SECONDS = 21, 1.0
#: What large networks may take, for as many rounds of every way.
LARGE: Mapping[str, float] = {"784-512-512-10": 3.0, "1024×4": 18.0}
LIMITS = measure.Limits(seconds=300.0, bytes=12 << 30)


@dataclass(frozen=True, slots=True)
class Figure:
    """A ratio that one thread is to reach on a network."""

    network: str
    dtype: str
    metric: str
    way: str
    goal: measure.Goal


def _figures() -> tuple[Figure, ...]:
    # Time of JAX and of PyTorch over diffkit's at least; time over bare products, and
    # over the value alone, at most.
    table: Mapping[tuple[str, str], tuple[float | None, ...]] = {
        ("2-8-1", DOUBLE): (2.5, 10.0, None, 3.5),
        ("10-64-32-1", DOUBLE): (3.0, 8.0, 1.8, 3.5),
        ("10-(32×50)-1", DOUBLE): (2.5, 7.0, 1.3, 3.5),
        ("64-128-10", DOUBLE): (1.5, 2.0, 1.5, 3.5),
        ("784-512-512-10", DOUBLE): (1.2, 1.0, 1.15, 3.0),
        ("1024×4", DOUBLE): (1.1, 1.0, 1.1, 3.0),
        ("784-512-512-10", SINGLE): (1.0, 1.0, 1.25, None),
        ("1024×4", SINGLE): (1.0, 1.0, 1.25, None),
    }
    kinds = (
        ("gradient_ratio", "jax", True),
        ("gradient_ratio", "torch", True),
        ("products_ratio", NESTED, False),
        ("value_ratio", NESTED, False),
    )
    found = [
        Figure(*column, metric, way, measure.Goal(bound, at_least))
        for column, bounds in table.items()
        for (metric, way, at_least), bound in zip(kinds, bounds, strict=True)
        if bound is not None
    ]
    flat = [
        Figure("2-8-1", DOUBLE, "flat_ratio", way, measure.Goal(bound, at_least=True))
        for way, bound in (("jax", 4.0), ("torch", 16.0))
    ]
    return (*found[:2], *flat, *found[2:])


#: What is to be reached, in the order of the networks.
FIGURES = _figures()


def cases(mode: Mode) -> list[Case]:
    """All together on each network; some alone; and which libraries there are."""
    settings = (
        QUICK
        if mode == "quick"
        else tuple((*column, threads) for threads in THREADS for column in COLUMNS)
    )
    asked = [("together", *setting) for setting in settings]
    asked += [
        (way, network, DOUBLE, 1) for way in ASKED for network in ASKED[way][mode]
    ]
    timed = [
        measure.case(
            NAME,
            way,
            runtime=LIBRARIES[way].runtime if way in LIBRARIES else "none",
            limits=LIMITS,
            network=network,
            dtype=dtype,
            pool=threads,
        )
        for way, network, dtype, threads in asked
    ]
    libraries = [
        measure.case(NAME, way, timed=False, network="any")
        for way, library in TOGETHER.items()
        if library.package
    ]
    return timed + libraries


def measure_case(case: Case) -> list[Row]:
    """Ways beside diffkit on one network; or whether a library is there."""
    if case["network"] == "any":
        package = TOGETHER[case.backend].package
        assert package is not None
        require(package, package)
        return [case.row("installed_count", 1)]
    if case["pool"] > (cores := os.cpu_count() or 1):
        text = f"this machine has {cores} cores, and the cell asks for {case['pool']}"
        return [case.row("gradient_ratio", None, status="unavailable", message=text)]
    network = NETWORKS[case["network"]]
    setting = beside.Setting(network, case["dtype"], case["pool"])
    with beside.threads_set(setting.threads):
        if case.backend == "together":
            return _measure(case, setting, together(case["network"], setting.dtype))
        libraries = {NESTED: DIFFKIT, case.backend: LIBRARIES[case.backend]}
        try:
            return _measure(case, setting, libraries)
        except MissingDependencyError:
            raise
        except BackendError as problem:  # no compiler, say: not a mistake of ours
            text = str(problem)
            return [
                case.row("gradient_ratio", None, status="unavailable", message=text)
            ]


def together(network: str, dtype: str) -> dict[str, Library]:
    """The libraries that are there and can do this network in this precision."""
    return {
        name: library
        for name, library in TOGETHER.items()
        if (library.package is None or installed(library.package))
        and not (name == "casadi" and without_casadi(network, dtype))
    }


def without_casadi(network: str, dtype: str) -> str:
    """Why CasADi does not run together with the others; empty where it does."""
    if dtype not in Casadi.capabilities.dtypes:
        return f"CasADi computes in {' or '.join(Casadi.capabilities.dtypes)} only"
    if network in LARGE:
        return "CasADi multiplies matrices without a BLAS: large ones are timed apart"
    return ""


def _measure(
    case: Case, setting: beside.Setting, libraries: Mapping[str, Library]
) -> list[Row]:
    measure.warm_up()
    line_up = beside.LineUp(setting, libraries)
    if stopped := _bound_to_take_long(case, line_up):
        return stopped
    errors = line_up.check(
        {
            name: ALLOWED["differences" if name in DIFFERENCES else setting.dtype]
            for name in libraries
        }
    )
    step = float(np.spacing(np.dtype(setting.dtype).type(line_up.largest)))
    rows: list[Row] = []
    for name, error in errors.items():
        own = _as(case, name)
        rows += [
            own.row("relative_error", error),
            own.row("largest_ulps", error * line_up.largest / step),
        ]
        if name in line_up.prepared:
            info = line_up.prepared[name].info
            rows += [
                own.row("primal_evaluations", info.evaluations),
                own.row("prepare_seconds", float(sum(info.seconds.values()))),
            ]
    calls = line_up.calls()
    budget = LARGE.get(case["network"], BUDGET_SECONDS)
    if setting.threads > 1:  # by the wall, where others are on it too
        budget *= 4
    if case.backend == "together":
        timed = line_up.time(
            {**calls, **line_up.bare()}, samples=SAMPLES, budget_seconds=budget
        )
        rows += [
            _as(case, NESTED).row("reference_bits", line_up.truth.bits),
            _as(case, "copies").row("moved_bytes", line_up.moved_bytes),
            *_over_floors(_as(case, NESTED), timed),
        ]
    else:
        timed = line_up.time(calls, samples=SAMPLES, budget_seconds=budget)
    for name, (timing, own) in timed.items():
        named = _as(case, name)
        rows += [
            named.timing("gradient_seconds", timing),
            named.timing("gradient_ratio", measure.ratio(timing, own)),
        ]
        if FLAT in timed and timed[FLAT][1] is own and name in libraries:
            flat, _ = timed[FLAT]
            rows.append(named.timing("flat_ratio", measure.ratio(timing, flat)))
    if setting.threads == 1:
        # Not those that were timed apart, as slow as they are.
        quick = {
            n: call for n, call in calls.items() if timed[n][1] is timed[NESTED][0]
        }
        by_the_clock = line_up.time(
            quick, samples=SAMPLES, budget_seconds=budget / 2, by_the_clock=True
        )
        rows += [
            _as(case, name).timing("clock_ratio", measure.ratio(timing, own))
            for name, (timing, own) in by_the_clock.items()
        ]
    if case.backend != "together":  # diffkit's own stand in the cell that has them all
        rows = [row for row in rows if row.backend == case.backend]
    return rows


def _over_floors(case: Case, timed: Mapping[str, tuple[Any, Any]]) -> list[Row]:
    """Diffkit's time over the faster BLAS, over the bytes, and over its value alone."""
    by_numpy, by_scipy, copies = (timed[name][0] for name in FLOORS)
    bare = min(by_numpy, by_scipy, key=lambda timing: timing.median_seconds)
    own, _ = timed[NESTED]
    over_value = measure.ratio(timed[ENGINE][0], timed[PRIMAL][0])
    return [
        case.timing("products_ratio", measure.ratio(own, bare)),
        case.timing("bytes_ratio", measure.ratio(own, copies)),
        case.timing("value_ratio", over_value),
    ]


def _as(case: Case, name: str) -> Case:
    """The case of one call within the cell, for its rows."""
    runtime = LIBRARIES[name].runtime if name in LIBRARIES else "engine"
    return replace(case, backend=name, runtime="none" if name in FLOORS else runtime)


def _bound_to_take_long(case: Case, line_up: beside.LineUp) -> list[Row]:
    """Rows that say so, where one gradient of the case would take too long."""
    if case.backend not in DIFFERENCES:
        return []
    one = line_up.prepared[case.backend]
    runs = one.info.evaluations
    each = measure.time_call(
        partial(one.compiled.value, line_up.leaves), samples=3, clock=process_time_ns
    ).median_seconds
    if runs * each <= PATIENCE_SECONDS:
        return []
    text = (
        f"not begun: {runs:,} evaluations of {report.numbers.seconds(each)} would take "
        f"{report.numbers.duration(runs * each)}"
    )
    return [
        case.row("primal_evaluations", runs),
        case.row("gradient_ratio", None, status="too_large", message=text),
    ]


Column = tuple[str, str]


def names() -> dict[str, str]:
    """How every way is called in figures and tables."""
    own = {NESTED: DIFFKIT.name, FLAT: OTHERS[FLAT]}
    return {
        **own,
        **{name: library.name for name, library in LIBRARIES.items()},
        **OTHERS,
    }


def label(column: Column, *, batch: bool = False) -> str:
    """A network in words, its precision where that is not double."""
    network, dtype = column
    words = [network]
    if batch:
        words.append(f"batch {NETWORKS[network].batch}")
    return ", ".join([*words, *([dtype] if dtype != DOUBLE else [])])


def value(
    rows: Sequence[Row], metric: str, way: str, column: Column, threads: int = 1
) -> float | None:
    """One value, None where it was not measured."""
    network, dtype = column
    return report.value_of(
        rows, metric, way, network=network, dtype=dtype, pool=threads
    )


def measured(rows: Sequence[Row], threads: int = 1) -> list[Column]:
    """Networks with any ratio, in the order of their size."""
    ratios = report.rows_of(rows, "gradient_ratio", pool=threads)
    found = {(row["network"], row["dtype"]) for row in ratios}
    return [column for column in COLUMNS if column in found]


def figure(rows: Sequence[Row]):
    """Ratios in colour by one thread and by two; and diffkit over the bare products."""
    figures = report.figures
    columns = {threads: measured(rows, threads) for threads in THREADS}
    lines = sum(len(found) + 3 for found in columns.values()) + len(columns[1])
    shown, panels = figures.panels(3, 1, width=10.5, height=max(0.4 * lines, 11.0))
    for panel, (threads, found) in zip(panels, columns.items(), strict=False):
        fastest, _ = _ranks(rows, threads)
        how = "One thread" if threads == 1 else "Two threads"
        _in_colour(
            panel,
            rows,
            threads,
            f"{how}: diffkit is the fastest on {len(fastest)} of {len(found)} networks",
        )
    _products(panels[-1], rows)
    return shown


def _in_colour(panel, rows: Sequence[Row], threads: int, title: str) -> None:
    columns = measured(rows, threads)
    ways = [
        way
        for way in (FLAT, *LIBRARIES)
        if way != NESTED and _all(rows, "gradient_ratio", way, threads)
    ]
    table = np.full((len(columns), len(ways)), np.nan)
    for line, column in enumerate(columns):
        for place, way in enumerate(ways):
            found = value(rows, "gradient_ratio", way, column, threads)
            if found is not None:
                table[line, place] = np.log10(found)
    report.figures.heat_map(
        panel,
        table,
        columns=[names()[way].replace(", ", ",\n") for way in ways],
        rows=[label(column, batch=True) for column in columns],
        title=title,
        x="time for value and gradient ÷ diffkit's (above one: diffkit is faster)",
        y="",
        unit="slower ← diffkit, powers of ten → faster",
        middle=0.0,
        reach=1.0,
        show=lambda power: report.numbers.times(10.0**power),
    )


def _products(panel, rows: Sequence[Row]) -> None:
    """Diffkit's time over the bare products, with what is to be reached as a mark."""
    figures = report.figures
    looks = {1: ("one thread", "#0072B2", "o"), 2: ("two threads", "#009E73", "^")}
    columns = [
        column
        for column in COLUMNS
        if any(
            value(rows, "products_ratio", NESTED, column, threads) is not None
            for threads in THREADS
        )
    ]
    series = [
        figures.Bars(
            figures.Look(*look),
            {
                label(column, batch=True): value(
                    rows, "products_ratio", NESTED, column, threads
                )
                for column in columns
            },
        )
        for threads, look in looks.items()
        if any(
            value(rows, "products_ratio", NESTED, column, threads) is not None
            for column in columns
        )
    ]
    below = [
        column
        for column in columns
        if (value(rows, "products_ratio", NESTED, column) or 2.0) < 1.0
    ]
    figures.bars(
        panel,
        series,
        title="A whole gradient over its bare products by BLAS: below one on "
        f"{len(below)} of {len(columns)} networks",
        x="time for value and gradient ÷ time of the bare matrix products "
        "(▾: to be reached, by one thread)",
        show=report.numbers.times,
    )
    bounds = {
        (one.network, one.dtype): one.goal.bound
        for one in FIGURES
        if one.metric == "products_ratio"
    }
    for place, column in enumerate(columns):
        if column in bounds:
            panel.plot([bounds[column]], [place - 0.46], color="#000000", marker="v")
    if columns:
        panel.axvline(1, color="#777777", linewidth=0.8, linestyle=":", zorder=1)


def _all(rows: Sequence[Row], metric: str, way: str, threads: int = 1) -> list[float]:
    found = (value(rows, metric, way, column, threads) for column in COLUMNS)
    return [one for one in found if one is not None]


def matrix(
    rows: Sequence[Row],
    metric: str,
    words: Callable[[float], str],
    threads: int = 1,
) -> str:
    """A metric of every way on every network, as a table; ratios with their spread."""
    columns = measured(rows, threads)
    lines = []
    for way, name in names().items():
        if not _all(rows, metric, way, threads):
            continue
        line = [name]
        for column in columns:
            found = value(rows, metric, way, column, threads)
            spread = _spread(rows, metric, way, column, threads)
            line.append("–" if found is None else words(found) + spread)
        lines.append(line)
    return report.markdown_table(["", *map(label, columns)], lines)


def _spread(
    rows: Sequence[Row], metric: str, way: str, column: Column, threads: int
) -> str:
    """Half the interval of a ratio's median, as a share of it."""
    network, dtype = column
    samples = report.samples_of(
        rows, metric, way, network=network, dtype=dtype, pool=threads
    )
    if not metric.endswith("_ratio") or len(set(samples)) < 3:
        return ""
    low, high = measure.bootstrap_interval(samples)
    share = 50 * (high - low) / median(samples)
    return f" ± {share:.0f} %" if share >= 10 else f" ± {share:.2g} %"


def judged(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Every figure to reach that was measured: what it is, interval, and verdict."""
    words = {
        "gradient_ratio": "{} ÷ diffkit",
        "flat_ratio": "{} ÷ diffkit, flat vector",
        "products_ratio": "{} ÷ bare products",
        "value_ratio": "{}'s engine: value and gradient ÷ value",
    }
    times = report.numbers.times
    found = []
    for one in FIGURES:
        where = {"network": one.network, "dtype": one.dtype, "pool": 1}
        samples = report.samples_of(rows, one.metric, one.way, **where)
        if not samples:
            continue
        low, high = measure.bootstrap_interval(samples)
        found.append(
            (
                label((one.network, one.dtype)),
                words[one.metric].format(names()[one.way]),
                times(median(samples)),
                f"{times(low)} to {times(high)}",
                str(one.goal),
                one.goal.verdict(samples),
            )
        )
    return found


def goals_table(rows: Sequence[Row]) -> str:
    """The same as a table."""
    header = ["network", "figure", "median", "its interval", "to reach", "verdict"]
    return report.markdown_table(header, judged(rows), numbers_from=2)


def _ranks(rows: Sequence[Row], threads: int = 1) -> tuple[list[str], list[str]]:
    """Networks on which diffkit is the fastest, and who is where it is not."""
    fastest, beaten = [], []
    for column in measured(rows, threads):
        ratios = {
            way: found
            for way in LIBRARIES
            if (found := value(rows, "gradient_ratio", way, column, threads))
            is not None
        }
        if len(ratios) < 2:
            continue
        best = min(ratios, key=lambda way: ratios[way])
        if best == NESTED:
            fastest.append(label(column))
        else:
            share = report.numbers.times(ratios[best])
            beaten.append(f"on {label(column)} {names()[best]} takes {share} its time")
    return fastest, beaten


def findings(rows: Sequence[Row]) -> measure.Findings:
    """The facts that the page may state."""
    numbers = report.numbers
    columns = measured(rows)
    fastest, beaten = _ranks(rows)
    fastest_of_two, beaten_of_two = _ranks(rows, 2)
    verdicts = [verdict for *_, verdict in judged(rows)]
    missing = sorted(
        {
            names()[row.backend]
            for row in rows
            if row.status == "unavailable" and row.backend in names()
        }
    )

    def worst(metric: str, ways: Sequence[str], dtype: str) -> float | None:
        found = [
            row.value
            for row in report.rows_of(rows, metric, dtype=dtype)
            if row.backend in ways and row.value is not None
        ]
        return max(found, default=None)

    def span(metric: str) -> str:
        found = _all(rows, metric, NESTED)
        if not found:
            return "no result"
        return f"{numbers.times(min(found))} to {numbers.times(max(found))}"

    def by_balls() -> str:
        bits = report.rows_of(rows, "reference_bits", NESTED, dtype=DOUBLE)
        wide = {row["network"]: row.value for row in bits if (row.value or 0) < 128}
        return ", ".join(dict.fromkeys(map(str, wide))) or "none"

    peers = [way for way in (*TOGETHER, "torch_compile") if way != NESTED]
    facts = {
        "networks": len(columns),
        "fastest": len(fastest),
        "where": f" (on {', '.join(fastest)})" if fastest else "",
        "beaten": "; ".join(beaten) or "nowhere is another faster",
        "networks_of_two": len(measured(rows, 2)),
        "fastest_of_two": len(fastest_of_two),
        "beaten_of_two": "; ".join(beaten_of_two) or "nowhere is another faster",
        "goals": len(verdicts),
        "reached": verdicts.count(goals.REACHED),
        "close": verdicts.count(goals.CLOSE),
        "ratios": matrix(rows, "gradient_ratio", numbers.times),
        "clock": matrix(rows, "clock_ratio", numbers.times),
        "two": matrix(rows, "gradient_ratio", numbers.times, threads=2),
        "seconds": matrix(rows, "gradient_seconds", numbers.seconds),
        "errors": matrix(rows, "largest_ulps", _ulps),
        "evaluations": matrix(rows, "primal_evaluations", numbers.count),
        "prepare": matrix(rows, "prepare_seconds", numbers.seconds),
        "allowed": numbers.scientific(ALLOWED[DOUBLE]),
        "allowed_single": numbers.scientific(ALLOWED[SINGLE]),
        "allowed_differences": numbers.scientific(ALLOWED["differences"]),
        "own_error": report.said(worst("largest_ulps", [NESTED], DOUBLE), _ulps),
        "peers_error": report.said(worst("largest_ulps", peers, DOUBLE), _ulps),
        "differences_error": report.said(
            worst("relative_error", DIFFERENCES, DOUBLE), numbers.scientific
        ),
        "extended": by_balls(),
        "proved_below": numbers.scientific(beside.PROVED_OPERATIONS),
        "products": span("products_ratio"),
        "copies": span("bytes_ratio"),
        "over_value": span("value_ratio"),
        "missing": (
            f"Not installed or not able to run here: {', '.join(missing)}; the table "
            "of stopped cells says why, and how to install them."
            if missing
            else "Every library was there."
        ),
        "patience": numbers.seconds(PATIENCE_SECONDS),
    }
    return measure.Findings(facts)


def tables(rows: Sequence[Row]) -> Mapping[str, str]:
    """The figures to reach, beside the figure."""
    if not judged(rows):
        return {}
    return {"One thread: figures to reach, and what was measured": goals_table(rows)}


def _ulps(number: float) -> str:
    return f"{number:.1f}" if number < 1e4 else report.numbers.scientific(number)


ANSWER = """
With one thread diffkit is the fastest on {fastest} of {networks} networks{where};
{beaten}. With two it is on {fastest_of_two} of {networks_of_two}. Of {goals} figures
that it is to reach, {reached} are reached and {close} are too close to tell. All
derived gradients agree with the exact one to rounding.
"""

PAGE = """
Every library gets the same program, traced once and read into its own functions: tanh
layers and a mean squared error. Each result is first compared with a reference: a
derived gradient may be off by {allowed} of the largest entry (`float32`:
{allowed_single}), a difference quotient by {allowed_differences}, or it is not timed.
Then, in one process for each network, all of them are timed in turn: value and gradient
together, compiled or warmed up beforehand, waited for, with inputs and results that are
the library's own arrays, so that nobody is charged for a conversion. diffkit's are
NumPy's, nested as its users nest them: what it takes to check and to flatten them is
charged to it. CasADi, which has no BLAS, computes in `float64` only, and large matrices
apart from the others. {missing}

## One thread

As multiples of diffkit's time, its reverse mode on its own engine:

{ratios}

So diffkit is the fastest on {fastest} of {networks}{where}; {beaten}. What is slow
about the others on small networks is the call, not the arithmetic: each crosses from
Python into the library and back, and those that write a tape do so for every operation.
On large ones everybody waits for the same matrix products.

The seconds are those of the processor, all threads together, which a busy machine
disturbs little; the process may use one core. By the clock on the wall, on the machine
as it was, the multiples are:

{clock}

What they are multiples of, in seconds of the processor:

{seconds}

## Two threads

Every library is told to use two threads and the process may use two cores; times are
those of the clock on the wall, and between two samples the threads of the library
before come to rest:

{two}

diffkit is the fastest on {fastest_of_two} of {networks_of_two}; {beaten_of_two}. These
need two idle cores: where something else runs, threads wait for one that does not; a
wide spread, or none because there were too few rounds, says so.

## How near the floor

A whole gradient takes {products} the time of its bare matrix products: three for each
layer, less the one that nobody needs for the input, called from Python one after the
other, into arrays that are there, by NumPy's BLAS or by SciPy's, whichever is faster.
That is a floor for whoever calls a BLAS. diffkit multiplies small matrices by loops of
its own, which stay in registers and cost no call, and large ones in panels that it
packs itself: where those are faster than the BLAS, the multiple is below one.

Moving as many bytes as the gradient's operations read and write, one after the other,
is another floor: the gradient takes {copies} the time that `np.copyto` takes for that
(less than one where neighbouring operations are done block by block, so that most of
those bytes never leave the first cache).

Value and gradient take the engine {over_value} the time of the value alone.

## Accuracy

Largest error of any entry, in ulps of the gradient's largest entry:

{errors}

At most {own_error} for diffkit and {peers_error} for the other derivations in
`float64`; difference quotients are off by {differences_error} of the largest entry. The
reference is computed in balls, which prove their digits; where a gradient has more than
{proved_below} operations it is computed by NumPy in extended precision ({extended}), or
for `float32` in `float64`.

## Evaluations

How often the function is evaluated for one gradient. SciPy and numdifftools evaluate it
beside the point, by its NumPy reading; a gradient that is bound to take more than
{patience} is not begun, which is a result:

{evaluations}

## Before the first gradient

What each needs to read, derive and compile the program, libraries loaded beforehand
(but for the compiler of PyTorch, which takes as long for any network):

{prepare}
"""

METRICS = {
    "gradient_ratio": "value and gradient over diffkit's, median of ratios of samples "
    "taken in turn; by seconds of the processor for one thread, by the clock for two",
    "flat_ratio": "the same over diffkit's gradient of one flat vector",
    "clock_ratio": "the same as `gradient_ratio` by the clock on the wall",
    "gradient_seconds": "value and gradient, by the clock of `gradient_ratio`",
    "products_ratio": "diffkit's time over the bare products, by the faster BLAS",
    "bytes_ratio": "diffkit's time over that of moving `moved_bytes`",
    "value_ratio": "value and gradient over the value alone, both by the engine "
    "without the call around it",
    "relative_error": "largest deviation from the reference, over its largest entry",
    "largest_ulps": "the same in ulps of the largest entry",
    "reference_bits": "precision in which the reference was computed",
    "primal_evaluations": "evaluations of the function for one gradient",
    "prepare_seconds": "reading, deriving and compiling, once",
    "moved_bytes": "bytes that the operations of the gradient read and write",
    "installed_count": "a library that is there",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="How does diffkit compare with other libraries?",
    claims=(),
    cases=cases,
    measure=measure_case,
    figure=figure,
    findings=findings,
    answer=ANSWER,
    page=PAGE,
    metrics=METRICS,
    tables=tables,
    packages=PACKAGES,
)

if __name__ == "__main__":
    from diffkit.cli import run_file

    sys.exit(run_file(__file__))

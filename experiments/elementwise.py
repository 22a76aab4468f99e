"""What one element costs: functions and arithmetic, in caches and in memory.

One operation over a whole array, by the engine, by NumPy into an array that is there,
and by `np.copyto`, which moves the bytes and computes nothing; taken in turn, in both
precisions. Beside them the largest errors, against proved values. Run it alone::

    python experiments/elementwise.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median
from time import process_time_ns
from typing import Any

import numpy as np
from scipy.special import expit

from diffkit import measure, report
from diffkit.backends.runtime import make_runner
from diffkit.engine.vector_math import BOUNDS
from diffkit.graph import Builder, Graph
from diffkit.interpret.exact import certify
from diffkit.interpret.ulps import ulps
from diffkit.measure import Case, Mode, Row
from diffkit.measure.accuracy import range_points
from diffkit.ops import TABLE

NAME = "elementwise"
DTYPES = ("float64", "float32")
#: Operation -> the same by NumPy or SciPy, into an array that is there.
NUMPY: Mapping[str, Callable[..., Any]] = {
    "exp": np.exp,
    "tanh": np.tanh,
    "sigmoid": expit,
    "log": np.log,
    "add": np.add,
    "multiply": np.multiply,
}
FUNCTIONS = ("exp", "tanh", "sigmoid", "log")
#: Elements of an array by where it and its results stay: three arrays of 8 bytes an
#: element fit into the smallest first-level and second-level caches that are common,
#: and not into any cache.
PLACES: Mapping[str, int] = {
    "first-level cache": 1 << 10,
    "second-level cache": 1 << 14,
    "memory": 1 << 24,
}
FIRST = "first-level cache"
#: What the quick cases take from farther away than the first-level cache.
QUICK = ("exp", "add")
#: Documented bounds in ulps; arithmetic is rounded once, as IEEE 754 has it.
DOCUMENTED: Mapping[str, Mapping[str, float]] = {
    dtype: {op: BOUNDS[op][place] if op in BOUNDS else 0.5 for op in NUMPY}
    for place, dtype in enumerate(DTYPES)
}
#: Nanoseconds an element that are to be reached, in the first-level cache.
GOALS: Mapping[tuple[str, str], measure.Goal] = {
    (op, dtype): measure.Goal(bound, at_least=False)
    for dtype, bound in (("float64", 1.5), ("float32", 0.8))
    for op in ("exp", "tanh")
}
WAYS = {"engine": "diffkit's engine", "numpy": "NumPy", "copy": "`np.copyto`"}
SAMPLES, SAMPLE_SECONDS, BUDGET_SECONDS = 19, 3e-3, 0.7
#: Runs of a program inside one call, so that the call itself is no part of the figure.
LONG_SECONDS = 1e-3
LIMITS = measure.Limits(seconds=120.0, bytes=4 << 30)


def cases(mode: Mode) -> list[Case]:
    """Times of every operation by precision and place; then errors."""
    timed = [
        _case("time", op, dtype, place)
        for place in PLACES
        for dtype in DTYPES
        for op in NUMPY
        if mode == "full" or place == FIRST or op in QUICK
    ]
    return timed + [_case("error", op, dtype, "") for dtype in DTYPES for op in NUMPY]


def _case(part: str, op: str, dtype: str, place: str) -> Case:
    where: dict[str, Any] = {"place": place} if place else {}
    return measure.case(
        NAME,
        "engine",
        runtime="engine",
        timed=part == "time",
        limits=LIMITS,
        part=part,
        op=op,
        dtype=dtype,
        **where,
    )


def measure_case(case: Case) -> list[Row]:
    """Nanoseconds of one operation, or its errors."""
    return {"time": _times, "error": _errors}[case["part"]](case)


def program(op: str, elements: int) -> Graph:
    """One operation over whole arrays; its first output is one element of the result.

    The result is an output too, so that all of it is made.
    """
    builder = Builder()
    inputs = [builder.input((elements,)) for _ in range(TABLE[op].arity or 0)]
    result = builder.apply(TABLE[op], inputs)
    first = builder.apply(TABLE["index"], [result], key=(0,))
    return builder.graph([first, result])


def points(op: str, elements: int, dtype: str, seed: int = 0) -> list[np.ndarray]:
    """Arguments of an operation, where networks have them: positive for the log."""
    rng = np.random.default_rng(seed)
    arrays = [rng.uniform(0.1, 4.0, elements) for _ in range(TABLE[op].arity or 0)]
    if op not in ("log", "multiply"):
        arrays = [array - 2.0 for array in arrays]
    return [array.astype(dtype) for array in arrays]


def repeated(op: str, leaves: Sequence[np.ndarray], dtype: str) -> Callable[[int], Any]:
    """``run(n)`` runs the operation n times inside the engine, by one call.

    Each run replaces one element by itself, which is how the engine takes finite
    differences; arguments are copied in once a call.
    """
    machine = make_runner(program(op, leaves[0].size), "engine", np.dtype(dtype))
    first = float(leaves[0][0])

    def run(count: int) -> Any:
        places = np.zeros(count, np.int64)
        return machine.perturbed(leaves, 0, places, np.full(count, first))

    return run


def _times(case: Case) -> list[Row]:
    """One operation by every way in turn, in seconds of the processor."""
    op, dtype, place = case["op"], case["dtype"], case["place"]
    elements, numpys = PLACES[place], NUMPY[op]
    leaves, out = points(op, elements, dtype), np.empty(elements, dtype)
    run = repeated(op, leaves, dtype)
    count = _long_enough(run)
    one, out_of_one = [leaf[:1] for leaf in leaves], out[:1]
    # Each beside the same call with less to do: what it costs by itself goes out.
    calls: dict[str, tuple[Callable[[], Any], Callable[[], Any], int]] = {
        "engine": (partial(run, 1 + count), partial(run, 1), count * elements),
        "numpy": (
            partial(numpys, *leaves, out=out),
            partial(numpys, *one, out=out_of_one),
            elements - 1,
        ),
        "copy": (
            partial(np.copyto, out, leaves[0]),
            partial(np.copyto, out_of_one, one[0]),
            elements - 1,
        ),
    }
    timings = measure.interleaved(
        {
            f"{way} {which}": call
            for way, (more, less, _) in calls.items()
            for which, call in (("more", more), ("less", less))
        },
        samples=SAMPLES,
        sample_seconds=SAMPLE_SECONDS,
        budget_seconds=BUDGET_SECONDS,
        clock=process_time_ns,
    )
    each = {
        way: np.subtract(timings[f"{way} more"].samples, timings[f"{way} less"].samples)
        / work
        for way, (_, _, work) in calls.items()
    }
    return [
        *(_row(case, f"{way}_seconds", samples) for way, samples in each.items()),
        _row(case, "numpy_ratio", each["numpy"] / each["engine"]),
    ]


def _row(case: Case, metric: str, samples: np.ndarray) -> Row:
    return case.row(metric, float(np.median(samples)), samples=samples)


def _long_enough(run: Callable[[int], Any]) -> int:
    """Runs inside one call that take `LONG_SECONDS`, at least 2."""
    once = measure.time_once(partial(run, 1))
    count = 2
    while measure.time_once(partial(run, 1 + count)) - once < LONG_SECONDS:
        count *= 2
    return count


def _errors(case: Case) -> list[Row]:
    """Largest errors over an operation's range, of the engine and of NumPy."""
    op, dtype = case["op"], case["dtype"]
    with np.errstate(all="ignore"):
        leaves = [leaf.astype(dtype) for leaf in range_points(TABLE[op])]
        kept = np.isfinite(NUMPY[op](*leaves))
    kept = np.logical_and.reduce([kept, *map(_ordinary, leaves)])
    leaves = [leaf[kept] for leaf in leaves]
    graph = program(op, leaves[0].size)
    _, mine = make_runner(graph, "engine", np.dtype(dtype))(leaves)
    _, true = certify(graph, [leaf.astype(np.float64) for leaf in leaves]).outputs
    sizes = np.array([abs(float(ball)) for ball in true])
    # Where the true value overflows or is subnormal, ulps say something else.
    limits = np.finfo(dtype)
    counted = (sizes < limits.max / 4) & (sizes >= limits.tiny)
    return [
        case.row(f"{way}_ulps", float(np.max(ulps(given[counted], true[counted]))))
        for way, given in (("engine", mine), ("numpy", NUMPY[op](*leaves)))
    ]


def _ordinary(leaf: np.ndarray) -> np.ndarray:
    """Where an argument is a normal number of its precision, or zero."""
    limits = np.finfo(leaf.dtype)
    size = np.abs(leaf)
    return (size == 0) | ((size >= limits.tiny) & np.isfinite(leaf))


def nanoseconds(
    rows: Sequence[Row], way: str, op: str, dtype: str, place: str
) -> list[float]:
    """Samples of one figure in nanoseconds an element; none where not measured."""
    found = report.samples_of(rows, f"{way}_seconds", op=op, dtype=dtype, place=place)
    return [1e9 * sample for sample in found]


def middle(rows: Sequence[Row], *which: str) -> float | None:
    """The median of the same."""
    found = nanoseconds(rows, *which)
    return median(found) if found else None


def figure(rows: Sequence[Row]):
    """Nanoseconds of every operation, by place and precision."""
    figures = report.figures
    looks = {
        "engine": figures.Look("diffkit's engine", "#0072B2", "o"),
        "numpy": figures.Look("NumPy (sigmoid: SciPy)", "#D55E00", "s"),
        "copy": figures.Look("np.copyto (no arithmetic)", "#999999", "|"),
    }
    shown, panels = figures.panels(
        len(PLACES), len(DTYPES), width=13.0, height=3.6 * len(PLACES)
    )
    for number, panel in enumerate(panels):
        place, dtype = list(PLACES)[number // len(DTYPES)], DTYPES[number % len(DTYPES)]
        known = {
            way: {
                op: found
                for op in NUMPY
                if (found := middle(rows, way, op, dtype, place)) is not None
            }
            for way in WAYS
        }
        ahead = [
            op
            for op, seconds in known["engine"].items()
            if seconds <= known["numpy"].get(op, 0.0)
        ]
        figures.bars(
            panel,
            [figures.Bars(looks[way], known[way]) for way in WAYS if known[way]],
            title=f"{dtype}, {place}: faster than NumPy at {len(ahead)} of "
            f"{len(known['engine'])}",
            x="nanoseconds an element (▾: to be reached)"
            if place == FIRST
            else "nanoseconds an element",
            show="{:.2f}".format,
        )
        for line, op in enumerate(known["engine"]):
            goal = GOALS.get((op, dtype))
            if goal is not None and place == FIRST:
                panel.plot([goal.bound], [line - 0.47], color="#000000", marker="v")
    return shown


def _most(rows: Sequence[Row], ops: Sequence[str], dtype: str, place: str) -> str:
    """The dearest of some operations by the engine, in nanoseconds."""
    known = [middle(rows, "engine", op, dtype, place) for op in ops]
    found = [one for one in known if one is not None]
    return report.said(max(found, default=None), "{:.2f}".format)


def _times_table(rows: Sequence[Row], dtype: str) -> str:
    lines = []
    for op in NUMPY:
        line = [f"`{op}`"]
        for place in PLACES:
            known = [middle(rows, way, op, dtype, place) for way in WAYS]
            line += ["–" if one is None else f"{one:.2f}" for one in known]
        lines.append(line)
    header = [f"{place}: {name}" for place in PLACES for name in WAYS.values()]
    return report.markdown_table(["ns an element", *header], lines)


def judged(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The figures to reach, in the first-level cache, with their intervals."""
    found = []
    for (op, dtype), goal in GOALS.items():
        samples = nanoseconds(rows, "engine", op, dtype, FIRST)
        if samples:
            low, high = measure.bootstrap_interval(samples)
            found.append(
                (
                    f"`{op}`, {dtype}",
                    f"{median(samples):.2f}",
                    f"{low:.2f} to {high:.2f}",
                    str(goal),
                    goal.verdict(samples),
                )
            )
    return found


def _ulps(rows: Sequence[Row], way: str, op: str, dtype: str) -> float | None:
    return report.value_of(rows, f"{way}_ulps", op=op, dtype=dtype)


def _errors_table(rows: Sequence[Row]) -> str:
    lines = []
    for op in NUMPY:
        line = [f"`{op}`"]
        for dtype in DTYPES:
            line += [
                report.said(_ulps(rows, "engine", op, dtype), "{:.4g}".format),
                f"{DOCUMENTED[dtype][op]:g}",
                report.said(_ulps(rows, "numpy", op, dtype), "{:.4g}".format),
            ]
        lines.append(line)
    header = [
        f"{dtype}: {what}"
        for dtype in DTYPES
        for what in ("diffkit", "documented bound", "NumPy")
    ]
    return report.markdown_table(["ulps", *header], lines)


def findings(rows: Sequence[Row]) -> measure.Findings:
    """The facts that the page may state."""
    arithmetic = ("add", "multiply")
    ratios = [
        row.value
        for op in FUNCTIONS
        for row in report.rows_of(rows, "numpy_ratio", op=op, place=FIRST)
        if row.value is not None
    ]
    beyond = [
        f"`{op}` in {dtype}"
        for dtype in DTYPES
        for op in NUMPY
        if (_ulps(rows, "engine", op, dtype) or 0.0) > DOCUMENTED[dtype][op]
    ]
    verdicts = [verdict for *_, verdict in judged(rows)]
    times = report.numbers.times
    return measure.Findings(
        {
            "double": _most(rows, FUNCTIONS, "float64", FIRST),
            "single": _most(rows, FUNCTIONS, "float32", FIRST),
            "double_memory": _most(rows, FUNCTIONS, "float64", "memory"),
            "arithmetic": _most(rows, arithmetic, "float64", FIRST),
            "arithmetic_memory": _most(rows, arithmetic, "float64", "memory"),
            "least": report.said(min(ratios, default=None), times),
            "most": report.said(max(ratios, default=None), times),
            "beyond": (
                f"Errors are beyond what is documented: {', '.join(beyond)}"
                if beyond
                else "No error is beyond what is documented"
            ),
            "goals": len(verdicts),
            "reached": verdicts.count(measure.goals.REACHED),
            "first": report.numbers.count(PLACES[FIRST]),
            "second": report.numbers.count(PLACES["second-level cache"]),
            "memory": report.numbers.count(PLACES["memory"]),
            "double_table": _times_table(rows, "float64"),
            "single_table": _times_table(rows, "float32"),
            "errors": _errors_table(rows),
            "judged": report.markdown_table(
                [
                    "in the first-level cache",
                    "ns",
                    "its interval",
                    "to reach",
                    "verdict",
                ],
                judged(rows),
            ),
        }
    )


def tables(rows: Sequence[Row]) -> Mapping[str, str]:
    """The figures to reach, beside the figure."""
    lines = judged(rows)
    if not lines:
        return {}
    header = ["nanoseconds an element", "median", "its interval", "to reach", "verdict"]
    return {"First-level cache: figures to reach": report.markdown_table(header, lines)}


ANSWER = """
A function of one number (exp, tanh, sigmoid, log) costs the engine at most {double} ns
an element in `float64` and {single} ns in `float32`, from the first-level cache: NumPy
takes {least} to {most} its time. {beyond}.
"""

PAGE = """
One operation over a whole array, one thread, in seconds of the processor: by the
engine, many runs inside one call; by NumPy (`sigmoid`: SciPy) into an array that is
there; and by `np.copyto`, which reads and writes an array and computes nothing, so that
nobody can be faster who has to do that. (Sums and products read two arrays, and so wait
for half as many bytes again.) From each, what the call costs by itself is taken off: a
call with one run only, or of one element. Arrays of
{first} elements stay in the first-level cache, of {second} in the second, and those of
{memory} in memory.

{double_table}

In `float32` half as many bytes are moved, and twice as many numbers fit into a
register:

{single_table}

Sums and products take {arithmetic} ns from the first-level cache and
{arithmetic_memory} ns from memory, where they wait for the bytes; a function there
takes {double_memory} ns. That is why neighbouring operations of a network are done
block by block in the first-level cache.

## What is to be reached

In the first-level cache, {reached} of {goals}; the table beside the figure has them.

## Errors

The largest over each operation's range, from the smallest arguments to saturation,
against values proved in ball arithmetic; results that overflow or are subnormal are
left out. {beyond}:

{errors}
"""

METRICS = {
    "engine_seconds, numpy_seconds, copy_seconds": "one element, in seconds of the "
    "processor; medians, raw samples",
    "numpy_ratio": "NumPy's time over the engine's, median of ratios taken in turn",
    "engine_ulps, numpy_ulps": "largest error over the operation's range",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="What does one element cost, and how exact is it?",
    claims=(),
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

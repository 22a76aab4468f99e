"""diffkit beside JAX, PyTorch, autograd, CasADi, SciPy and numdifftools.

The same traced program, read into each library; every result is compared with the exact
gradient before anything is timed; within a network all ways are timed in turn in one
process. Two floors stand beside them: the bare matrix products, and the bytes moved
alone. Run it alone::

    python experiments/peers.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import process_time_ns
from typing import Any

import numpy as np
import optree

from diffkit import measure, report
from diffkit.backends import get_backend
from diffkit.backends.peers.library import installed, require
from diffkit.errors import BackendError, ExperimentError, MissingDependencyError
from diffkit.graph import reverse, simplify
from diffkit.measure import Case, Mode, Row, floors
from diffkit.transform import prepare

NAME = "peers"


@dataclass(frozen=True, slots=True)
class Way:
    """A backend with its options, and the extra that installs its library."""

    backend: str
    options: Mapping[str, Any]
    runtime: str
    package: str | None = None
    name: str = ""


#: Timed together in one process, reverse mode all of them.
TOGETHER: Mapping[str, Way] = {
    "autodiff": Way("autodiff", {}, "engine", name="diffkit"),
    "jax": Way("jax", {}, "xla", "jax", "JAX, jit"),
    "torch": Way("torch", {"threads": 1}, "torch", "torch", "PyTorch, eager"),
    "autograd": Way("autograd", {}, "numpy", "autograd", "autograd"),
    "casadi": Way("casadi", {}, "casadi", "casadi", "CasADi"),
}
#: Each with diffkit in a process of its own: slow to compile, or slow to run.
ALONE: Mapping[str, Way] = {
    "torch_compile": Way(
        "torch",
        {"mode": "compile", "threads": 1},
        "torch",
        "torch",
        "PyTorch, compiled",
    ),
    "scipy": Way("scipy", {}, "numpy", None, "SciPy"),
    "numdifftools": Way("numdifftools", {}, "numpy", "numdifftools", "numdifftools"),
}
PACKAGES = tuple(
    sorted({way.package for way in ({**TOGETHER, **ALONE}).values() if way.package})
)
FLOORS = {"floor_products": "bare products", "floor_copies": "bytes moved alone"}
DIFFERENCES = ("scipy", "numdifftools")

NETWORKS: Mapping[str, measure.Network] = {
    "2-8-1": measure.Network((2, 8, 1), batch=4),
    "10-64-32-1": measure.Network((10, 64, 32, 1), batch=32),
    "10-(32×50)-1": measure.Network((10, *[32] * 50, 1), batch=32),
    "64-128-10": measure.Network((64, 128, 10), loss="cross_entropy", batch=64),
    "784-512-512-10": measure.Network(
        (784, 512, 512, 10), "relu", "cross_entropy", batch=128
    ),
}
QUICK = ("2-8-1", "10-64-32-1")
#: Networks that a way is asked for; all of them where it is not named.
ASKED: Mapping[str, Mapping[Mode, tuple[str, ...]]] = {
    "torch_compile": {"quick": (), "full": ("2-8-1", "10-64-32-1", "64-128-10")},
    "scipy": {"quick": QUICK, "full": tuple(NETWORKS)},
    "numdifftools": {"quick": ("2-8-1",), "full": tuple(NETWORKS)},
}
#: One gradient that is bound to take longer than this is not begun.
PATIENCE_SECONDS = 4.0
#: Largest error, over the gradient's largest entry, with which a way is timed at all.
ALLOWED = {"exact": 1e-11, "differences": 1e-5}
SAMPLES, BUDGET_SECONDS = 15, 0.8
LIMITS = measure.Limits(seconds=300.0, bytes=12 << 30)


def cases(mode: Mode) -> list[Case]:
    """All together on each network; some alone; and which libraries there are."""
    networks = QUICK if mode == "quick" else tuple(NETWORKS)
    asked = [("together", network) for network in networks]
    asked += [(way, network) for way in ALONE for network in ASKED[way][mode]]
    together = [
        measure.case(
            NAME,
            way,
            runtime=ALONE[way].runtime if way in ALONE else "none",
            limits=LIMITS,
            network=network,
        )
        for way, network in asked
    ]
    libraries = [
        measure.case(NAME, way, timed=False, network="any")
        for way, how in TOGETHER.items()
        if how.package
    ]
    return together + libraries


def measure_case(case: Case) -> list[Row]:
    """Ways beside diffkit on one network; or whether a library is there."""
    if case["network"] == "any":
        package = TOGETHER[case.backend].package
        assert package is not None
        require(package, package)
        return [case.row("installed_count", 1)]
    network = NETWORKS[case["network"]]
    if case.backend == "together":
        ways = {
            name: way
            for name, way in TOGETHER.items()
            if way.package is None or installed(way.package)
        }
        return _measure(case, network, ways, with_floors=True)
    way = ALONE[case.backend]
    try:
        return _measure(
            case, network, {"autodiff": TOGETHER["autodiff"], case.backend: way}
        )
    except MissingDependencyError:
        raise
    except BackendError as problem:  # no compiler, say: not a mistake of ours
        text = str(problem)
        return [case.row("gradient_ratio", None, status="unavailable", message=text)]


def _measure(
    case: Case,
    network: measure.Network,
    ways: Mapping[str, Way],
    *,
    with_floors: bool = False,
) -> list[Row]:
    measure.warm_up()
    problem = network.problem()
    prepared = {}
    for name, way in ways.items():
        backend = get_backend(way.backend, **way.options)
        x = np.ones((2, 2))  # its library is loaded once by a process, not by a network
        prepare(lambda w, x: np.mean(np.tanh(x @ w)), x, x, backend=backend)(x, x)
        prepared[name] = prepare(problem.function, *problem.arguments, backend=backend)
    diffkit = prepared["autodiff"]
    leaves = diffkit.leaves(problem.arguments)
    if stopped := _bound_to_take_long(case, prepared, leaves):
        return stopped
    reference = measure.reference_gradient(diffkit, *problem.arguments)
    largest = max(float(np.max(np.abs(leaf))) for leaf in diffkit.compiled(leaves)[1])
    rows: list[Row] = []
    for name, one in prepared.items():
        _, gradient = one(*problem.arguments)
        arrays = [np.asarray(leaf) for leaf in optree.tree_leaves(gradient)]
        relative, _ = reference.errors(arrays)
        kind = "differences" if name in DIFFERENCES else "exact"
        if not relative <= ALLOWED[kind]:
            raise ExperimentError(
                f"{name} is off by {relative:.3g} of the gradient's largest entry, and "
                f"{ALLOWED[kind]:g} is allowed: it was not timed."
            )
        row = _row(case, name, ways[name].runtime)
        rows += [
            row("relative_error", relative),
            row("largest_ulps", relative * largest / float(np.spacing(largest))),
            row("primal_evaluations", one.info.evaluations),
            row("prepare_seconds", float(sum(one.info.seconds.values()))),
        ]
    calls: dict[str, Callable[[], Any]] = {
        name: _at_home(one.compiled, leaves) for name, one in prepared.items()
    }
    runtimes = {name: way.runtime for name, way in ways.items()}
    if with_floors:
        program = diffkit.program
        moved = simplify(reverse(program.graph, program.wrt)).size().bytes
        calls["floor_products"] = floors.products(network.sizes, network.batch)
        calls["floor_copies"] = floors.copies(moved, diffkit.info.bytes)
        runtimes |= dict.fromkeys(FLOORS, "none")
        rows.append(_row(case, "floor_copies", "none")("moved_bytes", moved))
    timings = measure.interleaved(
        calls,
        samples=SAMPLES,
        sample_seconds=1e-3,
        budget_seconds=BUDGET_SECONDS,
        clock=process_time_ns,
    )
    by_the_clock = measure.interleaved(
        calls,
        samples=SAMPLES,
        sample_seconds=1e-3,
        budget_seconds=BUDGET_SECONDS / 2,
    )
    for name, timing in timings.items():
        beside = measure.ratio(timing, timings["autodiff"])
        clock = measure.ratio(by_the_clock[name], by_the_clock["autodiff"])
        row = _row(case, name, runtimes[name])
        rows += [
            row("clock_ratio", clock.median_seconds, samples=clock.samples),
            row("gradient_seconds", timing.median_seconds, samples=timing.samples),
            row("gradient_ratio", beside.median_seconds, samples=beside.samples),
        ]
    if case.backend != "together":  # diffkit's own stand in the cell that has them all
        rows = [row for row in rows if row.backend == case.backend]
    return rows


def _at_home(compiled: Any, leaves: Sequence[np.ndarray]) -> Callable[[], Any]:
    """A gradient as the library's own users call it: of arrays that are its own.

    NumPy's arrays are those of diffkit, autograd, SciPy and numdifftools; the others
    would have to convert them first, which is not their fault.
    """
    resident = getattr(compiled, "resident", None)
    return partial(compiled, leaves) if resident is None else resident(leaves)


def _row(case: Case, name: str, runtime: str) -> Callable[..., Row]:
    """Rows of one way within the case."""

    def row(metric: str, value: float, **more: Any) -> Row:
        return replace(case.row(metric, value, **more), backend=name, runtime=runtime)

    return row


def _bound_to_take_long(
    case: Case, prepared: Mapping[str, Any], leaves: Sequence[np.ndarray]
) -> list[Row]:
    """Rows that say so, where one gradient of the case would take too long."""
    if case.backend not in DIFFERENCES:
        return []
    one = prepared[case.backend]
    runs, each = (
        one.info.evaluations,
        measure.time_call(
            partial(one.compiled.value, leaves), samples=3, clock=process_time_ns
        ).median_seconds,
    )
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


def look(name: str):
    """Colour of a way: diffkit, its peers, or a floor."""
    colour, marker = (
        ("#0072B2", "o")
        if name == "autodiff"
        else ("#444444", "|")
        if name in FLOORS
        else ("#E69F00", "s")
        if name in DIFFERENCES
        else ("#D55E00", "D")
    )
    return report.figures.Look(names()[name], colour, marker)


def names() -> dict[str, str]:
    """How every way is called in figures and tables."""
    ways = {**TOGETHER, **ALONE}
    return {**{name: way.name for name, way in ways.items()}, **FLOORS}


def value(rows: Sequence[Row], metric: str, way: str, network: str) -> float | None:
    """One value, None where it was not measured."""
    return report.value_of(rows, metric, way, network=network)


def measured_networks(rows: Sequence[Row]) -> list[str]:
    """Networks with any ratio, in the order of the cases."""
    found = {row["network"] for row in report.rows_of(rows, "gradient_ratio")}
    return [network for network in NETWORKS if network in found]


def figure(rows: Sequence[Row]):
    """A panel of ratios for each network, one of errors."""
    figures = report.figures
    networks = measured_networks(rows)
    columns = min(3, len(networks) + 1)
    lines = -(-(len(networks) + 1) // columns)
    shown, panels = figures.panels(
        lines, columns, width=5.6 * columns, height=3.9 * lines
    )
    for panel, network in zip(panels, networks, strict=False):
        ratios = {
            way: found
            for way in names()
            if (found := value(rows, "gradient_ratio", way, network)) is not None
        }
        ordered = sorted(ratios, key=lambda way: ratios[way])
        first = next((way for way in ordered if way not in FLOORS), "autodiff")
        title = f"{network}, batch {NETWORKS[network].batch}: {names()[first]} first"
        _dots(panel, ratios, ordered, title, report.numbers.times)
        panel.set_xlabel("time for value and gradient ÷ diffkit's")
        panel.axvline(1, color="#0072B2", linewidth=0.8, linestyle=":", zorder=1)
    errors = {
        way: max(found)
        for way in names()
        if (found := _all(rows, "relative_error", way, networks))
    }
    ordered = sorted(errors, key=lambda way: errors[way])
    last = panels[len(networks)]
    _dots(
        last,
        errors,
        ordered,
        "Derived gradients are exact to rounding",
        "{:.1e}".format,
    )
    last.set_xlabel("largest error ÷ largest entry, worst network")
    for panel in panels[len(networks) + 1 :]:
        panel.remove()
    return shown


def _dots(
    panel,
    values: Mapping[str, float],
    ordered: Sequence[str],
    title: str,
    show: Callable[[float], str],
) -> None:
    figures = report.figures
    plain = figures.Look("", "#bbbbbb", ".")
    figures.bars(
        panel,
        [figures.Bars(plain, {names()[way]: values[way] for way in ordered})],
        title=title,
        x="",
        scale="log",
        show=show,
    )
    for place, way in enumerate(ordered):  # each in the colour of its kind
        kind = look(way)
        panel.plot(
            [values[way]],
            [place],
            color=kind.colour,
            marker=kind.marker,
            markersize=7,
            zorder=5,
        )


def _all(
    rows: Sequence[Row], metric: str, way: str, networks: Sequence[str]
) -> list[float]:
    found = (value(rows, metric, way, network) for network in networks)
    return [one for one in found if one is not None]


def _table(
    rows: Sequence[Row],
    metric: str,
    networks: Sequence[str],
    words: Callable[[float], str],
) -> str:
    lines = [
        [
            name,
            *(
                report.said(value(rows, metric, way, network), words)
                for network in networks
            ),
        ]
        for way, name in names().items()
        if _all(rows, metric, way, networks)
    ]
    return report.markdown_table(["", *networks], lines)


def _ranks(rows: Sequence[Row], networks: Sequence[str]) -> tuple[list[str], list[str]]:
    """Networks on which diffkit is the fastest, and who is where it is not."""
    fastest, beaten = [], []
    for network in networks:
        ratios = {
            way: found
            for way in (*TOGETHER, *ALONE)
            if (found := value(rows, "gradient_ratio", way, network)) is not None
        }
        best = min(ratios, key=lambda way: ratios[way], default="autodiff")
        if len(ratios) < 2:
            continue
        if best == "autodiff":
            fastest.append(network)
        else:
            share = report.numbers.times(ratios[best])
            beaten.append(f"on {network} {names()[best]} takes {share} its time")
    return fastest, beaten


def findings(rows: Sequence[Row]) -> measure.Findings:
    """The facts that the page may state."""
    numbers = report.numbers
    networks = measured_networks(rows)
    fastest, beaten = _ranks(rows, networks)
    missing = sorted(
        {
            names()[row.backend]
            for row in rows
            if row.status == "unavailable" and row.backend in names()
        }
    )

    def worst(metric: str, ways: Sequence[str]) -> float | None:
        found = [one for way in ways for one in _all(rows, metric, way, networks)]
        return max(found, default=None)

    def floor(way: str) -> str:
        found = _all(rows, "gradient_ratio", way, networks)
        if not found:
            return "no result"
        low, high = 100 * min(found), 100 * max(found)
        return f"{low:.0f} to {high:.0f} %"

    peers = [way for way in TOGETHER if way != "autodiff"]
    facts = {
        "networks": len(networks),
        "fastest": len(fastest),
        "where": f" (on {', '.join(fastest)})" if fastest else "",
        "beaten": "; ".join(beaten) or "nowhere is another faster",
        "ratios": _table(rows, "gradient_ratio", networks, numbers.times),
        "clock": _table(rows, "clock_ratio", networks, numbers.times),
        "errors": _table(rows, "largest_ulps", networks, _ulps),
        "evaluations": _table(rows, "primal_evaluations", networks, numbers.count),
        "prepare": _table(rows, "prepare_seconds", networks, numbers.seconds),
        "allowed": numbers.scientific(ALLOWED["exact"]),
        "allowed_differences": numbers.scientific(ALLOWED["differences"]),
        "own_error": report.said(worst("largest_ulps", ["autodiff"]), _ulps),
        "peers_error": report.said(worst("largest_ulps", peers), _ulps),
        "differences_error": report.said(
            worst("relative_error", DIFFERENCES), numbers.scientific
        ),
        "products": floor("floor_products"),
        "copies": floor("floor_copies"),
        "missing": (
            f"Not installed or not able to run here: {', '.join(missing)}; the table "
            "of stopped cells says why, and how to install them."
            if missing
            else "Every library was there."
        ),
        "patience": numbers.seconds(PATIENCE_SECONDS),
    }
    return measure.Findings(facts)


def _ulps(number: float) -> str:
    return f"{number:.1f}" if number < 1e4 else report.numbers.scientific(number)


ANSWER = """
diffkit is the fastest on {fastest} of {networks} networks{where}; {beaten}. All derived
gradients agree with the exact one to rounding.
"""

PAGE = """
Every library gets the same program, traced once and read into its own functions, and is
first compared with a gradient that ball arithmetic has proved: a derived gradient may
be off by {allowed} of the largest entry, a difference quotient by
{allowed_differences}, or it is not timed. Then, in one process for each network, all of
them are timed in turn: value and gradient together, compiled or warmed up beforehand,
waited for, with inputs and results that are the library's own arrays (NumPy's for
diffkit), so that nobody is charged for a conversion. {missing}

## Time

As multiples of diffkit's time, its reverse mode on its own engine:

{ratios}

So diffkit is the fastest on {fastest} of {networks}{where}; {beaten}. What is slow
about the others on small networks is the call, not the arithmetic: each crosses from
Python into the library and back, and those that write a tape do so for every operation.
On large ones everybody waits for the same matrix products.

Two floors show how much is left to gain. The bare products of the layers, by the same
BLAS into arrays that are there, take {products} of diffkit's time; moving as many bytes
as the gradient's operations read and write, one after the other, takes {copies} (more
than all of it where neighbouring operations are done block by block, so that most of
those bytes never leave the first cache).

The seconds are those of the processor, all threads together, which a busy machine
disturbs little; what a thread waits for another is not in them, and what its helpers
spend is. By the clock on the wall, on the machine as it was, the multiples are:

{clock}

## Accuracy

Largest error of any entry, in ulps of the gradient's largest entry:

{errors}

At most {own_error} for diffkit and {peers_error} for the other derivations; difference
quotients are off by {differences_error} of the largest entry.

## Evaluations

How often the function is evaluated for one gradient. SciPy and numdifftools evaluate it
beside the point, by its NumPy reading; a gradient that is bound to take more than
{patience} is not begun, which is a result:

{evaluations}

## Before the first gradient

What each needs to read, derive and compile the program, libraries loaded beforehand:

{prepare}
"""

METRICS = {
    "gradient_ratio": "value and gradient over diffkit's, median of ratios of samples "
    "taken in turn",
    "clock_ratio": "the same by the clock on the wall",
    "gradient_seconds": "the compiled program alone, in seconds of the processor",
    "relative_error": "largest deviation from the proved gradient, over its largest "
    "entry",
    "largest_ulps": "the same in ulps of the largest entry",
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
    packages=PACKAGES,
)

if __name__ == "__main__":
    from diffkit.cli import run_file

    sys.exit(run_file(__file__))

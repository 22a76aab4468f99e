"""Everything one backend's gradient of one program costs, measured in one process.

The measurement behind `diffkit compare` and the experiments on cost: preparing by
phase, the gradient against one forward pass of the same runtime and against one of the
engine, sampled in turn, exact counts, peak memory, and the error against a reference
proved to fifty digits.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import optree

from diffkit.backends import get_backend
from diffkit.graph import reverse
from diffkit.measure.reference import reference_gradient
from diffkit.measure.timers import Timing, interleaved, ratio, time_once
from diffkit.transform import prepare

if sys.platform != "win32":
    import resource

#: Long enough that a clock and a scheduler's tick are small beside a sample, and that
#: starting a process is small beside all samples of a cell.
SAMPLE_SECONDS = 3e-3
#: Quartiles of the ratio further apart than this, relative to it, are not believed.
DISTURBED = 0.1
#: Preparing is timed this often, unless that takes longer than the budget.
PREPARATIONS = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """A scalar function and the arguments at which its gradient is taken."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class GradientCost:
    """What was measured, in SI units and counts.

    ``gradient`` is the compiled program alone; ``call`` is the public
    call, which also flattens, checks and nests. ``primal`` is one forward pass: the
    program as it was traced, on the same runtime. ``ratio`` is gradient over primal,
    ``engine_ratio`` over a forward pass of the engine; both from samples taken in turn.
    ``peak_bytes`` is by how much the process grew at its largest
    while preparing for the first time and at the first call. Errors and bits are None
    where no reference was asked for.
    """

    value: float
    parameters: int
    prepare: Timing
    phases: Mapping[str, float]
    first_seconds: float
    gradient: Timing
    primal: Timing
    call: Timing
    ratio: Timing
    engine_ratio: Timing
    evaluations: int
    operations: int
    primal_operations: int
    tree_operations: int
    shared_operations: int
    planned_bytes: int
    peak_bytes: int
    relative_error: float | None
    entry_error: float | None
    reference_bits: int | None


def warm_up() -> None:
    """Load what a process loads once: the engine's code, SymPy, BLAS.

    A cell measures a gradient, not the start of Python; what a first use in a fresh
    process costs is measured by the benchmarks of start-up.
    """
    x = np.ones((2, 2))
    for backend in ("autodiff", get_backend("symbolic", form="shared")):
        prepare(lambda w, x: np.mean(np.tanh(x @ w)), x, x, backend=backend)(x, x)


def runtime_of(backend: str, options: Mapping[str, Any] | None = None) -> str:
    """What runs the arithmetic of a backend: engine, numpy, a peer's own, or none.

    >>> runtime_of("autodiff"), runtime_of("symbolic", {"form": "expanded"})
    ('engine', 'numpy')
    """
    if backend == "null":
        return "none"
    chosen = get_backend(backend, **(options or {}))
    default = getattr(chosen, "runtime", "numpy")
    return str(getattr(chosen, "runs_on", default))


def measure_gradient(
    problem: Problem,
    backend: str,
    options: Mapping[str, Any] | None = None,
    *,
    samples: int = 31,
    budget_seconds: float = 2.0,
    prove: bool = True,
) -> GradientCost:
    """Prepare, run and time one backend on one problem, and check what it gives.

    Without ``prove`` it is not checked: the proof of a very deep program takes far
    longer than everything that is measured.
    """
    function, arguments = problem.function, problem.arguments
    chosen = get_backend(backend, **(options or {}))
    before = _peak_bytes()
    start = perf_counter()
    prepared = prepare(function, *arguments, backend=chosen)
    preparing = [perf_counter() - start]
    start = perf_counter()
    value, gradient = prepared(*arguments)
    first_seconds = perf_counter() - start
    peak = max(_peak_bytes() - before, 0)
    while len(preparing) < PREPARATIONS and sum(preparing) < budget_seconds:
        preparing.append(
            time_once(partial(prepare, function, *arguments, backend=chosen))
        )
    engine = prepare(function, *arguments, backend="autodiff")
    on_numpy = get_backend("autodiff", runtime="numpy")
    same = engine
    runtime = runtime_of(backend, options)
    if runtime == "numpy":
        same = prepare(function, *arguments, backend=on_numpy)
    elif runtime not in ("engine", "none"):  # a peer that runs the arithmetic itself
        same = prepared
    leaves = prepared.leaves(arguments)
    timings = _steadiest(
        {
            "gradient": partial(prepared.compiled, leaves),
            "primal": partial(same.compiled.value, leaves),
            "engine": partial(engine.compiled.value, leaves),
            "call": partial(prepared, *arguments),
        },
        samples,
        budget_seconds,
    )
    error = entry = bits = None
    if prove:
        reference = reference_gradient(engine, *arguments)
        bits = reference.bits
        error, entry = reference.errors(_leaves(gradient))
    info, details = prepared.info, prepared.info.details
    derivative = reverse(prepared.program.graph, prepared.program.wrt).size()
    return GradientCost(
        value=float(value),
        parameters=prepared.program.parameters,
        prepare=Timing(tuple(preparing), 1),
        phases=dict(info.seconds),
        first_seconds=first_seconds,
        gradient=timings["gradient"],
        primal=timings["primal"],
        call=timings["call"],
        ratio=ratio(timings["gradient"], timings["primal"]),
        engine_ratio=ratio(timings["gradient"], timings["engine"]),
        evaluations=info.evaluations,
        operations=info.operations,
        primal_operations=prepared.program.graph.size().operations,
        tree_operations=details.get("tree_operations", derivative.tree_operations),
        shared_operations=details.get(
            "shared_operations", derivative.shared_operations
        ),
        planned_bytes=info.bytes,
        peak_bytes=peak,
        relative_error=error,
        entry_error=entry,
        reference_bits=bits,
    )


def _steadiest(
    calls: Mapping[str, Callable[[], Any]], samples: int, budget_seconds: float
) -> dict[str, Timing]:
    """Interleaved timings; taken again, at most twice, where something disturbed them.

    Disturbed means that the quartiles of the ratio lie further apart than `DISTURBED`;
    the attempt with the closest quartiles is kept. On a quiet machine there is one.
    """
    best: dict[str, Timing] = {}
    least = float("inf")
    for _ in range(3):
        timings = interleaved(
            calls,
            samples=samples,
            sample_seconds=SAMPLE_SECONDS,
            budget_seconds=budget_seconds,
        )
        spread = ratio(timings["gradient"], timings["primal"])
        apart = spread.iqr_seconds / spread.median_seconds
        if apart < least:
            best, least = timings, apart
        if least <= DISTURBED or len(spread.samples) < samples:
            break
    return best


def _leaves(gradient: Any) -> Sequence[np.ndarray]:
    return [np.asarray(leaf) for leaf in optree.tree_leaves(gradient)]


def _peak_bytes() -> int:
    """Largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

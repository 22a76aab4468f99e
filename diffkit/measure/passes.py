"""A gradient timed beside one forward pass of the engine, and nothing else.

What `measure_gradient` measures of one backend is more than a sweep over many sizes
needs, and its proved reference is more than large ones can wait for. Seconds are those
of the processor, which on a quiet machine are the clock's (there is one thread), and
which a busy machine disturbs less: a long call is interrupted more often than a short
one, so that even ratios of clock times would drift.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from time import process_time_ns
from typing import Any

import numpy as np

from diffkit.backends import get_backend
from diffkit.measure.gradient import Problem
from diffkit.measure.timers import Timing, interleaved
from diffkit.measure.timers import ratio as ratio_of
from diffkit.prepared import Prepared
from diffkit.transform import prepare

#: Sampling takes at least so long: starting a process is small beside it.
LEAST_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class GradientTime:
    """One backend's gradient beside the engine's forward pass, sampled in turn.

    `deviation` is the largest difference from reverse mode on the engine, relative to
    the gradient's largest entry: what was timed is a gradient.
    """

    prepared: Prepared
    gradient: Timing
    primal: Timing
    deviation: float

    @property
    def ratio(self) -> Timing:
        """Gradient over forward pass, sample by sample."""
        return ratio_of(self.gradient, self.primal)


def time_gradient(
    problem: Problem,
    backend: str,
    options: Mapping[str, Any] | None = None,
    *,
    samples: int = 15,
    budget_seconds: float = 0.5,
) -> GradientTime:
    """Time value and gradient by one backend, and the primal, in turn.

    Both together for `LEAST_SECONDS` at least.
    """
    arguments = problem.arguments
    chosen = get_backend(backend, **(options or {}))
    prepared = prepare(problem.function, *arguments, backend=chosen)
    engine = prepare(problem.function, *arguments, backend="autodiff")
    leaves = prepared.leaves(arguments)
    timings = interleaved(
        {
            "gradient": partial(prepared.compiled, leaves),
            "primal": partial(engine.compiled.value, leaves),
        },
        samples=samples,
        sample_seconds=LEAST_SECONDS / (2 * samples),
        budget_seconds=max(budget_seconds, LEAST_SECONDS),
        clock=process_time_ns,
    )
    given, true = prepared.compiled(leaves)[1], engine.compiled(leaves)[1]
    largest = max(float(np.max(np.abs(leaf), initial=0.0)) for leaf in true)
    apart = max(
        float(np.max(np.abs(a - b), initial=0.0))
        for a, b in zip(given, true, strict=True)
    )
    return GradientTime(
        prepared,
        timings["gradient"],
        timings["primal"],
        apart / largest if largest > 0 else apart,
    )

"""One gradient of a network by several libraries in one process: checked, then timed.

Every library gets the same program, traced once and read into its own functions; the
threads of all of them are set to one number; every result is compared with a reference
before anything is timed; then all are timed in turn, beside two bare floors, so that a
drift of the machine meets all of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from time import perf_counter_ns, process_time_ns
from typing import Any

import numpy as np
import optree
from threadpoolctl import threadpool_limits

from diffkit.backends import Backend, get_backend
from diffkit.errors import ExperimentError, UserInputError
from diffkit.graph import reverse, simplify
from diffkit.interpret import numpy as numpy_reading
from diffkit.measure import floors
from diffkit.measure.gradient import Problem
from diffkit.measure.networks import Network
from diffkit.measure.reference import reference_gradient
from diffkit.measure.timers import Timing, interleaved, time_once
from diffkit.prepared import Prepared
from diffkit.transform import prepare

#: Diffkit's own calls: of nested arrays, of one flat vector, of the engine alone.
NESTED, FLAT, ENGINE, PRIMAL = "autodiff", "autodiff_flat", "engine", "primal"
#: The bare products by either BLAS, and the bytes alone.
FLOORS = ("products_numpy", "products_scipy", "copies")
#: Gradients of more operations are compared with extended precision, not with balls.
PROVED_OPERATIONS = 100_000_000
#: A library this many times slower than diffkit, and this slow, is timed apart from the
#: others, so that they are not sampled as seldom as it is.
SLOW_TIMES, SLOW_SECONDS, SLOW_SAMPLES = 20.0, 0.25, 3
#: Between two samples of several threads: those of the library before come to rest.
PAUSE_SECONDS = 2e-3


@dataclass(frozen=True, slots=True)
class Library:
    """Whose gradient it is: a backend and its options, what runs it, what installs it.

    ``name`` is how readers know it. Unless ``warmed``, what its first program in a
    process costs is charged to the network: a compiler that takes many seconds.
    """

    name: str
    backend: str
    options: Mapping[str, Any] = field(default_factory=dict)
    runtime: str = "numpy"
    package: str | None = None
    warmed: bool = True

    def make(self, threads: int = 1) -> Backend:
        """The backend, on so many threads where it can be told."""
        backend: Any = get_backend(self.backend, **self.options)
        if "threads" in {option.name for option in fields(backend)}:
            backend = replace(backend, threads=threads)
        return backend


@dataclass(frozen=True, slots=True)
class Setting:
    """A network, the precision of its arrays, and the threads of every library."""

    network: Network
    dtype: str = "float64"
    threads: int = 1

    def problem(self) -> Problem:
        """The loss and its seeded arguments in this precision."""
        problem = self.network.problem()
        given: Any = problem.arguments
        arguments: Any = optree.tree_map(lambda leaf: leaf.astype(self.dtype), given)
        return Problem(problem.function, arguments)


@contextmanager
def threads_set(count: int) -> Iterator[None]:
    """Inside the block this process computes on ``count`` threads, whoever computes.

    BLAS and OpenMP by threadpoolctl; XLA sizes its pool once, by the cores that the
    process may run on and its own flags, so both are set before it is loaded. Raises
    UserInputError for a number below 1 or above the cores that there are.
    """
    movable = hasattr(os, "sched_setaffinity")
    cores = os.sched_getaffinity(0) if movable else set(range(os.cpu_count() or 1))
    if not 1 <= count <= len(cores):
        raise UserInputError(
            f"{count} threads were asked for, and this process may use {len(cores)} "
            "cores. Ask for 1 thread or more, and for no more than there are cores."
        )
    flags = os.environ.get("XLA_FLAGS")
    if count == 1 and "jax" not in sys.modules:
        os.environ["XLA_FLAGS"] = f"{flags or ''} --xla_cpu_multi_thread_eigen=false"
    try:
        if movable:
            os.sched_setaffinity(0, set(sorted(cores)[-count:]))
        with threadpool_limits(count):
            yield
    finally:
        if movable:
            os.sched_setaffinity(0, cores)
        if flags is None:
            os.environ.pop("XLA_FLAGS", None)
        else:
            os.environ["XLA_FLAGS"] = flags


@dataclass(frozen=True, slots=True)
class Truth:
    """The gradient that others are compared with, and the bits it was computed in.

    ``errors(leaves)`` is the largest deviation over the largest entry, in any entry.
    """

    errors: Callable[[Sequence[np.ndarray]], float]
    bits: int


class LineUp:
    """One setting, prepared by several libraries; `NESTED` has to be among them."""

    def __init__(self, setting: Setting, libraries: Mapping[str, Library]) -> None:
        self.setting, self.libraries = setting, libraries
        self.problem = setting.problem()
        self.prepared: dict[str, Prepared] = {}
        for name, library in libraries.items():
            backend = library.make(setting.threads)
            if library.warmed:  # loaded once by a process, not by a network
                x = np.ones((2, 2), setting.dtype)
                prepare(_tiny, x, x, backend=backend)(x, x)
            self.prepared[name] = prepare(
                self.problem.function, *self.problem.arguments, backend=backend
            )
        self.diffkit = self.prepared[NESTED]
        self.leaves = self.diffkit.leaves(self.problem.arguments)

    @cached_property
    def moved_bytes(self) -> int:
        """Bytes that the operations of the gradient read and write, one by one."""
        program = self.diffkit.program
        counted = simplify(reverse(program.graph, program.wrt)).size().bytes
        return counted * np.dtype(self.setting.dtype).itemsize // 8

    @cached_property
    def truth(self) -> Truth:
        """The gradient in balls, or for large networks in a wider floating point."""
        if self.diffkit.info.operations <= PROVED_OPERATIONS:
            proved = reference_gradient(self.diffkit, *self.problem.arguments)
            return Truth(lambda leaves: proved.errors(leaves)[0], proved.bits)
        wide = np.longdouble if self.setting.dtype == "float64" else np.float64
        program = self.diffkit.program
        graph = reverse(program.graph, program.wrt)
        _, *true = numpy_reading.evaluate(graph, self.leaves, wide)[
            : 1 + len(program.wrt)
        ]
        return Truth(partial(_deviation, true), int(np.finfo(wide).nmant) + 1)

    @cached_property
    def largest(self) -> float:
        """The largest entry of the gradient."""
        return max(
            float(np.max(np.abs(g))) for g in self.diffkit.compiled(self.leaves)[1]
        )

    def check(self, allowed: Mapping[str, float]) -> dict[str, float]:
        """Errors by library; ExperimentError for one that is off by more than allowed.

        Of the gradients as their users get them, and of diffkit's flat one.
        """
        found = {}
        for name, one in self.prepared.items():
            _, gradient = one(*self.problem.arguments)
            found[name] = self._error(name, optree.tree_leaves(gradient), allowed[name])
        if (flat := self._flat()) is not None:
            vector = flat()[1]
            sizes = [leaf.size for leaf in self._wanted()]
            parts = np.split(np.asarray(vector), np.cumsum(sizes)[:-1])
            shaped = [
                part.reshape(leaf.shape)
                for part, leaf in zip(parts, self._wanted(), strict=True)
            ]
            found[FLAT] = self._error(FLAT, shaped, allowed[NESTED])
        return found

    def _error(self, name: str, leaves: Sequence[Any], allowed: float) -> float:
        error = self.truth.errors([np.asarray(leaf) for leaf in leaves])
        if not error <= allowed:
            raise ExperimentError(
                f"{name} is off by {error:.3g} of the gradient's largest entry, and "
                f"{allowed:g} is allowed: it was not timed."
            )
        return error

    def _wanted(self) -> list[np.ndarray]:
        return [self.leaves[position] for position in self.diffkit.program.wrt]

    def _flat(self) -> Callable[[], Any] | None:
        """A gradient of one vector of parameters, where this version has the call."""
        flat = getattr(self.diffkit, "flat", None)
        if flat is None:
            return None
        theta = np.concatenate([leaf.ravel() for leaf in self._wanted()])
        return partial(flat, theta, *self.problem.arguments[1:])

    def calls(self) -> dict[str, Callable[[], Any]]:
        """One value and gradient by each library, as its own users call it.

        Of arrays that are the library's own: diffkit's are NumPy's, nested; others
        would have to convert them first, which is not their fault.
        """
        found: dict[str, Callable[[], Any]] = {
            name: partial(one, *self.problem.arguments)
            if name == NESTED
            else _at_home(one.compiled, self.leaves)
            for name, one in self.prepared.items()
        }
        if (flat := self._flat()) is not None:
            found[FLAT] = flat
        return found

    def bare(self) -> dict[str, Callable[[], Any]]:
        """The engine without the call around it, its value alone, and the floors."""
        network, setting = self.setting.network, self.setting
        products = floors.products(network.sizes, network.batch, setting.dtype)
        copies = floors.copies(
            self.moved_bytes, self.diffkit.info.bytes, setting.threads
        )
        floor_calls = [products["numpy"], products["scipy"], copies]
        return {
            ENGINE: partial(self.diffkit.compiled, self.leaves),
            PRIMAL: partial(self.diffkit.compiled.value, self.leaves),
            **dict(zip(FLOORS, floor_calls, strict=True)),
        }

    def time(
        self,
        calls: Mapping[str, Callable[[], Any]],
        *,
        samples: int,
        budget_seconds: float,
        by_the_clock: bool = False,
    ) -> dict[str, tuple[Timing, Timing]]:
        """(its timing, diffkit's beside it) by name, from samples taken in turn.

        One thread is timed by seconds of the processor, which a busy machine disturbs
        little; several, or ``by_the_clock``, by the clock on the wall.
        """
        alone = self.setting.threads == 1
        clock = process_time_ns if alone and not by_the_clock else perf_counter_ns
        own = time_once(calls[NESTED], clock=perf_counter_ns)
        slow = {
            name
            for name, call in calls.items()
            if name != NESTED
            and (took := time_once(call, clock=perf_counter_ns)) > SLOW_TIMES * own
            and took > SLOW_SECONDS
        }
        groups = [([name for name in calls if name not in slow], samples)]
        groups += [([NESTED, name], min(samples, SLOW_SAMPLES)) for name in slow]
        found: dict[str, tuple[Timing, Timing]] = {}
        for names, count in groups:
            timings = interleaved(
                {name: calls[name] for name in names},
                samples=count,
                sample_seconds=1e-3,
                budget_seconds=budget_seconds,
                clock=clock,
                pause_seconds=0.0 if alone else PAUSE_SECONDS,
            )
            for name in names:
                found.setdefault(name, (timings[name], timings[NESTED]))
        return found


def _tiny(w: Any, x: Any) -> Any:
    return np.mean(np.tanh(x @ w))


def _deviation(true: Sequence[np.ndarray], given: Sequence[np.ndarray]) -> float:
    largest = max(np.max(np.abs(exact), initial=0.0) for exact in true)
    apart = max(
        np.max(np.abs(mine - exact), initial=0.0)
        for mine, exact in zip(given, true, strict=True)
    )
    return float(apart / largest)


def _at_home(compiled: Any, leaves: Sequence[np.ndarray]) -> Callable[[], Any]:
    """A gradient of arrays that are the library's own, left as the library's own."""
    resident = getattr(compiled, "resident", None)
    return partial(compiled, leaves) if resident is None else resident(leaves)

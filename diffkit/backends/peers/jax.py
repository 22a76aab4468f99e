"""JAX: the program traced into XLA, compiled ahead of time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from diffkit.backends.base import Capabilities, Info, Program, check_dtype
from diffkit.backends.peers.library import load, require
from diffkit.backends.peers.measures import fresh, leaf_dtypes, reverse_mode_info
from diffkit.backends.peers.numpy_like import numpy_like_rows
from diffkit.backends.peers.reading import (
    ArrayFunctions,
    elementwise,
    read,
    scattered,
)
from diffkit.backends.phases import Phases


@dataclass(frozen=True, slots=True)
class Jax:
    """`jax.jit(jax.value_and_grad(f))`, lowered and compiled when prepared.

    Runs in the program's precision whatever the user's `jax_enable_x64` says, and
    leaves that setting alone. Results are waited for. XLA sizes its pool of threads
    when it starts: set XLA_FLAGS before, not here.

    Raises MissingDependencyError without JAX.
    """

    name: ClassVar[str] = "jax"
    runs_on: ClassVar[str] = "xla"
    capabilities: ClassVar[Capabilities] = Capabilities(exact=True, evaluations="1")

    def __post_init__(self) -> None:
        require("jax", "jax")

    def compile(self, program: Program) -> JaxCompiled:
        """Trace, lower and compile the value and gradient by XLA."""
        check_dtype(self.name, self.capabilities, np.dtype(program.dtype))
        return JaxCompiled(program)


class JaxCompiled:
    """An XLA executable, run in the precision it was compiled in."""

    def __init__(self, program: Program) -> None:
        phases = Phases()
        with phases("load"):
            jax = load("jax", "jax")
            functions = jax_functions()
        self._program, self._jax = program, jax
        self._dtype = np.dtype(program.dtype)
        self._leaf_dtypes = leaf_dtypes(program)
        self._precision = _precision(jax)
        self._wide = self._dtype == np.float64
        with phases("lower"), self._precision(self._wide):
            self._run = read(program.graph, functions, self._dtype)

            def primal(*leaves: Any) -> tuple[Any, list[Any]]:
                value, *auxiliary = self._run(leaves)
                return value, auxiliary

            self._primal = primal
            gradient = jax.jit(
                jax.value_and_grad(primal, argnums=program.wrt, has_aux=True)
            )
            lowered = gradient.lower(*self._shapes())
        with phases("compile"), self._precision(self._wide):
            self._gradient = lowered.compile()
        self._seconds = phases.seconds

    @cached_property
    def info(self) -> Info:
        """Counts of the gradient graph, and XLA's own analysis of what it compiled."""
        details: dict[str, Any] = {"runtime": Jax.runs_on}
        costs = self._gradient.cost_analysis() or {}
        if isinstance(costs, list):  # one for each computation, in older versions
            costs = costs[0] if costs else {}
        for ours, theirs in (
            ("xla_flops", "flops"),
            ("xla_transcendentals", "transcendentals"),
            ("xla_bytes_accessed", "bytes accessed"),
        ):
            if theirs in costs:
                details[ours] = float(costs[theirs])
        memory = self._gradient.memory_analysis()
        planned = 0
        if memory is not None:
            details["xla_temporary_bytes"] = int(memory.temp_size_in_bytes)
            details["xla_output_bytes"] = int(memory.output_size_in_bytes)
            planned = details["xla_temporary_bytes"] + details["xla_output_bytes"]
        return reverse_mode_info(
            Jax.name, self._program, self._seconds, planned, details
        )

    def __call__(
        self, leaves: Sequence[np.ndarray]
    ) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
        with self._precision(self._wide):
            results = self._gradient(*self._enter(leaves))
            (value, auxiliary), gradients = self._jax.block_until_ready(results)
        return (
            fresh(value, self._dtype)[()],
            [fresh(g, self._dtype) for g in gradients],
            [fresh(a, self._dtype) for a in auxiliary],
        )

    def resident(self, leaves: Sequence[np.ndarray]) -> Callable[[], Any]:
        """One gradient of arrays that are JAX's already, waited for, left as JAX's.

        What someone who works in JAX pays: nothing is converted on the way in or out.
        """
        with self._precision(self._wide):
            arrays = self._jax.device_put(self._enter(leaves))
        gradient, wait = self._gradient, self._jax.block_until_ready
        return lambda: wait(gradient(*arrays))

    def value(self, leaves: Sequence[np.ndarray]) -> Any:
        """The primal alone, compiled when it is first asked for."""
        with self._precision(self._wide):
            value, _ = self._jax.block_until_ready(
                self._compiled_primal(*self._enter(leaves))
            )
        return fresh(value, self._dtype)[()]

    @cached_property
    def _compiled_primal(self) -> Any:
        with self._precision(self._wide):
            return self._jax.jit(self._primal).lower(*self._shapes()).compile()

    def _shapes(self) -> list[Any]:
        nodes, inputs = self._program.graph.nodes, self._program.graph.inputs
        return [
            self._jax.ShapeDtypeStruct(nodes[place].shape, dtype)
            for place, dtype in zip(inputs, self._leaf_dtypes, strict=True)
        ]

    def _enter(self, leaves: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [
            np.asarray(leaf, dtype)
            for leaf, dtype in zip(leaves, self._leaf_dtypes, strict=True)
        ]


def jax_functions() -> ArrayFunctions:
    """JAX's array functions by row."""
    jax, special = load("jax", "jax"), load("jax.scipy.special", "jax")
    jnp = jax.numpy
    rows = numpy_like_rows(
        jnp,
        special.logsumexp,
        {
            "sigmoid": jax.nn.sigmoid,
            "softplus": jax.nn.softplus,
            "relu": jax.nn.relu,
            "erf": special.erf,
        },
    )

    def scatter(node: Any, shapes: Any) -> Any:
        targets = scattered(node)

        def add(*arrays: Any) -> Any:
            parts = jnp.concatenate([jnp.reshape(array, (-1,)) for array in arrays])
            total = jnp.zeros(int(np.prod(node.shape)), parts.dtype)
            return jnp.reshape(total.at[targets].add(parts), node.shape)

        return add

    rows["scatter"] = scatter
    # Its own abs has slope 1 at 0; the slope of sign is 0, so this one has slope 0.
    rows["abs"] = elementwise(lambda x: x * jnp.sign(x))
    return ArrayFunctions(
        peer=Jax.name,
        rows=rows,
        # Kept by NumPy until it is used: made into a JAX array under its own setting.
        constant=lambda array: array,
        as_real=lambda x: jnp.where(x, 1.0, 0.0),
        as_boolean=lambda x: x != 0,
    )


def _precision(jax: Any) -> Any:
    """What sets 64 bits for this thread; where it is depends on the version."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64
    return load("jax.experimental", "jax").enable_x64

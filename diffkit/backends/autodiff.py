"""Reverse-mode automatic differentiation: the gradient is a program of its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np

from diffkit.backends.base import (
    Capabilities,
    Direct,
    Form,
    Info,
    Program,
    check_dtype,
)
from diffkit.backends.derived import Derived
from diffkit.backends.direct import direct_call
from diffkit.backends.runtime import RuntimeName, require_threads
from diffkit.engine import planned_bytes
from diffkit.errors import ArenaTooLargeError, UserInputError
from diffkit.graph import (
    Checkpoint,
    recomputed_operations,
    require_checkpoint,
    reverse,
    simplify,
)


@dataclass(frozen=True, slots=True)
class Autodiff:
    """Reverse accumulation on the engine: one pass forward, one back, any P.

    The gradient graph costs a small multiple of the primal's operations, whatever the
    number of parameters (Baur and Strassen, 1983; Griewank and Walther, 2008).
    `dtype` overrides the precision of the arguments; `runtime` is what runs the
    arithmetic. `checkpoint` trades operations for memory: of the n values that
    everything later passes through, keep every k-th (or every √n-th: "sqrt") and
    compute the others a second time on the way back. Gradients are the same to the bit.

    `threads` share large products and large elementwise work of one gradient, with the
    same bits for any number of them (where BLAS computes a product, which is where the
    processor has no AVX-512, that product stays one thread's).

    Raises UserInputError for an interval below 1, or one that a program is too short
    for, and for a number of threads below 1; ArenaTooLargeError for a program that does
    not fit into memory.
    """

    dtype: str | None = None
    runtime: RuntimeName = "engine"
    checkpoint: Checkpoint = None
    threads: int = 1

    name: ClassVar[str] = "autodiff"
    capabilities: ClassVar[Capabilities] = Capabilities(
        exact=True, evaluations="1", forward_mode=True
    )

    def __post_init__(self) -> None:
        require_checkpoint(self.checkpoint)
        require_threads(self.threads, self.runtime)

    def compile(self, program: Program) -> AutodiffCompiled:
        """Derive the gradient graph, simplify it, and lower it."""
        dtype = np.dtype(self.dtype or program.dtype)
        check_dtype(self.name, self.capabilities, dtype)
        transform = partial(reverse, checkpoint=self.checkpoint)
        try:
            derived = Derived.by(transform, program, self.runtime, dtype, self.threads)
        except ArenaTooLargeError as refused:
            raise ArenaTooLargeError(
                refused.what,
                refused.needed_bytes,
                refused.available_bytes,
                self._what_shrinks(program, dtype, refused.needed_bytes),
            ) from None
        return AutodiffCompiled(derived)

    def _what_shrinks(self, program: Program, dtype: np.dtype, needed: int) -> str:
        """What would make the arena smaller, each with the bytes it would then need."""

        def planned(checkpoint: Checkpoint, dtype: np.dtype) -> int:
            graph = reverse(program.graph, program.wrt, checkpoint=checkpoint)
            return planned_bytes(simplify(graph), dtype)

        found: list[tuple[str, int]] = []
        if dtype == np.float64:
            single = planned(self.checkpoint, np.dtype(np.float32))
            found.append(("dtype='float32'", single))
        if self.checkpoint is None:
            # A program may be too short for it.
            with suppress(UserInputError):
                found.append(("checkpoint='sqrt'", planned("sqrt", dtype)))
        words = [
            f"{how} would need {count:,} bytes"
            for how, count in found
            if count < needed
        ]
        return "; ".join(["Use smaller arrays (a smaller batch)", *words]) + "."


class AutodiffCompiled:
    """A gradient graph on its runtime."""

    def __init__(self, derived: Derived) -> None:
        self.derived = derived
        self.value = derived.value
        self.run = derived.run
        self._end = 1 + len(derived.program.wrt)

    @cached_property
    def info(self) -> Info:
        """Counts of the gradient program and of its primal."""
        size = self.derived.graph.size()
        primal = self.derived.program.graph.size()
        return Info(
            backend=Autodiff.name,
            seconds=self.derived.seconds,
            operations=size.operations,
            bytes=self.run.arena_bytes,
            evaluations=1,
            details={
                "runtime": self.derived.runtime,
                "primal_operations": primal.operations,
                "tree_operations": size.tree_operations,
                "shared_operations": size.shared_operations,
                "nodes": size.nodes,
                "flops": size.flops,
                "workspace_bytes": self.run.workspace_bytes,
                "recomputed_operations": recomputed_operations(self.derived.graph),
            },
        )

    def direct(self, dtypes: Sequence[np.dtype], form: Form) -> Direct | None:
        """Calls that read and write the caller's arrays; None on NumPy."""
        return direct_call(self.run, self.derived.program.wrt, dtypes, form)

    def __call__(
        self, leaves: Sequence[np.ndarray]
    ) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
        outputs = self.run(leaves)
        return outputs[0][()], outputs[1 : self._end], outputs[self._end :]

"""Finite differences: evaluate the program beside the point, and subtract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from diffkit.backends.base import Capabilities, Info, Program, check_dtype
from diffkit.backends.phases import Phases
from diffkit.backends.runtime import Runner, RuntimeName, make_runner
from diffkit.errors import UserInputError, unknown_name
from diffkit.graph import simplify

METHODS = ("central", "forward")


@dataclass(frozen=True, slots=True)
class FiniteDifferences:
    """Difference quotients, one parameter at a time.

    * central: (f(x+h) − f(x−h)) / 2h, exactly 2P evaluations, truncation error O(h²);
    * forward: (f(x+h) − f(x)) / h, exactly P+1 evaluations, truncation error O(h).

    `step="auto"` balances truncation against rounding for each entry,
    h = ε^(1/3)·max(|x|, 1) for central and ε^(1/2)·max(|x|, 1) for forward differences
    (Nocedal and Wright, 2006, section 8.1), with ε the unit roundoff of the precision.
    A number is used as it is. The divisor is the distance between the two points that
    floating point can represent, not the step that was asked for.

    Raises UserInputError for a step that is not positive or too small to move a
    parameter, UnknownNameError for an unknown method.
    """

    method: Literal["central", "forward"] = "central"
    step: float | Literal["auto"] = "auto"
    dtype: str | None = None
    runtime: RuntimeName = "engine"

    name: ClassVar[str] = "finite_differences"
    capabilities: ClassVar[Capabilities] = Capabilities(exact=False, evaluations="2P")

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown_name("method of finite differences", self.method, METHODS)
        if self.step == "auto":
            return
        if isinstance(self.step, str) or not (0.0 < self.step < np.inf):
            raise UserInputError(
                f"The step of finite differences was {self.step!r}. It is a positive, "
                "finite number, or 'auto' for the step that balances truncation "
                "against rounding."
            )

    def compile(self, program: Program) -> DifferencesCompiled:
        """Lower the primal; there is nothing to derive."""
        dtype = np.dtype(self.dtype or program.dtype)
        check_dtype(self.name, self.capabilities, dtype)
        phases = Phases()
        with phases("simplify"):
            graph = simplify(program.graph)
        with phases("lower"):
            run = make_runner(graph, self.runtime, dtype)
        return DifferencesCompiled(program, run, self, dtype, phases.seconds)

    def steps(self, x: np.ndarray) -> np.ndarray:
        """The step for each entry of x, in x's precision."""
        if self.step != "auto":
            return np.full(x.shape, self.step, x.dtype)
        order = 3.0 if self.method == "central" else 2.0
        scale = np.finfo(x.dtype).eps ** (1.0 / order)
        return (scale * np.maximum(np.abs(x), 1.0)).astype(x.dtype)


class DifferencesCompiled:
    """A primal program, evaluated beside the point.

    `evaluations_run` counts every evaluation of the primal since it was compiled.
    """

    def __init__(
        self,
        program: Program,
        run: Runner,
        backend: FiniteDifferences,
        dtype: np.dtype,
        seconds: dict[str, float],
    ) -> None:
        self._program = program
        self._run = run
        self._backend = backend
        self._dtype = dtype
        self.evaluations_run = 0
        count = program.parameters
        central = backend.method == "central"
        evaluations = 2 * count if central else count + 1
        primal = program.graph.size().operations
        # A central gradient needs no value at the point; returning one costs one more.
        together = evaluations + 1 if central else evaluations
        self.info = Info(
            backend="finite_differences",
            seconds=seconds,
            operations=primal * together + 2 * count,
            bytes=run.arena_bytes,
            evaluations=evaluations,
            details={
                "method": backend.method,
                "step": backend.step,
                "runtime": backend.runtime,
                "evaluations_with_value": together,
                "primal_operations": primal,
            },
        )

    def __call__(
        self, leaves: Sequence[np.ndarray]
    ) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
        at_point = self._run(leaves)
        self.evaluations_run += 1
        value = at_point[0][()]
        gradients = [self._slopes(leaves, p, float(value)) for p in self._program.wrt]
        return value, gradients, at_point[1:]

    def gradient(self, leaves: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The gradients alone: exactly 2P evaluations (central) or P+1 (forward)."""
        value = 0.0
        if self._backend.method == "forward":
            value = float(self.value(leaves))
        return [self._slopes(leaves, p, value) for p in self._program.wrt]

    def value(self, leaves: Sequence[np.ndarray]) -> Any:
        """The primal alone."""
        self.evaluations_run += 1
        return self._run(leaves)[0][()]

    def _slopes(
        self, leaves: Sequence[np.ndarray], leaf: int, value: float
    ) -> np.ndarray:
        x = np.array(leaves[leaf], dtype=self._dtype)
        flat = x.reshape(-1)
        steps = self._backend.steps(flat)
        above = flat + steps
        self._require_moved(flat, above, leaf)
        everywhere = np.arange(flat.size)
        if self._backend.method == "forward":
            slopes = self._evaluate(leaves, leaf, everywhere, above) - value
            slopes /= (above - flat).astype(np.float64)
        else:
            below = flat - steps
            self._require_moved(flat, below, leaf)
            both = self._evaluate(
                leaves,
                leaf,
                np.repeat(everywhere, 2),
                np.stack([above, below], axis=1).reshape(-1),
            )
            slopes = both[0::2] - both[1::2]
            slopes /= above.astype(np.float64) - below.astype(np.float64)
        return slopes.astype(self._dtype, copy=False).reshape(x.shape)

    def _evaluate(
        self,
        leaves: Sequence[np.ndarray],
        leaf: int,
        positions: np.ndarray,
        values: np.ndarray,
    ) -> np.ndarray:
        self.evaluations_run += len(positions)
        return self._run.perturbed(leaves, leaf, positions, values)

    def _require_moved(self, x: np.ndarray, moved: np.ndarray, leaf: int) -> None:
        stuck = np.flatnonzero((moved == x) & np.isfinite(x))
        if stuck.size:
            name = self._program.names[leaf]
            at = x[stuck[0]]
            raise UserInputError(
                f"The step {self._backend.step} does not change {name} at flat index "
                f"{stuck[0]}, whose value is {at}: neighbouring numbers there are "
                f"{np.spacing(np.abs(at))} apart. Use a larger step, or step='auto'."
            )

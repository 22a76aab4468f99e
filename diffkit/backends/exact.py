"""The referee: value and gradient with a proof, in ball arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from diffkit.backends.base import Capabilities, Info, Program, check_dtype
from diffkit.backends.phases import Phases
from diffkit.errors import UserInputError
from diffkit.graph import Graph, reverse
from diffkit.interpret.exact import (
    FIRST_BITS,
    MOST_BITS,
    RELATIVE,
    ZERO_RADIUS_EXPONENT,
    Certified,
    certify,
    to_float,
)


@dataclass(frozen=True, slots=True)
class Enclosures:
    """A value, its gradients and the auxiliary outputs as arrays of balls.

    Every ball holds the true number within a relative radius of `relative`; a ball
    around zero has a radius of at most `zero_radius`. `bits` is the working precision
    that it took.
    """

    value: np.ndarray
    gradients: tuple[np.ndarray, ...]
    aux: tuple[np.ndarray, ...]
    bits: int
    relative: float
    zero_radius: str = f"2**{ZERO_RADIUS_EXPONENT}"

    def midpoints(self, dtype: Any = np.float64) -> tuple[np.ndarray, ...]:
        """The gradients, correctly rounded to float64 or float32."""
        return tuple(to_float(balls, dtype) for balls in self.gradients)


@dataclass(frozen=True, slots=True)
class Exact:
    """Reverse mode in balls: midpoint and radius, precision doubled until proved.

    The program is the function as it was traced, its float64 constants and inputs taken
    as the numbers that they are; the results are what no rounding had touched, rounded
    once at the end. `relative` is the radius to reach, relative to each entry;
    `most_bits` is where doubling ends. Johansson (2017), "Arb: efficient
    arbitrary-precision midpoint-radius interval arithmetic".

    An input exactly on a kink takes the value that the row states; a ball that only
    straddles one raises BackendError, naming the operation and the inputs behind it.
    """

    relative: float = RELATIVE
    most_bits: int = MOST_BITS

    name: ClassVar[str] = "exact"
    capabilities: ClassVar[Capabilities] = Capabilities(exact=True, evaluations="1")

    def __post_init__(self) -> None:
        if not 0 < self.relative < 1:
            raise UserInputError(
                f"relative={self.relative!r} is no relative radius: use a number "
                "between 0 and 1, such as 1e-30."
            )
        if self.most_bits < FIRST_BITS:
            raise UserInputError(
                f"most_bits={self.most_bits!r} is less than the {FIRST_BITS} bits that "
                "the first attempt takes."
            )

    def compile(self, program: Program) -> ExactCompiled:
        """Derive the gradient's graph; nothing is compiled."""
        check_dtype(self.name, self.capabilities, program.dtype)
        phases = Phases()
        with phases("derive"):
            graph = reverse(program.graph, program.wrt)
        # No `simplify`: it folds constants in float64, which rounds.
        return ExactCompiled(self, program, graph, phases.seconds)


class ExactCompiled:
    """A gradient graph, read in balls at every call."""

    def __init__(
        self, backend: Exact, program: Program, graph: Graph, seconds: dict[str, float]
    ) -> None:
        self.backend, self.program, self.graph = backend, program, graph
        self._seconds = seconds
        self._end = 1 + len(program.wrt)
        self._bits: int | None = None

    @cached_property
    def _labels(self) -> tuple[str, ...]:
        names = [f"the derivative by {self.program.names[p]}" for p in self.program.wrt]
        count = len(self.graph.outputs) - self._end
        return ("the value", *names, *(f"auxiliary output {i}" for i in range(count)))

    @property
    def info(self) -> Info:
        """Counts of the gradient program; `details["bits"]` is what the last call took.

        None before the first call.
        """
        size = self.graph.size()
        return Info(
            backend=Exact.name,
            seconds=self._seconds,
            operations=size.operations,
            bytes=0,
            evaluations=1,
            details={
                "runtime": "balls",
                "bits": self._bits,
                "relative_radius": self.backend.relative,
                "zero_radius": f"2**{ZERO_RADIUS_EXPONENT}",
                "tree_operations": size.tree_operations,
                "shared_operations": size.shared_operations,
                "nodes": size.nodes,
            },
        )

    def enclose(self, leaves: Sequence[np.ndarray]) -> Enclosures:
        """The balls themselves, and the bits that they took.

        Raises BackendError where no precision up to `most_bits` proves the answer.
        """
        certified = self._certify(self.graph, leaves)
        value, *others = certified.outputs
        wanted = self._end - 1
        return Enclosures(
            value,
            tuple(others[:wanted]),
            tuple(others[wanted:]),
            certified.bits,
            self.backend.relative,
        )

    def __call__(
        self, leaves: Sequence[np.ndarray]
    ) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
        found = self.enclose(leaves)
        dtype = self.program.dtype
        places = self.graph.outputs[self._end :]
        aux = [
            to_float(balls, dtype).astype(
                bool if self.graph.nodes[place].kind == "boolean" else dtype
            )
            for balls, place in zip(found.aux, places, strict=True)
        ]
        value = to_float(found.value, dtype)[()]
        return value, list(found.midpoints(dtype)), aux

    def value(self, leaves: Sequence[np.ndarray]) -> Any:
        """The primal alone, by the same arithmetic."""
        primal = self.program.graph
        primal = Graph(primal.nodes, primal.inputs, primal.outputs[:1])
        balls = self._certify(primal, leaves).outputs[0]
        return to_float(balls, self.program.dtype)[()]

    def _certify(self, graph: Graph, leaves: Sequence[np.ndarray]) -> Certified:
        certified = certify(
            graph,
            leaves,
            self.backend.relative,
            labels=self._labels,
            most_bits=self.backend.most_bits,
        )
        self._bits = certified.bits
        return certified

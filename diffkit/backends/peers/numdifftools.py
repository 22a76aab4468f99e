"""numdifftools: adaptive finite differences, extrapolated (Brodtkorb and D'Errico)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from diffkit.backends.base import Capabilities, Info, Program, check_dtype
from diffkit.backends.peers.differences import VectorProgram
from diffkit.backends.peers.library import load, require
from diffkit.backends.runtime import RuntimeName
from diffkit.errors import unknown_name

METHODS = ("central", "forward", "backward")


@dataclass(frozen=True, slots=True)
class Numdifftools:
    """`numdifftools.Gradient` of the program, with its own sequence of steps.

    Fifteen steps are tried for every parameter and extrapolated (Richardson, 1911):
    30P+1 evaluations for central, 15P+1 for one-sided differences. The first steps are
    of the size of x, so they cross kinks that are near. Doubles only. The program runs
    by its NumPy reading.

    Raises MissingDependencyError without numdifftools, UnknownNameError for another
    method.
    """

    method: Literal["central", "forward", "backward"] = "central"
    runtime: RuntimeName = "numpy"

    name: ClassVar[str] = "numdifftools"
    capabilities: ClassVar[Capabilities] = Capabilities(
        exact=False, evaluations="30P+1", dtypes=("float64",)
    )

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown_name("method of numdifftools", self.method, METHODS)
        require("numdifftools", "numdifftools")

    def compile(self, program: Program) -> NumdifftoolsCompiled:
        """Get the primal ready; there is nothing to derive."""
        check_dtype(self.name, self.capabilities, np.dtype(program.dtype))
        return NumdifftoolsCompiled(VectorProgram(program, self.runtime), self)


class NumdifftoolsCompiled:
    """A primal that numdifftools evaluates beside the point."""

    def __init__(self, vector: VectorProgram, backend: Numdifftools) -> None:
        self._library = load("numdifftools", "numdifftools")
        self.vector, self._method = vector, backend.method

    @property
    def info(self) -> Info:
        """Costs; the evaluations follow from those that one parameter takes."""
        count = self.vector.program.parameters
        evaluations = (self._evaluations_for_one() - 1) * count + 1 if count else 0
        return self.vector.info(
            Numdifftools.name, evaluations, {"method": self._method}
        )

    def __call__(
        self, leaves: Sequence[np.ndarray]
    ) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
        value, *auxiliary = self.vector.outputs(leaves)
        point = self.vector.point(leaves)
        slopes = point
        if point.size:

            def function(at: np.ndarray) -> Any:
                return self.vector.outputs(leaves, at)[0][()]

            try:
                slopes = self._gradient(function, point)
            except IndexError:  # its choice of a step fails where all quotients are NaN
                slopes = np.full(point.shape, np.nan)
        return value[()], self.vector.split(np.asarray(slopes).reshape(-1)), auxiliary

    def value(self, leaves: Sequence[np.ndarray]) -> Any:
        """The primal alone."""
        return self.vector.outputs(leaves)[0][()]

    def _gradient(self, function: Any, point: np.ndarray) -> Any:
        return self._library.Gradient(function, method=self._method)(point)

    def _evaluations_for_one(self) -> int:
        """Steps do not depend on the program, so any function of one number tells."""
        counted = 0

        def square(x: np.ndarray) -> Any:
            nonlocal counted
            counted += 1
            return np.sum(x * x)

        self._gradient(square, np.ones(1))
        return counted

"""SciPy's finite differences, those behind the `jac` of its optimizers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from scipy.optimize import approx_fprime
from scipy.optimize._numdiff import approx_derivative

from diffkit.backends.base import Capabilities, Info, Program, check_dtype
from diffkit.backends.peers.differences import VectorProgram
from diffkit.backends.runtime import RuntimeName
from diffkit.errors import unknown_name

METHODS = ("3-point", "2-point")


@dataclass(frozen=True, slots=True)
class Scipy:
    """Difference quotients by SciPy, with its own steps.

    * ``method="3-point"``: central, 2P evaluations (`approx_derivative`);
    * ``method="2-point"``: one-sided, P+1 evaluations (`approx_fprime`).

    The program runs by its NumPy reading, as a user of SciPy would have it run;
    ``runtime="engine"`` shows what is left when diffkit's engine runs it.

    Raises UnknownNameError for another method.
    """

    method: Literal["3-point", "2-point"] = "3-point"
    runtime: RuntimeName = "numpy"

    name: ClassVar[str] = "scipy"
    capabilities: ClassVar[Capabilities] = Capabilities(exact=False, evaluations="2P")

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown_name("method of scipy", self.method, METHODS)

    def compile(self, program: Program) -> ScipyCompiled:
        """Get the primal ready; there is nothing to derive."""
        check_dtype(self.name, self.capabilities, np.dtype(program.dtype))
        return ScipyCompiled(VectorProgram(program, self.runtime), self)


class ScipyCompiled:
    """A primal that SciPy evaluates beside the point."""

    def __init__(self, vector: VectorProgram, backend: Scipy) -> None:
        self.vector, self._central = vector, backend.method == "3-point"
        count = vector.program.parameters
        self.info: Info = vector.info(
            Scipy.name,
            2 * count if self._central else count + 1,
            {"method": backend.method},
        )

    def __call__(
        self, leaves: Sequence[np.ndarray]
    ) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
        value, *auxiliary = self.vector.outputs(leaves)
        point = self.vector.point(leaves)

        def function(at: np.ndarray) -> Any:
            return self.vector.outputs(leaves, at)[0][()]

        if not point.size:
            slopes = point
        elif self._central:
            slopes = approx_derivative(function, point, method="3-point", f0=value)
        else:
            slopes = approx_fprime(point, function)
        return value[()], self.vector.split(np.asarray(slopes).reshape(-1)), auxiliary

    def value(self, leaves: Sequence[np.ndarray]) -> Any:
        """The primal alone."""
        return self.vector.outputs(leaves)[0][()]

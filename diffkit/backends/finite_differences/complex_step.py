"""The complex step: a derivative without a subtraction, where all is analytic."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from diffkit.backends.base import Info, Program
from diffkit.errors import BackendError
from diffkit.graph import Graph
from diffkit.interpret.numpy import evaluate

# An imaginary part larger than this part of the value did not come from the step.
BELIEVED = 2.0**-30


def require_analytic(graph: Graph, wrt: Sequence[int]) -> None:
    """Raise BackendError, naming the operation, where a parameter meets a kink.

    Operations on data alone may be what they like: they stay real.
    """
    alive, reached = graph.live(), graph.depends_on(wrt)
    for here, node in enumerate(graph.nodes):
        if alive[here] and reached[here] and not node.op.analytic:
            raise BackendError(
                f"The complex step cannot cross {node.op.name!r} (node %{here}): it is "
                "not analytic, so that its imaginary part is no derivative. Use "
                "method='central' or 'ridders', or the backend 'autodiff'."
            )


def complex_steps(x: np.ndarray) -> np.ndarray:
    """The steps 2⁻¹⁰⁰·|x|, and 2⁻²⁰⁰ at zero: squared, they are nothing beside x."""
    return np.where(x == 0.0, 2.0**-200, np.maximum(2.0**-100 * np.abs(x), 2.0**-1000))


class ComplexStepCompiled:
    """Im f(x + ih) / h for every entry, by the NumPy reading in complex128.

    The error is O(h²) with h as small as one likes, since nothing is subtracted
    (Squire and Trapp, 1998): what is left is the rounding of complex arithmetic.
    Exactly P complex evaluations a gradient; `evaluations_run` counts all, real ones
    for the value among them. The engine has no complex numbers: all of it is NumPy.
    """

    def __init__(
        self,
        program: Program,
        graph: Graph,
        dtype: np.dtype,
        seconds: dict[str, float],
        details: dict[str, Any],
    ) -> None:
        require_analytic(graph, program.wrt)
        self._shape = graph.nodes[graph.outputs[0]].shape
        self._program, self._graph, self._dtype = program, graph, dtype
        self.evaluations_run = 0
        primal = program.graph.size().operations
        count = program.parameters
        self.info = Info(
            backend="finite_differences",
            seconds=seconds,
            operations=primal * (count + 1) + count,
            bytes=0,
            evaluations=count,
            details={
                **details,
                "runtime": "numpy",
                "evaluations_with_value": count + 1,
                "primal_operations": primal,
            },
        )

    def __call__(
        self, leaves: Sequence[np.ndarray]
    ) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
        self.evaluations_run += 1
        outputs = evaluate(self._graph, leaves, self._dtype)
        return outputs[0][()], self.gradient(leaves), outputs[1:]

    def gradient(self, leaves: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The gradients alone: exactly P complex evaluations.

        One more where the value is zero or may lie outside the real domain, to see
        whether it is NaN there: then so is the gradient.
        """
        return [g.astype(self._dtype) for g in self._slopes(leaves, 1.0)]

    def error_estimates(self, leaves: Sequence[np.ndarray]) -> list[np.ndarray]:
        """See `gradient_with_errors`."""
        return self.gradient_with_errors(leaves)[1]

    def gradient_with_errors(
        self, leaves: Sequence[np.ndarray]
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The gradients and the rounding claimed for each entry: 2P evaluations.

        A step that is no power of two apart rounds otherwise: the two answers' distance
        is taken, and at least four units of roundoff of the gradient's largest entry.
        """
        first, second = self._slopes(leaves, 1.0), self._slopes(leaves, 0.7)
        largest = max((float(np.max(np.abs(g), initial=0.0)) for g in first), default=0)
        least = 4.0 * float(np.finfo(self._dtype).eps) * largest
        errors = [
            np.maximum(np.abs(a - b), least) for a, b in zip(first, second, strict=True)
        ]
        return [g.astype(self._dtype) for g in first], errors

    def value(self, leaves: Sequence[np.ndarray]) -> Any:
        """The primal alone."""
        self.evaluations_run += 1
        return evaluate(self._graph, leaves, self._dtype)[0][()]

    def _slopes(self, leaves: Sequence[np.ndarray], size: float) -> list[np.ndarray]:
        wanted = []
        suspicious = False
        for p in self._program.wrt:
            x = np.array(leaves[p], np.complex128)
            moved = list(leaves)
            moved[p] = x
            steps = size * complex_steps(np.real(x)).reshape(-1)
            slopes = np.empty((prod(self._shape), x.size))
            for i, h in enumerate(steps):
                kept = x.flat[i]
                x.flat[i] = kept + 1j * h
                self.evaluations_run += 1
                out = evaluate(self._graph, moved, np.complex128)[0].reshape(-1)
                slopes[:, i] = np.imag(out) / h
                believed = np.abs(np.imag(out)) <= BELIEVED * np.abs(np.real(out))
                suspicious |= not believed.all()
                x.flat[i] = kept
            wanted.append(slopes.reshape((*self._shape, *x.shape)))
        # Outside its real domain a complex function goes on: log(−1) is πi.
        if suspicious:
            lost = np.isnan(self.value(leaves))
            for slopes in wanted:
                slopes[lost] = np.nan
        return wanted

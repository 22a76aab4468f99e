"""The truth an error is measured against: the gradient in rigorous balls.

The gradient's graph is read in ball arithmetic, and precision is doubled until every
ball is narrow beside the gradient's largest entry: the reference proves its own fifty
digits, however small the gradient of a deep network has become.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import flint
import numpy as np

from diffkit.graph import reverse
from diffkit.interpret.exact import certify, working
from diffkit.interpret.ulps import UlpErrors, ulp_errors
from diffkit.prepared import Prepared

DIGITS = 50


@dataclass(frozen=True, slots=True)
class Reference:
    """Gradients as arrays of balls, one per differentiated leaf, and their bits.

    `names` has one name per leaf, such as "params['w'][0]".
    """

    gradients: tuple[np.ndarray, ...]
    bits: int
    names: tuple[str, ...] = ()

    def ulps(self, gradients: Sequence[np.ndarray]) -> UlpErrors:
        """The same deviations in ulps, with the worst entry by name and index."""
        names = self.names or tuple(f"leaf {i}" for i in range(len(self.gradients)))
        return ulp_errors(gradients, self.gradients, names, self.bits)

    def errors(self, gradients: Sequence[np.ndarray]) -> tuple[float, float]:
        """How far gradients are from the truth: (relative error, worst entry).

        The first is the largest deviation over the largest entry of the whole
        gradient, the second the largest deviation of an entry relative to that entry
        (infinite where an entry that is exactly zero is given as something else). NaN
        anywhere gives NaN.
        """
        largest = deviation = entry = 0.0
        with working(self.bits):
            scale = _largest(self.gradients)
            for given, true in zip(gradients, self.gradients, strict=True):
                for mine, exact in zip(given.flat, true.flat, strict=True):
                    if not np.isfinite(mine):
                        return float("nan"), float("nan")
                    apart = abs(flint.arb(float(mine)) - exact)
                    size = abs(exact)
                    if apart == 0:
                        continue
                    if scale > 0:
                        deviation = max(deviation, float(apart / scale))
                    entry = max(
                        entry, float(apart / size) if size > 0 else float("inf")
                    )
                    largest = max(largest, float(apart))
        return (deviation if scale > 0 else largest), entry


def reference_gradient(prepared: Prepared, *args: Any) -> Reference:
    """The gradient of a prepared program, proved to fifty digits of its largest entry.

    Raises BackendError when no precision is enough (the point lies on a kink or a pole
    of the function).
    """
    program = prepared.program
    graph = reverse(program.graph, program.wrt)
    gradients = slice(1, 1 + len(program.wrt))
    certified = certify(
        graph, prepared.leaves(args), narrow=lambda outputs: _narrow(outputs[gradients])
    )
    names = tuple(program.names[p] for p in program.wrt)
    return Reference(certified.outputs[gradients], certified.bits, names)


def _narrow(outputs: Sequence[np.ndarray]) -> bool:
    allowed = _largest(outputs) * flint.arb(10) ** -DIGITS
    return all(
        ball.is_finite() and (ball.rad() <= allowed or ball.is_exact())
        for output in outputs
        for ball in output.flat
    )


def _largest(arrays: Sequence[np.ndarray]) -> Any:
    largest = flint.arb(0)
    for array in arrays:
        for ball in array.flat:
            size = abs(ball).mid()
            if size > largest:
                largest = size
    return largest

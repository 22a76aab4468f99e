"""A backend from outside: the complex step, in forty lines.

What a plugin has to be: a frozen dataclass with `name` and `capabilities`, whose
`compile(program)` gives an object with `info`, `value(leaves)` and a call that returns
(value, gradients, auxiliary outputs).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from diffkit.backends import Capabilities, Info, Program
from diffkit.interpret.numpy import evaluate


@dataclass(frozen=True)
class ComplexPlane:
    """Im f(x + ih) / h by parameter; for programs of analytic operations."""

    step: float = 1e-20

    name: ClassVar[str] = "complex_plane"
    capabilities: ClassVar[Capabilities] = Capabilities(
        exact=True, evaluations="P", dtypes=("float64",)
    )

    def compile(self, program: Program) -> ComplexPlaneCompiled:
        return ComplexPlaneCompiled(program, self.step)


class ComplexPlaneCompiled:
    def __init__(self, program: Program, step: float) -> None:
        self.program, self.step = program, step
        operations = program.graph.size().operations * program.parameters
        self.info = Info(
            "complex_plane", {}, operations, bytes=0, evaluations=program.parameters
        )

    def __call__(self, leaves):
        value, *auxiliary = evaluate(self.program.graph, leaves)
        gradients = []
        for position in self.program.wrt:
            moved = list(leaves)
            x = np.array(leaves[position], dtype=complex)
            moved[position] = x
            slopes = np.zeros(x.shape)
            for i in range(x.size):
                x.flat[i] += 1j * self.step
                slopes.flat[i] = evaluate(self.program.graph, moved)[0].imag / self.step
                x.flat[i] = x.flat[i].real
            gradients.append(slopes)
        return value[()], gradients, auxiliary

    def value(self, leaves):
        return evaluate(self.program.graph, leaves)[0][()]

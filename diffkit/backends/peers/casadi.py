"""CasADi: matrix expressions with reverse mode, run by its virtual machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, ClassVar, Literal

import numpy as np

from diffkit.backends.base import Capabilities, Info, Program, check_dtype
from diffkit.backends.peers.casadi_functions import casadi_functions
from diffkit.backends.peers.library import load, require
from diffkit.backends.peers.measures import fresh, reverse_mode_info
from diffkit.backends.peers.reading import read
from diffkit.backends.phases import Phases
from diffkit.errors import BackendError, unknown_name

FORMS = ("matrix", "scalar")
COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-O3", "-march=native", "-shared", "-fPIC")


@dataclass(frozen=True, slots=True)
class Casadi:
    """`casadi.gradient` of the program as an expression (Andersson et al., 2019).

    * ``form="matrix"``: MX, one instruction for an operation on matrices;
    * ``form="scalar"``: the same, expanded into SX, one instruction a scalar operation.
      As fast on a 2-8-1 network, slower by 2.5 on 4-16-3 and by 5 on 4-32-32-3.

    With ``compiled`` it is written as C and compiled for this computer, which halves
    the time of small networks; without, CasADi's own virtual machine runs it. Doubles
    only. Its smallest and largest of two ignore NaN, as C's do.

    Raises MissingDependencyError without CasADi, UnknownNameError for another form;
    `compile` raises BackendError where it finds no C compiler, or one that fails.
    """

    form: Literal["matrix", "scalar"] = "matrix"
    compiled: bool = False

    name: ClassVar[str] = "casadi"
    runs_on: ClassVar[str] = "casadi"
    capabilities: ClassVar[Capabilities] = Capabilities(
        exact=True, evaluations="1", dtypes=("float64",)
    )

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise unknown_name("form of casadi", self.form, FORMS)
        require("casadi", "casadi")

    def compile(self, program: Program) -> CasadiCompiled:
        """Build the expression, derive its gradient, make both into functions."""
        check_dtype(self.name, self.capabilities, np.dtype(program.dtype))
        if self.compiled and not any(map(which, COMPILERS)):
            raise BackendError(
                "CasADi's C code needs a compiler, and none of "
                f"{', '.join(COMPILERS)} is on the PATH. Install one, or leave out "
                "compiled=True."
            )
        return CasadiCompiled(program, self.form, compiled=self.compiled)


class CasadiCompiled:
    """CasADi functions of the value and of the gradient, with buffers of their own."""

    def __init__(self, program: Program, form: str, *, compiled: bool) -> None:
        phases = Phases()
        with phases("load"):
            casadi = load("casadi", "casadi")
        self._program = program
        nodes = program.graph.nodes
        self._shapes = [nodes[place].shape for place in program.graph.inputs]
        self._out_shapes = [nodes[place].shape for place in program.graph.outputs]
        self._out_kinds = [nodes[place].kind for place in program.graph.outputs]
        self._form = form
        with phases("read"):
            functions = casadi_functions(casadi)
            count = program.parameters
            wanted = casadi.MX.sym("wanted", count)
            leaves, start = [], 0
            by_position: dict[int, Any] = {}
            for position in program.wrt:
                size = prod(self._shapes[position])
                by_position[position] = wanted[start : start + size]
                start += size
            others = []
            for position, shape in enumerate(self._shapes):
                if position not in by_position:
                    by_position[position] = casadi.MX.sym(f"x{position}", prod(shape))
                    others.append(by_position[position])
                leaves.append(by_position[position])
            run = read(program.graph, functions, np.dtype(np.float64))
            value, *auxiliary = [casadi.densify(o) for o in run(leaves)]
        with phases("derive"):
            slope = casadi.densify(casadi.gradient(value, wanted))
        with phases("lower"):
            inputs = [wanted, *others]
            whole = casadi.Function("gradient", inputs, [value, slope, *auxiliary])
            alone = casadi.Function("primal", inputs, [value])
            if form == "scalar":
                whole, alone = whole.expand(), alone.expand()
            self._counted = whole
        if compiled:
            with phases("compile"):
                whole, alone = _in_c(casadi, [whole, alone])
        with phases("load"):
            self._function = whole
            self._gradient, self._primal = _Buffered(whole), _Buffered(alone)
        self._others = [p for p in range(len(leaves)) if p not in set(program.wrt)]
        self._seconds = phases.seconds

    @cached_property
    def info(self) -> Info:
        """Counts of the gradient graph, and CasADi's of its own function."""
        function = self._counted
        details = {
            "runtime": Casadi.runs_on,
            "form": self._form,
            "casadi_nodes": int(function.n_nodes()),
            "casadi_instructions": int(function.n_instructions()),
        }
        planned = 8 * int(function.sz_w())
        return reverse_mode_info(
            Casadi.name, self._program, self._seconds, planned, details
        )

    def __call__(
        self, leaves: Sequence[np.ndarray]
    ) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
        value, slope, *auxiliary = self._gradient(self._enter(leaves))
        gradients, start = [], 0
        for position in self._program.wrt:
            shape = self._shapes[position]
            size = prod(shape)
            gradients.append(slope[start : start + size].reshape(shape))
            start += size
        return value[0], gradients, self._leave(auxiliary)

    def resident(self, leaves: Sequence[np.ndarray]) -> Callable[[], Any]:
        """One gradient from CasADi's own buffers into its own: nothing is copied."""
        return _Buffered(self._function).filled(self._enter(leaves))

    def value(self, leaves: Sequence[np.ndarray]) -> Any:
        """The primal alone."""
        return self._primal(self._enter(leaves))[0][0]

    def _enter(self, leaves: Sequence[np.ndarray]) -> list[np.ndarray]:
        flat = [np.asarray(leaf, np.float64).reshape(-1) for leaf in leaves]
        wanted = [np.zeros(0), *(flat[position] for position in self._program.wrt)]
        return [np.concatenate(wanted), *(flat[position] for position in self._others)]

    def _leave(self, auxiliary: list[np.ndarray]) -> list[np.ndarray]:
        return [
            fresh(
                array.astype(bool) if kind == "boolean" else array,
                np.dtype(np.float64),
            ).reshape(shape)
            for array, kind, shape in zip(
                auxiliary, self._out_kinds[1:], self._out_shapes[1:], strict=True
            )
        ]


def _in_c(casadi: Any, functions: Sequence[Any]) -> list[Any]:
    """The same functions as C, compiled into a library that is loaded."""
    compiler = next(found for name in COMPILERS if (found := which(name)))
    with TemporaryDirectory() as folder:
        generator = casadi.CodeGenerator("functions.c")
        for function in functions:
            generator.add(function)
        source = generator.generate(f"{folder}{os.sep}")
        library = str(Path(folder, "functions.so"))
        asked = [compiler, *FLAGS, source, "-o", library, "-lm"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BackendError(
                f"{compiler} cannot compile CasADi's C code: {done.stderr.strip()}"
            )
        return [casadi.external(one.name(), library) for one in functions]


class _Buffered:
    """A CasADi function called on memory set aside once: no conversion a call."""

    def __init__(self, function: Any) -> None:
        self._inputs = [np.zeros(function.nnz_in(i)) for i in range(function.n_in())]
        self._outputs = [np.zeros(function.nnz_out(i)) for i in range(function.n_out())]
        self._buffer, self._run = function.buffer()
        for i, array in enumerate(self._inputs):
            self._buffer.set_arg(i, array.data)
        for i, array in enumerate(self._outputs):
            self._buffer.set_res(i, array.data)
        self._lock = Lock()

    def filled(self, inputs: Sequence[np.ndarray]) -> Callable[[], list[np.ndarray]]:
        """A call that runs on inputs laid into the buffers now."""
        for place, array in zip(self._inputs, inputs, strict=True):
            place[:] = array

        def call() -> list[np.ndarray]:
            self._run()
            return self._outputs

        return call

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        with self._lock:
            self.filled(inputs)()
            return [array.copy() for array in self._outputs]

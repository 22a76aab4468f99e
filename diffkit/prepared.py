"""A function traced, differentiated and compiled once, ready to be called often."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from diffkit.backends import Backend, Compiled, Direct, Form, Info, OffersDirect
from diffkit.backends.fresh import fresh_array
from diffkit.engine import By, Machine, profile_machine
from diffkit.errors import BackendError, ShapeError
from diffkit.graph import trees
from diffkit.graph.arguments import Arguments, LeafSpec
from diffkit.graph.packing import Packing, joined
from diffkit.graph.results import require_writable
from diffkit.tracing import (
    NonFinite,
    TracedProgram,
    flat_arguments,
    parameter_arguments,
    result_arguments,
    trace_inputs,
    trace_program,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "LeafSpec",
    "NonFinite",
    "Prepared",
    "TracedProgram",
    "compile_traced",
    "trace_inputs",
    "trace_program",
]


class Prepared:
    """The value and gradient of a function, compiled for one set of shapes.

    Calling it with arguments of other shapes, dtypes or nesting raises
    PreparationMismatchError, listing each difference. Inputs are not modified; results
    are fresh arrays in the program's precision, nested as the differentiated argument
    (a tuple of them where `argnums` was a tuple).

    There are two more forms of a call, with the same numbers for less work around them:
    `flat` takes all that is differentiated as one vector and gives the gradient as one;
    `into` writes the gradient into arrays that are there already.
    """

    def __init__(
        self,
        traced: TracedProgram,
        backend: Backend,
        compiled: Compiled,
        nonfinite: NonFinite,
    ) -> None:
        self.backend = backend
        self.compiled = compiled
        self.program = traced.program
        self._traced = traced
        self._arguments = Arguments(
            traced.arguments.tree, traced.arguments.roots, traced.specs
        )
        self._collect = self._arguments.collect
        self._nest = trees.nester(traced.gradient_tree)
        self._collect_results = trees.collector(traced.gradient_tree)
        self._aux_tree = traced.aux_tree
        self._check = nonfinite == "raise"
        self._direct = self._offered()

    def __repr__(self) -> str:
        return f"Prepared({self.backend!r}, P={self.program.parameters})"

    @property
    def info(self) -> Info:
        """What preparing cost by phase, and what one call costs."""
        info = self.compiled.info
        seconds = {"trace": self._traced.seconds, **info.seconds}
        return Info(
            info.backend,
            seconds,
            info.operations,
            info.bytes,
            info.evaluations,
            info.details,
        )

    @property
    def dtype(self) -> np.dtype:
        """The precision of the value and the gradients."""
        chosen = getattr(self.backend, "dtype", None)
        return np.dtype(chosen or self.program.dtype)

    def __call__(self, *args: Any) -> tuple[Any, Any]:
        direct = self._direct
        if direct is not None:
            try:
                given = self._collect(args)
            except ValueError:
                given = self.leaves(args)  # which says what differs
            results = direct.fresh()
            value = direct.call([*given, *results])
            if value is not None:
                if self._aux_tree is None:
                    return value, self._nest(results)
                count = len(self.program.wrt)
                value = self._with_aux(value, results[count:])
                return value, self._nest(results[:count])
        leaves = self.leaves(args)
        value, gradients, aux = self.compiled(leaves)
        self._require_finite(value, self._arguments, leaves)
        return self._with_aux(value, aux), self._nest(gradients)

    def flat(
        self, theta: np.ndarray, *data: Any, out: np.ndarray | None = None
    ) -> tuple[Any, np.ndarray]:
        """Value and gradient for all that is differentiated in one vector.

        `theta` has P elements, the differentiated arrays end to end, each in C order
        (`pack` makes it); `data` are the other arguments, as they were prepared. The
        gradient is a fresh vector laid out as `theta`, in the program's precision, or
        it is written into `out`.

        Raises PreparationMismatchError for other shapes, dtypes or nesting,
        NonFiniteError for NaN and infinity among the inputs, UserInputError where `out`
        is read-only or shares memory with an input; then `out` is as it was.

        >>> from diffkit.transform import prepare
        >>> prepared = prepare(lambda p, x: np.sum(p["w"] * x), {"w": np.ones(2)}, 3.0)
        >>> value, gradient = prepared.flat(np.array([1.0, 2.0]), 4.0)
        >>> float(value), gradient.tolist(), prepared.unpack(gradient)
        (12.0, [4.0, 4.0], {'w': array([4., 4.])})
        """
        direct = self._direct_flat if out is None else self._direct_flat_out
        if direct is not None:
            given = theta, *data
            if self._flat.nested:
                try:
                    given = self._flat.collect(given)
                except ValueError:
                    given = self._flat.leaves(given)
            gradient = self._empty_vector() if out is None else out
            if self._aux_tree is None:
                value = direct.call([*given, gradient])
                if value is not None:
                    return value, gradient
            else:
                aux = direct.fresh()
                value = direct.call([*given, gradient, *aux])
                if value is not None:
                    return self._with_aux(value, aux), gradient
        leaves = self._flat.leaves((theta, *data))
        if out is not None:
            self._flat_result.leaves((out,))
            require_writable([out], ["out"], leaves, self._flat.names)
        value, gradients, aux = self.compiled(self._placed(leaves))
        self._require_finite(value, self._flat, leaves)
        gradient = joined(gradients)
        if out is not None:
            out[...] = gradient
            gradient = out
        return self._with_aux(value, aux), gradient

    def into(self, grads: Any, *args: Any) -> Any:
        """The value; the gradients are written into the arrays of `grads`.

        `grads` is nested as the gradient of a call, with arrays of its shapes and dtype
        that lie in one block of memory each, in C order. On the engine nothing is
        allocated but the value.

        Raises PreparationMismatchError for other shapes, dtypes or nesting of `grads`
        or the arguments, UserInputError where one of `grads` is read-only, no block, or
        shares memory with an input or another of them, NonFiniteError for NaN and
        infinity among the inputs; then all are as they were.

        >>> from diffkit.transform import prepare
        >>> prepared = prepare(lambda w, x: np.sum(w * x), np.ones(2), 3.0)
        >>> gradient = np.empty(2)
        >>> float(prepared.into(gradient, np.array([1.0, 2.0]), 4.0)), gradient.tolist()
        (12.0, [4.0, 4.0])
        """
        direct = self._direct_into
        if direct is not None:
            try:
                given = self._collect(args)
                wanted = self._collect_results(grads)
            except ValueError:
                given, wanted = self.leaves(args), self._results.leaves((grads,))
            if self._aux_tree is None:
                value = direct.call([*given, *wanted])
                if value is not None:
                    return value
            else:
                aux = direct.fresh()
                value = direct.call([*given, *wanted, *aux])
                if value is not None:
                    return self._with_aux(value, aux)
        leaves = self.leaves(args)
        self._results.leaves((grads,))
        wanted, names = trees.leaves(grads), self._results.names
        require_writable(wanted, names, leaves, self._arguments.names)
        value, gradients, aux = self.compiled(leaves)
        self._require_finite(value, self._arguments, leaves)
        for result, gradient in zip(wanted, gradients, strict=True):
            result[...] = gradient
        return self._with_aux(value, aux)

    def value(self, *args: Any) -> Any:
        """The primal alone, by the same runtime."""
        leaves = self.leaves(args)
        value = self.compiled.value(leaves)
        self._require_finite(value, self._arguments, leaves)
        return value

    def profile(
        self, *args: Any, repeats: int = 20, by: By = "instruction"
    ) -> pd.DataFrame:
        """Where the time of a call goes, by instruction of the engine or by op.

        A line has the kernel (`op`), what the graph computes there (`node`, with the
        names of arguments), its `direction`, `shape`, `calls`, `seconds`, `flops`,
        `bytes`, both over the seconds (in 10⁹) and the `share` of a whole call. The
        clock is read between instructions, so each is timed where it stands, after the
        ones before it; what reading it costs is taken off. Flops are those of the table
        of ops; bytes those of each distinct element of the operands and the result
        once, wherever they lie. Two more lines make it add up: what a whole run takes
        beside its instructions (below zero where a processor overlaps them), and what a
        call takes beside the run: checks, and copies in and out.

        All are medians over the faster half of `repeats` runs, in arenas of their own:
        later calls are as if there had been no profile. Of several threads the program
        is run by one. `by="op"` adds up lines with one kernel.

        Raises BackendError for a backend that runs no single program on the engine, and
        what `prepared(*args)` raises.

        >>> import diffkit as dk
        >>> x = np.ones((4, 3))
        >>> prepared = dk.prepare(lambda w, x: np.sum(np.tanh(x @ w)), np.ones(3), x)
        >>> profile = prepared.profile(np.ones(3), x, repeats=2)
        >>> [node for node in profile["node"] if "w" in node]
        ['matmul(x, w)']
        >>> int(profile["flops"].sum()) == prepared.info.details["flops"]
        True
        """
        run = getattr(self.compiled, "run", None)
        if not isinstance(run, Machine):
            raise BackendError(
                f"{self.backend!r} has no single program on the engine that could be "
                "taken apart. Profile a gradient that is one: by the backend "
                "'autodiff', or by 'symbolic' with form='shared', both with "
                "runtime='engine'."
            )
        leaves = self.leaves(args)
        count = len(self.program.graph.outputs) - 1
        gradients = len(self.program.wrt)
        primal = (0, *range(1 + gradients, 1 + gradients + count))
        return profile_machine(run, leaves, partial(self, *args), primal, repeats, by)

    def leaves(self, args: tuple[Any, ...]) -> list[Any]:
        """The arguments' arrays in order, checked against what was prepared."""
        return self._arguments.leaves(args)

    def pack(self, params: Any) -> np.ndarray:
        """All that is differentiated as one fresh vector, for `flat`.

        `params` is nested as the gradient is: the differentiated argument, or a tuple
        of them where `argnums` was a tuple.

        Raises PreparationMismatchError for other shapes, dtypes or nesting.
        """
        several = isinstance(self._traced.argnums, tuple)
        args = params if several and isinstance(params, tuple) else (params,)
        return joined(self._parameters.leaves(args))

    def unpack(self, theta: np.ndarray) -> Any:
        """A vector laid out as `flat` has it, nested again: views of the vector.

        Raises ShapeError for a vector of another size.
        """
        if np.shape(theta) != (self._packing.size,):
            raise ShapeError(
                f"The vector to unpack has shape {np.shape(theta)} and the program "
                f"differentiates by {self._packing.size} numbers; give a vector of "
                "that size."
            )
        return self._packing.unpack(np.asarray(theta))

    def _with_aux(self, value: Any, aux: Sequence[Any]) -> Any:
        if self._aux_tree is None:
            return value
        return value, trees.unflatten(self._aux_tree, aux)

    def _require_finite(
        self, value: Any, arguments: Arguments, leaves: Sequence[Any]
    ) -> None:
        """The value is not finite: say so if an input is the reason."""
        if self._check and not isfinite(value):
            arguments.require_finite(leaves)

    def _placed(self, leaves: Sequence[Any]) -> list[Any]:
        """The leaves of a flat call as those of a nested one."""
        theta, *data = leaves
        wrt = self.program.wrt
        parts = dict(zip(wrt, self._packing.split(np.asarray(theta)), strict=True))
        rest = iter(data)
        places = range(len(self._traced.specs))
        return [parts[p] if p in parts else next(rest) for p in places]

    def _offered(self, *, vector: bool = False, apart: bool = False) -> Direct | None:
        if not isinstance(self.compiled, OffersDirect):
            return None
        dtypes = [spec.dtype for spec in self._traced.specs]
        return self.compiled.direct(dtypes, Form(vector, apart, finite=self._check))

    @cached_property
    def _direct_flat(self) -> Direct | None:
        direct = self._offered(vector=True)
        return None if direct is None else direct.after(1)

    @cached_property
    def _direct_flat_out(self) -> Direct | None:
        direct = self._offered(vector=True, apart=True)
        return None if direct is None else direct.after(1)

    @cached_property
    def _empty_vector(self) -> Callable[[], np.ndarray]:
        return fresh_array((self._packing.size,), self.dtype)

    @cached_property
    def _direct_into(self) -> Direct | None:
        direct = self._offered(apart=True)
        return None if direct is None else direct.after(len(self.program.wrt))

    @cached_property
    def _packing(self) -> Packing:
        specs = self._traced.specs
        shapes = [specs[p].shape for p in self.program.wrt]
        return Packing(self._traced.gradient_tree, shapes)

    @cached_property
    def _flat(self) -> Arguments:
        return flat_arguments(self._traced)

    @cached_property
    def _parameters(self) -> Arguments:
        return parameter_arguments(self._traced)

    @cached_property
    def _results(self) -> Arguments:
        return result_arguments(self._traced, self.dtype)

    @cached_property
    def _flat_result(self) -> Arguments:
        spec = LeafSpec("out", (self._packing.size,), self.dtype)
        return Arguments(trees.structure((0,)), ["out"], [spec])


def compile_traced(
    traced: TracedProgram, backend: Backend, nonfinite: NonFinite = "raise"
) -> Prepared:
    """Hand a traced program to a backend."""
    return Prepared(traced, backend, backend.compile(traced.program), nonfinite)

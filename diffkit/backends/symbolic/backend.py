"""The symbolic backend: a formula for the gradient, derived, counted, printed, run.

Two things are kept apart: the *mathematical size* of the formula (exact counts in
`info.details`) and the *cost of the tool* that handles it (`info.seconds`, by phase).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from diffkit.backends.base import Capabilities, Info, Program, check_dtype
from diffkit.backends.phases import Phases
from diffkit.backends.runtime import make_runner
from diffkit.backends.symbolic.columns import Columns
from diffkit.backends.symbolic.deadline import Deadline
from diffkit.backends.symbolic.derive import DIFFERS, derive, read_scalars
from diffkit.backends.symbolic.evaluate import EngineCompiled, SourceCompiled
from diffkit.backends.symbolic.formula_lines import (
    DEFAULT_OPERATIONS as FORMULA_OPERATIONS,
)
from diffkit.backends.symbolic.functions import functions
from diffkit.backends.symbolic.rows import Rows
from diffkit.backends.symbolic.share import share
from diffkit.backends.symbolic.simplify import simplified
from diffkit.backends.symbolic.size import Size, measure
from diffkit.backends.symbolic.source import compile_source, python_source
from diffkit.backends.symbolic.write import formula as write_formula
from diffkit.errors import ExpressionBudgetError, UserInputError, unknown_name
from diffkit.graph import simplify

FORMS = ("shared", "cse", "expanded")
BATCHES = ("auto", "columns", "written_out")
RUNTIMES = ("auto", "engine", "numpy")

DEFAULT_OPERATIONS = 1_000_000
# Peak bytes per operation while the source is parsed and compiled (CPython 3.11):
# 640 in a formula written out; 730 to 1,650 in statements, more where they are short.
BYTES = {"expanded": 650, "cse": 1_650, "shared": 1_650}


@dataclass(frozen=True)
class Symbolic:
    """Symbolic differentiation with SymPy, in one of three forms.

    * `expanded`: the textbook method. The loss is one formula, differentiated
      parameter by parameter, every gradient entry written out in full.
    * `cse`: the same formulas, with equal parts found and shared afterwards, by
      `sympy.cse(order="none")` up to 60,000 operations and 150 levels; beyond, where
      it is slow and recurses, by merging equal subexpressions (`details["sharing"]`).
    * `shared`: every intermediate is a named symbol throughout. Each is differentiated
      with respect to its own arguments by SymPy, and the pieces are accumulated from
      the loss backwards. Keeping the sharing is what turns symbolic differentiation
      *into reverse mode*: this form is reverse mode on scalars.

    `differ` says how the first two differentiate: `memoised` (each distinct node once;
    structurally equal results), `sympy` (stock `sympy.diff`, which walks the tree) or
    `symengine` (the extra of that name: SymPy's core in C++, for smooth functions).
    `simplify` hands each gradient entry to `sympy.simplify`, which is slow: entries of
    more than 100 operations are refused.
    `batch` says how samples are read: `columns` (one symbol a column, one sum over the
    batch), `written_out` (every element of every sample), `auto` (columns where the
    program allows it).

    `runtime` says what runs the arithmetic, as in every backend: the `engine` (default
    for `shared` and `cse`), or `numpy`, generated source on whole columns (default for
    `expanded`, and its only one: a graph for the engine would write equal parts once).

    Budgets: `max_operations` counts operations of the written-out tree for `expanded`
    and of the shared expressions otherwise (default 1,000,000);
    `max_bytes` estimates the peak while compiling; `max_seconds` is checked between
    steps. All are checked before anything is printed.

    Raises UnknownNameError and UserInputError for options that mean nothing;
    `compile` raises ExpressionBudgetError.
    """

    form: str = "shared"
    differ: str = "memoised"
    max_operations: int | None = None
    max_seconds: float = 60.0
    max_bytes: int = 2_000_000_000
    batch: str = "auto"
    runtime: str = "auto"
    simplify: bool = False

    name: ClassVar[str] = "symbolic"
    capabilities: ClassVar[Capabilities] = Capabilities(exact=True, evaluations="1")

    def __post_init__(self) -> None:
        for kind, given, known in (
            ("form of symbolic differentiation", self.form, FORMS),
            ("way to differentiate symbolically", self.differ, DIFFERS),
            ("way to read a batch", self.batch, BATCHES),
            ("runtime", self.runtime, RUNTIMES),
        ):
            if given not in known:
                raise unknown_name(kind, given, known)
        if self.form == "shared" and self.differ != "memoised":
            raise UserInputError(
                "form='shared' never differentiates a whole expression, so differ="
                f"{self.differ!r} means nothing there. Use form='expanded' or 'cse' "
                "with it."
            )
        if self.form == "shared" and self.simplify:
            raise UserInputError(
                "form='shared' has no whole expression, so there is nothing for "
                "simplify=True to do. Use form='expanded' or 'cse' with it."
            )
        if self.form == "expanded" and self.runtime == "engine":
            raise UserInputError(
                "form='expanded' cannot run on the engine: its graph holds equal parts "
                "once, and the written-out formula would no longer be what runs. Use "
                "runtime='numpy', or form='cse' or 'shared'."
            )
        for option in ("max_operations", "max_seconds", "max_bytes"):
            given = getattr(self, option)
            if given is None and option == "max_operations":
                continue
            if isinstance(given, bool) or not isinstance(given, int | float):
                raise UserInputError(f"{option} must be a number, not {given!r}.")
            if not given > 0:
                raise UserInputError(f"{option} must be positive, not {given!r}.")

    @property
    def operations_limit(self) -> int:
        """The budget on operations that holds for this form."""
        return self.max_operations or DEFAULT_OPERATIONS

    @property
    def runs_on(self) -> str:
        """What runs the arithmetic: "engine" or "numpy"."""
        if self.runtime == "auto":
            return "numpy" if self.form == "expanded" else "engine"
        return self.runtime

    def compile(self, program: Program) -> SourceCompiled | EngineCompiled:
        """Derive, count, print and compile the gradient of a program.

        Raises ExpressionBudgetError (operations, seconds or bytes) before anything is
        printed; UserInputError when `batch="columns"` and samples cannot be columns.
        """
        dtype = np.dtype(program.dtype)
        check_dtype(self.name, self.capabilities, dtype)
        deadline = Deadline(self.max_seconds)
        phases = Phases()
        with phases("read"):
            graph = simplify(program.graph)
            scalars, writer = read_scalars(
                graph,
                program.wrt,
                self.batch,
                by_rows=self.form == "shared",
                check=self._check_reading(deadline),
            )
        if not isinstance(writer, Rows):
            with phases("count"):
                rows = Rows(scalars.batch or 1)
                alone = measure(rows, rows.convert(scalars.value))
                self._check_size(alone, VALUE_ALONE)
        with phases("derive"):
            value, gradients, others = derive(
                scalars, writer, program.wrt, self.differ, deadline.check
            )
        if self.simplify:
            with phases("simplify"):
                gradients = simplified(gradients, deadline.check)
        wanted = [value, *gradients, *others]
        sharing = "every intermediate named"
        with phases("count"):
            if isinstance(writer, Rows):
                rows, outputs = writer, wanted
            else:
                rows = Rows(scalars.batch or 1)
                outputs = rows.convert(wanted, frozenset(writer.batched))
                sharing = "none"
            size = measure(rows, outputs)
            deadline.check()
        if not isinstance(writer, Rows) and self.form == "cse":
            with phases("share"):
                rows, outputs, sharing = share(
                    wanted, frozenset(writer.batched), scalars.batch or 1, size
                )
                size = size.with_shared(measure(rows, outputs))
                deadline.check()
        self._check_size(size)
        names = [name for leaf in scalars.leaves for name in leaf.names]
        names += scalars.columns
        with phases("print"):
            written_out = self.form == "expanded"
            source = python_source(rows, outputs, names, written_out)
            deadline.check()
        details = {
            "form": self.form,
            "method": _METHOD[self.form],
            "differ": "by row" if self.form == "shared" else self.differ,
            "simplify": self.simplify,
            "sharing": sharing,
            "runtime": self.runs_on,
            "batch": scalars.why,
            "evaluation": _EVALUATION[self.runs_on],
            "tree_operations": size.tree_operations,
            "tree_nodes": size.tree_nodes,
            "shared_operations": size.shared_operations,
            "shared_nodes": size.shared_nodes,
            "height": size.height,
            "sharing_ratio": size.sharing_ratio,
            "source_bytes": len(source),
            "statements": source.count("\n") - 1,
            "operations_counted": (
                "of the written-out tree" if written_out else "of the shared rows"
            )
            + ", those that differ from sample to sample once a sample",
        }
        evaluated = size.tree_evaluated if written_out else size.shared_evaluated
        info = partial(
            Info, self.name, phases.seconds, evaluated, evaluations=1, details=details
        )
        if self.runs_on == "engine":
            with phases("compile"):
                columns = Columns(rows, graph, scalars).graph(outputs, program.wrt)
                run = make_runner(columns, "engine", dtype)
            done = info(bytes=run.arena_bytes)
            return EngineCompiled(done, source, program.wrt, graph, run, dtype)
        with phases("compile"):
            value_source = python_source(rows, outputs[:1], names, written_out)
            evaluate = compile_source(source, functions(dtype))
            evaluate_value = compile_source(value_source, functions(dtype))
        # The peak while the source is compiled: running it needs less.
        done = info(bytes=BYTES[self.form] * _printed_operations(self.form, size))
        return SourceCompiled.of(
            done, program, scalars, evaluate, evaluate_value, source
        )

    def formula(
        self,
        f: Program | Callable[..., Any],
        args: Sequence[Any] = (),
        *,
        language: str = "text",
        argnums: int = 0,
    ) -> str:
        """The gradient's formula in a language for people: see `symbolic.formula`."""
        return write_formula(
            f,
            args,
            language=language,
            argnums=argnums,
            batch=self.batch,
            max_operations=self.max_operations or FORMULA_OPERATIONS,
        )

    def _check_reading(self, deadline: Deadline) -> Callable[[int], None]:
        """What the reader asks, with the operations of the value that it is to read."""

        def check(operations: int) -> None:
            deadline.check()
            if operations > self.operations_limit:
                raise ExpressionBudgetError(
                    # Counted on whole arrays: a lower bound of the scalar count.
                    f"operations or more{VALUE_ALONE}",
                    self.operations_limit,
                    operations,
                    ADVICE[self.form],
                )

        return check

    def _check_size(self, size: Size, of_what: str = "") -> None:
        needed = _printed_operations(self.form, size)
        for quantity, limit, count in (
            ("operations", self.operations_limit, needed),
            ("bytes", self.max_bytes, needed * BYTES[self.form]),
        ):
            if count > limit:
                raise ExpressionBudgetError(
                    quantity + of_what, limit, count, ADVICE[self.form]
                )


VALUE_ALONE = " for its value alone"  # the gradient would come on top of it
_EVALUATION = {
    "engine": "row by row, on scalars and columns; a product and the sum that takes it "
    "in one pass",
    "numpy": "generated source, on scalars and columns",
}
_METHOD = {
    "expanded": "differentiated parameter by parameter, written out",
    "cse": "differentiated parameter by parameter, shared afterwards",
    "shared": "sharing kept throughout: reverse mode on named scalars",
}
ADVICE = {
    "expanded": "Raise the budget, or use the form 'cse' or 'shared', which write "
    "equal parts once.",
    "cse": "Raise the budget, or use the form 'shared', or the backend 'autodiff'.",
    "shared": "Raise the budget, or use the backend 'autodiff', which works on whole "
    "arrays instead of scalars.",
}


def _printed_operations(form: str, size: Size) -> int:
    return size.tree_operations if form == "expanded" else size.shared_operations

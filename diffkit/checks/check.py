"""Is this gradient right? Every entry against a reference, the worst one named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from diffkit.backends import Backend, get_backend
from diffkit.checks.compare import CheckReport, compare, require_sharp
from diffkit.checks.reference import backend_reference, exact_reference
from diffkit.errors import GradientMismatchError, NondeterministicError, UserInputError
from diffkit.prepared import TracedProgram, compile_traced, trace_program

# What an honest backend reaches, by whether it is exact up to rounding, and precision.
TOLERANCES = {
    (True, "float64"): 1e-8,
    (True, "float32"): 1e-3,
    (False, "float64"): 1e-4,
    (False, "float32"): 3e-2,
}
# Options that change how a method runs, and not which method it is.
NOT_THE_METHOD = ("dtype", "runtime", "step")


def same_method(one: Backend, other: Backend) -> bool:
    """Whether two backends obtain the derivative in the same way.

    Precision, runtime and step do not make another method of it.
    """
    if one.name != other.name:
        return False
    if type(one) is not type(other):
        return True
    options = [f.name for f in fields(one)]  # type: ignore[arg-type]
    telling = [name for name in options if name not in NOT_THE_METHOD]
    return all(getattr(one, name) == getattr(other, name) for name in telling)


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    argnums: int | Sequence[int] = 0,
    backend: str | Backend = "autodiff",
    against: str | Backend = "exact",
    tolerance: float | None = None,
    has_aux: bool = False,
) -> CheckReport:
    """Compare a backend's gradient of `f` with a reference, entry by entry.

    `against` is "exact" (ball arithmetic, proved digits) or another backend; finite
    differences are swept over several steps. The reference's own error bar is taken
    off. The tolerance is relative, holds for each entry on its own and never grows with
    the number of entries.

    Every method reads the same traced program. The exact reference shares the table of
    derivative rules with autodiff, and proves its rounding; differences share no rule.

    Raises GradientMismatchError, naming the worst entry with both values (the report is
    its `.report`), when an entry is off; UserInputError when a backend would be checked
    against itself or there is no entry to check; NondeterministicError when the
    function is another one when traced again, or the backend's answer another one when
    run again; BackendError when the reference is not known well enough to tell.

    >>> import numpy as np
    >>> check_grads(lambda w: np.sum(np.tanh(w)), (np.array([0.3, 1.2]),)).passed
    True
    """
    chosen = get_backend(backend)
    other = None if against == "exact" else get_backend(against)
    label = "exact" if other is None else other.name
    itself = chosen.name == "exact" if other is None else same_method(chosen, other)
    if itself or (label == "exact" == chosen.name):
        raise UserInputError(
            f"{chosen.name} would be checked against itself, which proves nothing. "
            "Use against='exact', or a backend of another kind."
        )
    traced = trace_program(f, args, argnums, has_aux)
    if not traced.program.parameters:
        raise UserInputError(
            "The differentiated arguments have no entries: there is nothing to check. "
            "Give parameters that are not empty, or other argnums."
        )
    _require_same_program(traced, trace_program(f, args, argnums, has_aux))
    prepared = compile_traced(traced, chosen)
    leaves = prepared.leaves(tuple(args))
    if other is None or label == "exact":
        reference = exact_reference(traced, leaves)
    else:
        reference = backend_reference(traced, leaves, other)
    value, gradients, _ = prepared.compiled(leaves)
    kept = [np.array(g) for g in gradients]
    names = [traced.program.names[p] for p in traced.program.wrt]
    _require_same_answer(chosen.name, names, kept, prepared.compiled(leaves)[1])
    if tolerance is None:
        proved = chosen.capabilities.exact and (
            other is None or other.capabilities.exact
        )
        tolerance = TOLERANCES[proved, traced.program.dtype.name]
    report = compare(
        chosen.name, label, float(value), kept, reference, names, tolerance
    )
    if not report.passed:
        raise GradientMismatchError(
            f"{report} Look at the operations that {report.name} goes through.", report
        )
    require_sharp(reference, names, tolerance, label)
    return report


def _require_same_program(first: TracedProgram, second: TracedProgram) -> None:
    one, two = first.program.graph, second.program.graph
    if (one.nodes, one.outputs) != (two.nodes, two.outputs):
        raise NondeterministicError(
            "The function gave another program when it was traced again with the same "
            "arguments: it draws random numbers, reads a clock or changes state. Draw "
            "the numbers outside and pass them as an argument."
        )


def _require_same_answer(
    backend: str,
    names: Sequence[str],
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray],
) -> None:
    for name, one, two in zip(names, first, second, strict=True):
        # Libraries that sum in parallel may round differently; no more than that.
        slack = 1e3 * float(np.finfo(one.dtype).eps)
        scale = slack * float(np.max(np.abs(one[np.isfinite(one)]), initial=0.0))
        if not np.allclose(one, two, rtol=0.0, atol=scale, equal_nan=True):
            raise NondeterministicError(
                f"The backend {backend!r} gave another gradient by {name} when it ran "
                "again at the same point: it keeps something between calls, or draws "
                "random numbers. A gradient that changes cannot be checked."
            )

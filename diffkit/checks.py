"""Is this gradient right? Every entry against a reference, the worst one named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from diffkit.backends import Backend, get_backend
from diffkit.errors import GradientMismatchError, UserInputError
from diffkit.graph import reverse
from diffkit.interpret.exact import certify, to_float
from diffkit.prepared import TracedProgram, compile_traced, trace_program

# What an honest backend reaches, by whether it is exact up to rounding, and precision.
TOLERANCES = {
    (True, "float64"): 1e-8,
    (True, "float32"): 1e-3,
    (False, "float64"): 1e-4,
    (False, "float32"): 3e-2,
}
# An entry is compared relative to itself, but not below this part of the largest
# entry: where terms cancel, rounding is as large as the terms.
SMALLEST_SCALE = 1e-4


@dataclass(frozen=True, slots=True)
class Reference:
    """The value and the gradients a backend is compared with, in float64."""

    value: float
    gradients: tuple[np.ndarray, ...]
    bits: int | None = None


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The verdict on a gradient: how far off its worst entry is, and which one it is.

    `relative_error` is |given − reference| / scale, with the scale the entry's own
    size, at least 1e-4 of the largest entry; `ulps` counts float64 steps between the
    two; `name` and `index` say where.
    """

    backend: str
    against: str
    entries: int
    value_error: float
    relative_error: float
    ulps: float
    name: str
    index: tuple[int, ...]
    given: float
    reference: float
    tolerance: float
    bits: int | None = None

    @property
    def passed(self) -> bool:
        """Whether every entry is within the tolerance (NaN never is)."""
        return isfinite(self.relative_error) and self.relative_error <= self.tolerance

    def __str__(self) -> str:
        verdict = "agrees with" if self.passed else "DISAGREES with"
        place = self.name + (
            f"[{', '.join(map(str, self.index))}]" if self.index else ""
        )
        return (
            f"{self.backend} {verdict} {self.against} over {self.entries} entries; "
            f"worst {place}: {self.given!r} against {self.reference!r}, relative error "
            f"{self.relative_error:.2g} ({self.ulps:.3g} ulps), tolerance "
            f"{self.tolerance:.1g}."
        )


def exact_reference(traced: TracedProgram, leaves: Sequence[np.ndarray]) -> Reference:
    """Value and gradient in ball arithmetic, certified to 1e-30."""
    program = traced.program
    certified = certify(reverse(program.graph, program.wrt), leaves)
    values = [to_float(o) for o in certified.outputs]
    count = len(program.wrt)
    return Reference(float(values[0]), tuple(values[1 : 1 + count]), certified.bits)


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

    `against` is "exact" (ball arithmetic, proved digits) or another backend. The
    tolerance is relative, holds for each entry on its own and never grows with the
    number of entries.

    Raises GradientMismatchError, naming the worst entry with both values, when an entry
    is off; UserInputError when a backend would be checked against itself.

    >>> import numpy as np
    >>> check_grads(lambda w: np.sum(np.tanh(w)), (np.array([0.3, 1.2]),)).passed
    True
    """
    chosen = get_backend(backend)
    traced = trace_program(f, args, argnums, has_aux)
    prepared = compile_traced(traced, chosen)
    leaves = prepared.leaves(tuple(args))
    if against == "exact":
        reference, label = exact_reference(traced, leaves), "exact"
    else:
        other = get_backend(against)
        if other == chosen:
            raise UserInputError(
                f"{chosen.name} would be checked against itself, which proves nothing. "
                "Use against='exact', or a backend of another kind."
            )
        value, gradients, _ = compile_traced(traced, other).compiled(leaves)
        reference, label = Reference(float(value), tuple(gradients)), other.name
    value, gradients, _ = prepared.compiled(leaves)
    if tolerance is None:
        key = (chosen.capabilities.exact, traced.program.dtype.name)
        tolerance = TOLERANCES[key]
    names = [traced.program.names[p] for p in traced.program.wrt]
    report = compare(
        chosen.name, label, float(value), gradients, reference, names, tolerance
    )
    if not report.passed:
        raise GradientMismatchError(
            f"{report} Look at the operations that {report.name} goes through."
        )
    return report


def compare(
    backend: str,
    against: str,
    value: float,
    gradients: Sequence[np.ndarray],
    reference: Reference,
    names: Sequence[str],
    tolerance: float,
) -> CheckReport:
    """The report on gradients that have been computed already."""
    largest = max(float(np.max(np.abs(r), initial=0)) for r in reference.gradients)
    worst = (-1.0, "", (), 0.0, 0.0)
    for name, given, true in zip(names, gradients, reference.gradients, strict=True):
        if not true.size:
            continue
        scale = np.maximum(np.abs(true), SMALLEST_SCALE * largest)
        error = np.abs(given.astype(np.float64) - true)
        relative = np.where(error == 0.0, 0.0, error / np.where(scale > 0, scale, 1.0))
        relative = np.where(np.isnan(relative), np.inf, relative)
        place = np.unravel_index(int(np.argmax(relative)), true.shape)
        if relative[place] > worst[0]:
            index = tuple(int(i) for i in place)
            found = (float(relative[place]), name, index)
            worst = (*found, float(given[place]), float(true[place]))
    relative_error, name, index, given_value, true_value = worst
    return CheckReport(
        backend=backend,
        against=against,
        entries=sum(r.size for r in reference.gradients),
        value_error=abs(value - reference.value) / max(abs(reference.value), 1e-300),
        relative_error=max(relative_error, 0.0),
        ulps=abs(given_value - true_value) / float(np.spacing(abs(true_value))),
        name=name,
        index=index,
        given=given_value,
        reference=true_value,
        tolerance=tolerance,
        bits=reference.bits,
    )

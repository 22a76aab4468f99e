"""Is this gradient right? Every entry against a reference, the worst one named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from math import isfinite
from typing import Any

import numpy as np

from diffkit.backends import Backend, get_backend
from diffkit.errors import (
    BackendError,
    GradientMismatchError,
    NondeterministicError,
    UserInputError,
)
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


# Options that change how a method runs, and not which method it is.
NOT_THE_METHOD = ("dtype", "runtime", "step")
# An exact backend as a reference proves nothing of its digits: this many ulps of its
# largest entry are what the test list holds such backends to.
UNPROVED_ULPS = 64
# Steps of the sweep, as multiples of ε^(1/3): truncation rules at one end and rounding
# at the other, and where three neighbours agree neither does.
SWEEP = (1e-2, 1e-1, 1.0, 1e1, 1e2)


@dataclass(frozen=True, slots=True)
class Reference:
    """The value and the gradients a backend is compared with, in float64.

    `radii` says for every entry how far the truth may be from what is given here;
    without them the reference is taken at its word.
    """

    value: float
    gradients: tuple[np.ndarray, ...]
    bits: int | None = None
    radii: tuple[np.ndarray, ...] | None = None


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The verdict on a gradient: how far off its worst entry is, and which one it is.

    `relative_error` is |given − reference| / scale, with the scale the entry's own
    size, at least 1e-4 of the largest entry; `radius` is the reference's own error bar
    on that scale, which is taken off before the verdict. `ulps` counts steps of the
    given precision between the two; `name` and `index` say where; `failed` counts the
    entries beyond the tolerance.
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
    radius: float = 0.0
    failed: int = 0

    @property
    def passed(self) -> bool:
        """Whether every entry is within the tolerance (NaN never is)."""
        within = self.relative_error - self.radius <= self.tolerance
        return isfinite(self.relative_error) and within

    def __str__(self) -> str:
        verdict = "agrees with" if self.passed else "DISAGREES with"
        place = self.name + (
            f"[{', '.join(map(str, self.index))}]" if self.index else ""
        )
        beyond = f" ({self.failed} beyond the tolerance)" if self.failed else ""
        known = f", known to {self.radius:.1g}" if self.radius else ""
        return (
            f"{self.backend} {verdict} {self.against} over {self.entries} entries"
            f"{beyond}; worst {place}: {self.given!r} against {self.reference!r}"
            f"{known}, relative error {self.relative_error:.2g} ({self.ulps:.3g} ulps),"
            f" tolerance {self.tolerance:.1g}."
        )


def exact_reference(traced: TracedProgram, leaves: Sequence[np.ndarray]) -> Reference:
    """Value and gradient in ball arithmetic, certified to 1e-30."""
    program = traced.program
    certified = certify(reverse(program.graph, program.wrt), leaves)
    values = [to_float(o) for o in certified.outputs[: 1 + len(program.wrt)]]
    # The balls are narrower than the rounding of their midpoints, by fourteen digits.
    radii = tuple(0.5 * np.spacing(np.abs(v)) for v in values[1:])
    return Reference(float(values[0]), tuple(values[1:]), certified.bits, radii)


def swept_reference(
    traced: TracedProgram, leaves: Sequence[np.ndarray], backend: Backend
) -> Reference:
    """Differences at several steps, each entry where three neighbouring steps agree.

    The step is ε^(1/3) times powers of ten, and those times the largest parameter. An
    entry is the median of the three neighbouring steps with the smallest spread, and
    its radius three times that spread (Gill, Murray, Saunders and Wright, 1983, choose
    steps by the same balance). Runs in float64 whatever the program's precision.

    Raises BackendError when no three steps gave finite numbers for some entry.
    """
    program = replace(traced.program, dtype=np.dtype(np.float64))
    wide = [np.asarray(x, np.float64) if x.dtype.kind == "f" else x for x in leaves]
    sizes = [float(np.max(np.abs(wide[p]), initial=1.0)) for p in program.wrt]
    unit = float(np.finfo(np.float64).eps) ** (1 / 3)
    scales = {1.0, max(sizes, default=1.0)}
    swept: list[list[np.ndarray]] = []
    value = float("nan")
    for step in sorted({unit * factor * scale for factor in SWEEP for scale in scales}):
        stepped: Any = replace(backend, step=step)  # type: ignore[type-var]
        try:
            value, gradients, _ = stepped.compile(program)(wide)
        except UserInputError:
            continue  # too small a step to move a parameter
        swept.append([np.asarray(g, np.float64) for g in gradients])
    if len(swept) < 3:
        raise BackendError(
            f"{backend.name} cannot be the reference here: fewer than three steps "
            "could be taken. Use against='exact'."
        )
    settled = [_settled(np.stack(runs)) for runs in zip(*swept, strict=True)]
    return Reference(
        float(value), tuple(s[0] for s in settled), None, tuple(s[1] for s in settled)
    )


def _settled(runs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Over the first axis: the median of the three that agree best, and its radius."""
    with np.errstate(invalid="ignore"):
        threes = np.sort(np.stack([runs[:-2], runs[1:-1], runs[2:]]), axis=0)
        spread = threes[2] - threes[0]
    spread = np.where(np.isfinite(spread), spread, np.inf)
    best = np.argmin(spread, axis=0)[None]
    middle = np.take_along_axis(threes[1], best, axis=0)[0]
    radius = 3.0 * np.take_along_axis(spread, best, axis=0)[0]
    return middle, radius + np.spacing(np.abs(middle))


def backend_reference(
    traced: TracedProgram, leaves: Sequence[np.ndarray], backend: Backend
) -> Reference:
    """Another backend's answer, with the error bar that can be had for it.

    Differences with a choice of steps are swept; an exact backend is granted 64 ulps of
    its largest entry; anything else is taken at its word.
    """
    what = backend.capabilities
    options = [f.name for f in fields(backend)]  # type: ignore[arg-type]
    method = getattr(backend, "method", "central")
    free = "step" in options and getattr(backend, "step", None) == "auto"
    if not what.exact and free and method in ("central", "forward"):
        return swept_reference(traced, leaves, backend)
    value, gradients, _ = compile_traced(traced, backend).compiled(leaves)
    radii = None
    if what.exact:
        largest = max((np.max(np.abs(g), initial=0) for g in gradients), default=0)
        bar = UNPROVED_ULPS * float(np.spacing(largest))
        radii = tuple(np.full(g.shape, bar) for g in gradients)
    return Reference(float(value), tuple(gradients), None, radii)


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
    _require_sharp(reference, names, tolerance, label)
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


def _require_sharp(
    reference: Reference, names: Sequence[str], tolerance: float, label: str
) -> None:
    """Raise BackendError where the reference's own radius exceeds the tolerance."""
    if reference.radii is None:
        return
    largest = _largest(reference)
    for name, true, radius in zip(
        names, reference.gradients, reference.radii, strict=True
    ):
        # Where everything is zero there is no scale, and the radius stands for itself.
        scale = np.maximum(np.abs(true), SMALLEST_SCALE * largest)
        share = radius / np.where(scale > 0, scale, 1.0)
        if share.size and not np.max(share) <= tolerance:
            place = np.unravel_index(int(np.argmax(share)), share.shape)
            index = ", ".join(str(int(i)) for i in place)
            raise BackendError(
                f"The reference {label} cannot tell: {name}[{index}] is known as "
                f"{float(true[place])!r} ± {float(radius[place]):.1g}, and the "
                f"relative tolerance is {tolerance:.1g}. Use against='exact', a larger "
                "tolerance, or a point away from kinks and poles."
            )


def _largest(reference: Reference) -> float:
    sizes = [float(np.max(np.abs(r), initial=0)) for r in reference.gradients]
    return max(sizes, default=0.0)


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
    largest = _largest(reference)
    radii = reference.radii or tuple(np.zeros(g.shape) for g in reference.gradients)
    worst: tuple[Any, ...] = (-1.0, 0.0, 0.0, "", (), 0.0, 0.0, 1.0)
    failed = 0
    for name, given, true, bar in zip(
        names, gradients, reference.gradients, radii, strict=True
    ):
        if not true.size:
            continue
        scale = np.maximum(np.abs(true), SMALLEST_SCALE * largest)
        scale = np.where(scale > 0, scale, 1.0)
        mine = np.asarray(given, np.float64)
        with np.errstate(invalid="ignore"):
            relative = np.where(mine == true, 0.0, np.abs(mine - true) / scale)
        relative = np.where(np.isnan(relative), np.inf, relative)
        beyond = np.maximum(relative - bar / scale, 0.0)
        beyond = np.where(np.isinf(relative), np.inf, beyond)
        failed += int(np.count_nonzero(~(beyond <= tolerance) | np.isinf(beyond)))
        # The worst beyond its error bar; the largest error where all are within theirs.
        which = beyond if np.max(beyond) > 0 else relative
        place = np.unravel_index(int(np.argmax(which)), true.shape)
        found = (float(beyond[place]), float(relative[place]))
        if found > worst[:2]:
            index = tuple(int(i) for i in place)
            share = float(bar[place] / scale[place])
            step = float(np.spacing(np.abs(true[place]).astype(given.dtype)))
            pair = (float(given[place]), float(true[place]))
            worst = (*found, share, name, index, *pair, step)
    _, relative_error, share, name, index, given_value, true_value, step = worst
    return CheckReport(
        backend=backend,
        against=against,
        entries=sum(r.size for r in reference.gradients),
        value_error=abs(value - reference.value) / max(abs(reference.value), 1e-300),
        relative_error=relative_error,
        ulps=abs(given_value - true_value) / step,
        name=name,
        index=index,
        given=given_value,
        reference=true_value,
        tolerance=tolerance,
        bits=reference.bits,
        radius=share,
        failed=failed,
    )

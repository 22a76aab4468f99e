"""What a gradient is compared with, and how far that may be from the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from diffkit.backends import Backend
from diffkit.errors import BackendError, UserInputError
from diffkit.graph import reverse
from diffkit.interpret.exact import certify, to_float
from diffkit.prepared import TracedProgram, compile_traced

# An exact backend as a reference proves nothing of its digits: this many ulps of its
# largest entry are what the test list holds such backends to.
UNPROVED_ULPS = 64
# Claimed errors of differences hold the true one within this factor (99 % of entries).
CLAIMED = 3.0
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
    its largest entry; one that claims an error for each entry (`gradient_with_errors`)
    is granted three times that; anything else is taken at its word.
    """
    what = backend.capabilities
    options = [f.name for f in fields(backend)]  # type: ignore[arg-type]
    method = getattr(backend, "method", "central")
    free = "step" in options and getattr(backend, "step", None) == "auto"
    if not what.exact and free and method in ("central", "forward", "backward"):
        return swept_reference(traced, leaves, backend)
    compiled: Any = compile_traced(traced, backend).compiled
    value, gradients, _ = compiled(leaves)
    radii = None
    if what.exact:
        largest = max((np.max(np.abs(g), initial=0) for g in gradients), default=0)
        bar = UNPROVED_ULPS * float(np.spacing(largest))
        radii = tuple(np.full(g.shape, bar) for g in gradients)
    elif hasattr(compiled, "gradient_with_errors"):
        gradients, claimed = compiled.gradient_with_errors(leaves)
        radii = tuple(CLAIMED * np.asarray(e, np.float64) for e in claimed)
    return Reference(float(value), tuple(gradients), None, radii)

"""The verdict: every entry on its own scale, the worst one named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from diffkit.checks.reference import Reference
from diffkit.errors import BackendError

# An entry is compared relative to itself, but not below this part of the largest
# entry: where terms cancel, rounding is as large as the terms.
SMALLEST_SCALE = 1e-4


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


def require_sharp(
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

"""Difference quotients of one input, kept inside the domain, with their errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diffkit.backends.finite_differences.point import Beside
from diffkit.backends.finite_differences.stencils import Stencil, one_sided
from diffkit.errors import NonFiniteError, UserInputError


@dataclass(slots=True)
class Slopes:
    """Derivatives of m outputs by every entry of one input, and the errors claimed.

    Both are (n, m).
    """

    values: np.ndarray
    errors: np.ndarray

    @staticmethod
    def unknown(count: int, outputs: int) -> Slopes:
        shape = (count, outputs)
        return Slopes(np.full(shape, np.nan), np.full(shape, np.inf))

    def fill(self, entries: np.ndarray, other: Slopes) -> None:
        """Take another's results for some entries, where there is none yet."""
        missing = ~np.isfinite(self.values[entries])
        self.put(
            entries,
            Slopes(
                np.where(missing, other.values, self.values[entries]),
                np.where(missing, other.errors, self.errors[entries]),
            ),
        )

    def unanswered(self, beside: Beside) -> np.ndarray:
        """Entries without a finite slope where the point and the output are finite."""
        wrong = ~np.isfinite(self.values) & np.isfinite(beside.point.value)
        return np.flatnonzero(wrong.any(axis=1) & np.isfinite(beside.x))

    def put(self, entries: np.ndarray, other: Slopes) -> None:
        """Take another's results for some entries."""
        self.values[entries], self.errors[entries] = other.values, other.errors


def quotients(
    beside: Beside,
    stencil: Stencil,
    entries: np.ndarray,
    h: np.ndarray,
    want_errors: bool,
) -> Slopes:
    """The stencil's quotients for some entries.

    The error claimed adds the truncation, judged from the same formula at twice the
    step (half of it where that leaves the domain), (D(2h) − D(h)) / (2ᵖ − 1); the
    noise s·ν/h of the evaluations; and, for symmetric formulas, half the jump of the
    slope at x (`_jump`): a kink is the one thing that symmetric differences hide.
    """
    point, x = beside.point, beside.x[entries]
    points = beside.points(entries, h, stencil.offsets)
    values = beside.values(entries, points)
    base = point.value if stencil.side or want_errors else point.nothing
    slopes = stencil.slopes(x, points, values, base)
    errors = np.full(slopes.shape, np.inf)
    if not want_errors:
        return Slopes(slopes, errors)
    step = h.astype(np.float64)
    gain = 2.0**stencil.order
    above, below = beside.room(entries)
    far = 2.0 * stencil.reach * step
    fits = (far <= above) | (stencil.side < 0)
    fits &= (far <= below) | (stencil.side > 0)
    for factor, share in ((2.0, 1.0 / (gain - 1.0)), (0.5, gain / (gain - 1.0))):
        open_ = ~np.isfinite(errors).all(axis=1)
        here = np.flatnonzero(open_ & (fits | (factor < 1.0)))
        if not here.size:
            continue
        other = (factor * h[here]).astype(x.dtype)
        others = beside.points(entries[here], other, stencil.offsets)
        again = beside.values(entries[here], others)
        with np.errstate(all="ignore"):
            apart = stencil.slopes(x[here], others, again, base) - slopes[here]
            claimed = np.abs(apart) * share
            if stencil.side == 0:
                jump = _jump(stencil, values[here], again, factor, base)
                claimed += 0.5 * np.abs(jump / step[here, None])
        known = np.isfinite(errors[here]) | ~np.isfinite(claimed)
        errors[here] = np.where(known, errors[here], claimed)
    errors += point.noise * stencil.noise / step[:, None]
    errors += float(np.finfo(point.dtype).eps) * np.abs(slopes)
    return Slopes(slopes, errors)


def _jump(
    stencil: Stencil,
    values: np.ndarray,
    again: np.ndarray,
    factor: float,
    base: np.ndarray,
) -> np.ndarray:
    """The jump of the slope at x, times h, from a formula at h and at factor·h.

    p/2 powers are eliminated: enough that a smooth function shows less than its
    truncation error.
    """
    near = [float(abs(o)) for o in stencil.offsets[0::2]]
    sides: dict[float, np.ndarray] = {}
    for scale, found in ((factor, again), (1.0, values)):
        for column, k in enumerate(near):
            sides[scale * k] = found[:, 2 * column] + found[:, 2 * column + 1]
    ks = sorted(sides)[: stencil.order // 2 + 1]
    bends = np.array([sides[k] - 2.0 * base for k in ks])
    return np.tensordot(jump_weights(ks), bends, 1)


def jump_weights(ks: Sequence[float]) -> np.ndarray:
    """Weights of f(x+kh) − 2f(x) + f(x−kh) that give the jump J of f′ at x, times h.

    Divided by k they are J·h + a·k + b·k³ + …: as many powers are eliminated as there
    are distances less one.
    """
    powers = [0, *range(1, 2 * len(ks) - 2, 2)]
    system = np.array([[float(k) ** power for k in ks] for power in powers])
    return np.linalg.solve(system, np.eye(len(ks))[0]) / np.asarray(ks)


def inside_bounds(
    beside: Beside, stencil: Stencil, h: np.ndarray, automatic: bool
) -> list[tuple[Stencil, np.ndarray, np.ndarray]]:
    """Stencils, entries and steps that stay inside the user's bounds.

    Where a symmetric formula does not fit, the one-sided one of the same order looks
    towards the farther bound; an automatic step is shortened to fit.

    Raises UserInputError for a given step that fits on neither side, and for bounds
    that leave no room.
    """
    entries = np.arange(beside.x.size)
    above, below = beside.room(entries)
    far = stencil.reach * h.astype(np.float64)
    fits = ((far <= above) | (stencil.side < 0)) & ((far <= below) | (stencil.side > 0))
    groups = [(stencil, entries[fits], h[fits])] if fits.any() or not h.size else []
    for side in (1, -1):
        room = above if side > 0 else below
        chosen = np.flatnonzero(~fits & ((above >= below) == (side > 0)))
        if not chosen.size:
            continue
        other = one_sided(stencil.order, side)
        longest = room[chosen] / other.reach
        small = np.flatnonzero(longest < h[chosen])
        if small.size and (not automatic or not longest.min() > 0.0):
            entry = chosen[small[0]]
            raise UserInputError(
                f"The step {h[entry]:.6g} leaves the bounds of {beside.name} at flat "
                f"index {entry} on both sides: {beside.x[entry]} lies between "
                f"{beside.bounds.low} and {beside.bounds.high}. Use a smaller step or "
                "wider bounds."
            )
        steps = np.minimum(h[chosen], longest).astype(h.dtype)
        groups.append((other, chosen, steps))
    return groups


def repair(
    beside: Beside,
    stencil: Stencil,
    h: np.ndarray,
    slopes: Slopes,
    shorter: np.ndarray | None,
    want_errors: bool,
) -> None:
    """Give entries whose neighbours left the function's domain a finite derivative.

    First a shorter step where one is allowed (`shorter`), then the formula of the same
    order on the side that is finite. Nothing is done where the function itself is not
    finite at the point: there is nothing to difference.

    Raises NonFiniteError, naming the entry, when the function is finite at the point
    and on neither side of it.
    """
    if not slopes.unanswered(beside).size:
        return
    h = h.copy()
    if shorter is not None:
        entries = slopes.unanswered(beside)
        entries = entries[(shorter[entries] > 0) & (shorter[entries] < h[entries])]
        if entries.size:
            h[entries] = shorter[entries]
            found = quotients(beside, stencil, entries, h[entries], want_errors)
            slopes.fill(entries, found)
    for side in (1, -1):
        entries, other = slopes.unanswered(beside), one_sided(stencil.order, side)
        room = beside.room(entries)[0 if side > 0 else 1]
        entries = entries[other.reach * h[entries] <= room]
        if entries.size:
            found = quotients(beside, other, entries, h[entries], want_errors)
            slopes.fill(entries, found)
    require_answers(beside, slopes)


def require_answers(beside: Beside, slopes: Slopes) -> None:
    """Raise NonFiniteError where a finite point of a finite function got NaN."""
    wrong = np.isnan(slopes.values) & np.isfinite(beside.point.value)
    unanswered = np.flatnonzero(wrong.any(axis=1) & np.isfinite(beside.x))
    if unanswered.size:
        entry = unanswered[0]
        raise NonFiniteError(
            f"The function is finite at {beside.name} flat index {entry} = "
            f"{beside.x[entry]} and not finite on either side of it, so that there is "
            "nothing to take a difference of. Use a smaller step, or give bounds."
        )

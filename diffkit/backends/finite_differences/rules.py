"""Ways of using quotients that choose each entry's step from evaluations."""

from __future__ import annotations

import numpy as np

from diffkit.backends.finite_differences.extrapolation import extrapolate
from diffkit.backends.finite_differences.point import Beside
from diffkit.backends.finite_differences.quotients import (
    Slopes,
    jump_weights,
    require_answers,
)
from diffkit.backends.finite_differences.stencils import (
    CENTRAL,
    CURVATURES,
    Stencil,
    one_sided,
    weighted,
)

CANDIDATES = (-3, -2, -1, 0, 1, 2)


def balanced_steps(
    beside: Beside, stencil: Stencil, h: np.ndarray, typical: float
) -> np.ndarray:
    """The steps of `steps.Balanced`; entries without room to probe keep theirs.

    Where probing leaves the domain it is done again relative to |x|.
    """
    x, point = beside.x, beside.point
    offsets = CURVATURES[stencil.order + 1][0]
    size = np.finfo(point.dtype).eps ** (1.0 / (stencil.order + 3))
    above, below = beside.room(np.arange(x.size))
    room = np.minimum(above, below) / max(offsets)
    out, left = h.copy(), np.isfinite(x)
    for scale in (np.maximum(np.abs(x), typical), np.abs(x)):
        probe = (size * scale).astype(x.dtype)
        entries = np.flatnonzero(left & (probe > 0) & (probe <= room))
        if not entries.size:
            continue
        best = _balance(beside, stencil, entries, probe[entries])
        usable = np.isfinite(best)
        out[entries[usable]] = best[usable]
        left[entries[usable]] = False
    return out


def _balance(
    beside: Beside, stencil: Stencil, entries: np.ndarray, probe: np.ndarray
) -> np.ndarray:
    """Truncation against noise, at most `probe`; NaN where a value is not finite.

    Of several outputs the most curved and the noisiest.
    """
    point = beside.point
    offsets, weights = CURVATURES[stencil.order + 1]
    values = beside.values(entries, beside.points(entries, probe, offsets))
    if stencil.order == 1:
        values = values - point.value
    with np.errstate(all="ignore"):
        bends = np.abs(weighted(values, np.asarray(weights)))
        known = np.isfinite(bends)
        bend = np.max(bends, axis=1, initial=0.0, where=known)
        bend[~known.any(axis=1)] = np.nan
        bend /= probe.astype(np.float64) ** (stencil.order + 1)
        wanted = stencil.noise * np.max(point.noise, initial=0.0)
        wanted = wanted / (stencil.order * stencil.truncation * bend)
        best = wanted ** (1.0 / (1 + stencil.order))
    best = np.where(bend == 0.0, probe, np.where(np.isfinite(bend), best, np.nan))
    least = 16.0 * np.spacing(np.abs(beside.x[entries]))
    return np.clip(best, least, np.maximum(probe, least))


def adaptive_slopes(
    beside: Beside, stencil: Stencil, h: np.ndarray, want_errors: bool
) -> Slopes:
    """The quotients of `steps.Adaptive` and their errors, for entries with room.

    The others are left unknown.
    """
    x, point = beside.x, beside.point
    out = Slopes.unknown(x.size, beside.point.outputs)
    above, below = beside.room(np.arange(x.size))
    far = stencil.reach * 4.0 ** CANDIDATES[-1] * h.astype(np.float64)
    fits = ((far <= above) | (stencil.side < 0)) & ((far <= below) | (stencil.side > 0))
    entries = np.flatnonzero(fits)
    steps = [(4.0**k * h[entries]).astype(x.dtype) for k in CANDIDATES]
    points = [beside.points(entries, s, stencil.offsets) for s in steps]
    values = beside.values(entries, np.concatenate(points, axis=1))
    parts = np.split(values, len(CANDIDATES), axis=1)
    base = point.value if stencil.side else point.nothing
    found = [
        stencil.slopes(x[entries], p, v, base)
        for p, v in zip(points, parts, strict=True)
    ]
    # The smallest of several claims is a flattering one: the gain of order 2 at most.
    gain = 4.0 ** min(stencil.order, 2) - 1.0
    best, least = out.values[entries], out.errors[entries]
    with np.errstate(all="ignore"):
        for k, step in enumerate(steps[:-1]):
            error = np.abs(found[k + 1] - found[k]) / gain
            error += point.noise * stencil.noise / step.astype(np.float64)[:, None]
            better = np.isfinite(found[k]) & (error < least)
            best = np.where(better, found[k], best)
            least = np.where(better, error, least)
        least += float(np.finfo(point.dtype).eps) * np.abs(best)
    if want_errors and not stencil.side:
        least += _half_jump(beside, steps[:4], parts[:4], 4.0)
    out.put(entries, Slopes(best, least))
    return out


def ridders_slopes(
    beside: Beside, h: np.ndarray, levels: int, free: bool, want_errors: bool
) -> Slopes:
    """Extrapolated quotients from the steps h, h/2, h/4, …, with their errors.

    Symmetric where the bounds leave room, else towards the farther bound. Where a
    quotient was not finite and the first step is free to choose, the tableau is formed
    again from h = |x|/4, and the better of the two kept; then one side is tried.
    """
    x = beside.x
    out = Slopes.unknown(x.size, beside.point.outputs)
    above, below = beside.room(np.arange(x.size))
    room = np.minimum(above, below)
    fits = h * 2.0 ** (1 - levels) <= room
    entries = np.flatnonzero(fits)
    start = np.minimum(h, np.where(fits, room, np.inf)).astype(x.dtype)
    met = np.zeros(x.size, bool)
    met[entries] = _tableau(
        beside, CENTRAL[2], entries, start, levels, out, want_errors
    )
    quarter = (0.25 * np.abs(x)).astype(x.dtype)
    again = np.flatnonzero(
        met & np.isfinite(x) & (quarter > 0) & (quarter < start) & free
    )
    lost = (np.isnan(out.values) & np.isfinite(x)[:, None]).any()
    if not (again.size or lost) or not np.isfinite(beside.point.value).any():
        return out
    _tableau(beside, CENTRAL[2], again, quarter, levels, out, want_errors)
    for side in (1, -1):
        way = above if side > 0 else below
        open_side = (way > 0) & (fits | ((above >= below) == (side > 0)))
        entries = out.unanswered(beside)
        entries = entries[open_side[entries]]
        first = np.minimum(h, way).astype(x.dtype)
        _tableau(beside, one_sided(1, side), entries, first, levels, out, want_errors)
    require_answers(beside, out)
    return out


def _tableau(
    beside: Beside,
    stencil: Stencil,
    entries: np.ndarray,
    first: np.ndarray,
    levels: int,
    out: Slopes,
    want_errors: bool,
) -> np.ndarray:
    """Improve `out` where this tableau is better; says which met a non-finite value."""
    x, point = beside.x[entries], beside.point
    steps = [(first[entries] * 0.5**i).astype(x.dtype) for i in range(levels)]
    points = [beside.points(entries, s, stencil.offsets) for s in steps]
    values = beside.values(entries, np.concatenate(points, axis=1))
    parts = np.split(values, levels, axis=1)
    base = point.value if stencil.side else point.nothing
    rows = np.array(
        [stencil.slopes(x, p, v, base) for p, v in zip(points, parts, strict=True)]
    ).reshape(levels, len(entries), point.outputs)
    sizes = np.array(steps, np.float64).reshape(levels, len(entries), 1)
    with np.errstate(all="ignore"):
        noises = point.noise * stencil.noise / sizes
    found, errors = extrapolate(rows, noises, 2.0 if stencil.side else 4.0)
    errors += float(np.finfo(point.dtype).eps) * np.abs(found)
    if want_errors and not stencil.side:
        errors += _half_jump(beside, steps[:-6:-1], parts[:-6:-1], 2.0)
    before = Slopes(out.values[entries], out.errors[entries])
    better = errors < before.errors
    found = np.where(better, found, before.values)
    out.put(entries, Slopes(found, np.where(better, errors, before.errors)))
    return np.any(~np.isfinite(rows), axis=(0, 2))


def _half_jump(
    beside: Beside, steps: list[np.ndarray], parts: list[np.ndarray], ratio: float
) -> np.ndarray:
    """Half the jump of the slope at x where it stands out of the noise, else nothing.

    From values at ±h, the shortest step first, each `ratio` times the one before.
    """
    point = beside.point
    ks = [ratio**i for i in range(len(steps))]
    weights = jump_weights(ks)
    first = steps[0].astype(np.float64)[:, None]
    with np.errstate(all="ignore"):
        bends = np.array([p[:, 0] + p[:, 1] - 2.0 * point.value for p in parts])
        jump = np.abs(np.tensordot(weights, bends, 1)) / first
        rounding = point.noise * np.sqrt(6.0 * np.sum(weights**2)) / first
        return np.where(jump > 10.0 * rounding, 0.5 * jump, 0.0)

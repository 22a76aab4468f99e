"""A rule of an optimizer as one native pass over flat vectors: what trainers call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any

import numpy as np

from diffkit.engine import update_loop
from diffkit.engine.cache import direct
from diffkit.errors import DtypeError
from diffkit.rules import RULES, Rule

_ENTRY_POINTS = {"float64": "step_double", "float32": "step_single"}
_PLACES = {name: place for place, name in enumerate(RULES)}


def vector_update(
    rule: Rule,
    constants: Sequence[float] = (),
    *,
    parameters: np.ndarray,
    gradient: np.ndarray,
    result: np.ndarray,
    moments: Sequence[np.ndarray] = (),
    moments_after: Sequence[np.ndarray] = (),
    step: np.ndarray | None = None,
    step_after: np.ndarray | None = None,
    added: bool = False,
) -> Callable[[Sequence[float]], None]:
    """One rule over vectors that stay where they are: a function of its numbers.

    A call takes the numbers that come before the `constants`. It reads `parameters`,
    `gradient` and `moments`, and writes `moments_after` and `result`: the update, or
    with `added` the parameters after it. With `step`, a count in an array of shape ()
    and int64, it writes that plus one to `step_after`. A result may lie on top of the
    gradient, moments on top of their own; nothing else may overlap. Vectors are
    contiguous, of one length and dtype. Not for two threads at once.

    Raises DtypeError for another dtype than float64 and float32.
    """
    dtype = parameters.dtype
    if dtype.name not in _ENTRY_POINTS:
        raise DtypeError(
            f"The engine steps float64 or float32, and was given {dtype}. Step by "
            "the optimizer's own update."
        )
    assert len(moments) == len(moments_after) == rule.moments
    written = (result, *moments_after)
    for vector in (parameters, gradient, *moments, *written):
        assert vector.dtype == dtype
        assert vector.shape == (parameters.size,)
        assert vector.flags.c_contiguous
    assert all(vector.flags.writeable for vector in written)
    changing = rule.numbers - len(constants)
    numbers: Any = np.zeros(rule.numbers)
    numbers[changing:] = constants
    control = np.zeros(update_loop.CONTROL_WIDTH, np.int64)
    control[update_loop.RULE] = _PLACES[rule.name]
    control[update_loop.COUNT] = parameters.size
    control[update_loop.ADDED] = added
    control[update_loop.PARAMETERS] = parameters.ctypes.data
    control[update_loop.GRADIENT] = gradient.ctypes.data
    control[update_loop.RESULT] = result.ctypes.data
    control[update_loop.NUMBERS] = numbers.ctypes.data
    for k, (before, after) in enumerate(zip(moments, moments_after, strict=True)):
        control[update_loop.MOMENTS + k] = before.ctypes.data
        control[update_loop.MOMENTS_AFTER + k] = after.ctypes.data
    if step is not None and step_after is not None:
        control[update_loop.STEP] = step.ctypes.data
        control[update_loop.STEP_AFTER] = step_after.ctypes.data
    # The native code knows addresses; the function keeps what lies there.
    arrays = (control, parameters, gradient, *moments, *written, step, step_after)
    # A closure finds all that a call needs faster than attributes.
    run, address = direct(_ENTRY_POINTS[dtype.name]), int(control.ctypes.data)
    pack = Struct(f"{changing}d").pack_into

    def update(changed: Sequence[float], kept: Any = arrays) -> None:
        pack(numbers, 0, *changed)
        run(address)

    return update

"""A rule of an optimizer as one native pass over flat vectors: what trainers call."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Any

import numpy as np

from diffkit.engine import update_loop
from diffkit.engine.cache import direct
from diffkit.errors import DtypeError
from diffkit.rules import RULES, Rule

_ENTRY_POINTS = {"float64": "step_double", "float32": "step_single"}
_PLACES = {name: place for place, name in enumerate(RULES)}


class VectorUpdate:
    """One rule over vectors that stay where they are, so that a call finds nothing out.

    Reads `parameters`, `gradient` and `moments`; writes `moments_after` and `result`:
    the update, or with `added` the parameters after it. With `step`, a count in an
    array of shape () and int64, writes it plus one to `step_after`. A result may lie on
    top of the gradient, moments on top of their own; nothing else may overlap. Vectors
    are contiguous, of one length and dtype. Not for two threads at once.

    Raises DtypeError for another dtype than float64 and float32.
    """

    __slots__ = ("_address", "_arrays", "_numbers", "_pack", "_run")

    def __init__(
        self,
        rule: Rule,
        *,
        parameters: np.ndarray,
        gradient: np.ndarray,
        result: np.ndarray,
        moments: Sequence[np.ndarray] = (),
        moments_after: Sequence[np.ndarray] = (),
        step: np.ndarray | None = None,
        step_after: np.ndarray | None = None,
        added: bool = False,
    ) -> None:
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
        control = np.zeros(update_loop.CONTROL_WIDTH, np.int64)
        self._numbers: Any = np.zeros(rule.numbers)
        control[update_loop.RULE] = _PLACES[rule.name]
        control[update_loop.COUNT] = parameters.size
        control[update_loop.ADDED] = added
        control[update_loop.PARAMETERS] = parameters.ctypes.data
        control[update_loop.GRADIENT] = gradient.ctypes.data
        control[update_loop.RESULT] = result.ctypes.data
        control[update_loop.NUMBERS] = self._numbers.ctypes.data
        for k, (before, after) in enumerate(zip(moments, moments_after, strict=True)):
            control[update_loop.MOMENTS + k] = before.ctypes.data
            control[update_loop.MOMENTS_AFTER + k] = after.ctypes.data
        if step is not None and step_after is not None:
            control[update_loop.STEP] = step.ctypes.data
            control[update_loop.STEP_AFTER] = step_after.ctypes.data
        # The native code knows addresses; these keep what lies there.
        self._arrays = (control, parameters, gradient, *moments, *written)
        self._arrays += (step, step_after)
        self._pack = Struct(f"{rule.numbers}d").pack_into
        self._run = direct(_ENTRY_POINTS[dtype.name])
        self._address = int(control.ctypes.data)

    def __call__(self, numbers: Sequence[float]) -> None:
        """Take the step with these numbers, as many as the rule has."""
        self._pack(self._numbers, 0, *numbers)
        self._run(self._address)

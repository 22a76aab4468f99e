"""The optimizer's step on packed parameters: by the engine, or by its own `update`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import optree

from diffkit.backends import Backend
from diffkit.engine.lines import empty_on_a_line
from diffkit.engine.updates import vector_update
from diffkit.errors import ShapeError
from diffkit.rules import RULES
from diffkit.train.parts import InitUpdate

Update = Callable[[Sequence[float]], None]
#: The rule "scaled" by this leaves an update as it is.
_KEPT = (1.0,)


class Updates(Protocol):
    """One step of an optimizer on packed parameters."""

    @property
    def gradient(self) -> np.ndarray | None:
        """Where a gradient may be written so as not to be copied, if anywhere."""
        ...

    def __call__(self, packed: Any, state: Any, grads: Any) -> tuple[Any, Any]:
        """The parameters and the state after it.

        What was handed over stays as it is until the next call; `gradient` does not.
        """
        ...


def updates_for(
    optimizer: InitUpdate, packed: Any, state: Any, backend: Backend
) -> Updates:
    """By the engine for parameters in one vector, where the engine runs the gradients.

    By the optimizer's own `update` if it does not say its step in stages, and where
    something else does the arithmetic: so a comparison of backends that do not use the
    engine does not load it. The numbers are the same, to the bit.
    """
    stages = getattr(optimizer, "stages", None)
    runs_on = getattr(backend, "runs_on", getattr(backend, "runtime", None))
    vector = isinstance(packed, np.ndarray) and packed.ndim == 1
    if (
        stages is None
        or runs_on != "engine"
        or not vector
        or packed.dtype not in (np.float64, np.float32)
    ):
        return ByUpdate(optimizer)
    return ByEngine(stages, packed, state)


@dataclass(frozen=True, slots=True)
class ByUpdate:
    """Any optimizer, by its pure functions."""

    optimizer: InitUpdate
    gradient: None = None

    def __call__(self, packed: Any, state: Any, grads: Any) -> tuple[Any, Any]:
        """Fresh arrays."""
        updates, state = self.optimizer.update(grads, state, packed)
        return optree.tree_map(_added, packed, updates), state


@dataclass(slots=True)
class _Side:
    """One of two sets of arrays, in one of which training stands."""

    packed: np.ndarray
    moments: list[tuple[np.ndarray, ...]]
    steps: list[np.ndarray]
    updates: list[tuple[Update, Update | None]] = field(default_factory=list)
    # For each stage: its numbers, its own state, its update, and what leaves all as is.
    passes: list[tuple[Any, Any, Update, Update | None]] = field(default_factory=list)
    state: Any = None


class ByEngine:
    """Stages as native passes over the vector.

    A step reads one set of arrays and writes the other, so that whoever is interrupted
    still stands, whole, where the step began. Not for two threads at once.
    """

    def __init__(self, stages: Any, packed: np.ndarray, state: Any) -> None:
        self._stages, self._tree = optree.tree_flatten(stages)
        self.gradient: np.ndarray = _vector_like(packed)
        self._sides = (self._side(packed), self._side(packed))
        for here, there in (self._sides, self._sides[::-1]):
            here.updates = [
                self._update(k, here, there) for k in range(len(self._stages))
            ]
        self._at = 0
        self._adopt(packed, state)

    def __call__(self, packed: Any, state: Any, grads: Any) -> tuple[Any, Any]:
        """Into the set of arrays that `packed` does not belong to."""
        at = self._at
        here = self._sides[at]
        if packed is not here.packed or state is not here.state:
            here = self._adopt(packed, state)
            at = self._at
        gradient = self.gradient
        if grads is not gradient:
            np.copyto(gradient, grads)
        for numbers_of, own, update, keep in here.passes:
            numbers = numbers_of(own, gradient)
            if numbers is not None:
                update(numbers)
            elif keep is not None:
                keep(_KEPT)
        self._at = 1 - at
        there = self._sides[1 - at]
        return there.packed, there.state

    def _side(self, packed: np.ndarray) -> _Side:
        moments = [
            tuple(_vector_like(packed) for _ in range(stage.rule.moments))
            for stage in self._stages
        ]
        steps = [np.zeros((), np.int64) for _ in self._stages]
        return _Side(_vector_like(packed), moments, steps)

    def _update(
        self, k: int, here: _Side, there: _Side
    ) -> tuple[Update, Update | None]:
        """Stage k; and, for the last, what to do when it leaves all as it is."""
        stage, last = self._stages[k], k == len(self._stages) - 1
        vectors: dict[str, Any] = {
            "parameters": here.packed,
            "gradient": self.gradient,
            "result": there.packed if last else self.gradient,
            "added": last,
        }
        counted = stage.remembers is not None
        change = vector_update(
            stage.rule,
            stage.constants,
            moments=here.moments[k],
            moments_after=there.moments[k],
            step=here.steps[k] if counted else None,
            step_after=there.steps[k] if counted else None,
            **vectors,
        )
        return change, vector_update(RULES["scaled"], **vectors) if last else None

    def _adopt(self, packed: np.ndarray, state: Any) -> _Side:
        """Stand at these parameters and this state, which may lie in either set."""
        at = 1 if packed is self._sides[1].packed else 0
        here = self._sides[at]
        given = self._tree.flatten_up_to(state)
        np.copyto(here.packed, packed)
        for k, (stage, own) in enumerate(zip(self._stages, given, strict=True)):
            moments = stage.moments(own)
            self._check(stage, moments)
            for mine, theirs in zip(here.moments[k], moments, strict=True):
                np.copyto(mine, theirs)
            if stage.remembers is not None:
                here.steps[k][...] = own.step
        for side in self._sides:
            states = [
                own if stage.remembers is None else stage.remembers(step, *moments)
                for stage, own, step, moments in zip(
                    self._stages, given, side.steps, side.moments, strict=True
                )
            ]
            side.state = self._tree.unflatten(states)
            side.passes = [
                (stage.numbers, own, *updates)
                for stage, own, updates in zip(
                    self._stages, states, side.updates, strict=True
                )
            ]
        self._at = at
        return here

    def _check(self, stage: Any, moments: Sequence[Any]) -> None:
        for moment in moments:
            if np.shape(moment) != self.gradient.shape:
                raise ShapeError(
                    f"{stage.name}: its state has a vector of shape "
                    f"{np.shape(moment)} for {self.gradient.size} parameters in one "
                    "vector. Start with the state that init gives for that vector."
                )


def _vector_like(packed: np.ndarray) -> np.ndarray:
    return empty_on_a_line(packed.size, packed.dtype)


def _added(p: Any, u: Any) -> Any:
    """In the precision of the parameter, which the program was prepared for."""
    return np.add(p, u, dtype=p.dtype)

"""Gradients of a batch: whole, or split into shards that run at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import optree

from diffkit.backends import Backend
from diffkit.prepared import Prepared
from diffkit.train.inputs import Pair
from diffkit.train.layout import Layout, weighted_mean
from diffkit.train.objective import Objective
from diffkit.transform import prepare


class Gradients(Protocol):
    """The loss, its gradient (packed) and the network's new state for a batch."""

    def __call__(
        self,
        packed: Any,
        x: np.ndarray,
        y: np.ndarray,
        state: Any,
        masks: Any,
        room: np.ndarray | None = None,
    ) -> tuple[float, Any, Any]:
        """One evaluation; the gradient may be written to `room`, and then is it."""
        ...

    @property
    def infos(self) -> dict[int, Any]:
        """What each prepared program costs, by its number of rows."""
        ...

    def close(self) -> None:
        """Let go of threads and workers."""
        ...


@dataclass(slots=True)
class Whole:
    """One program for each size of batch, on this thread."""

    programs: dict[int, Prepared]
    layout: Layout
    stateful: bool

    def __call__(
        self,
        packed: Any,
        x: np.ndarray,
        y: np.ndarray,
        state: Any,
        masks: Any,
        room: np.ndarray | None = None,
    ) -> tuple[float, Any, Any]:
        """The program of that size."""
        program = self.programs[len(x)]
        if self.layout.flat:
            value, grads = program.flat(packed, x, y, state, masks, out=room)
        else:
            params = self.layout.unpack(packed)
            value, grads = program(params, x, y, state, masks)
            grads = self.layout.pack(grads)
        if self.stateful:
            value, state = value
        return float(value), grads, state

    @property
    def infos(self) -> dict[int, Any]:
        """Of each program."""
        return {size: program.info for size, program in self.programs.items()}

    def close(self) -> None:
        """There is nothing to let go of."""


@dataclass(slots=True)
class Threads:
    """Shards on local threads: the engine runs without Python's lock.

    The mean of the shards' gradients, weighted by rows, is the batch's up to rounding.
    The shards are summed in their order, so that a run repeats bit for bit.
    """

    whole: Whole
    shards: int
    pool: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self.pool = ThreadPoolExecutor(self.shards, "diffkit-shard")

    def __call__(
        self,
        packed: Any,
        x: np.ndarray,
        y: np.ndarray,
        state: Any,
        masks: Any,
        room: np.ndarray | None = None,
    ) -> tuple[float, Any, Any]:
        """All shards at once."""
        parts = cut(x, y, masks, self.shards)

        def one(part: Any) -> tuple[float, Any, Any]:
            # NumPy's error state belongs to the thread.
            with np.errstate(all="ignore"):
                x, y, masks = part
                return self.whole(packed, x, y, state, masks)

        done = list(self.pool.map(one, parts))
        sizes = [len(part[0]) for part in parts]
        return (*averaged(sizes, [(value, grads) for value, grads, _ in done]), state)

    @property
    def infos(self) -> dict[int, Any]:
        """Of each program."""
        return self.whole.infos

    def close(self) -> None:
        """End the threads."""
        self.pool.shutdown(wait=True, cancel_futures=True)


def prepare_whole(
    objective: Objective,
    params: Any,
    data: Pair,
    state: Any,
    sizes: Sequence[int],
    backend: Backend,
    layout: Layout,
) -> Whole:
    """One program for each number of rows that will occur."""
    x, y = data
    programs = {}
    for size in dict.fromkeys(sizes):
        masks = objective.masks(np.random.default_rng(0), x[:size])
        programs[size] = prepare(
            objective.training,
            params,
            x[:size],
            y[:size],
            state,
            masks,
            backend=backend,
            has_aux=objective.stateful,
            nonfinite="allow",
        )
    return Whole(programs, layout, objective.stateful)


def shard_sizes(rows: int, shards: int) -> list[int]:
    """Rows of each shard: as even as they can be, and none empty.

    >>> shard_sizes(10, 4), shard_sizes(2, 4)
    ([3, 3, 2, 2], [1, 1])
    """
    shards = min(shards, rows)
    least, rest = divmod(rows, shards)
    return [least + (i < rest) for i in range(shards)]


def cut(
    x: np.ndarray, y: np.ndarray, masks: Any, shards: int
) -> list[tuple[np.ndarray, np.ndarray, Any]]:
    """The batch as shards, its masks cut with it along the rows."""
    parts, start = [], 0
    for size in shard_sizes(len(x), shards):
        rows = slice(start, start + size)
        own = optree.tree_map(lambda mask, rows=rows: mask[rows], masks)
        parts.append((x[rows], y[rows], own))
        start += size
    return parts


def averaged(sizes: Sequence[int], done: Sequence[tuple[float, Any]]) -> tuple:
    """Loss and gradient of the batch from those of its shards."""
    rows = sum(sizes)
    pairs = list(zip(sizes, done, strict=True))
    value = sum(n * v for n, (v, _) in pairs) / rows
    return value, weighted_mean([(n, grads) for n, (_, grads) in pairs])

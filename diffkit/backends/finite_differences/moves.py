"""Values beside a point: the textbook way, and three ways of doing less for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from math import ceil, prod
from typing import Any, Literal

import numpy as np

from diffkit.backends.runtime import Runner, RuntimeName, make_runner
from diffkit.errors import UserInputError, unknown_name
from diffkit.graph import Graph, Perturbed, perturb
from diffkit.graph.moved import Kept, Mask

Recompute = Literal["all", "downstream", "changed"]
RECOMPUTE = ("all", "downstream", "changed")
# An array of this many elements, and one or two like it, stay in the second cache.
BATCH_ELEMENTS = 32768


@dataclass(frozen=True, slots=True)
class Work:
    """What is recomputed for a move, how many moves make a batch, on how many threads.

    Raises UserInputError for a number that is no number of moves or threads.
    """

    recompute: Recompute = "all"
    batch: int | Literal["auto"] | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        if self.recompute not in RECOMPUTE:
            raise unknown_name("way to recompute", self.recompute, RECOMPUTE)
        _require_whole("threads", self.threads, "of 1 or more")
        if self.batch is not None and self.batch != "auto":
            _require_whole(
                "batch", self.batch, "of moves evaluated at once, 1 or more, or 'auto'"
            )

    @property
    def keeps(self) -> bool:
        """Whether values from the point itself are used again."""
        return self.recompute != "all"

    @property
    def size(self) -> int | Literal["auto"]:
        """Moves in a batch: one each, unless said otherwise or made of batches."""
        if self.batch is not None:
            return self.batch
        return "auto" if self.recompute == "changed" else 1

    @property
    def batched(self) -> bool:
        """Whether the program of many moves is run, and not the program many times."""
        return self.size != 1 or self.recompute == "changed"


def _require_whole(name: str, number: object, meaning: str) -> None:
    whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    if not whole or number < 1:  # type: ignore[operator]
        raise UserInputError(f"{name} was {number!r}; it is a whole number {meaning}.")


class Around:
    """What is known at a point: outputs, and the values kept for the moves beside it.

    `usable` says whether all that was kept is finite: an infinity that a move would
    take away cannot be updated, so that such a point is evaluated whole.
    """

    def __init__(
        self, leaves: Sequence[np.ndarray], outputs: list[Any], kept: dict[int, Any]
    ) -> None:
        self.leaves, self.outputs, self.kept = leaves, outputs, kept
        self.usable = all(np.isfinite(v).all() for v in kept.values())
        self._rows: dict[Kept, np.ndarray] = {}

    def rows(self, feed: Kept) -> np.ndarray:
        """A kept value with its tied axes first and together, one row for each."""
        found = self._rows.get(feed)
        if found is None:
            value = self.kept[feed.node]
            tied = [a for a, t in enumerate(feed.ties) if t is not None]
            front = np.moveaxis(value, tied, range(len(tied)))
            count = prod(front.shape[: len(tied)])
            rest = (value.size // count,) if count else (0,)
            found = np.ascontiguousarray(front).reshape(count, *rest)
            self._rows[feed] = found
        return found


class Evaluations:
    """A program ready to be evaluated at points and beside them."""

    def __init__(
        self,
        graph: Graph,
        wrt: Sequence[int],
        runtime: RuntimeName,
        dtype: np.dtype,
        work: Work,
    ) -> None:
        self.work, self.dtype = work, dtype
        self.shape = graph.nodes[graph.outputs[0]].shape
        self._graph = graph
        self._runtime: RuntimeName = runtime
        self._outputs = len(graph.outputs)
        self.primal = graph.size().operations
        self._runners: dict[tuple[int, int], Runner | None] = {}
        self._programs = cache(self._perturbed)
        kept: set[int] = set()
        if work.keeps:
            for p in wrt:
                kept |= self._programs(p, 1).kept
        self._kept = tuple(sorted(kept))
        wanted = (*graph.outputs, *self._kept)
        self.run = make_runner(Graph(graph.nodes, graph.inputs, wanted), runtime, dtype)

    @property
    def bytes(self) -> int:
        """Memory planned for one run of everything that has been compiled so far."""
        runners = [r.arena_bytes for r in self._runners.values() if r is not None]
        return self.run.arena_bytes + max(runners, default=0)

    def at(self, leaves: Sequence[np.ndarray]) -> Around:
        """One whole evaluation."""
        found = self.run(leaves)
        kept = dict(zip(self._kept, found[self._outputs :], strict=True))
        return Around(leaves, found[: self._outputs], kept)

    def prepare(self, leaf: int, number: int) -> None:
        """Compile what `number` moves of an input will run."""
        if number and (self.work.keeps or self.work.batched):
            self._runner(leaf, self.batch(leaf, number))

    def batch(self, leaf: int, number: int) -> int:
        """Moves in each batch: as many as wanted, spread evenly over the batches."""
        wanted = self.work.size
        if wanted == "auto":
            wanted = max(BATCH_ELEMENTS // self._programs(leaf, 1).widest, 1)
        return ceil(number / ceil(number / wanted)) if number else 1

    def operations(self, leaf: int, number: int) -> int:
        """Scalar operations that `number` moves of an input take, as they are run.

        The last batch is filled up, and counts as it is run.
        """
        if not number:
            return 0
        if not (self.work.keeps or self.work.batched):
            return self.primal * number
        size = self.batch(leaf, number)
        return ceil(number / size) * self._programs(leaf, size).operations

    def moved(
        self,
        around: Around | None,
        leaves: Sequence[np.ndarray],
        leaf: int,
        positions: np.ndarray,
        values: np.ndarray,
    ) -> tuple[np.ndarray, int]:
        """The first output for each replacement of one entry, and the operations done.

        Returns float64 (moves, *shape of the output).
        """
        work, number = self.work, len(positions)
        unusable = around is not None and not around.usable
        if not number or unusable or not (work.keeps or work.batched):
            found = self._one_by_one(self.run, leaves, leaf, positions, values)
            return found, self.primal * number
        size = self.batch(leaf, number)
        program, run = self._programs(leaf, size), self._runner(leaf, size)
        done = self.operations(leaf, number)
        if run is None:  # the output does not depend on this input
            still = self.run(leaves) if around is None else around.outputs
            found = np.repeat(np.asarray(still[0], np.float64)[None], number, axis=0)
            return found, done
        inputs = dict(zip(self._graph.inputs, leaves, strict=True))
        still = inputs if around is None else around.kept
        feeds = _Feeds(program, np.asarray(leaves[leaf], self.dtype), still, around)
        if not work.batched:
            unmoved = np.asarray(leaves[leaf]).flat[positions[:1]]
            alike = feeds.of(positions[:1], unmoved)
            found = self._one_by_one(run, alike, 0, positions, values)
            return found.reshape(number, *self.shape), done
        out = np.empty((number, *self.shape), np.float64)

        def fill(start: int) -> None:
            stop = min(start + size, number)
            places, numbers = positions[start:stop], values[start:stop]
            if stop - start < size:
                extra = size - (stop - start)
                places = np.append(places, np.repeat(places[-1:], extra))
                numbers = np.append(numbers, np.repeat(numbers[-1:], extra))
            out[start:stop] = run(feeds.of(places, numbers))[0][: stop - start]

        self._in_threads(fill, range(0, number, size))
        return out, done

    def _one_by_one(
        self,
        run: Runner,
        leaves: Sequence[np.ndarray],
        leaf: int,
        positions: np.ndarray,
        values: np.ndarray,
    ) -> np.ndarray:
        shares = min(self.work.threads, len(positions))
        if shares <= 1:
            return run.perturbed(leaves, leaf, positions, values)
        edges = [len(positions) * k // shares for k in range(shares + 1)]
        found: list[Any] = [None] * shares

        def fill(k: int) -> None:
            part = slice(edges[k], edges[k + 1])
            found[k] = run.perturbed(leaves, leaf, positions[part], values[part])

        self._in_threads(fill, range(shares))
        return np.concatenate(found)

    def _in_threads(self, task: Callable[[int], None], items: range) -> None:
        """Every task writes its own part, so that the order does not matter."""
        threads = min(self.work.threads, len(items))
        if threads <= 1:
            for item in items:
                task(item)
            return
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(task, items):
                pass

    def _perturbed(self, leaf: int, count: int) -> Perturbed:
        tied = self.work.recompute == "changed"
        return perturb(self._graph, leaf, count, keep=self.work.keeps, tied=tied)

    def _runner(self, leaf: int, count: int) -> Runner | None:
        if (leaf, count) not in self._runners:
            graph = self._programs(leaf, count).graph
            run = graph and make_runner(graph, self._runtime, self.dtype)
            self._runners[leaf, count] = run
        return self._runners[leaf, count]


class _Feeds:
    """What the program of the moves takes in, for any of its batches."""

    def __init__(
        self,
        program: Perturbed,
        leaf: np.ndarray,
        still: dict[int, Any],
        around: Around | None,
    ) -> None:
        assert program.graph is not None
        self._leaf, self._still = leaf, still
        nodes = program.graph.nodes
        shapes = [nodes[i].shape for i in program.graph.inputs]
        self._feeds = list(zip(program.feeds, shapes, strict=True))
        self._rows = {
            feed: around.rows(feed)
            for feed in program.feeds
            if around and isinstance(feed, Kept) and feed.tied
        }

    def of(self, positions: np.ndarray, values: np.ndarray) -> list[np.ndarray]:
        """The inputs for one batch."""
        leaf = self._leaf
        where = np.unravel_index(positions, leaf.shape) if leaf.shape else ()
        fed = []
        for feed, shape in self._feeds:
            if feed in self._rows:
                ties = [t for t in feed.ties if t is not None]
                row = where[ties[0]]
                for t in ties[1:]:
                    row = row * leaf.shape[t] + where[t]
                fed.append(self._rows[feed].take(row, axis=0).reshape(shape))
            elif isinstance(feed, Kept):
                fed.append(self._still[feed.node])
            elif isinstance(feed, Mask):
                fed.append(where[feed.axis][:, None] == np.arange(shape[1]))
            elif feed.whole:
                moved = np.repeat(leaf.reshape(1, -1), len(positions), axis=0)
                moved[np.arange(len(positions)), positions] = values
                fed.append(moved.reshape(shape))
            else:
                fed.append(values.astype(leaf.dtype).reshape(shape))
        return fed

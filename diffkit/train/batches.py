"""Which rows go into which batch: counted exactly, shuffled by a generator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from diffkit.errors import UserInputError

#: Bytes of rows that are gathered at once: they fit into a second-level cache.
GATHERED_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Batches:
    """The batches of one epoch over `n` rows.

    `len()` is the number of iterations per epoch: ⌈n/batch_size⌉, or ⌊n/batch_size⌋
    with `drop_last`, which leaves out the rows of the last partial batch (others in
    each epoch, when shuffled). `batch_size=None` takes all rows at once, in order.

    Raises UserInputError for no rows, or a batch size that is not 1 … n.

    >>> len(Batches(50_000, 64)), len(Batches(50_000, 64, drop_last=True))
    (782, 781)
    """

    n: int
    batch_size: int | None = None
    drop_last: bool = False
    shuffle: bool = True

    def __post_init__(self) -> None:
        if self.n < 1:
            raise UserInputError("There are no rows to make batches of (n = 0).")
        size = self.batch_size
        if size is None:
            return
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
            raise UserInputError(
                f"batch_size must be a positive integer or None (all rows) and is "
                f"{size!r}."
            )
        if size > self.n:
            raise UserInputError(
                f"batch_size is {size} and there are {self.n} rows. Use a batch of at "
                f"most {self.n}, or batch_size=None for all rows at once."
            )

    def __len__(self) -> int:
        whole, rest = divmod(self.n, self._size)
        return whole + (1 if rest and not self.drop_last else 0)

    @property
    def _size(self) -> int:
        return self.n if self.batch_size is None else int(self.batch_size)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows in each batch, in order: all alike except perhaps the last.

        >>> Batches(10, 4).sizes
        (4, 4, 2)
        """
        return tuple(min(self._size, self.n - i * self._size) for i in range(len(self)))

    def epoch(self, rng: np.random.Generator) -> Iterator[np.ndarray | slice]:
        """What to index the rows with, batch by batch, for one epoch.

        `rows` gives the rows themselves.

        Nothing is drawn from `rng` when there is nothing to shuffle: without
        `shuffle`, or where one batch holds every row.

        >>> rng = np.random.default_rng(0)
        >>> [rows.tolist() for rows in Batches(5, 2).epoch(rng)]
        [[2, 4], [3, 0], [1]]
        """
        order, size = self._order(rng), self._size
        starts = range(0, len(self) * size, size)
        if order is None:
            yield from (slice(i, min(i + size, self.n)) for i in starts)
        else:
            yield from (order[i : i + size] for i in starts)

    def rows(
        self, data: Sequence[np.ndarray], rng: np.random.Generator, first: int = 0
    ) -> Iterator[tuple[np.ndarray, ...]]:
        """The rows of each array of `data`, batch by batch, from batch `first` on.

        Draws from `rng` as `epoch` does, whatever `first` is. Shuffled rows are
        gathered for several batches at once where those are small: a small batch
        would wait longer for the gathering to begin than for its rows.

        >>> x, rng = np.arange(5.0), np.random.default_rng(0)
        >>> [part.tolist() for (part,) in Batches(5, 2).rows([x], rng)]
        [[2.0, 4.0], [3.0, 0.0], [1.0]]
        """
        order, size, count = self._order(rng), self._size, len(self)
        together = count
        if order is not None:
            row_bytes = sum(part.nbytes // len(part) for part in data)
            together = max(1, GATHERED_BYTES // max(1, size * row_bytes))
        for begin in range(first, count, together):
            taken = min(together, count - begin)
            start, end = begin * size, min((begin + taken) * size, self.n)
            parts = [
                part[start:end]
                if order is None
                else part.take(order[start:end], axis=0)
                for part in data
            ]
            for i in range(0, taken * size, size):
                yield tuple([part[i : i + size] for part in parts])

    def _order(self, rng: np.random.Generator) -> np.ndarray | None:
        """The rows in the order of an epoch; None: as they are."""
        return rng.permutation(self.n) if self.shuffle and self._size < self.n else None

"""Which rows go into which batch: counted exactly, shuffled by a generator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from diffkit.errors import UserInputError


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

        Nothing is drawn from `rng` when there is nothing to shuffle: without
        `shuffle`, or where one batch holds every row.

        >>> rng = np.random.default_rng(0)
        >>> [rows.tolist() for rows in Batches(5, 2).epoch(rng)]
        [[2, 4], [3, 0], [1]]
        """
        starts = range(0, len(self) * self._size, self._size)
        if self.shuffle and self._size < self.n:
            order = rng.permutation(self.n)
            yield from (order[i : i + self._size] for i in starts)
        else:
            yield from (slice(i, min(i + self._size, self.n)) for i in starts)

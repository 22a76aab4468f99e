"""A graph read as scalars: what goes in, what comes out, what is a column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Leaf:
    """How an input is handed to the generated code: flat, or as columns of a batch."""

    position: int
    shape: tuple[int, ...]
    batched: bool
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """Elements of an output; `axis` is where the batch goes back in, or None."""

    elements: tuple[Any, ...]
    shape: tuple[int, ...]
    axis: int | None
    kind: str


@dataclass(frozen=True, slots=True)
class Scalars:
    """A graph read as scalars. `batch` is None when every sample is written out."""

    outputs: tuple[Output, ...]
    leaves: tuple[Leaf, ...]
    columns: dict[str, np.ndarray]  # constants that differ from sample to sample
    batch: int | None
    why: str  # in words, for the details

    @property
    def value(self) -> tuple[Any, ...]:
        """The element that is differentiated, alone in a tuple."""
        return self.outputs[0].elements


class MixedBatchError(Exception):
    """Samples of the batch meet in a way that columns cannot carry (internal)."""

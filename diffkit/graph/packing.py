"""Nested arrays as one vector: leaf after leaf, each in C order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np

from diffkit.graph import trees


class Packing:
    """Where each array of a tree lies in the vector of them all.

    >>> packing = Packing(trees.structure({"b": 0, "w": 0}), [(2,), (1, 2)])
    >>> vector = packing.pack({"w": np.array([[3.0, 4.0]]), "b": np.array([1.0, 2.0])})
    >>> vector
    array([1., 2., 3., 4.])
    >>> packing.unpack(2 * vector)["w"]
    array([[6., 8.]])
    """

    def __init__(self, tree: Any, shapes: Sequence[tuple[int, ...]]) -> None:
        self.tree = tree
        ends = list(accumulate(map(prod, shapes), initial=0))
        self.size = ends[-1]
        self._cuts = [
            (slice(start, end), shape)
            for start, end, shape in zip(ends, ends[1:], shapes, strict=False)
        ]

    def pack(self, tree: Any) -> np.ndarray:
        """One fresh vector, in the dtype that holds all of the arrays' numbers."""
        return joined(trees.leaves(tree))

    def split(self, vector: np.ndarray) -> list[np.ndarray]:
        """The arrays, as views of the vector."""
        return [vector[cut].reshape(shape) for cut, shape in self._cuts]

    def unpack(self, vector: np.ndarray) -> Any:
        """The arrays nested again, as views of the vector."""
        return trees.unflatten(self.tree, self.split(vector))


def joined(arrays: Sequence[Any]) -> np.ndarray:
    """Arrays end to end, each in C order; of none, no numbers.

    >>> joined([np.ones((1, 2)), np.zeros(())])
    array([1., 1., 0.])
    """
    if not arrays:
        return np.zeros(0, common_dtype([]))
    return np.concatenate([np.asarray(array).reshape(-1) for array in arrays])


def common_dtype(dtypes: Sequence[np.dtype]) -> np.dtype:
    """The dtype of the vector of arrays of these; of none, float64."""
    return np.result_type(*dtypes) if dtypes else np.dtype(np.float64)

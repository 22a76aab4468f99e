"""How the optimizer sees the parameters: as one vector, or as they are nested."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import optree

from diffkit.graph import trees
from diffkit.graph.packing import Packing


class Layout(Protocol):
    """Parameters, gradients and optimizer states packed and unpacked.

    `flat` says that packed parameters are one vector.
    """

    flat: ClassVar[bool]

    def pack(self, tree: Any) -> Any:
        """A tree nested as the parameters, for the optimizer."""
        ...

    def unpack(self, packed: Any) -> Any:
        """The tree again."""
        ...

    def pack_state(self, state: Any, like: Any) -> Any:
        """An optimizer's state for unpacked parameters, for packed ones (as `like`)."""
        ...

    def unpack_state(self, state: Any) -> Any:
        """The state for unpacked parameters again."""
        ...


class OneVector:
    """All parameters as one flat vector; unpacked, they are views of it.

    One array operation instead of one for each leaf: for a small network that is most
    of what a step of the optimizer costs.
    """

    flat: ClassVar[bool] = True

    def __init__(self, params: Any) -> None:
        leaves, tree = trees.flatten(params)
        self._packing = Packing(tree, [leaf.shape for leaf in leaves])
        self._shape = (self._packing.size,)

    def pack(self, tree: Any) -> np.ndarray:
        """One fresh vector."""
        return self._packing.pack(tree)

    def unpack(self, packed: np.ndarray) -> Any:
        """Views of the vector."""
        return self._packing.unpack(packed)

    def pack_state(self, state: Any, like: Any) -> Any:
        """Every part of the state that is nested as the parameters, as a vector."""
        leaves, tree = trees.flatten(like)
        parts = tree.flatten_up_to(state)
        packed = [
            self.pack(part) if np.shape(leaf) == self._shape else part
            for leaf, part in zip(leaves, parts, strict=True)
        ]
        return trees.unflatten(tree, packed)

    def unpack_state(self, state: Any) -> Any:
        """Every vector of the state as a tree."""
        leaves, tree = trees.flatten(state)
        parts = [
            self.unpack(leaf) if np.shape(leaf) == self._shape else leaf
            for leaf in leaves
        ]
        return trees.unflatten(tree, parts)


@dataclass(frozen=True, slots=True)
class AsNested:
    """Parameters as they are: for optimizers that may treat leaves differently."""

    flat: ClassVar[bool] = False

    def pack(self, tree: Any) -> Any:
        """The tree itself."""
        return tree

    def unpack(self, packed: Any) -> Any:
        """The tree itself."""
        return packed

    def pack_state(self, state: Any, like: Any) -> Any:
        """The state itself."""
        return state

    def unpack_state(self, state: Any) -> Any:
        """The state itself."""
        return state


def layout_for(optimizer: Any, params: Any) -> Layout:
    """One vector for optimizers that say it makes no difference to them."""
    flat = getattr(optimizer, "one_vector", False)
    return OneVector(params) if flat else AsNested()


def weighted_mean(parts: list[tuple[float, Any]]) -> Any:
    """Σ nᵢ·gᵢ / Σ nᵢ of packed gradients, in their precision."""
    rows = sum(n for n, _ in parts)
    weights = [n / rows for n, _ in parts]

    def mean(*leaves: Any) -> Any:
        total = weights[0] * leaves[0]
        for weight, leaf in zip(weights[1:], leaves[1:], strict=True):
            total += weight * leaf
        return total

    return optree.tree_map(mean, *(g for _, g in parts))


def copied(tree: Any) -> Any:
    """The same values in arrays of their own."""
    return optree.tree_map(np.array, tree)

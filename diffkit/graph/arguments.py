"""What the arguments of a prepared program must be, and what is wrong with others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit.errors import PreparationMismatchError
from diffkit.graph import trees
from diffkit.graph.trace import as_array, require_finite

LEAF = trees.structure(0)


@dataclass(frozen=True, slots=True)
class LeafSpec:
    """What one array argument was prepared as."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype

    def __str__(self) -> str:
        order = "" if self.dtype.isnative else f" as {self.dtype.str}"
        return f"{self.dtype.name}{list(self.shape)}{order}"


class Arguments:
    """Arguments nested as `tree`, named by their roots, with a spec for each leaf.

    `collect(args)` gives the leaves without looking at them, for whoever checks them
    himself, and raises ValueError where they are nested otherwise (`trees.collector`);
    where nothing is `nested`, the arguments are the leaves.
    """

    def __init__(
        self, tree: Any, roots: Sequence[str], specs: Sequence[LeafSpec]
    ) -> None:
        self.tree = tree
        self.specs = tuple(specs)
        self.collect = trees.collector(tree)
        self.nested = not all(child.is_leaf() for child in tree.children())
        self._roots = tuple(roots)
        self._expected = [(spec.shape, spec.dtype) for spec in specs]

    @property
    def names(self) -> list[str]:
        """The leaves' names, such as params['w'][0]."""
        return [spec.name for spec in self.specs]

    def leaves(self, args: tuple[Any, ...]) -> list[Any]:
        """The arrays in order, checked.

        Raises PreparationMismatchError, listing each difference; DtypeError, naming the
        argument, for what is no array of numbers.
        """
        try:
            leaves = self.collect(args)
        except ValueError:
            raise self._mismatch(args) from None
        for leaf, (shape, dtype) in zip(leaves, self._expected, strict=True):
            # Built-in dtypes are single objects, so `is` settles the common case.
            if (
                type(leaf) is not np.ndarray
                or leaf.dtype is not dtype
                or leaf.shape != shape
            ):
                return self._slowly_checked(args, leaves)
        return leaves

    def require_finite(self, leaves: Sequence[Any]) -> None:
        """Raise NonFiniteError, naming the first entry that is NaN or infinite."""
        for leaf, spec in zip(leaves, self.specs, strict=True):
            require_finite(leaf, spec.name)

    def _slowly_checked(self, args: tuple[Any, ...], leaves: list[Any]) -> list[Any]:
        """The same for scalars and array-likes, and for errors."""
        arrays = []
        for leaf, spec in zip(leaves, self.specs, strict=True):
            if trees.structure(leaf) != LEAF:
                raise self._mismatch(args)
            array = as_array(leaf, spec.name)
            if array.shape != spec.shape or array.dtype != spec.dtype:
                raise self._mismatch(args)
            arrays.append(array)
        return arrays

    def _mismatch(self, args: tuple[Any, ...]) -> PreparationMismatchError:
        prepared = {spec.name: str(spec) for spec in self.specs}
        given: dict[str, str] = {}
        by_position = self._names_of(args)
        for name, leaf in zip(by_position, trees.leaves(args), strict=True):
            array = as_array(leaf, name)
            given[name] = str(LeafSpec(name, array.shape, array.dtype))
        lines = []
        for name in [*prepared, *(n for n in given if n not in prepared)]:
            was, now = prepared.get(name, "absent"), given.get(name, "absent")
            if was != now:
                lines.append(f"  {name}: prepared as {was}, given {now}")
        if not lines:
            lines = [
                f"  structure: prepared as {self.tree}, given {trees.structure(args)}"
            ]
        return PreparationMismatchError(
            "The arguments differ from what was prepared:\n"
            + "\n".join(lines)
            + "\nPrepare again for these arguments, or use dk.value_and_grad, which "
            "prepares once for every set of shapes."
        )

    def _names_of(self, args: tuple[Any, ...]) -> list[str]:
        names: list[str] = []
        for place, arg in enumerate(args):
            known = place < len(self._roots)
            root = self._roots[place] if known else f"argument {place}"
            names += [a.codify(root) for a in trees.accessors(arg)]
        return names

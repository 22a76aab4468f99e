"""optree's functions, with the types that diffkit uses them at.

Arguments are nested dicts, lists and tuples of arrays; optree takes them apart and puts
them together again. Plain aliases: nothing is added to a call. For a structure that is
known already, `collector` does the taking apart without building it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import optree

_optree: Any = optree
flatten: Callable[[Any], tuple[list[Any], Any]] = _optree.tree_flatten
leaves: Callable[[Any], list[Any]] = _optree.tree_leaves
structure: Callable[[Any], Any] = _optree.tree_structure
unflatten: Callable[[Any, Any], Any] = _optree.tree_unflatten
accessors: Callable[[Any], list[Any]] = _optree.tree_accessors


def nester(spec: Any) -> Callable[[Any], Any]:
    """The function that nests a list of leaves: `unflatten` of one structure."""
    return spec.unflatten


def tuple_of(specs: Sequence[Any]) -> Any:
    """The structure of a tuple of trees of these structures."""
    return _optree.treespec_tuple(list(specs))


def collector(spec: Any) -> Callable[[Any], list[Any]]:
    """The function that gives the leaves of trees of one structure, in their order.

    It raises ValueError for another structure, and hands on whatever stands in a leaf's
    place. Dicts, ordered ones and those with defaults are taken for one another: their
    leaves go by the keys. optree's own, several times as fast as taking a tree apart
    whose structure is not known.

    >>> take = collector(structure(({"b": 1.0, "a": [2.0]}, 3.0)))
    >>> take(({"b": 4.0, "a": [5.0]}, 6.0))
    [5.0, 4.0, 6.0]
    """
    return spec.flatten_up_to

"""optree's functions, with the types that diffkit uses them at.

Arguments are nested dicts, lists and tuples of arrays; optree takes them apart and puts
them together again. Plain aliases: nothing is added to a call. For a structure that is
known already, `collector` does the taking apart without building it anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optree

_optree: Any = optree
flatten: Callable[[Any], tuple[list[Any], Any]] = _optree.tree_flatten
leaves: Callable[[Any], list[Any]] = _optree.tree_leaves
structure: Callable[[Any], Any] = _optree.tree_structure
unflatten: Callable[[Any, Any], Any] = _optree.tree_unflatten
accessors: Callable[[Any], list[Any]] = _optree.tree_accessors


class StructureMismatch(Exception):
    """A container is not what the collector was made for."""


Collector = Callable[[Any, list[Any]], None]


def collector(spec: Any) -> Collector:
    """A function that appends the leaves of a tree of this structure to a list.

    The same leaves in the same order as optree's, in a fraction of the time, for the
    containers that arguments are made of (exactly dict, list and tuple). It raises
    StructureMismatch where a container differs in kind, length or keys (and always, for
    structures with other containers), and hands on whatever stands in a leaf's place.

    >>> take = collector(structure(({"b": 1.0, "a": [2.0]}, 3.0)))
    >>> leaves = []
    >>> take(({"b": 4.0, "a": [5.0]}, 6.0), leaves)
    >>> leaves
    [5.0, 4.0, 6.0]
    """
    return _collector(spec) or _refuse


def _refuse(tree: Any, out: list[Any]) -> None:
    raise StructureMismatch


def _collector(spec: Any) -> Collector | None:
    if spec.type not in (dict, list, tuple):
        return None
    children: list[Collector | None] = []
    for child in spec.children():
        part = None if child.is_leaf() else _collector(child)
        if part is None and not child.is_leaf():
            return None
        children.append(part)
    if spec.type is dict:
        return _of_dict(spec.entries(), children)
    return _of_sequence(spec.type, children)


def _of_dict(keys: list[Any], children: list[Collector | None]) -> Collector:
    parts = list(zip(keys, children, strict=True))
    count = len(parts)

    def collect(tree: Any, out: list[Any]) -> None:
        if type(tree) is not dict or len(tree) != count:
            raise StructureMismatch
        try:
            for key, inner in parts:
                if inner is None:
                    out.append(tree[key])
                else:
                    inner(tree[key], out)
        except KeyError:
            raise StructureMismatch from None

    return collect


def _of_sequence(kind: type, children: list[Collector | None]) -> Collector:
    count = len(children)
    flat = all(inner is None for inner in children)

    def collect(tree: Any, out: list[Any]) -> None:
        if type(tree) is not kind or len(tree) != count:
            raise StructureMismatch
        if flat:
            out.extend(tree)
            return
        for part, inner in zip(tree, children, strict=True):
            if inner is None:
                out.append(part)
            else:
                inner(part, out)

    return collect

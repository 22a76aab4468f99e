"""Parameters by name: listed, checked against a network, and replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from diffkit.errors import ShapeError, UnknownNameError, nearest
from diffkit.graph import trees


def named_leaves(tree: Any) -> dict[str, Any]:
    """The arrays of nested dicts, lists and tuples by dotted name, in order.

    >>> list(named_leaves(({"weight": 1.0, "bias": 2.0}, (), ({"bias": 3.0},))))
    ['0.bias', '0.weight', '2.0.bias']
    """
    names = [".".join(map(str, a.path)) for a in trees.accessors(tree)]
    return dict(zip(names, trees.leaves(tree), strict=True))


def check_names(given: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise unless both have the same names, and arrays of the same shapes.

    Raises UnknownNameError for a name too many, with the nearest that is wanted, and
    ShapeError for a name too few or a shape that differs.
    """
    unknown = [name for name in given if name not in wanted]
    missing = [name for name in wanted if name not in given]
    if unknown:
        close = nearest(unknown[0], missing or wanted)
        raise UnknownNameError(
            f"The network has no parameter {unknown[0]!r}"
            + (f" ({len(unknown)} unknown names)." if len(unknown) > 1 else ".")
            + (f" Did you mean {close!r}?" if close else "")
            + f" It has: {_listed(wanted)}."
        )
    if missing:
        raise ShapeError(
            f"The parameters lack {_listed(missing)}, which the network has. Use what "
            "this network's init drew, or a checkpoint of the same layers."
        )
    for name, array in wanted.items():
        if np.shape(given[name]) != np.shape(array):
            raise ShapeError(
                f"Parameter {name!r} has shape {np.shape(given[name])}; the network "
                f"needs {np.shape(array)}. Was it made with other sizes?"
            )


def replaced(tree: Any, named: Mapping[str, Any]) -> Any:
    """The same nesting with some arrays put in place of those of the same name.

    Dtypes are those of the arrays replaced. Raises UnknownNameError with the nearest
    name, ShapeError for another shape.

    >>> replaced(({"weight": np.zeros(2)},), {"0.weight": [1, 2]})
    ({'weight': array([1., 2.])},)
    """
    own = named_leaves(tree)
    check_names({**own, **named}, own)
    leaves = [
        np.array(named[name], np.asarray(leaf).dtype) if name in named else leaf
        for name, leaf in own.items()
    ]
    return trees.unflatten(trees.structure(tree), leaves)


def _listed(names: Any, most: int = 8) -> str:
    shown = list(names)
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(map(repr, shown[:most])) + more

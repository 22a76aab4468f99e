"""Nested values as named arrays and a JSON skeleton, and back."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

import numpy as np
import optree

from diffkit.errors import CheckpointError

Tensors = dict[str, np.ndarray]
#: Letters of the dtypes that a checkpoint can hold.
_KINDS = "fiub"


def encode(tree: Any, name: str, tensors: Tensors) -> Any:
    """The skeleton of a nested value; its arrays go into `tensors` under their path.

    Dicts, lists, tuples and named tuples of arrays, numbers, strings and None. Named
    tuples become plain ones: `restored` gives them back their names.

    Raises CheckpointError, naming the place, for anything else.
    """
    if isinstance(tree, Mapping):
        for key in tree:
            if not isinstance(key, str):
                raise CheckpointError(
                    f"{name} has the key {key!r}; a checkpoint holds text keys only."
                )
        return {"dict": {k: encode(v, f"{name}/{k}", tensors) for k, v in tree.items()}}
    if isinstance(tree, list | tuple):
        kind = "list" if isinstance(tree, list) else "tuple"
        return {kind: [encode(v, f"{name}/{i}", tensors) for i, v in enumerate(tree)]}
    if isinstance(tree, np.ndarray | np.generic):
        array = np.asarray(tree)
        if array.dtype.kind not in _KINDS:
            raise CheckpointError(
                f"{name} is an array of {array.dtype}; a checkpoint holds numbers."
            )
        while name in tensors:  # Only where keys themselves contain a slash.
            name += "'"
        native = array.dtype.newbyteorder("=")
        tensors[name] = np.array(array, native, order="C")
        return {"array": name}
    if tree is None or isinstance(tree, bool | int | str):
        return tree
    if isinstance(tree, float):
        return tree if isfinite(tree) else {"float": repr(tree)}
    raise CheckpointError(
        f"{name} is {type(tree).__name__}; a checkpoint holds arrays, numbers, text, "
        "dicts, lists and tuples of them."
    )


def decode(skeleton: Any, tensors: Tensors) -> Any:
    """The nested value of a skeleton that `encode` made."""
    if not isinstance(skeleton, dict):
        return skeleton
    ((kind, content),) = skeleton.items()
    if kind == "array":
        return tensors[content]
    if kind == "float":
        return float(content)
    if kind == "dict":
        return {key: decode(value, tensors) for key, value in content.items()}
    values = [decode(value, tensors) for value in content]
    return {"list": list, "tuple": tuple}[kind](values)


def restored(what: str, tree: Any, like: Any) -> Any:
    """The values of `tree` in the nesting of `like`.

    Raises CheckpointError, naming the first difference in nesting, shape or dtype.
    """
    found = dict(zip(optree.tree_paths(tree), optree.tree_leaves(tree), strict=True))
    wanted = dict(zip(optree.tree_paths(like), optree.tree_leaves(like), strict=True))
    for path in [*wanted, *found]:
        name = what + "".join(f"[{entry!r}]" for entry in path)
        has, needs = (_described(tree.get(path)) for tree in (found, wanted))
        if has != needs:
            raise CheckpointError(
                f"The checkpoint does not fit: {name} is {has} in the checkpoint and "
                f"{needs} here. Build the same network and optimizer as it was "
                "written with."
            )
    return optree.tree_unflatten(optree.tree_structure(like), list(found.values()))


def _described(leaf: Any) -> str:
    if leaf is None:
        return "absent"
    array = np.asarray(leaf)
    return f"{array.dtype.name}{list(array.shape)}"

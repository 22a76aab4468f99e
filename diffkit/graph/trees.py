"""optree's functions, with the types that diffkit uses them at.

Arguments are nested dicts, lists and tuples of arrays; optree takes them apart and puts
them together again. Plain aliases: nothing is added to a call.
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

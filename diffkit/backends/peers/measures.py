"""What every peer reports beside its own numbers, and how its results leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from diffkit.backends.base import Info, Program
from diffkit.graph import reverse, simplify


def reverse_mode_info(
    name: str,
    program: Program,
    seconds: Mapping[str, float],
    planned_bytes: int,
    details: Mapping[str, Any],
) -> Info:
    """The `Info` of a peer that accumulates in reverse.

    Peers count in units of their own, or not at all: `operations` is what diffkit's
    gradient graph of the same program takes, so that rows can be compared, and what
    the peer says of itself stands in `details`.
    """
    size = simplify(reverse(program.graph, program.wrt)).size()
    return Info(
        backend=name,
        seconds=seconds,
        operations=size.operations,
        bytes=planned_bytes,
        evaluations=1,
        details={
            "operations_counted_by": "diffkit",
            "primal_operations": program.graph.size().operations,
            **details,
        },
    )


def fresh(array: Any, dtype: np.dtype) -> np.ndarray:
    """A NumPy copy that belongs to the caller; booleans stay booleans."""
    found = np.asarray(array)
    return np.array(found, dtype=found.dtype if found.dtype == bool else dtype)


def leaf_dtypes(program: Program) -> list[np.dtype]:
    """What each input enters as: the program's precision, or boolean."""
    nodes = program.graph.nodes
    return [
        np.dtype(bool) if nodes[place].kind == "boolean" else np.dtype(program.dtype)
        for place in program.graph.inputs
    ]

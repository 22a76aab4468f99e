"""Programs as values: trace a function, differentiate the graph, measure its size."""

from diffkit.graph import (
    numpy_functions,
    numpy_methods,
    numpy_shapes,
    numpy_ufuncs,
)
from diffkit.graph.bends import bends
from diffkit.graph.checkpoint import (
    Checkpoint,
    recomputed_operations,
    require_checkpoint,
)
from diffkit.graph.forward import forward
from diffkit.graph.graph import Builder, Graph
from diffkit.graph.node import Node
from diffkit.graph.perturb import Perturbed, perturb
from diffkit.graph.reverse import reverse
from diffkit.graph.simplify import simplify
from diffkit.graph.size import Size
from diffkit.graph.trace import Structure, Tracing, trace, trace_arguments
from diffkit.graph.traced import Traced

# Importing these is what teaches `Traced` NumPy's functions.
NUMPY_TABLES = (numpy_functions, numpy_methods, numpy_shapes, numpy_ufuncs)

__all__ = [
    "NUMPY_TABLES",
    "Builder",
    "Checkpoint",
    "Graph",
    "Node",
    "Perturbed",
    "Size",
    "Structure",
    "Traced",
    "Tracing",
    "bends",
    "forward",
    "perturb",
    "recomputed_operations",
    "require_checkpoint",
    "reverse",
    "simplify",
    "trace",
    "trace_arguments",
]

"""The fast reading of a graph: an instruction table, one arena, one native loop."""

from diffkit.engine.machine import Machine, compile_graph, planned_bytes
from diffkit.engine.profile import By, profile_machine
from diffkit.engine.transfer import Part, Transfer

__all__ = [
    "By",
    "Machine",
    "Part",
    "Transfer",
    "compile_graph",
    "planned_bytes",
    "profile_machine",
]

"""The fast reading of a graph: an instruction table, one arena, one native loop."""

from diffkit.engine.machine import Machine, compile_graph
from diffkit.engine.transfer import Part, Transfer

__all__ = ["Machine", "Part", "Transfer", "compile_graph"]

"""The fast reading of a graph: an instruction table, one arena, one native loop."""

from diffkit.engine.machine import Machine, compile_graph

__all__ = ["Machine", "compile_graph"]

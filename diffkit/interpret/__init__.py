"""Readings of a graph: NumPy (the definition), SymPy expressions, exact balls."""

"""Modules that need an optional package are searched for doctests where it is there."""

from importlib.util import find_spec

# File -> the package it cannot be imported (or looked into) without.
NEEDS = dict.fromkeys(
    (
        "diffkit/train/remote.py",
        "diffkit/measure/executors/cluster.py",
        "diffkit/measure/executors/on_worker.py",
    ),
    "distributed",
)

collect_ignore = [file for file, package in NEEDS.items() if find_spec(package) is None]

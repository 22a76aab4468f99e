"""The benchmarks, and the process that runs them: ``python -P worker.py``.

This file also serves a version of diffkit that does not have it: it is started by its
path with another checkout first on the module path, and uses nothing but names that
every version has. It answers one JSON request a line:

    {"do": "list"}                                      {"names": [...]}
    {"do": "calibrate", "name": ..., "seconds": ...}    {"repetitions": ...}
    {"do": "sample", "name": ..., "repetitions": ...}   {"seconds": per call}

A request that fails is answered with {"error": "..."}.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, TextIO

import numpy as np

from diffkit import losses, nn
from diffkit.backends import get_backend
from diffkit.transform import prepare

RULER = "ruler"
#: A network as (sizes, batch), and the ways that are not too slow or too large for it.
NETWORKS: Mapping[str, tuple[tuple[int, ...], int]] = {
    "2-8-1": ((2, 8, 1), 4),
    "4-8-3": ((4, 8, 3), 16),
    "10-64-32-1": ((10, 64, 32, 1), 32),
}
WAYS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "autodiff": ("autodiff", {}),
    "forward": ("forward", {}),
    "central": ("finite_differences", {"method": "central"}),
    "symbolic-shared": ("symbolic", {"form": "shared"}),
    "symbolic-cse": ("symbolic", {"form": "cse"}),
    "null": ("null", {}),
}
TASKS = ("prepare", "value", "value_and_grad")
#: Minutes, or too large to write: the formula that is shared afterwards.
LEFT_OUT = {("symbolic-cse", "10-64-32-1")}


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One thing to time; ``make()`` does the set-up and gives the call.

    Benchmarks of a group are judged together as well as one by one.
    """

    name: str
    group: str
    make: Callable[[], Callable[[], Any]]


def network(name: str) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """(function, arguments): tanh layers and mean squared error, seeded."""
    sizes, batch = NETWORKS[name]
    rng = np.random.default_rng(0)
    layers: list[Any] = []
    for wide, narrow in pairwise(sizes):
        if layers:
            layers.append(nn.Tanh())
        layers.append(nn.Linear(wide, narrow))
    net = nn.Sequential(*layers)
    params = net.init(rng)

    def loss(params: Any, x: Any, y: Any) -> Any:
        return losses.mse(net.apply(params, x), y)

    x = rng.normal(size=(batch, sizes[0]))
    return loss, (params, x, rng.normal(size=(batch, sizes[-1])))


def _make(task: str, way: str, name: str) -> Callable[[], Any]:
    function, arguments = network(name)
    backend, options = WAYS[way]
    chosen = get_backend(backend, **options)
    if task == "prepare":
        return partial(prepare, function, *arguments, backend=chosen)
    prepared = prepare(function, *arguments, backend=chosen)
    return partial(prepared if task == "value_and_grad" else prepared.value, *arguments)


def ruler() -> Callable[[], Any]:
    """Work that no version of diffkit can change: products, and Python's own."""
    a = np.random.default_rng(0).normal(size=(48, 48))

    def work() -> float:
        total = 0.0
        for i in range(64):
            total += i * 0.5
        return total + float((a @ a)[0, 0])

    return work


BENCHMARKS: Mapping[str, Benchmark] = {
    f"{task} {way} {name}": Benchmark(
        f"{task} {way} {name}", f"{task} {way}", partial(_make, task, way, name)
    )
    for task in TASKS
    for way in WAYS
    for name in NETWORKS
    if (way, name) not in LEFT_OUT
}


class Server:
    """Answers requests; a benchmark is set up when it is first asked for."""

    def __init__(self) -> None:
        self._calls: dict[str, Callable[[], Any]] = {}

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one request; failing is an answer, too."""
        try:
            if request["do"] == "list":
                return {"names": list(BENCHMARKS)}
            call = self._call(request["name"])
            if request["do"] == "calibrate":
                return {"repetitions": _calibrate(call, request["seconds"])}
            return {"seconds": _sample(call, request["repetitions"])}
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def _call(self, name: str) -> Callable[[], Any]:
        if name not in self._calls:
            self._calls[name] = ruler() if name == RULER else BENCHMARKS[name].make()
        return self._calls[name]


def _calibrate(call: Callable[[], Any], seconds: float) -> int:
    call()
    count = 1
    while _sample(call, count) * count < seconds and count < 1 << 20:
        count *= 2
    return count


def _sample(call: Callable[[], Any], count: int) -> float:
    gc.disable()
    try:
        start = time.perf_counter_ns()
        for _ in range(count):
            call()
        return (time.perf_counter_ns() - start) * 1e-9 / count
    finally:
        gc.enable()


def serve(source: TextIO, sink: TextIO) -> None:
    """Answer requests until the source ends."""
    server = Server()
    for line in source:
        sink.write(json.dumps(server.answer(json.loads(line))) + "\n")
        sink.flush()


if __name__ == "__main__":
    # What a library prints must not be taken for an answer.
    answers, sys.stdout = sys.stdout, sys.stderr
    serve(sys.stdin, answers)

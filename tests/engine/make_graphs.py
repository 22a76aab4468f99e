"""Graphs for the engine's tests: one row at a time, and random programs of many."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from diffkit.graph import Builder, Graph
from diffkit.ops import TABLE
from diffkit.ops.op import Constant, Kind
from diffkit.ops.shape import Span

Shape = tuple[int, ...]


def one_row(
    name: str,
    shapes: Sequence[Shape],
    turned: Sequence[bool] = (),
    kinds: Sequence[Kind] = (),
    **attributes: Hashable,
) -> Graph:
    """One operation on inputs; `turned` ones go through a transpose of the graph."""
    builder = Builder()
    places = []
    for position, shape in enumerate(shapes):
        kind = kinds[position] if kinds else "real"
        if turned and turned[position]:
            axes = tuple(reversed(range(len(shape))))
            place = builder.input(shape[::-1], kind)
            places.append(builder.apply(TABLE["transpose"], [place], axes=axes))
        else:
            places.append(builder.input(shape, kind))
    return builder.graph([builder.apply(TABLE[name], places, **attributes)])


def random_leaves(graph: Graph, rng: np.random.Generator) -> list[np.ndarray]:
    """Values for every input, of assorted layouts: strided, Fortran, read-only."""
    leaves = []
    for place in graph.inputs:
        node = graph.nodes[place]
        values = rng.normal(size=node.shape)
        if node.kind == "boolean":
            values = values > 0
        choice = rng.integers(4)
        if choice == 1:
            values = np.asarray(values, order="F")
        elif choice == 2 and values.ndim:
            values = np.repeat(values, 2, axis=-1)[..., ::2]
        elif choice == 3:
            values = np.array(values)
            values.flags.writeable = False
        leaves.append(np.asarray(values))
    return leaves


SMOOTH = ("tanh", "sigmoid", "sin", "exp2", "softplus", "erf", "arctan", "square")
BINARY = ("add", "subtract", "multiply", "maximum", "minimum")


def random_graph(rng: np.random.Generator, nodes: int) -> Graph:
    """A program of bounded values that mixes every kind of view and instruction."""
    builder = Builder()
    pool = [
        builder.input(shape)
        for shape in [(3, 4), (4,), (4, 3), (), (2, 3, 4), (3, 1), (1, 4), (12,)]
    ]
    pool.append(builder.constant(rng.normal(size=(3, 4))))
    pool.append(builder.constant(0.5))
    for _ in range(nodes):
        place = _random_step(builder, pool, rng)
        if place is not None:
            # Keep magnitudes near one, so that relative errors mean something.
            if rng.random() < 0.3:
                place = builder.apply(TABLE["tanh"], [place])
            pool.append(place)
    some = rng.choice(len(pool), size=4)
    return builder.graph([pool[i] for i in some] + pool[-2:])


def _random_step(
    builder: Builder, pool: list[int], rng: np.random.Generator
) -> int | None:
    x = int(rng.choice(pool))
    shape = builder.nodes[x].shape
    rank = len(shape)
    kind = rng.integers(11)
    if kind == 0:
        return builder.apply(TABLE[str(rng.choice(SMOOTH))], [x])
    if kind in (1, 2):
        y = int(rng.choice(pool))
        try:
            result = np.broadcast_shapes(shape, builder.nodes[y].shape)
        except ValueError:
            return None
        if np.prod(result, dtype=int) > 200:
            return None
        return builder.apply(TABLE[str(rng.choice(BINARY))], [x, y])
    if kind == 3:
        axes = tuple(int(i) for i in rng.permutation(rank))
        return builder.apply(TABLE["transpose"], [x], axes=axes)
    if kind == 4:
        size = int(np.prod(shape, dtype=int))
        options = [(size,), (1, size), (size, 1)]
        options += [(k, size // k) for k in (2, 3, 4) if size % k == 0 and size]
        new = options[int(rng.integers(len(options)))]
        return builder.apply(TABLE["reshape"], [x], shape=new)
    if kind == 5 and np.prod(shape, dtype=int) <= 50:
        return builder.apply(TABLE["broadcast"], [x], shape=(2, *shape))
    if kind == 6 and rank:
        return builder.apply(TABLE["index"], [x], key=random_key(shape, rng))
    if kind == 7 and rank:
        count = int(rng.integers(1, rank + 1))
        axes = tuple(sorted(int(i) for i in rng.permutation(rank)[:count]))
        name = str(rng.choice(["sum", "mean", "logsumexp", "max", "min", "prod"]))
        if name in ("max", "min") and any(shape[i] == 0 for i in axes):
            return None
        return builder.apply(
            TABLE[name], [x], axes=axes, keepdims=bool(rng.integers(2))
        )
    if kind == 8:
        y = int(rng.choice(pool))
        other = builder.nodes[y].shape
        if rank >= 2 and len(other) >= 2 and shape[-1] == other[-2]:
            try:
                stack = np.broadcast_shapes(shape[:-2], other[:-2])
            except ValueError:
                return None
            if np.prod((*stack, shape[-2], other[-1]), dtype=int) <= 200:
                return builder.apply(TABLE["matmul"], [x, y])
        return None
    if kind == 9 and rank and shape[0] <= 6:
        name = str(rng.choice(["concatenate", "stack"]))
        if np.prod(shape, dtype=int) <= 100:
            return builder.apply(TABLE[name], [x, x], axis=int(rng.integers(rank)))
        return None
    if kind == 10 and rank:
        base = (*shape[:-1], shape[-1] + 1)
        key = random_key(base, rng)
        picked = np.empty(base)[_numpy(key)].shape
        if picked == shape:
            return builder.apply(TABLE["scatter"], [x, x], keys=(key, key), shape=base)
        return builder.apply(
            TABLE["scatter"],
            [x],
            keys=((*[Span(0, 1, n) for n in shape[:-1]], Span(1, 1, shape[-1])),),
            shape=base,
        )
    return None


def random_key(shape: Shape, rng: np.random.Generator) -> tuple[Any, ...]:
    """An index of every sort over all axes."""
    key: list[Any] = []
    lists = 0
    for n in shape:
        choice = rng.integers(5)
        if choice == 0 and n:
            key.append(int(rng.integers(n)))
        elif choice == 1 and n and lists == 0:
            lists += 1
            key.append(Constant.of(rng.integers(0, n, size=3)))
        elif choice == 2 and n:
            key.append(Span(n - 1, -1, n))
        elif choice == 3 and n > 1:
            key.append(Span(1, 2, n // 2))
        else:
            key.append(Span(0, 1, n))
    if rng.random() < 0.2:
        key.insert(int(rng.integers(len(key) + 1)), None)
    return tuple(key)


def _numpy(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        k.slice() if isinstance(k, Span) else k.array if isinstance(k, Constant) else k
        for k in key
    )

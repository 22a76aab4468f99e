"""The list of programs that drives correctness tests and benchmarks alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from diffkit.functions import logsumexp, relu, sigmoid, softplus


@dataclass(frozen=True)
class Case:
    """A scalar function with arguments to differentiate it at (by the first)."""

    name: str
    f: Callable[..., Any]
    args: tuple[Any, ...]
    smooth: bool = True  # central differences may be asked for five digits

    def __str__(self) -> str:
        return self.name


def mlp(
    sizes: list[int],
    batch: int,
    seed: int = 0,
    activation: Callable[..., Any] = np.tanh,
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A dense network with mean squared error: (f, (params, x, y))."""
    rng = np.random.default_rng(seed)
    params = [
        {"w": rng.normal(size=(m, n)) / np.sqrt(m), "b": 0.1 * rng.normal(size=n)}
        for m, n in pairwise(sizes)
    ]
    x = rng.normal(size=(batch, sizes[0]))
    y = rng.normal(size=(batch, sizes[-1]))

    def loss(params: Any, x: Any, y: Any) -> Any:
        h = x
        for layer in params[:-1]:
            h = activation(h @ layer["w"] + layer["b"])
        return np.mean((h @ params[-1]["w"] + params[-1]["b"] - y) ** 2)

    return loss, (params, x, y)


def _logistic_map(r: Any) -> Any:
    x = 0.3
    for _ in range(6):
        x = r * x * (1 - x)
    return x


def _softmax_regression(w: Any, x: Any, onehot: Any) -> Any:
    z = x @ w
    return np.mean(logsumexp(z, axis=1) - np.sum(z * onehot, axis=1))


def _batch_norm(w: Any, x: Any) -> Any:
    z = x @ w
    normal = (z - np.mean(z, axis=0)) / np.sqrt(np.var(z, axis=0) + 1e-3)
    return np.sum(np.sin(normal))


def _indexing(x: Any) -> Any:
    rows = [x[i] * x[-1 - i] for i in range(3)]
    picked = x[np.array([0, 2, 2, 1])]
    return np.sum(np.stack(rows)) + np.sum(picked**3) + np.sum(x[::2, 1:] * x[1, 0])


def _attention(q: Any, k: Any) -> Any:
    scores = np.einsum("bid,bjd->bij", q, k)
    weights = np.exp(scores - logsumexp(scores, axis=-1, keepdims=True))
    return np.sum(np.matmul(weights, k) ** 2)


def _nested(p: Any) -> Any:
    (a, b), c = p["pair"], p["rest"][0]
    return np.sum(a * sigmoid(b)) + softplus(c) * np.prod(a)


def make_cases() -> list[Case]:
    """Every program, built from fixed seeds."""
    rng = np.random.default_rng(7)
    small, small_args = mlp([2, 3, 1], batch=4)
    deep, deep_args = mlp([3, 4, 4, 4, 2], batch=5, seed=1)
    kinked, kinked_args = mlp([3, 5, 1], batch=6, seed=2, activation=relu)
    x = rng.normal(size=(6, 3))
    onehot = np.eye(4)[rng.integers(0, 4, 6)]
    return [
        Case("c13_linear", lambda p: (p[0] * 2.0 + p[1] - 5.0) ** 2, (np.ones(2),)),
        Case("mlp_2_3_1", small, small_args),
        Case("mlp_3_4_4_4_2", deep, deep_args),
        Case("mlp_relu", kinked, kinked_args),
        Case("logistic_map", _logistic_map, (np.array(3.1),)),
        Case(
            "softmax_regression",
            _softmax_regression,
            (rng.normal(size=(3, 4)), x, onehot),
        ),
        Case("batch_norm", _batch_norm, (rng.normal(size=(3, 2)), x)),
        Case("indexing", _indexing, (rng.normal(size=(4, 3)),)),
        Case(
            "attention",
            _attention,
            (rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 4))),
        ),
        Case(
            "nested",
            _nested,
            (
                {
                    "pair": (rng.normal(size=3), rng.normal(size=3)),
                    "rest": [np.array(0.4)],
                },
            ),
        ),
        Case("norm_and_trace", lambda a: np.linalg.norm(a) + np.trace(a @ a), (x[:3],)),
        Case("abs_max", lambda v: np.max(np.abs(v)) + np.sum(np.clip(v, -1, 1)), (x,)),
        Case("constant", lambda v: np.sum(v * 0.0) + 2.0, (x,)),
        Case("unused", lambda p: np.sum(p["a"] ** 2), ({"a": x[0], "b": x[1]},)),
        Case("empty", lambda p: np.sum(p[0]) + np.sum(p[1]), ([x[:0], x[0]],)),
    ]


CASES = make_cases()

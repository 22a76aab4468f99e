"""What no way of differentiating a dense network can be faster than: two bare floors.

A gradient has to do the products of its layers and to move what they read and write.
Each floor does one of the two and nothing else, on as many threads as the ways beside
it. The first is only as low as the BLAS is fast: a way with products of its own may
pass below it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.linalg import get_blas_funcs

#: Copies of fewer bytes are not worth a second thread.
WORTH_A_THREAD_BYTES = 1 << 18
Products = Callable[[], Sequence[np.ndarray]]


def products(
    sizes: Sequence[int], batch: int, dtype: Any = np.float64
) -> Mapping[str, Products]:
    """The matrix products of one value and gradient of a dense network, bare.

    Forward X·W for each layer; backward Xᵀ·Ḡ for the weights and, but for the first
    layer, Ḡ·Wᵀ for what came in. Into arrays that are there already, which a call
    gives back: by NumPy (``np.matmul`` with ``out``) and by SciPy's BLAS without NumPy
    around it, which the engine calls too. Which is faster depends on the sizes.

    >>> ways = products((2, 8, 1), batch=4)
    >>> [out.shape for out in ways["numpy"]()]
    [(4, 8), (2, 8), (4, 1), (8, 1), (4, 8)]
    >>> all(map(np.allclose, ways["numpy"](), ways["scipy"]()))
    True
    """
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(dtype)

    steps: list[tuple[np.ndarray, np.ndarray]] = []
    for number, (wide, narrow) in enumerate(pairwise(sizes)):
        x, w, g = normal(batch, wide), normal(wide, narrow), normal(batch, narrow)
        steps += [(x, w), (x.T, g)]
        if number:
            steps.append((g, w.T))
    return {"numpy": _by_numpy(steps), "scipy": _by_scipy(steps)}


def _results(steps: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    return [np.empty((a.shape[0], b.shape[1]), a.dtype) for a, b in steps]


def _by_numpy(steps: Sequence[tuple[np.ndarray, np.ndarray]]) -> Products:
    results = _results(steps)
    calls = [(a, b, out) for (a, b), out in zip(steps, results, strict=True)]
    product = np.matmul

    def run() -> Sequence[np.ndarray]:
        for a, b, out in calls:
            product(a, b, out)
        return results

    return run


def _by_scipy(steps: Sequence[tuple[np.ndarray, np.ndarray]]) -> Products:
    (product,) = get_blas_funcs(("gemm",), dtype=steps[0][0].dtype)
    results = _results(steps)
    calls = []
    for (a, b), out in zip(steps, results, strict=True):
        # BLAS counts by columns: (A·B)ᵀ = Bᵀ·Aᵀ lets it write rows.
        (first, first_turned), (second, second_turned) = _columns(b), _columns(a)
        calls.append((first, second, out.T, first_turned, second_turned))

    def run() -> Sequence[np.ndarray]:
        for first, second, out, first_turned, second_turned in calls:
            # alpha, a, b, beta, c, trans_a, trans_b, overwrite_c
            product(1.0, first, second, 0.0, out, first_turned, second_turned, 1)
        return results

    return run


def _columns(matrix: np.ndarray) -> tuple[np.ndarray, bool]:
    """The transpose as BLAS takes it without a copy: by columns, or to be turned."""
    return (matrix.T, False) if matrix.flags.c_contiguous else (matrix, True)


def copies(moved_bytes: int, within_bytes: int, threads: int = 1) -> Callable[[], None]:
    """Reads and writes of ``moved_bytes`` together, by `np.copyto`.

    Half of ``within_bytes`` is copied to the other half as often as it takes, so that
    what fits in a cache for the gradient does so here. With several ``threads`` each
    copies a part of its own, unless the parts would be small.

    >>> copies(1000, within_bytes=160)()
    """
    if threads > 1 and within_bytes >= threads * WORTH_A_THREAD_BYTES:
        parts = [
            copies(moved_bytes // threads, within_bytes // threads)
            for _ in range(threads)
        ]
        pool = ThreadPoolExecutor(threads - 1)

        def together() -> None:
            others = [pool.submit(part) for part in parts[1:]]
            parts[0]()
            for other in others:
                other.result()

        return together
    half = max(within_bytes // 16, 1)
    source, target = np.ones(half), np.empty(half)
    whole, rest = divmod(max(moved_bytes // 16, 1), half)

    def run() -> None:
        for _ in range(whole):
            np.copyto(target, source)
        if rest:
            np.copyto(target[:rest], source[:rest])

    return run

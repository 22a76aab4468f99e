"""What no way of differentiating a dense network can be faster than: two bare floors.

A gradient has to do the products of its layers and to move what they read and write.
Each floor does one of the two and nothing else, on the same core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from scipy.linalg import get_blas_funcs


def products(sizes: Sequence[int], batch: int) -> Callable[[], Sequence[np.ndarray]]:
    """The matrix products of one value and gradient of a dense network, bare.

    Forward X·W for each layer; backward Xᵀ·Ḡ for the weights and, but for the first
    layer, Ḡ·Wᵀ for what came in: by SciPy's BLAS, which the engine calls too, into
    arrays that are there already, which a call gives back.

    >>> [out.shape for out in products((2, 8, 1), batch=4)()]
    [(4, 8), (2, 8), (4, 1), (8, 1), (4, 8)]
    """
    (product,) = get_blas_funcs(("gemm",), dtype=np.float64)
    rng = np.random.default_rng(0)
    steps: list[tuple[np.ndarray, np.ndarray, np.ndarray, bool, bool]] = []
    for number, (wide, narrow) in enumerate(pairwise(sizes)):
        x, w = rng.normal(size=(batch, wide)), rng.normal(size=(wide, narrow))
        g = rng.normal(size=(batch, narrow))
        # BLAS counts by columns: (A·B)ᵀ = Bᵀ·Aᵀ lets it write rows.
        steps += [
            (w.T, x.T, np.empty((batch, narrow)).T, False, False),
            (g.T, x.T, np.empty((wide, narrow)).T, False, True),
        ]
        if number:
            steps.append((w.T, g.T, np.empty((batch, wide)).T, True, False))

    results = [out.T for _, _, out, _, _ in steps]

    def run() -> Sequence[np.ndarray]:
        for a, b, out, transpose_a, transpose_b in steps:
            product(
                1.0,
                a,
                b,
                c=out,
                overwrite_c=1,
                trans_a=transpose_a,
                trans_b=transpose_b,
            )
        return results

    return run


def copies(moved_bytes: int, within_bytes: int) -> Callable[[], None]:
    """Reads and writes of ``moved_bytes`` together, by `np.copyto`.

    Half of ``within_bytes`` is copied to the other half as often as it takes, so that
    what fits in a cache for the gradient does so here.

    >>> copies(1000, within_bytes=160)()
    """
    half = max(within_bytes // 16, 1)
    source, target = np.ones(half), np.empty(half)
    whole, rest = divmod(max(moved_bytes // 16, 1), half)

    def run() -> None:
        for _ in range(whole):
            np.copyto(target, source)
        if rest:
            np.copyto(target[:rest], source[:rest])

    return run

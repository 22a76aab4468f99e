"""The floors do the work that they are named for, and no other."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from diffkit.measure import floors


@pytest.mark.parametrize("by", ["numpy", "scipy"])
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("float32", 1e-4)])
def test_the_products_are_those_of_the_layers(
    by: str, dtype: str, tolerance: float
) -> None:
    sizes, batch = (3, 5, 1, 2), 7
    given = iter(floors.products(sizes, batch, dtype)[by]())
    rng = np.random.default_rng(0)

    def same(mine: np.ndarray, true: np.ndarray) -> None:
        assert mine.dtype == dtype
        np.testing.assert_allclose(mine, true, rtol=tolerance, atol=tolerance)

    for number, (wide, narrow) in enumerate(pairwise(sizes)):
        x, w = rng.normal(size=(batch, wide)), rng.normal(size=(wide, narrow))
        g = rng.normal(size=(batch, narrow))
        same(next(given), x @ w)
        same(next(given), x.T @ g)
        if number:
            same(next(given), g @ w.T)
    assert next(given, None) is None


@pytest.mark.parametrize("by", ["numpy", "scipy"])
def test_a_call_writes_into_the_arrays_that_are_there(by: str) -> None:
    run = floors.products((3, 5, 2), 7)[by]
    first = [(out.ctypes.data, out.copy()) for out in run()]
    for out in run():
        out[...] = np.nan
    for out, (place, numbers) in zip(run(), first, strict=True):
        assert out.ctypes.data == place
        np.testing.assert_array_equal(out, numbers)


@pytest.mark.parametrize(
    "moved, within, threads",
    [
        (16_000, 1_600, 1),
        (100, 10_000, 1),
        (50_008, 33, 1),
        (16, 16, 1),
        (16_000, 1_600, 2),
        (5_000_000, 1_000_000, 2),
    ],
)
def test_as_many_bytes_are_moved_as_were_asked_for(
    moved: int, within: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    copy = np.copyto

    def counting(target: Any, source: Any) -> None:
        assert not np.shares_memory(target, source)
        counted.append(target.nbytes + source.nbytes)
        copy(target, source)

    run = floors.copies(moved, within, threads)
    monkeypatch.setattr(np, "copyto", counting)
    run()
    assert moved - 16 * threads < sum(counted) <= moved

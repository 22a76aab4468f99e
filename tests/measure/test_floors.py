"""The floors do the work that they are named for, and no other."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from diffkit.measure import floors


def test_the_products_are_those_of_the_layers() -> None:
    sizes, batch = (3, 5, 4, 2), 7
    given = iter(floors.products(sizes, batch)())
    rng = np.random.default_rng(0)
    for number, (wide, narrow) in enumerate(pairwise(sizes)):
        x, w = rng.normal(size=(batch, wide)), rng.normal(size=(wide, narrow))
        g = rng.normal(size=(batch, narrow))
        np.testing.assert_allclose(next(given), x @ w, rtol=1e-12)
        np.testing.assert_allclose(next(given), x.T @ g, rtol=1e-12)
        if number:
            np.testing.assert_allclose(next(given), g @ w.T, rtol=1e-12)
    assert next(given, None) is None


@pytest.mark.parametrize(
    "moved, within", [(16_000, 1_600), (100, 10_000), (50_008, 33), (16, 16)]
)
def test_as_many_bytes_are_moved_as_were_asked_for(
    moved: int, within: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = 0
    copy = np.copyto

    def counting(target: Any, source: Any) -> None:
        nonlocal counted
        assert not np.shares_memory(target, source)
        counted += target.nbytes + source.nbytes
        copy(target, source)

    run = floors.copies(moved, within)
    monkeypatch.setattr(np, "copyto", counting)
    run()
    assert moved - 16 < counted <= moved

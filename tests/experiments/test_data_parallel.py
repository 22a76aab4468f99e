"""Averages of shards against hand-made gradients; sizes, and trainings that agree."""

import numpy as np
import pytest

from diffkit.measure.user_code import load_file
from tests.experiments.support import (
    ROOT,
    check_page,
    check_without,
    found,
    measured,
    value,
)

FOUND = found("data_parallel")
MODULE = load_file(ROOT / "experiments" / "data_parallel.py")


@pytest.mark.parametrize("cut", MODULE.CUTS)
@pytest.mark.parametrize("shards", MODULE.SHARDS)
def test_shards_hold_every_row_once(cut, shards):
    sizes = MODULE.sizes_of(cut, shards)
    assert len(sizes) == shards
    assert min(sizes) >= 1
    assert sum(sizes) == MODULE.CUTS[cut][0]


def test_the_weighted_mean_is_the_mean_over_rows():
    rows = np.arange(12.0).reshape(6, 2)
    parts, sizes = [rows[:1].mean(axis=0), rows[1:].mean(axis=0)], [1, 5]
    weighted, plain = MODULE.averages(parts, sizes)
    np.testing.assert_allclose(weighted, rows.mean(axis=0))
    np.testing.assert_allclose(plain, (rows[0] + rows[1:].mean(axis=0)) / 2)


def test_only_uneven_shards_need_weights():
    rows = tuple(
        row
        for case in FOUND.experiment.cases("quick")
        if case["part"] == "gradient" and case["shards"] in (1, 4)
        for row in FOUND.experiment.measure(case)
    )
    for cut in MODULE.CUTS:
        assert value(rows, "weighted_ulps", cut=cut, shards=1) == 0
        assert value(rows, "weighted_ulps", cut=cut, shards=4) < 64
    assert value(rows, "plain_error", cut="even", shards=4) < 1e-14
    assert value(rows, "plain_error", cut="nearly even", shards=4) > 1e-4
    assert value(rows, "plain_error", cut="one large shard", shards=4) > 1e-2
    speedup = value(rows, "possible_speedup_ratio", cut="even", shards=4)
    assert 3.9 < speedup < 4.1
    rows = (*rows, *measured(FOUND, part="training", shards=2))
    assert value(rows, "curve_error") < 1e-9
    check_page(FOUND, rows, whole=False)
    check_without(FOUND, rows)

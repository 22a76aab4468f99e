from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffkit.errors import UserInputError
from diffkit.train import Batches
from diffkit.train import batches as module


def rows_of(batches, rng):
    everything = np.arange(batches.n)
    return [everything[where] for where in batches.epoch(rng)]


@pytest.mark.parametrize(
    "drop_last, epoch, hundred", [(False, 782, 78_200), (True, 781, 78_100)]
)
def test_claim_c15_fifty_thousand_images_in_batches_of_64(
    drop_last, epoch, hundred, rng
):
    batches = Batches(50_000, 64, drop_last=drop_last)
    assert len(batches) == len(batches.sizes) == epoch
    assert 100 * len(batches) == hundred
    assert [len(rows) for rows in rows_of(batches, rng)] == list(batches.sizes)
    assert batches.sizes[-1] == (64 if drop_last else 50_000 - 781 * 64)


@given(
    n=st.integers(1, 200),
    size=st.none() | st.integers(1, 200),
    drop_last=st.booleans(),
    shuffle=st.booleans(),
    seed=st.integers(0, 9),
)
def test_every_row_is_in_one_batch(n, size, drop_last, shuffle, seed):
    if size is not None and size > n:
        with pytest.raises(UserInputError, match=f"at most {n}"):
            Batches(n, size)
        return
    batches = Batches(n, size, drop_last, shuffle)
    found = rows_of(batches, np.random.default_rng(seed))
    width = n if size is None else size
    assert len(found) == len(batches) == (n // width if drop_last else ceil(n / width))
    assert tuple(map(len, found)) == batches.sizes
    rows = np.concatenate(found)
    assert len(set(rows.tolist())) == len(rows) >= n - (width - 1 if drop_last else 0)
    if not shuffle:
        assert (np.diff(rows) == 1).all()


def test_each_epoch_is_shuffled_anew_and_a_seed_repeats_it():
    batches = Batches(100, 10)
    one, two = np.random.default_rng(4), np.random.default_rng(4)
    first, second = rows_of(batches, one), rows_of(batches, one)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, rows_of(batches, two))
    np.testing.assert_array_equal(second, rows_of(batches, two))


@given(
    n=st.integers(1, 60),
    size=st.integers(1, 60),
    drop_last=st.booleans(),
    shuffle=st.booleans(),
    first=st.integers(0, 10),
    gathered=st.sampled_from([1, 100, 1000, 1 << 18]),
)
def test_the_rows_themselves(n, size, drop_last, shuffle, first, gathered):
    """Whatever is gathered at once, and wherever in the epoch one begins."""
    loop = Batches(n, min(n, size), drop_last, shuffle)
    x, y = np.arange(3.0 * n).reshape(n, 3), np.arange(n)
    wanted = [(x[where], y[where]) for where in loop.epoch(np.random.default_rng(1))]
    one, other = np.random.default_rng(1), np.random.default_rng(1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "GATHERED_BYTES", gathered)
        found = list(loop.rows((x, y), one, first))
    assert len(found) == max(0, len(loop) - first)
    for mine, theirs in zip(found, wanted[first:], strict=True):
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
    list(loop.epoch(other))
    assert one.random() == other.random()


def test_shuffled_rows_are_copies_and_others_are_views(rng):
    x = rng.normal(size=(10, 2))
    for shuffle in (True, False):
        for (part,) in Batches(10, 4, shuffle=shuffle).rows([x], rng):
            assert np.shares_memory(part, x) is not shuffle


def test_nothing_is_drawn_when_there_is_nothing_to_shuffle():
    rng, untouched = np.random.default_rng(4), np.random.default_rng(4)
    rows_of(Batches(10), rng)
    rows_of(Batches(10, 3, shuffle=False), rng)
    assert rng.random() == untouched.random()


@pytest.mark.parametrize(
    "n, size, said",
    [
        (0, None, "no rows"),
        (10, 11, "batch_size is 11 and there are 10 rows"),
        (10, 0, "must be a positive integer or None"),
        (10, 2.5, "must be a positive integer or None"),
        (10, True, "must be a positive integer or None"),
    ],
)
def test_batches_that_cannot_be_are_refused(n, size, said):
    with pytest.raises(UserInputError, match=said):
        Batches(n, size)

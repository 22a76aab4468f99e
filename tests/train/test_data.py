from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris

from diffkit.errors import UserInputError
from diffkit.train import data


def test_iris_is_scikit_learns_split_evenly_between_species():
    flowers = data.iris(standardized=False)
    bunch: Any = load_iris()
    x = np.concatenate([flowers.train[0], flowers.test[0]])
    y = np.concatenate([flowers.train[1], flowers.test[1]])

    def table(x, y):
        return sorted(map(tuple, np.column_stack([x, y])))

    assert table(x, y) == table(bunch.data, bunch.target)
    assert np.bincount(flowers.train[1]).tolist() == [40, 40, 40]
    assert np.bincount(flowers.test[1]).tolist() == [10, 10, 10]
    assert (flowers.mean == 0).all()
    assert (flowers.scale == 1).all()


def test_standardisation_is_fitted_on_the_training_rows_alone():
    raw, flowers = data.iris(standardized=False), data.iris()
    x = raw.train[0]
    np.testing.assert_allclose(flowers.train[0].mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(flowers.train[0].std(axis=0), 1, rtol=1e-14)
    expected = (raw.test[0] - x.mean(axis=0)) / x.std(axis=0)
    np.testing.assert_allclose(flowers.test[0], expected, rtol=1e-14)
    assert abs(flowers.test[0].mean()) > 1e-3
    np.testing.assert_array_equal(flowers.train[1], raw.train[1])


def test_the_same_seed_draws_the_same_flowers():
    np.testing.assert_array_equal(data.iris(rng=3).test[0], data.iris(rng=3).test[0])
    assert not np.array_equal(data.iris(rng=3).test[0], data.iris(rng=4).test[0])


def test_every_row_may_train_and_precision_is_a_choice():
    flowers = data.iris(test=0, dtype=np.float32)
    assert flowers.train[0].shape == (150, 4)
    assert flowers.test[0].shape == (0, 4)
    assert flowers.train[0].dtype == flowers.test[0].dtype == np.float32


def test_a_constant_column_is_only_centred():
    flowers = data.iris(standardized=False)
    x = flowers.train[0].copy()
    x[:, 1] = 7.0
    flat = data.Dataset("flat", (x, flowers.train[1]), flowers.test, (), (), x[0], x[0])
    assert (data.standardize(flat).train[0][:, 1] == 0).all()


@pytest.mark.parametrize("test", [1.0, -0.1, 1.5])
def test_fractions_out_of_range_are_refused(test):
    with pytest.raises(UserInputError, match="a fraction from 0 to below 1"):
        data.iris(test=test)


def test_a_class_without_training_rows_is_refused():
    with pytest.raises(UserInputError, match="all 1 rows of class 1"):
        data.stratified_split(np.array([0, 0, 0, 1]), 0.6, np.random.default_rng(0))

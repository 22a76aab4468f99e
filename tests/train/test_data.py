"""Real and made-up data: what is in them, how they are split, what leaks (nothing)."""

from typing import Any

import numpy as np
import pytest
import sklearn.datasets
from sklearn.datasets import load_iris

from diffkit.errors import ShapeError, UnknownNameError, UserInputError
from diffkit.train import data

PLANE = (data.xor, data.moons, data.circles, data.spirals)
BUNDLED = ("iris", "breast_cancer", "wine", "digits", "diabetes")


def whole(part: data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """All rows, in whatever order."""
    pairs = [part.train, part.test, *([part.validation] if part.validation else [])]
    x, y = (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
    return x, y


def table(x, y):
    return sorted(map(tuple, np.column_stack([x, y]).tolist()))


def test_iris_is_scikit_learns_split_evenly_between_species():
    flowers = data.iris(standardized=False)
    bunch: Any = load_iris()
    assert table(*whole(flowers)) == table(bunch.data, bunch.target)
    assert np.bincount(flowers.train[1]).tolist() == [40, 40, 40]
    assert np.bincount(flowers.test[1]).tolist() == [10, 10, 10]
    assert (flowers.mean == 0).all()
    assert (flowers.scale == 1).all()


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_data_are_scikit_learns_and_say_who_published_them(name):
    load = getattr(sklearn.datasets, f"load_{name}")
    bunch = load(scaled=False) if name == "diabetes" else load()
    found = data.get(name, standardized=False, validation=0.1)
    x, y = whole(found)
    assert table(x * found.scale, y.ravel()) == table(bunch.data, bunch.target)
    assert len(found.features) == x.shape[1]
    assert len(found.classes) == (0 if name == "diabetes" else len(set(bunch.target)))
    assert not found.synthetic
    assert "as shipped in scikit-learn" in found.source


@pytest.mark.parametrize("name", sorted(data.DATASETS))
def test_every_data_set_has_the_shape_that_the_trainer_takes(name):
    found = data.get(name)
    x, y = found.train
    assert found.name == name
    assert x.dtype == np.float64
    assert x.shape[1] == len(found.features)
    if found.classes:
        assert y.dtype.kind == "i"
        assert set(y.tolist()) == set(range(len(found.classes)))
    else:
        assert y.dtype == np.float64
        assert y.shape == (len(x), 1)
    assert np.isfinite(x).all()
    assert found.synthetic == found.source.startswith("synthetic")


def test_standardisation_is_fitted_on_the_training_rows_alone():
    raw, flowers = data.iris(standardized=False), data.iris()
    x = raw.train[0]
    np.testing.assert_allclose(flowers.train[0].mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(flowers.train[0].std(axis=0), 1, rtol=1e-14)
    expected = (raw.test[0] - x.mean(axis=0)) / x.std(axis=0)
    np.testing.assert_allclose(flowers.test[0], expected, rtol=1e-14)
    assert abs(flowers.test[0].mean()) > 1e-3
    np.testing.assert_array_equal(flowers.train[1], raw.train[1])


def test_other_rows_cannot_change_what_training_sees():
    raw = data.diabetes(standardized=False, validation=0.2)
    assert raw.validation is not None
    (test_x, test_y), (x, y) = raw.test, raw.validation
    other = data.Dataset(
        raw.name,
        raw.train,
        (test_x * 1e6 + 7, test_y - 1e9),
        raw.features,
        raw.classes,
        raw.mean,
        raw.scale,
        validation=(x - 1e6, y * 3),
    )
    ours, theirs = (
        data.standardize_target(data.standardize(each)) for each in (raw, other)
    )
    np.testing.assert_array_equal(ours.train[0], theirs.train[0])
    np.testing.assert_array_equal(ours.train[1], theirs.train[1])
    np.testing.assert_array_equal(ours.mean, theirs.mean)
    np.testing.assert_array_equal(ours.scale, theirs.scale)
    assert ours.target_mean == theirs.target_mean == raw.train[1].mean()
    assert ours.target_scale == theirs.target_scale == raw.train[1].std()
    assert not np.array_equal(ours.test[0], theirs.test[0])


def test_validation_rows_are_apart_and_every_row_is_somewhere():
    parts = data.breast_cancer(validation=0.25, standardized=False)
    assert parts.validation is not None
    counts = [len(y) for _, y in (parts.train, parts.validation, parts.test)]
    assert sum(counts) == 569
    assert counts[1] == pytest.approx(0.25 * (counts[0] + counts[1]), abs=1)
    shares = [y.mean() for _, y in (parts.train, parts.validation, parts.test)]
    np.testing.assert_allclose(shares, shares[0], atol=0.01)
    same = data.breast_cancer(standardized=False)
    np.testing.assert_array_equal(same.test[0], parts.test[0])


@pytest.mark.parametrize("name", sorted(set(data.DATASETS) - {"linear_regression"}))
def test_the_same_seed_draws_the_same_rows(name):
    make = data.DATASETS[name]
    ours, again, other = (make(test=0.25, rng=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(ours.train[0], again.train[0])
    np.testing.assert_array_equal(ours.train[1], again.train[1])
    if name != "xor":
        assert not np.array_equal(ours.test[0], other.test[0])


def test_every_row_may_train_and_precision_is_a_choice():
    flowers = data.iris(test=0, dtype=np.float32)
    assert flowers.train[0].shape == (150, 4)
    assert flowers.test[0].shape == (0, 4)
    assert flowers.train[0].dtype == flowers.test[0].dtype == np.float32
    assert data.diabetes(dtype=np.float32).train[1].dtype == np.float32
    assert data.linear_regression(dtype=np.float32).train[1].dtype == np.float32


@pytest.mark.parametrize("value", [7.0, 0.1, 1e9 / 3])
def test_a_constant_column_is_only_centred(value):
    flowers = data.iris(standardized=False)
    x = flowers.train[0].copy()
    x[:, 1] = value
    flat = data.Dataset("flat", (x, flowers.train[1]), flowers.test, (), (), x[0], x[0])
    # The mean of equal numbers may be off by rounding; it must not be blown up.
    np.testing.assert_allclose(
        data.standardize(flat).train[0][:, 1], 0, atol=1e-14 * value
    )


@pytest.mark.parametrize("test", [1.0, -0.1, 1.5])
def test_fractions_out_of_range_are_refused(test):
    with pytest.raises(UserInputError, match="a fraction from 0 to below 1"):
        data.iris(test=test)
    with pytest.raises(UserInputError, match=r"^validation must be a fraction"):
        data.iris(validation=test)


def test_fractions_that_leave_a_part_empty_are_refused():
    with pytest.raises(UserInputError, match="leaves none to validate on"):
        data.iris(validation=0.001)
    for fractions in ({"test": 0.999}, {"validation": 1.0}, {"test": -0.1}):
        with pytest.raises(UserInputError, match="fractions from 0 to below 1"):
            data.linear_regression(**fractions)


def test_a_class_without_training_rows_is_refused():
    with pytest.raises(UserInputError, match="all 1 rows of class 1"):
        data.stratified_split(np.array([0, 0, 0, 1]), 0.6, np.random.default_rng(0))


def test_a_name_that_is_not_known_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'spirals'"):
        data.get("spiral")


def test_the_exercise_is_reproduced_number_for_number():
    kept: Any = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(42)  # noqa: NPY002
        x = np.random.randn(100, 1)  # noqa: NPY002
        y = 2 * x + 0.5 + 0.1 * np.random.randn(100, 1)  # noqa: NPY002
    finally:
        np.random.set_state(kept)  # noqa: NPY002
    ours = data.linear_regression()
    np.testing.assert_array_equal(ours.train[0], x)
    np.testing.assert_array_equal(ours.train[1], y)
    # C11: what the squared error is at the origin of these data.
    assert np.mean(y**2) == pytest.approx(3.3151, abs=5e-5)
    after: Any = np.random.get_state()  # noqa: NPY002
    assert after[2] == kept[2]
    np.testing.assert_array_equal(after[1], kept[1])


def test_held_out_rows_of_the_exercise_are_its_last():
    x, _ = data.linear_regression().train
    parts = data.linear_regression(test=0.2, validation=0.25)
    assert parts.validation is not None
    pieces = [parts.train[0], parts.validation[0], parts.test[0]]
    assert [len(piece) for piece in pieces] == [60, 20, 20]
    np.testing.assert_array_equal(np.concatenate(pieces), x)


def test_xor_is_its_truth_table():
    x, y = data.xor(n=8).train
    assert len(x) == 8
    np.testing.assert_array_equal(y, x[:, 0] != x[:, 1])


def test_shapes_in_the_plane_without_noise():
    x, y = whole(data.moons(noise=0.0))
    centre = np.where(y == 0, [[0.0], [0.0]], [[1.0], [0.5]]).T
    np.testing.assert_allclose(np.hypot(*(x - centre).T), 1, rtol=1e-12)
    theirs, labels = sklearn.datasets.make_moons(400, shuffle=False, noise=None)
    np.testing.assert_allclose(
        np.sort(x, axis=0), np.sort(theirs, axis=0), rtol=0, atol=1e-12
    )
    assert y.sum() == labels.sum()
    x, y = whole(data.circles(noise=0.0, ratio=0.3))
    np.testing.assert_allclose(np.hypot(*x.T), np.where(y == 1, 0.3, 1.0), rtol=1e-12)
    x, y = whole(data.spirals(noise=0.0, turns=2))
    radius = np.hypot(*x.T) / 6
    angle = np.arctan2(x[:, 1], x[:, 0]) - 4 * np.pi * radius - np.pi * y
    np.testing.assert_allclose(np.cos(angle), 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", PLANE)
def test_noise_has_the_deviation_that_was_asked_for(make):
    clean, noisy = make(n=4000, noise=0.0, test=0.0), make(n=4000, noise=2.0, test=0.0)
    # Split orders differ, as the generator has moved on; per class, spreads add up.
    for label in (0, 1):
        spread = [part.train[0][part.train[1] == label] for part in (clean, noisy)]
        added = spread[1].var(axis=0) - spread[0].var(axis=0)
        np.testing.assert_allclose(added, 4.0, rtol=0.15)


@pytest.mark.parametrize("make", [*PLANE, data.student_dropout])
@pytest.mark.parametrize("n", [0, 1, 2.5, True, "4"])
def test_numbers_of_rows_are_whole_and_enough(make, n):
    with pytest.raises(UserInputError, match="whole number of rows"):
        make(n=n)


def test_recipes_refuse_what_they_cannot_draw():
    with pytest.raises(UserInputError, match="noise must be"):
        data.moons(noise=-1)
    with pytest.raises(UserInputError, match="ratio must be between"):
        data.circles(ratio=1.0)
    with pytest.raises(UserInputError, match="turns must be"):
        data.spirals(turns=0)
    with pytest.raises(UserInputError, match="legacy generator"):
        data.linear_regression(rng=-1)


def test_students_drop_out_as_often_as_their_risk_says():
    students = data.student_dropout(n=200_000, test=0.0, standardized=False)
    x, y = students.train
    risk = data.dropout_risk(x)
    order = np.argsort(risk).reshape(20, -1)
    np.testing.assert_allclose(
        y[order].mean(axis=1), risk[order].mean(axis=1), atol=0.015
    )


def test_absence_and_falling_grades_interact():
    # absence, change of grades, feedback: neither alone, both together, with support.
    x = np.array([[0.5, 0, 0], [0, -1.5, 0], [0.5, -1.5, 0], [0.5, -1.5, 1]])
    absence, falling, both, supported = data.dropout_risk(x)
    assert absence == falling == supported == pytest.approx(1 / (1 + np.exp(1.5)))
    assert both > 0.8
    with pytest.raises(ShapeError, match="three columns"):
        data.dropout_risk(np.zeros((2, 4)))


def test_noise_is_a_pure_function_of_rows_and_generator(rng):
    x = np.zeros((2000, 5), dtype=np.float32)
    x.flags.writeable = False
    noisy = data.with_noise(x, rng, 0.3)
    assert noisy.dtype == np.float32
    assert noisy.std() == pytest.approx(0.3, rel=0.05)
    again = data.with_noise(x, np.random.default_rng(20_260_101), 0.3)
    np.testing.assert_array_equal(noisy, again)
    np.testing.assert_array_equal(data.with_noise(x, rng, 0.0), x)
    with pytest.raises(UserInputError, match="deviation must be"):
        data.with_noise(x, rng, -0.1)


def test_shifts_move_whole_pictures_and_lose_only_what_leaves(rng):
    x = data.digits().train[0][:300]
    x.flags.writeable = False
    shifted = data.with_shifts(x, rng, 2)
    offsets = set()
    for before, after in zip(
        x.reshape(-1, 8, 8), shifted.reshape(-1, 8, 8), strict=True
    ):
        matches = []
        for down in range(-2, 3):
            for right in range(-2, 3):
                moved = np.zeros((8, 8))
                for i in range(8):
                    for j in range(8):
                        if 0 <= i + down < 8 and 0 <= j + right < 8:
                            moved[i + down, j + right] = before[i, j]
                if np.array_equal(moved, after):
                    matches.append((down, right))
        assert matches
        offsets.update(matches)
    assert len(offsets) == 25
    np.testing.assert_array_equal(data.with_shifts(x, rng, 0), x)


def test_shifts_refuse_rows_that_are_no_pictures(rng):
    with pytest.raises(ShapeError, match="no pictures of 8 × 8 = 64"):
        data.with_shifts(np.zeros((3, 63)), rng)
    for pixels in (-1, 8, 1.0):
        with pytest.raises(UserInputError, match="pixels must be"):
            data.with_shifts(np.zeros((3, 64)), rng, pixels)

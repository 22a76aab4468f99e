"""Metrics against hand computations, twins that share no code, and scikit-learn."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from sklearn import metrics as theirs
from sklearn.calibration import calibration_curve

from diffkit.errors import NonFiniteError, ShapeError, UserInputError
from diffkit.train import metrics

TWO = metrics.accuracy, metrics.confusion_matrix, metrics.roc_auc
PROBABLE = (
    metrics.brier,
    metrics.reliability_curve,
    metrics.expected_calibration_error,
)


def ece_by_hand(p, y, bins):
    """Bin by bin, row by row: (lower, upper], the first bin holding 0 too."""
    total = 0.0
    for i in range(bins):
        low, high = i / bins, (i + 1) / bins
        rows = [j for j in range(len(p)) if low < p[j] <= high or (i == 0 == p[j])]
        if rows:
            confidence = sum(p[j] for j in rows) / len(rows)
            happened = sum(y[j] for j in rows) / len(rows)
            total += len(rows) / len(p) * abs(confidence - happened)
    return total


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def test_calibration_error_computed_by_hand():
    # Bins of width 1/2: {0.1, 0.3, 0.5}: mean 0.3, came true 1/3; {0.9}: 1.
    p, y = np.array([0.1, 0.3, 0.5, 0.9]), np.array([0, 0, 1, 1])
    curve = metrics.reliability_curve(p, y, bins=2)
    np.testing.assert_allclose(curve.predicted, [0.3, 0.9], rtol=1e-15)
    np.testing.assert_allclose(curve.observed, [1 / 3, 1.0], rtol=1e-15)
    assert curve.counts.tolist() == [3, 1]
    expected = 3 / 4 * (1 / 3 - 0.3) + 1 / 4 * 0.1
    assert metrics.expected_calibration_error(p, y, 2) == pytest.approx(
        expected, rel=1e-14
    )


@given(
    st.lists(
        st.tuples(st.integers(0, 64).map(lambda k: k / 64), st.integers(0, 1)),
        min_size=1,
        max_size=60,
    ),
    # Powers of two have edges that floats hold exactly, and so do the values above:
    # rows on an edge are decided, not rounded.
    st.sampled_from([1, 2, 4, 8, 16, 64]),
)
def test_calibration_error_equals_its_brute_force_twin(rows, bins):
    p, y = (np.array(column) for column in zip(*rows, strict=True))
    found = metrics.expected_calibration_error(p, y, bins)
    assert found == pytest.approx(ece_by_hand(p, y, bins), abs=1e-12)


def test_calibration_error_with_the_usual_ten_bins(rng):
    p = rng.random(500)
    y = (rng.random(500) < p**2).astype(int)
    found = metrics.expected_calibration_error(p, y)
    assert found == pytest.approx(ece_by_hand(p, y, 10), abs=1e-12)
    assert found > 0.1


def test_honest_probabilities_are_calibrated_and_shrunk_ones_are_not(rng):
    p = rng.random(200_000)
    y = (rng.random(200_000) < p).astype(int)
    assert metrics.expected_calibration_error(p, y) < 0.01
    # All a fifth nearer to 1/2: the mean gap is a fifth of E|p − 1/2| = 1/20.
    shrunk = 0.5 + 0.8 * (p - 0.5)
    assert metrics.expected_calibration_error(shrunk, y) == pytest.approx(
        0.05, abs=0.01
    )


def test_calibration_of_classes_is_that_of_the_chosen_one(rng):
    p = softmax(rng.normal(size=(300, 4)))
    y = rng.integers(4, size=300)
    right = (p.argmax(axis=1) == y).astype(int)
    assert metrics.expected_calibration_error(p, y) == pytest.approx(
        ece_by_hand(p.max(axis=1), right, 10), abs=1e-12
    )


def test_reliability_curve_is_scikit_learns_with_counts(rng):
    p, y = rng.random(80), rng.integers(2, size=80)
    curve = metrics.reliability_curve(p, y, 15)
    observed, predicted = calibration_curve(y, p, n_bins=15)
    np.testing.assert_array_equal(curve.observed, observed)
    np.testing.assert_array_equal(curve.predicted, predicted)
    assert curve.counts.sum() == 80
    assert len(curve.counts) == len(observed)


@pytest.mark.parametrize("label", [0, 1])
def test_calibration_and_brier_where_nothing_or_everything_came_true(label):
    y = np.full(3, label)
    assert metrics.expected_calibration_error(np.full(3, 0.25), y) == abs(0.25 - label)
    assert metrics.brier(np.full(3, 0.25), y) == (0.25 - label) ** 2


def test_accuracy_and_confusion_of_logits_and_probabilities():
    z, y = np.array([[-1.0], [0.3], [2.0], [-0.1]]), np.array([0, 1, 0, 1])
    assert metrics.accuracy(z, y) == 0.5
    assert metrics.accuracy(1 / (1 + np.exp(-z)), y, threshold=0.5) == 0.5
    assert metrics.confusion_matrix(z, y).tolist() == [[1, 1], [1, 1]]


def test_confusion_has_a_row_for_classes_that_do_not_occur():
    z = np.array([[3.0, 1.0, 2.0], [0.0, 1.0, 5.0]])
    found = metrics.confusion_matrix(z, np.array([0, 0]))
    assert found.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_ranking_against_counting_pairs(rng):
    z, y = rng.normal(size=60).round(1), rng.integers(2, size=60)
    above = z[y == 1][:, None] - z[y == 0][None]
    pairs = np.mean((above > 0) + 0.5 * (above == 0))
    assert metrics.roc_auc(z, y) == pytest.approx(pairs, rel=1e-13)
    two = np.column_stack([np.zeros(60), z])
    assert metrics.roc_auc(two, y) == pytest.approx(pairs, rel=1e-13)
    assert metrics.roc_auc(metrics.probabilities(z), y) == pytest.approx(pairs)


def test_ranking_of_several_classes_is_scikit_learns_one_against_the_rest(rng):
    p, y = softmax(rng.normal(size=(90, 3))), rng.integers(3, size=90)
    assert metrics.roc_auc(p, y) == pytest.approx(
        theirs.roc_auc_score(y, p, multi_class="ovr"), rel=1e-13
    )


def test_brier_of_one_column_and_of_classes(rng):
    p, y = rng.random(50), rng.integers(2, size=50)
    assert metrics.brier(p, y) == pytest.approx(np.mean((p - y) ** 2), rel=1e-14)
    both = np.column_stack([1 - p, p])
    assert metrics.brier(both, y) == pytest.approx(2 * metrics.brier(p, y), rel=1e-13)
    assert metrics.brier(np.eye(3)[[2, 0]], np.array([2, 1])) == 1.0


@pytest.mark.parametrize("metric", [*TWO, *PROBABLE])
def test_labels_may_be_a_column_or_one_hot(metric, rng):
    p = softmax(rng.normal(size=(40, 3)))
    y = np.arange(40) % 3
    for same in (y[:, None], np.eye(3)[y], y.astype(float)):
        assert str(metric(p, same)) == str(metric(p, y))
    column, two = p[:, :1], y % 2
    assert str(metric(column, two[:, None].astype(float))) == str(
        metric(column[:, 0], two)
    )


def test_logits_become_probabilities_without_overflow():
    assert metrics.probabilities([[1000.0, -1000.0, 0.0]]).tolist() == [[1.0, 0.0, 0.0]]
    assert metrics.probabilities([-1000.0, 0.0]).tolist() == [0.0, 0.5]
    found = metrics.of_logits(metrics.brier)(np.array([0.0, 1000.0]), np.array([1, 1]))
    assert found == 0.125


def test_numbers_are_measured_as_scikit_learn_measures_them(rng):
    prediction, y = rng.normal(size=(30, 1)), rng.normal(size=(30, 1))
    assert metrics.r_squared(prediction, y) == pytest.approx(
        theirs.r2_score(y, prediction), rel=1e-13
    )
    assert metrics.mean_absolute_error(prediction, y) == pytest.approx(
        theirs.mean_absolute_error(y, prediction), rel=1e-13
    )


@pytest.mark.parametrize("metric", [*TWO, *PROBABLE])
@pytest.mark.parametrize(
    "outputs, labels, problem, said",
    [
        ([0.5, 0.5], [0, 2], UserInputError, r"labels\[1\] is 2; labels are 0 … 1"),
        ([0.5, 0.5], [0.5, 1], UserInputError, r"labels\[0\] is 0.5"),
        ([0.5, 0.5], [-1, 1], UserInputError, "is -1"),
        ([0.5, 0.5], [0, 1, 1], ShapeError, "one label"),
        ([], [], ShapeError, "at least one"),
        ([0.5, np.nan], [0, 1], NonFiniteError, "of 2 outputs, 1 are not"),
        ([[0.5, 0.5]], [[1, 1]], UserInputError, "not one-hot"),
        ([[[0.5]]], [0], ShapeError, "one row for each"),
    ],
)
def test_what_cannot_be_measured_is_refused(metric, outputs, labels, problem, said):
    with pytest.raises(problem, match=said):
        metric(np.array(outputs), np.array(labels))


@pytest.mark.parametrize("metric", PROBABLE)
def test_logits_where_probabilities_are_needed_are_refused(metric):
    with pytest.raises(UserInputError, match=r"1 of 2 values.*of_logits"):
        metric(np.array([0.5, 3.0]), np.array([0, 1]))
    with pytest.raises(UserInputError, match="add up to 1"):
        metric(np.array([[0.5, 0.9]]), np.array([0]))


def test_a_class_without_rows_has_no_area():
    with pytest.raises(UserInputError, match="no row is of class 0"):
        metrics.roc_auc(np.array([0.1, 0.9]), np.array([1, 1]))


@pytest.mark.parametrize("bins", [0, -1, 2.5, True])
def test_bins_are_a_whole_number(bins):
    with pytest.raises(UserInputError, match="bins must be"):
        metrics.reliability_curve(np.array([0.5]), np.array([1]), bins)


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="must be the same"):
        metrics.r_squared(np.zeros((3, 1)), np.zeros(3))
    with pytest.raises(UserInputError, match="all targets are the same"):
        metrics.r_squared(np.zeros(3), np.ones(3))

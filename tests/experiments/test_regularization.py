"""Labels made wrong, networks that fit, and the overfitting that they show."""

import numpy as np
import pytest

from diffkit import nn, train
from diffkit.measure.user_code import load_file
from tests.experiments.support import (
    ROOT,
    check_page,
    check_without,
    found,
    measured,
    value,
)

FOUND = found("regularization")
MODULE = load_file(ROOT / "experiments" / "regularization.py")


@pytest.mark.parametrize("seed", [0, 1])
def test_a_fifth_of_the_labels_is_wrong_and_all_to_validate_are_right(seed):
    (x, labels), (_, check), wrong = MODULE.rows_with_mistakes(seed)
    clean = train.data.digits(test=0.25, rng=seed)
    np.testing.assert_array_equal(x, clean.train[0][: MODULE.ROWS])
    assert wrong == np.sum(labels != clean.train[1][: MODULE.ROWS]) == 40
    np.testing.assert_array_equal(check, clean.test[1])


def test_dropout_adds_no_parameters():
    plain, dropped = MODULE.network("none"), MODULE.network("dropout")
    assert plain.parameter_count == dropped.parameter_count
    assert plain.parameter_count == 64 * 64 + 64 + 64 * 64 + 64 + 64 * 10 + 10
    assert any(isinstance(layer, nn.Dropout) for layer in dropped.layers)


def test_the_page_follows_from_rows_and_survives_lost_cells():
    rows = (*measured(FOUND, kind="none"), *measured(FOUND, kind="early stopping"))
    least, end = (
        value(rows, f"mean_{name}", kind="none")
        for name in ("least_validation_loss", "validation_evaluated_loss")
    )
    learned = value(rows, "mean_train_evaluated_loss", kind="none")
    assert learned < 0.5 * end
    assert least < end
    stopped = value(rows, "mean_validation_evaluated_loss", kind="early stopping")
    assert stopped == pytest.approx(
        value(rows, "mean_least_validation_loss", kind="early stopping")
    )
    check_page(FOUND, rows, whole=False)
    check_without(FOUND, rows)

"""Counts of the loader by arithmetic, noise by theory, operations by the programs."""

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

FOUND = found("batch_size")
MODULE = load_file(ROOT / "experiments" / "batch_size.py")


@pytest.mark.parametrize("drop, epoch", [(True, 50_000 // 64), (False, 782)])
def test_the_loader_hands_out_as_many_batches_as_division_says(drop, epoch):
    rows = measured(FOUND, part="loader", drop=drop)
    assert value(rows, "epoch_updates_count") == epoch
    assert value(rows, "all_updates_count") == 100 * epoch
    assert value(rows, "last_batch_count") == (64 if drop else 50_000 % 64)


def test_noise_is_what_sampling_without_replacement_predicts():
    (rows,) = [measured(FOUND, part="noise", batch=32)]
    expected = value(rows, "expected_variance_value")
    one = value(rows, "one_row_variance_value")
    assert expected == pytest.approx(one / 32 * (1152 - 32) / 1151)
    assert value(rows, "noise_variance_value") == pytest.approx(expected, rel=0.2)


def test_the_whole_batch_has_no_noise():
    gradients, alone = MODULE.Gradients(MODULE.ROWS), MODULE.Gradients(1)
    each = [alone(np.arange(i, i + 1)) for i in range(MODULE.ROWS)]
    whole = gradients(slice(0, MODULE.ROWS))
    np.testing.assert_allclose(np.mean(each, axis=0), whole, atol=1e-12)


def test_updates_and_operations_are_counted():
    rows = (
        *measured(FOUND, part="epochs", batch=512),
        *measured(FOUND, part="updates", batch=512),
        *measured(FOUND, part="loader"),
        *measured(FOUND, part="noise", batch=64),
        *measured(FOUND, part="time", batch=512),
    )
    # 1,152 rows are two batches of 512 and one of 128.
    assert value(rows, "updates_count", part="epochs") == 3 * MODULE.EPOCHS["quick"]
    assert value(rows, "updates_count", part="updates") == MODULE.UPDATES["quick"]
    update = value(rows, "update_operations")
    work = value(rows, "gradient_operations", part="updates")
    assert work == update * MODULE.UPDATES["quick"]
    page = check_page(FOUND, rows, timed=True, whole=False)
    assert "781" in page
    assert "78,200" in page
    check_without(FOUND, rows)

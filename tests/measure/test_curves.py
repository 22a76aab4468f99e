"""A training as rows: curves whole, ends finite, divergence counted."""

import numpy as np
import pytest

from diffkit import losses, measure, nn, optim, train


def fitted(rate, epochs=5):
    x = np.linspace(-1, 1, 8)[:, None]
    return train.fit(
        nn.mlp((1, 1)),
        losses.mse,
        optim.sgd(rate),
        (x, 2 * x),
        epochs=epochs,
        validation=(x, 2 * x),
        metrics={"final_loss": losses.mse},
        on_divergence="stop",
        progress=False,
    )


def test_every_epoch_is_kept_and_the_value_is_the_last():
    case = measure.case("e", "autodiff")
    run = fitted(0.1)
    rows = {row.metric: row for row in measure.curve_rows(case, run, ("final_loss",))}
    assert set(rows) == {
        "train_loss",
        "validation_loss",
        "train_final_loss",
        "validation_final_loss",
        "diverged_count",
    }
    curve = run.losses("validation").to_numpy()
    assert len(curve) == 6  # before the first step, and after each of five epochs
    assert rows["validation_loss"].value == curve[-1]
    assert rows["validation_loss"].samples == pytest.approx(curve, rel=1e-6)
    assert rows["diverged_count"].value == 0


def test_a_training_that_diverges_has_finite_rows_only():
    case = measure.case("e", "autodiff")
    rows = {
        row.metric: row
        for row in measure.curve_rows(case, fitted(1e200), prefix="wild_")
    }
    assert rows["wild_diverged_count"].value == 1
    for row in rows.values():
        assert np.isfinite([row.value, *row.samples]).all()

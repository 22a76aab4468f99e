"""What happens after each epoch: metrics, early stopping, the best, callbacks."""

from math import nan
from typing import Any

import numpy as np
import optree
import pytest

import diffkit as dk
from diffkit import losses, nn, optim, train
from diffkit.errors import UnknownNameError, UserInputError

PLAIN = dk.get_backend("autodiff", runtime="numpy")
FRESH = np.random.default_rng(6)
X = FRESH.normal(size=(40, 4))
Y = (X @ FRESH.normal(size=(4, 3))).argmax(axis=1)
HELD_OUT = FRESH.normal(size=(20, 4)), FRESH.integers(0, 3, size=20)
NET = nn.mlp((4, 16, 3))


def accuracy(outputs, labels):
    return np.mean(outputs.argmax(axis=1) == labels)


def fit(**options):
    usual: dict[str, Any] = {
        "epochs": 4,
        "batch_size": 10,
        "validation": HELD_OUT,
        "backend": PLAIN,
    }
    return train.fit(
        options.pop("net", NET),
        losses.cross_entropy,
        options.pop("optimizer", optim.adam(0.05)),
        (X, Y),
        **{**usual, **options},
    )


def flat(params):
    return np.concatenate([np.ravel(a) for a in optree.tree_leaves(params)])


def test_metrics_are_columns_measured_after_each_epoch():
    seen = []
    history = fit(
        metrics={"accuracy": accuracy, "worst": lambda o, y: -o.min()},
        callbacks=[lambda report: seen.append(report)],
    )
    frame = history.frame
    assert list(frame.columns)[-2:] == ["accuracy", "worst"]
    measured = frame["accuracy"].notna()
    assert (measured == (frame["split"] != "batch")).all()
    assert history.metric("accuracy").index.tolist() == [0, 1, 2, 3, 4]
    assert history.metric("accuracy", "train").index.tolist() == [1, 2, 3, 4]
    for report in seen:
        for split, (x, y) in {"train": (X, Y), "validation": HELD_OUT}.items():
            found = accuracy(NET.apply(report.params, x), y)
            assert history.metric("accuracy", split)[report.epoch] == found
            assert report.measured[split]["accuracy"] == found
            loss = history.losses(split)[report.epoch]
            assert report.measured[split]["loss"] == loss
    x, y = HELD_OUT
    last = losses.cross_entropy(NET.apply(history.params, x), y)
    assert history.losses("validation")[4] == last


def test_early_stopping_restores_the_best():
    # The labels held out are noise: fitting the others soon makes them worse.
    history = fit(epochs=200, early_stopping=train.EarlyStopping(patience=4))
    validation = history.losses("validation")
    best = int(validation.idxmin())
    assert history.ended == "early stopping"
    assert history.best is not None
    assert (history.best.epoch, history.best.value) == (best, validation[best])
    assert validation.index[-1] == best + 4 < 200
    x, y = HELD_OUT
    assert losses.cross_entropy(NET.apply(history.params, x), y) == validation[best]
    # As if training had stopped there by itself.
    np.testing.assert_array_equal(flat(history.params), flat(history.best.params))
    if best:
        shorter = fit(epochs=best)
        np.testing.assert_array_equal(flat(shorter.params), flat(history.params))


def test_the_best_is_restored_at_the_last_epoch_too():
    unstopped = fit(epochs=12)
    history = fit(epochs=12, early_stopping=train.EarlyStopping(patience=1000))
    assert history.ended == "epochs"
    assert unstopped.best is not None
    assert unstopped.best.epoch < 12
    np.testing.assert_array_equal(flat(history.params), flat(unstopped.best.params))
    assert not np.array_equal(flat(unstopped.params), flat(history.params))


def test_a_metric_may_be_watched_and_large_may_be_good():
    history = fit(
        epochs=100,
        metrics={"accuracy": accuracy},
        early_stopping=train.EarlyStopping(3, 0.01, "accuracy", "max"),
    )
    found, best, epoch = history.metric("accuracy"), -1.0, 0
    for i, value in found.items():
        if value - best > 0.01:
            best, epoch = value, i
    assert history.best is not None
    assert (history.best.epoch, history.best.value) == (epoch, best)
    assert found.index[-1] == epoch + 3


def test_nan_improves_on_nothing():
    watch = train.EarlyStopping()
    assert not watch.better(nan, None)
    assert not watch.better(nan, 1.0)
    assert watch.better(1.0, None)
    assert train.EarlyStopping(mode="max").better(2.0, 1.0)
    assert not train.EarlyStopping(min_delta=0.5).better(0.6, 1.0)


def test_a_callback_ends_training():
    reports = []

    def until_third(report):
        reports.append(report)
        return report.epoch == 3

    history = fit(epochs=50, callbacks=[until_third, reports.append])
    assert history.ended == "callback"
    assert [r.epoch for r in reports] == [1, 1, 2, 2, 3, 3]
    assert history.losses().index.tolist() == [1, 2, 3]
    assert reports[-1].step == 12
    assert [r.improved for r in reports[::2]] == [
        bool(value < before.min())
        for value, before in (
            (history.losses("validation")[i], history.losses("validation")[: i - 1])
            for i in (1, 2, 3)
        )
    ]


def test_what_a_callback_is_given_is_its_own():
    def vandal(report):
        report.params[0]["weight"][:] = 1e9

    np.testing.assert_array_equal(
        flat(fit(callbacks=[vandal]).params), flat(fit().params)
    )


def test_a_plateau_is_told_the_validation_loss():
    # At once and for good: every epoch that is no better divides the steps by 10⁶.
    optimizer = optim.chain(
        optim.sgd(1.0), optim.reduce_on_plateau(1e-6, patience=0, threshold=0)
    )
    history = fit(optimizer=optimizer, epochs=30)
    validation = history.losses("validation")[1:]
    first_worse = int(np.argmax(np.diff(validation) >= 0)) + 2
    after = history.losses("validation")[first_worse:]
    assert np.ptp(after[:3]) < 1e-4
    plateau = history.state[1]
    assert float(plateau.best) == validation.min()


def test_without_validation_a_plateau_is_told_the_training_loss():
    optimizer = optim.chain(optim.sgd(0.1), optim.reduce_on_plateau(threshold=0))
    history = fit(optimizer=optimizer, validation=None)
    assert float(history.state[1].best) == history.losses("train").min()
    assert history.best is None


@pytest.mark.parametrize(
    "options, error, said",
    [
        ({"patience": 0}, UserInputError, "patience must be a positive integer"),
        ({"min_delta": -1}, UserInputError, "min_delta must be a number from 0"),
        ({"mode": "best"}, UserInputError, "mode must be 'min' or 'max'"),
        ({"monitor": "acuracy"}, UnknownNameError, "Did you mean 'accuracy'"),
    ],
)
def test_early_stopping_is_checked(options, error, said):
    def watched():
        watch = train.EarlyStopping(**options)
        fit(early_stopping=watch, metrics={"accuracy": accuracy})

    with pytest.raises(error, match=said):
        watched()


@pytest.mark.parametrize(
    "options, said",
    [
        (
            {"early_stopping": train.EarlyStopping(), "validation": None},
            "no validation",
        ),
        ({"metrics": [accuracy]}, "give functions by name"),
        ({"metrics": {"accuracy": 0.9}}, "must be a function"),
        ({"metrics": {"loss": accuracy}}, "cannot be named 'loss'"),
        ({"checkpoint_every": 0}, "checkpoint_every must be a positive integer"),
        ({"accumulate": 0}, "accumulate must be a positive integer"),
        ({"metadata": {"a": object()}}, "JSON"),
        ({"augment": lambda x, rng: x[:3]}, "keep the number of rows"),
        ({"augment": 5}, "augment is 5; it must be a function"),
        ({"callbacks": [5]}, "callbacks has 5; each must be a function"),
        ({"early_stopping": 5}, "early_stopping is 5; give a value such as"),
        (
            {"metrics": {"all": lambda o, y: o}},
            r"'all' gave an array of shape \(20, 3\)",
        ),
        ({"checkpoint": 5}, "checkpoint is 5; it must be the path of a folder"),
        ({"resume": 5}, "resume is 5; it must be True, False or the path"),
    ],
)
def test_options_are_checked(options, said):
    with pytest.raises(UserInputError, match=said):
        fit(**options)

"""What training has to reach: accuracy, agreement, known answers, honest risks."""

import numpy as np
import pytest

from diffkit import losses, nn, optim, train
from diffkit.train import data, metrics

BACKENDS = ("autodiff", "symbolic", "finite_differences")


def column(pair):
    """Labels of two classes as a column of 0 and 1."""
    return pair[0], pair[1][:, None].astype(float)


def test_digits_are_read():
    net = nn.mlp((64, 128, 10), "relu")
    reached = []
    for seed in range(5):
        digits = data.digits(rng=seed)
        history = train.fit(
            *(net, losses.cross_entropy, optim.adam(1e-3), digits.train),
            epochs=30,
            batch_size=32,
            rng=seed,
            progress=False,
        )
        outputs = net.apply(history.params, digits.test[0])
        reached.append(metrics.accuracy(outputs, digits.test[1]))
    assert np.median(reached) >= 0.97, reached


@pytest.fixture(scope="module")
def xor_histories():
    net, table = nn.mlp((2, 8, 1), "tanh"), column(data.xor().train)
    return {
        backend: train.fit(
            *(net, losses.binary_cross_entropy_with_logits, optim.adam(0.1), table),
            epochs=100,
            backend=backend,
            rng=7,
            metrics={"accuracy": metrics.accuracy},
            progress=False,
        )
        for backend in BACKENDS
    }


@pytest.mark.parametrize("backend", BACKENDS)
def test_xor_is_solved_by_every_backend(xor_histories, backend):
    history = xor_histories[backend]
    assert history.metric("accuracy", "train").iloc[-1] == 1.0
    assert history.losses().iloc[-1] < 1e-2


@pytest.mark.parametrize(
    "backend, tolerance", [("symbolic", 1e-9), (BACKENDS[2], 1e-5)]
)
def test_xor_has_one_loss_curve_whoever_differentiates(
    xor_histories, backend, tolerance
):
    ours = xor_histories["autodiff"].losses()
    np.testing.assert_allclose(xor_histories[backend].losses(), ours, rtol=tolerance)


def test_a_linear_network_cannot_learn_xor():
    table = column(data.xor().train)
    net = nn.mlp((2, 1))
    history = train.fit(
        *(net, losses.binary_cross_entropy_with_logits, optim.adam(0.1), table),
        epochs=500,
        progress=False,
    )
    # C25: the best it can do is to call everything 1/2, a loss of log 2.
    assert history.losses().iloc[-1] == pytest.approx(np.log(2), abs=1e-3)


def regression(steps):
    """(w, b) of the source's exercise after some steps from zero."""
    history = train.fit(
        *(nn.mlp((1, 1)), losses.mse, optim.sgd(0.1), data.linear_regression().train),
        epochs=steps,
        params=({"weight": np.zeros((1, 1)), "bias": np.zeros(1)},),
        progress=False,
    )
    return history.params[0]["weight"].item(), history.params[0]["bias"].item()


def test_the_exercise_after_the_hundred_steps_it_names():
    w, b = regression(100)
    assert round(w, 6) == 1.985674
    assert round(b, 6) == 0.500743


def test_the_exercise_ends_at_least_squares():
    x, y = data.linear_regression().train
    design = np.column_stack([x, np.ones_like(x)])
    # C32: θ = (XᵀX)⁻¹Xᵀy.
    best = np.linalg.solve(design.T @ design, design.T @ y).ravel()
    np.testing.assert_allclose(regression(400), best, rtol=0, atol=1e-6)


def held_out_risk(sizes, seed):
    """(Brier, AUC, calibration error, those of the true risks) on held-out rows."""
    students = data.student_dropout(rng=seed, validation=0.2)
    assert students.validation is not None
    net = nn.mlp(sizes, "tanh")
    history = train.fit(
        *(net, losses.binary_cross_entropy_with_logits, optim.adam(0.01)),
        column(students.train),
        validation=column(students.validation),
        early_stopping=train.EarlyStopping(patience=8),
        epochs=40,
        batch_size=32,
        rng=seed,
        progress=False,
    )
    x, y = students.test
    p = metrics.probabilities(net.apply(history.params, x))
    true = data.dropout_risk(x * students.scale + students.mean)
    measures = metrics.brier, metrics.roc_auc, metrics.expected_calibration_error
    return [[measure(risk, y) for measure in measures] for risk in (p, true)]


@pytest.fixture(scope="module")
def risks():
    """Seeds × (linear, network, truth) × (Brier, AUC, calibration error)."""
    found = []
    for seed in range(10):
        linear, truth = held_out_risk((3, 1), seed)
        network, _ = held_out_risk((3, 16, 1), seed)
        found.append([linear, network, truth])
    return np.array(found)


def test_a_network_finds_the_joint_risk_that_a_linear_model_misses(risks):
    linear, network, truth = risks.transpose(1, 2, 0)
    assert (network[0] < linear[0]).all()  # Brier, every seed
    assert (network[1] > linear[1]).all()  # AUC, every seed
    # Nearer to what can be known at all than to the straight boundary.
    gap = (linear[0] - truth[0]).mean()
    assert (network[0] - truth[0]).mean() < 0.3 * gap


def test_the_network_is_better_calibrated_on_average(risks):
    errors = risks[:, :, 2].mean(axis=0)
    assert errors[1] < errors[0]

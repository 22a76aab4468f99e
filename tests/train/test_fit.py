import io
from typing import Any

import numpy as np
import optree
import pytest
from rich.console import Console

import diffkit as dk
from diffkit import losses, nn, optim, train
from diffkit.errors import (
    DivergenceError,
    DtypeError,
    NonFiniteError,
    ShapeError,
    UnknownNameError,
    UserInputError,
)
from diffkit.train import progress

BACKENDS = ["autodiff", "symbolic", "finite_differences", "forward"]


def locked(*arrays):
    for array in arrays:
        array.flags.writeable = False
    return arrays


@pytest.fixture(scope="module")
def flowers():
    data = train.data.iris()
    locked(*data.train, *data.test)
    return data


def classifier(activation="tanh"):
    return nn.mlp((4, 5, 3), activation)


def leaves(history):
    return flat(history.params)


def flat(params):
    return np.concatenate([np.ravel(a) for a in optree.tree_leaves(params)])


@pytest.mark.parametrize(
    "optimizer",
    [optim.sgd(0.1), optim.momentum(0.05), optim.adam(0.02)],
    ids=str,
)
@pytest.mark.parametrize(
    "backend, tolerance",
    [("symbolic", 1e-9), ("forward", 1e-9), ("finite_differences", 1e-5)],
)
def test_all_backends_follow_the_same_path(flowers, optimizer, backend, tolerance):
    # 120 rows in batches of 32: four steps an epoch, the last of 24 rows.
    def run(backend):
        return train.fit(
            classifier(),
            losses.cross_entropy,
            optimizer,
            flowers.train,
            epochs=8,
            batch_size=32,
            validation=flowers.test,
            backend=backend,
            rng=7,
        )

    ours, theirs = run("autodiff"), run(backend)
    assert len(ours.losses("batch")) == 32
    for split in ("batch", "train", "validation"):
        np.testing.assert_allclose(
            theirs.losses(split), ours.losses(split), rtol=tolerance
        )
    error = np.linalg.norm(leaves(theirs) - leaves(ours))
    assert error <= tolerance * np.linalg.norm(leaves(ours))
    assert ours.losses("train").iloc[-1] < ours.losses("train").iloc[0]


BINARY = "binary_cross_entropy"


@pytest.mark.parametrize(
    "hidden, output, loss",
    [
        ("relu", "identity", "cross_entropy"),
        ("softplus", "identity", BINARY + "_with_logits"),
        ("sigmoid", "sigmoid", BINARY),
        ("tanh", "softmax", "mse"),
    ],
)
def test_every_activation_and_loss_trains_alike_on_every_backend(
    flowers, hidden, output, loss
):
    x, labels = flowers.train
    y = labels if loss == "cross_entropy" else np.eye(3)[labels]

    def run(backend):
        # One hidden layer: a second relu could start on its kink (the next test).
        net, chosen = nn.mlp((4, 5, 3), hidden, output), losses.get(loss)
        optimizer, data = optim.adam(0.02), (x[:40], y[:40])
        return train.fit(
            net, chosen, optimizer, data, epochs=5, batch_size=16, backend=backend
        )

    ours = run("autodiff")
    for backend, tolerance in (
        ("symbolic", 1e-9),
        ("forward", 1e-9),
        ("finite_differences", 1e-5),
        (dk.get_backend("finite_differences", method="forward"), 1e-3),
        (dk.get_backend("autodiff", runtime="numpy"), 1e-9),
    ):
        theirs = run(backend)
        np.testing.assert_allclose(
            theirs.losses("batch"), ours.losses("batch"), rtol=tolerance
        )
        error = np.linalg.norm(leaves(theirs) - leaves(ours))
        assert error <= tolerance * np.linalg.norm(leaves(ours))


def test_a_dead_sample_puts_the_next_relu_on_its_kink():
    # Biases start at 0. A sample that no unit answers to reaches the next layer as
    # exactly 0, where relu'(0) = 0 by convention and a central difference sees 1/2.
    net = nn.mlp((1, 1, 1), "relu", "relu", initializer=lambda *_: np.ones((1, 1)))
    params: Any = net.init(np.random.default_rng(0))

    def output(params, x):
        return np.sum(net.apply(params, x))

    x = np.array([[-1.0]])
    slope = {b: dk.grad(output, backend=b)(params, x)[2]["bias"] for b in BACKENDS}
    assert slope.pop("finite_differences") == pytest.approx(0.5)
    assert slope == {"autodiff": 0, "symbolic": 0, "forward": 0}


@pytest.mark.parametrize("backend", BACKENDS)
def test_claim_c12_linear_regression_of_the_exercise(backend):
    # The exercise's own generator and numbers: 0.1, 100 steps from zero.
    legacy = np.random.RandomState(42)
    x = legacy.randn(100, 1)
    y = 2 * x + 0.5 + 0.1 * legacy.randn(100, 1)
    net = nn.Sequential(nn.Linear(1, 1, initializer="zeros"))
    history = train.fit(
        net, losses.mse, optim.sgd(0.1), (x, y), epochs=100, backend=backend
    )
    (own,) = history.params
    assert own["weight"].item() == pytest.approx(1.985674, abs=5e-7)
    assert own["bias"].item() == pytest.approx(0.500743, abs=5e-7)
    assert history.losses("batch").iloc[0] == pytest.approx(3.3151, abs=5e-5)


def test_gradient_descent_converges_to_least_squares(rng):
    x = rng.normal(size=(50, 3))
    y = x @ [[1.0], [-2.0], [0.5]] + 0.3 + 0.1 * rng.normal(size=(50, 1))
    net = nn.Sequential(nn.Linear(3, 1))
    history = train.fit(net, losses.mse, optim.sgd(0.2), (x, y), epochs=300)
    solution = np.linalg.lstsq(np.column_stack([x, np.ones(50)]), y, rcond=None)[0]
    np.testing.assert_allclose(history.params[0]["weight"], solution[:3], atol=1e-9)
    np.testing.assert_allclose(history.params[0]["bias"], solution[3], atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_iris_is_learned(flowers, dtype):
    net = nn.mlp((4, 16, 3), "relu")
    history = train.fit(
        net,
        losses.cross_entropy,
        optim.adam(0.01),
        flowers.train,
        epochs=60,
        batch_size=16,
        params=net.init(np.random.default_rng(1), dtype),
    )
    x, y = flowers.test
    guesses = net.apply(history.params, x).argmax(axis=1)
    assert np.mean(guesses == y) >= 0.9
    assert {a.dtype for a in optree.tree_leaves(history.params)} == {np.dtype(dtype)}


@pytest.mark.parametrize(
    "optimizer",
    [
        optim.momentum(0.1),
        optim.chain(optim.clip_by_global_norm(0.1), optim.adamw(0.01)),
    ],
    ids=str,
)
def test_the_path_is_the_one_a_reader_would_write_by_hand(flowers, optimizer):
    x, y = flowers.train
    net = classifier()
    params: Any = net.init(np.random.default_rng(5))
    history = train.fit(
        net,
        losses.cross_entropy,
        optimizer,
        (x, y),
        epochs=2,
        batch_size=50,
        shuffle=False,
        params=params,
    )
    step = dk.value_and_grad(
        lambda params, x, y: losses.cross_entropy(net.apply(params, x), y)
    )
    state, seen = optimizer.init(params), []
    for _ in range(2):
        for i in (0, 50, 100):
            value, grads = step(params, x[i : i + 50], y[i : i + 50])
            updates, state = optimizer.update(grads, state, params)
            params = optim.apply_updates(params, updates)
            seen.append(value)
    assert history.losses("batch").tolist() == seen
    np.testing.assert_array_equal(leaves(history), flat(params))
    assert optree.tree_structure(history.state) == optree.tree_structure(state)
    weighted = np.average(seen[:3], weights=[50, 50, 20])
    assert history.losses("train").loc[1] == pytest.approx(weighted, rel=1e-14)


def test_the_history_is_tidy_and_counts_exactly(flowers):
    net = classifier()
    history = train.fit(
        net,
        losses.cross_entropy,
        optim.sgd(0.1),
        flowers.train,
        epochs=3,
        batch_size=32,
        validation=0.25,
    )
    frame = history.frame
    columns = ["epoch", "step", "split", "rows", "loss", "seconds"]
    assert list(frame.columns) == columns
    assert not frame.isna().to_numpy().any()
    # 90 rows are left: 32 + 32 + 26.
    assert frame["split"].value_counts().to_dict() == {
        "batch": 9,
        "validation": 4,
        "train": 3,
    }
    batch = frame[frame["split"] == "batch"]
    assert batch["step"].tolist() == list(range(1, 10))
    assert batch["rows"].tolist() == [32, 32, 26] * 3
    assert history.losses("validation").index.tolist() == [0, 1, 2, 3]
    assert (frame.loc[frame["split"] == "validation", "rows"] == 30).all()
    assert frame["seconds"].is_monotonic_increasing
    assert set(history.programs) == {32, 26}
    assert history.diverged_at is None
    assert {"load", "check", "prepare", "gradient"} < set(history.phases)
    assert "9 steps" in str(history)


def test_dropping_the_last_batch_needs_one_program(flowers):
    history = train.fit(
        classifier(),
        losses.cross_entropy,
        optim.sgd(0.1),
        flowers.train,
        epochs=2,
        batch_size=32,
        drop_last=True,
    )
    assert set(history.programs) == {32}
    assert len(history.losses("batch")) == 6


def test_a_seed_repeats_a_run_and_parameters_do_not_change_its_batches(flowers):
    net = classifier()

    def run(rng, params=None):
        return train.fit(
            net,
            losses.cross_entropy,
            optim.sgd(0.1),
            flowers.train,
            epochs=2,
            batch_size=20,
            validation=0.2,
            rng=rng,
            params=params,
        )

    first, again = run(3), run(np.random.default_rng(3))
    assert first.losses("batch").tolist() == again.losses("batch").tolist()
    drawn: Any = net.init(np.random.default_rng(3).spawn(3)[0])
    locked(*optree.tree_leaves(drawn))
    given = run(3, drawn)
    assert first.losses("batch").tolist() == given.losses("batch").tolist()
    assert run(4).losses("batch").tolist() != first.losses("batch").tolist()


def test_booleans_and_floats_of_another_precision_are_converted(rng):
    x = rng.normal(size=(20, 2))
    net = nn.mlp((2, 1))

    def run(x, y):
        loss = losses.binary_cross_entropy_with_logits
        return train.fit(net, loss, optim.sgd(0.5), (x, y), epochs=3)

    truth = run(x, (x[:, :1] > 0).astype(float))
    assert run(x, x[:, :1] > 0).losses().tolist() == truth.losses().tolist()
    single = run(x.astype(np.float32), x[:, :1] > 0)
    np.testing.assert_allclose(single.losses(), truth.losses(), rtol=1e-6)


DIVERGING = {"epochs": 400, "params": ({"weight": np.ones((1, 1))},)}


def diverging(**options):
    # (w·x)² with x = 1 and rate 3: w is multiplied by −5 in each step.
    net = nn.Sequential(nn.Linear(1, 1, bias=False))
    data = np.ones((4, 1)), np.zeros((4, 1))
    return train.fit(net, losses.mse, optim.sgd(3.0), data, **DIVERGING, **options)


def test_divergence_names_the_step_and_the_largest_gradient():
    # The loss before step k is 25^(k − 1), and 25²²¹ is the first beyond 1.8e308.
    with pytest.raises(
        DivergenceError,
        match=r"step 222 \(epoch 222\): the loss is inf.*before it was 3.5221e.307.*"
        r"largest gradient is .*, of params\[0\]\['weight'\].*smaller rate",
    ):
        diverging()


def test_a_diverging_run_may_stop_and_keep_its_history():
    history = diverging(on_divergence="stop", validation=0.25)
    assert history.diverged_at == 222
    batch = history.losses("batch")
    assert np.isinf(batch.iloc[-1])
    np.testing.assert_allclose(batch.iloc[:5], 25.0 ** np.arange(5), rtol=1e-12)


def test_a_parameter_that_is_lost_in_the_last_step_is_found():
    lost = ({"weight": np.full((1, 1), np.inf)},)
    huge = optim.Optimizer(
        lambda params: (), lambda grads, state, params: (lost, state)
    )
    net = nn.Sequential(nn.Linear(1, 1, bias=False))
    data = np.ones((4, 1)), np.zeros((4, 1))
    with pytest.raises(
        DivergenceError,
        match=r"params\[0\]\['weight'\] is no longer finite after step 1",
    ):
        train.fit(net, losses.mse, huge, data, epochs=1)


X, Y = np.ones((6, 4)), np.array([0, 1, 2, 0, 1, 2])
WITH_NAN = X.copy()
WITH_NAN[4, 2] = np.nan


@pytest.mark.parametrize(
    "data, error, said",
    [
        (X, UserInputError, r"data must be a pair \(x, y\)"),
        ((X, Y, Y), UserInputError, "tuple of 3"),
        ((X, Y[:4]), ShapeError, "x has 6 rows and y has 4"),
        ((X.astype(int), Y), DtypeError, r"x has dtype int64.*x.astype\(float\)"),
        ((WITH_NAN, Y), NonFiniteError, r"x\[4, 2\] is nan \(1 of 24"),
        ((X, np.array([0, 1, 2, 0, np.inf, 2])), NonFiniteError, r"y\[4\] is inf"),
        (([[1.0], [1.0, 2.0]], Y), DtypeError, "x is ragged"),
        ((X, np.array(list("abcabc"))), DtypeError, "y has dtype <U1.*text"),
        ((X.astype(object), Y), DtypeError, "x has dtype object"),
        ((X[:0], Y[:0]), UserInputError, r"x has shape \(0, 4\): there is no sample"),
        ((1.0, 2.0), UserInputError, r"x has shape \(\)"),
        ((X[:, :3], Y), ShapeError, r"layer 0, Linear\(4, 5\), expects 4 features"),
        ((X, Y + 1), UserInputError, r"targets\[2\] is 3, outside the range 0 to 2"),
        ((X, Y[:, None]), ShapeError, r"y\[..., 0\]"),
    ],
)
def test_data_that_cannot_be_used_is_named(data, error, said):
    with pytest.raises(error, match=said):
        train.fit(classifier(), losses.cross_entropy, optim.sgd(0.1), data, epochs=1)


@pytest.mark.parametrize(
    "changes, error, said",
    [
        ({"epochs": 0}, UserInputError, "epochs must be a positive integer"),
        ({"rng": None}, UserInputError, "rng must be a numpy.random.Generator or a"),
        ({"rng": -1}, UserInputError, "an integer from 0, and is -1"),
        ({"batch_size": 7}, UserInputError, "batch_size is 7 and there are 6 rows"),
        ({"batch_size": 0}, UserInputError, "batch_size must be a positive integer"),
        ({"backend": "autodif"}, UnknownNameError, "Did you mean 'autodiff'"),
        ({"validation": 0.01}, UserInputError, "leaves 0 for validation"),
        ({"validation": 1.5}, UserInputError, "Give a fraction between 0 and 1"),
        ({"validation": (X[:2], Y[:1])}, ShapeError, "validation x has 2 rows"),
        (
            {"validation": (X[:2, :3], Y[:2])},
            ShapeError,
            r"validation x have shape \(3,\) and rows of x have shape \(4,\)",
        ),
        (
            {"validation": (X[:2], np.array([0, 5]))},
            UserInputError,
            r"targets\[1\] is 5",
        ),
        ({"on_divergence": "ignore"}, UserInputError, "'raise' or 'stop'"),
        ({"loss": "mse"}, UserInputError, "losses.get"),
        ({"net": nn.Tanh}, UserInputError, "no init and apply"),
        ({"optimizer": 0.1}, UserInputError, "no init and update"),
        ({"net": nn.Sequential(nn.Tanh())}, UserInputError, "no parameters"),
        (
            {"loss": lambda p, t: losses.cross_entropy(p, t, "none")},
            ShapeError,
            r"loss has shape \(6,\); training needs one number",
        ),
        (
            {"params": ({"weight": np.ones((4, 5), int)}, (), ())},
            DtypeError,
            r"params\[0\]\['weight'\] has dtype int64",
        ),
        ({"params": ({"w": np.full(2, np.nan)},)}, NonFiniteError, r"\['w'\]\[0\] is"),
        (
            {"params": classifier().init(np.random.default_rng(0))[:1]},
            ShapeError,
            "3 layers needs one entry of parameters for each and was given 1",
        ),
    ],
)
def test_arguments_that_cannot_be_used_are_named(changes, error, said):
    arguments = {
        "net": classifier(),
        "loss": losses.cross_entropy,
        "optimizer": optim.sgd(0.1),
        "data": (X, Y),
        "epochs": 1,
    }
    with pytest.raises(error, match=said):
        train.fit(**{**arguments, **changes})


def test_mixed_precision_parameters_are_refused():
    params = classifier().init(np.random.default_rng(0))
    params[0]["bias"] = params[0]["bias"].astype(np.float32)
    with pytest.raises(DtypeError, match="all float64 or all float32"):
        train.fit(
            classifier(),
            losses.cross_entropy,
            optim.sgd(0.1),
            (X, Y),
            epochs=1,
            params=params,
        )


def test_the_progress_bar_is_for_terminals(monkeypatch, capsys):
    def run(**options):
        train.fit(
            classifier(),
            losses.cross_entropy,
            optim.sgd(0.1),
            (X, Y),
            epochs=2,
            **options,
        )

    run()
    assert capsys.readouterr() == ("", "")
    terminal = io.StringIO()
    monkeypatch.setattr(
        progress,
        "Console",
        lambda **_: Console(file=terminal, force_terminal=True, width=100),
    )
    run(progress=False)
    assert terminal.getvalue() == ""
    run()
    assert "2/2" in terminal.getvalue()
    assert "loss" in terminal.getvalue()

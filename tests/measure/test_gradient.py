"""The measurement behind every cost experiment: counts exact, errors against truth."""

import math
from typing import Any, cast

import numpy as np
import optree
import pytest

import diffkit as dk
from diffkit import losses
from diffkit.errors import BackendError, UnknownNameError, UserInputError
from diffkit.interpret import exact
from diffkit.measure.gradient import Problem, measure_gradient, runtime_of
from diffkit.measure.networks import Network
from diffkit.measure.reference import reference_gradient

NETWORK = Network((3, 4, 2), batch=5, seed=1)
PARAMETERS = 3 * 4 + 4 + 4 * 2 + 2
EVALUATIONS = {
    ("autodiff", ""): 1,
    ("forward", ""): PARAMETERS,
    ("finite_differences", "method=central"): 2 * PARAMETERS,
    ("finite_differences", "method=forward"): PARAMETERS + 1,
    ("symbolic", "form=shared"): 1,
}


def options(text):
    return dict(part.split("=") for part in text.split(",") if part)


@pytest.mark.parametrize("backend, chosen", EVALUATIONS)
def test_counts_and_errors_of_every_backend(backend, chosen):
    cost = measure_gradient(
        NETWORK.problem(), backend, options(chosen), samples=3, budget_seconds=0.05
    )
    assert cost.parameters == PARAMETERS
    assert cost.evaluations == EVALUATIONS[backend, chosen]
    bound = 1e-6 if backend == "finite_differences" else 1e-13
    assert 0 <= cost.relative_error <= bound
    assert cost.reference_bits >= 256
    for timing in (cost.gradient, cost.primal, cost.call, cost.ratio, cost.prepare):
        assert all(sample > 0 for sample in timing.samples)
    assert cost.tree_operations >= cost.shared_operations > 0
    assert {"trace"} <= set(cost.phases)
    function, arguments = NETWORK.problem().function, NETWORK.problem().arguments
    assert cost.value == pytest.approx(float(function(*arguments)), rel=1e-12)


def test_the_null_backend_measures_the_interface_alone():
    cost = measure_gradient(NETWORK.problem(), "null", samples=3, budget_seconds=0.05)
    assert cost.evaluations == 0
    assert cost.relative_error == 1.0  # an answer of zeros is wrong by all of it
    assert runtime_of("null") == "none"


def test_without_a_proof_costs_are_measured_and_no_error_is_claimed():
    cost = measure_gradient(
        NETWORK.problem(), "autodiff", samples=3, budget_seconds=0.05, prove=False
    )
    assert (cost.relative_error, cost.entry_error, cost.reference_bits) == (None,) * 3
    assert cost.evaluations == 1
    assert all(sample > 0 for sample in cost.gradient.samples)


def test_a_deep_network_is_proved_by_the_precision_it_begins_with(monkeypatch):
    """The first pass is the last one: none is lost with too few bits."""
    problem = Network((4,) * 129 + (3,), batch=2).problem()
    prepared = dk.prepare(problem.function, *problem.arguments)
    passes = []
    run = exact._Reading.run
    monkeypatch.setattr(
        exact._Reading, "run", lambda self: passes.append(self) or run(self)
    )
    reference = reference_gradient(prepared, *problem.arguments)
    assert reference.bits == 512
    assert len(passes) == 1


@pytest.mark.parametrize("size", [1.0, 1e-6, 1e-12])
def test_a_planted_error_is_measured_as_large_as_it_is(size):
    function, arguments = NETWORK.problem().function, NETWORK.problem().arguments
    prepared = dk.prepare(function, *arguments)
    reference = reference_gradient(prepared, *arguments)
    gradient = [leaf.copy() for leaf in optree.tree_leaves(prepared(*arguments)[1])]
    largest = max(np.max(np.abs(leaf)) for leaf in gradient)
    gradient[0].flat[2] += size * largest
    error, entry = reference.errors(gradient)
    assert error == pytest.approx(size, rel=1e-3)
    assert entry >= error
    gradient[0].flat[2] = math.nan
    assert all(math.isnan(value) for value in reference.errors(gradient))


def test_the_reference_keeps_its_digits_where_the_gradient_is_tiny():
    # 1e-272: rounding relative to one would leave no digit of it.
    prepared = dk.prepare(lambda x: np.sum(np.exp(-(x**2))), np.array([25.0]))
    reference = reference_gradient(prepared, np.array([25.0]))
    ball = reference.gradients[0][0]
    assert float(ball.rad() / abs(ball)) < 1e-50
    assert float(ball) == pytest.approx(-50 * math.exp(-625), rel=1e-12)


def test_a_gradient_of_exact_zeros_has_no_error():
    prepared = dk.prepare(lambda x: np.sum(x * 0.0), np.ones(2))
    reference = reference_gradient(prepared, np.ones(2))
    assert reference.errors([np.zeros(2)]) == (0.0, 0.0)
    assert reference.errors([np.array([0.0, 1.0])]) == (1.0, math.inf)


def test_a_point_that_no_precision_decides_is_refused():
    # exp(log x) is x, and no number of digits proves it: which branch of max is
    # taken stays open.
    def undecidable(x):
        return np.sum(np.maximum(np.exp(np.log(x)), x))

    prepared = dk.prepare(undecidable, np.array([3.0]))
    with pytest.raises(BackendError, match="Move the point away"):
        reference_gradient(prepared, np.array([3.0]))


@pytest.mark.parametrize("loss", losses.LOSSES)
def test_networks_of_every_loss_give_a_finite_scalar(loss):
    problem = Network((3, 4, 2), "sigmoid", loss, batch=6).problem()
    assert isinstance(problem, Problem)
    assert np.isfinite(float(problem.function(*problem.arguments)))


def test_the_same_seed_gives_the_same_problem():
    first, second = (Network((3, 4, 2), seed=7).problem() for _ in range(2))
    mine_and_theirs: list[Any] = [
        optree.tree_leaves(cast("Any", p.arguments)) for p in (first, second)
    ]
    for mine, theirs in zip(*mine_and_theirs, strict=True):
        assert np.array_equal(mine, theirs)


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"sizes": (4,)}, "two sizes or more"),
        ({"sizes": (4, 0)}, "at least 1"),
        ({"sizes": (4, 1), "loss": "cross_entropy"}, "two classes"),
    ],
)
def test_a_network_that_cannot_be_built_is_refused(wrong, said):
    with pytest.raises(UserInputError, match=said):
        Network(**{"sizes": (4, 3), **wrong})


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UnknownNameError, match="'tanh'"):
        Network((4, 3), activation="tanhh")

"""Random programs grown step by step, every backend held to ball arithmetic.

Each rule adds one operation, or runs what has been grown so far on all backends; the
judge is `diffkit.measure.fuzz`. Two thousand programs with seeds follow (slow, CI).
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from diffkit.backends import get_backend
from diffkit.graph import Builder, Traced
from diffkit.measure.fuzz import judge, truth_of
from diffkit.measure.programs import (
    KINDS,
    SHAPES,
    RandomProgram,
    grow,
    random_leaves,
    random_program,
    total,
)
from diffkit.ops import TABLE
from tests.programs import picking

BACKENDS = {
    "autodiff": get_backend("autodiff"),
    "autodiff on NumPy": get_backend("autodiff", runtime="numpy"),
    "forward": get_backend("forward"),
    "symbolic, shared": get_backend("symbolic", form="shared"),
    "central differences": get_backend("finite_differences"),
}


def hold_to_the_truth(program, backends=BACKENDS):
    """Outcome of each backend; fails with the program where one is wrong."""
    truth = truth_of(program)
    if truth is None:
        return None
    outcomes = {}
    for name, backend in backends.items():
        found = judge(program, backend, truth)
        assert found.outcome != "wrong", f"{name}: {found.message}"
        outcomes[name] = found.outcome
    return truth, outcomes


class Programs(RuleBasedStateMachine):
    """A program that grows: every op, shapes, broadcasting, reuse, dead code."""

    @initialize(
        seed=st.integers(0, 2**32 - 1),
        shapes=st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3),
    )
    def begin(self, seed, shapes):
        self.leaves = random_leaves(np.random.default_rng(seed), shapes)
        self.builder = Builder()
        self.values = [
            Traced(self.builder, self.builder.input(leaf.shape, "real", f"x{i}"))
            for i, leaf in enumerate(self.leaves)
        ]
        self.steps = 0

    @precondition(lambda self: self.steps < 10)
    @rule(kind=st.sampled_from(KINDS), data=st.data())
    def step(self, kind, data):
        self.values.append(grow(kind, picking(data.draw), self.values))
        self.steps += 1

    @precondition(lambda self: self.steps > 2)
    @rule(used=st.integers(1, 3))
    def compare(self, used):
        value = total(self.values[-used:])
        graph = self.builder.graph([value.index])
        hold_to_the_truth(RandomProgram(graph, self.leaves))


def test_programs_grown_by_rules():
    run_state_machine_as_test(
        Programs, settings=settings(max_examples=6, stateful_step_count=8)
    )


@pytest.mark.slow
def test_more_programs_grown_by_rules():
    run_state_machine_as_test(
        Programs, settings=settings(max_examples=30, stateful_step_count=14)
    )


def test_two_hundred_programs_use_every_op_and_few_are_undecidable():
    seen, undecided = Counter(), 0
    for seed in range(200):
        judged = hold_to_the_truth(
            random_program(seed), {"autodiff": BACKENDS["autodiff"]}
        )
        if judged is None:
            undecided += 1
        else:
            seen.update(judged[0].operations)
    assert set(TABLE) - set(seen) == {"input", "constant"}
    assert undecided < 20


@pytest.mark.slow
def test_two_thousand_programs_on_all_backends():
    outcomes = Counter()
    for seed in range(1_000, 3_000):
        judged = hold_to_the_truth(random_program(seed))
        if judged is not None:
            outcomes.update(judged[1].items())
    # The judge refuses to judge in few cases only, or it would prove nothing.
    for name in BACKENDS:
        floor = 1_000 if name == "central differences" else 1_900
        assert outcomes[name, "agrees"] > floor, outcomes


@pytest.mark.parametrize("name", ["autodiff", "forward", "symbolic, shared"])
def test_a_planted_error_of_a_billionth_is_caught(name, monkeypatch):
    """The judge is judged: a gradient off by 1e-9 of its largest entry is wrong."""
    backend = BACKENDS[name]
    real = type(backend).compile

    def off(self, program):
        compiled = real(self, program)

        def run(leaves):
            value, gradients, aux = compiled(leaves)
            largest = max(np.max(np.abs(g), initial=0) for g in gradients)
            for gradient in gradients:
                if gradient.size:
                    gradient.flat[0] += 1e-9 * largest
                    break
            return value, gradients, aux

        return run

    monkeypatch.setattr(type(backend), "compile", off)
    caught = judged = 0
    for seed in range(60):
        program = random_program(seed)
        truth = truth_of(program)
        if truth is None or not any(float(abs(b)) for b in truth.gradients[0].flat):
            continue
        judged += 1
        caught += judge(program, backend, truth).outcome == "wrong"
    assert judged > 20
    assert caught > 0.9 * judged

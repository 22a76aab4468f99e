"""The conformance suite itself: every kind of broken backend is caught, and named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

import diffkit as dk
from diffkit import errors
from diffkit.backends import Capabilities, Direct, Program
from diffkit.testing import conformance

HONEST = Capabilities(exact=True, evaluations="1")
AUTODIFF = dk.get_backend("autodiff")
Run = Callable[[Any, Program, dict[str, Any], Any], Any]


@dataclass(frozen=True)
class Broken:
    """Autodiff with something wrong around each call; `state` is the program's."""

    run: Run
    capabilities: Capabilities = HONEST
    name: ClassVar[str] = "broken"

    def compile(self, program):
        inner = AUTODIFF.compile(program)
        state: dict[str, Any] = {}
        run = self.run

        class Compiled:
            info = replace(inner.info, backend="broken")
            value = inner.value

            def __call__(self, leaves):
                return run(inner, program, state, leaves)

        return Compiled()


def honest(inner, program, state, leaves):
    return inner(leaves)


def mutating_inputs(inner, program, state, leaves):
    answer = inner(leaves)
    for p in program.wrt:
        if leaves[p].flags.writeable and leaves[p].size:
            leaves[p][...] += 1.0
    return answer


def needing_writable_inputs(inner, program, state, leaves):
    for p in program.wrt:
        leaves[p].flags.writeable = True
    return inner(leaves)


def stale_gradient(inner, program, state, leaves):
    value, gradients, aux = inner(leaves)
    kept = state.setdefault("gradients", gradients)
    return value, [g.copy() for g in kept], aux


def one_call_behind(inner, program, state, leaves):
    answer = inner(leaves)
    late = state.get("answer", answer)
    state["answer"] = answer
    return late


def accumulating(inner, program, state, leaves):
    value, gradients, aux = inner(leaves)
    totals = state.setdefault("totals", [np.zeros_like(g) for g in gradients])
    for total, g in zip(totals, gradients, strict=True):
        total += g
    return value, [t.copy() for t in totals], aux


def wrong_sign(inner, program, state, leaves):
    value, gradients, aux = inner(leaves)
    return value, [-g for g in gradients], aux


def wrong_sign_of_the_last_entry(inner, program, state, leaves):
    value, gradients, aux = inner(leaves)
    if gradients and gradients[0].ndim and gradients[0].size:
        gradients[0].flat[-1] *= -1.0
    return value, gradients, aux


def wrong_value(inner, program, state, leaves):
    value, gradients, aux = inner(leaves)
    return value + np.asarray(0.125, program.dtype)[()], gradients, aux


def shared_output_buffers(inner, program, state, leaves):
    value, gradients, aux = inner(leaves)
    held = state.setdefault("held", [np.empty_like(g) for g in gradients])
    for mine, g in zip(held, gradients, strict=True):
        mine[...] = g
    return value, list(held), aux


def shared_auxiliary_buffers(inner, program, state, leaves):
    value, gradients, aux = inner(leaves)
    held = state.setdefault("held", [np.empty_like(a) for a in aux])
    for mine, a in zip(held, aux, strict=True):
        mine[...] = a
    return value, gradients, list(held)


def read_only_results(inner, program, state, leaves):
    value, gradients, aux = inner(leaves)
    for g in gradients:
        g.flags.writeable = False
    return value, gradients, aux


def not_thread_safe(inner, program, state, leaves):
    state["leaves"] = [np.array(leaf) for leaf in leaves]
    return inner(state["leaves"])


def one_buffer_for_all_threads(inner, program, state, leaves):
    value, gradients, aux = inner(leaves)
    held = state.setdefault("held", [np.empty_like(g) for g in gradients])
    for mine, g in zip(held, gradients, strict=True):
        mine[...] = g
    return value, [mine.copy() for mine in held], aux


def always_double(inner, program, state, leaves):
    value, gradients, aux = inner(leaves)
    return value, [g.astype(np.float64) for g in gradients], aux


def transposed(inner, program, state, leaves):
    value, gradients, aux = inner(leaves)
    return value, [g.T.copy() for g in gradients], aux


def forgetting_nan(inner, program, state, leaves):
    value, gradients, aux = inner([np.nan_to_num(leaf) for leaf in leaves])
    return value, gradients, aux


def nan_that_stays(inner, program, state, leaves):
    value, gradients, aux = inner(leaves)
    state["bad"] = state.get("bad", False) or not np.isfinite(value)
    if state["bad"]:
        gradients = [g * np.nan for g in gradients]
    return value, gradients, aux


def flattening_empties(inner, program, state, leaves):
    value, gradients, aux = inner(leaves)
    return value, [g if g.size else g.reshape(-1) for g in gradients], aux


def dropping_auxiliaries(inner, program, state, leaves):
    value, gradients, aux = inner(leaves)
    return value, gradients, [a * 0.0 for a in aux]


def sorted_gradients(inner, program, state, leaves):
    value, gradients, aux = inner(leaves)
    order = np.argsort(program.wrt)
    return value, [gradients[i] for i in order], aux


def reading_memory_order(inner, program, state, leaves):
    read = [np.asarray(x).ravel(order="K").reshape(x.shape) for x in leaves]
    return inner(read)


CAUGHT_BY = {
    mutating_inputs: "inputs are read only",
    needing_writable_inputs: "inputs are read only",
    stale_gradient: "prepared at another point",
    one_call_behind: "twice in a row",
    accumulating: "twice in a row",
    wrong_sign: "gradient",
    wrong_sign_of_the_last_entry: "gradient",
    wrong_value: "gradient",
    shared_output_buffers: "results are fresh",
    shared_auxiliary_buffers: "results are fresh",
    read_only_results: "results are fresh",
    not_thread_safe: "two threads",
    one_buffer_for_all_threads: "two threads",
    always_double: "float32",
    transposed: "gradient",
    forgetting_nan: "NaN and infinity",
    nan_that_stays: "NaN and infinity",
    flattening_empties: "zero size",
    dropping_auxiliaries: "auxiliary outputs",
    sorted_gradients: "some arguments only",
    reading_memory_order: "any memory layout",
}


def failures(backend):
    """Names of the checks that a backend fails, with what they say."""
    said = {}
    for check in conformance(backend):
        try:
            check()
        except errors.ConformanceError as problem:
            said[str(check)] = str(problem)
        except Exception as problem:
            # A backend may break so badly that it raises: that is no pass either.
            said[str(check)] = f"{type(problem).__name__}: {problem}"
    return said


def the_check(backend, name):
    (found,) = [check for check in conformance(backend) if str(check) == name]
    return found


def test_an_honest_wrapper_passes_everything():
    assert failures(Broken(honest)) == {}


@pytest.mark.parametrize(
    "run, check", CAUGHT_BY.items(), ids=lambda x: getattr(x, "__name__", None)
)
def test_a_broken_backend_is_caught_where_it_breaks(run, check):
    with pytest.raises(errors.ConformanceError, match="'broken' breaks a promise"):
        the_check(Broken(run), check)()


def test_every_check_of_numbers_and_memory_has_caught_something():
    names = {str(check) for check in conformance("autodiff")}
    others = {
        "interface",
        "nested parameters",
        "constant function",
        "mismatch by shape, dtype and structure",
        "every form of a call",
        "capability table",
        "derivatives",
    }
    assert set(CAUGHT_BY.values()) | others == names


@pytest.mark.parametrize("wrong", ["value", "gradient"])
@pytest.mark.parametrize("form", ["called", "flat", "flat with out=", "into"])
def test_a_direct_call_that_gives_something_else_is_caught(form, wrong):
    """One form alone is wrong: its value, or one entry of its gradient."""
    made = {(False, False): "called", (True, False): "flat"}
    made |= {(True, True): "flat with out=", (False, True): "into"}

    @dataclass(frozen=True)
    class Misdirected:
        name: ClassVar[str] = "misdirected"
        capabilities: ClassVar[Capabilities] = HONEST

        def compile(self, program):
            inner = AUTODIFF.compile(program)

            class Compiled:
                info = replace(inner.info, backend="misdirected")
                value = inner.value

                def __call__(self, leaves):
                    return inner(leaves)

                def direct(self, dtypes, asked):
                    direct = inner.direct(dtypes, asked)
                    if made[asked.vector, asked.apart] != form:
                        return direct

                    def call(arrays):
                        value = direct.call(arrays)
                        if wrong == "value":
                            return 2.0 * value
                        arrays[-1].reshape(-1)[-1] += 1.0
                        return value

                    return Direct(call, direct.shapes, direct.dtypes)

            return Compiled()

    with pytest.raises(errors.ConformanceError, match=f"{form} differs"):
        the_check(Misdirected(), "every form of a call")()


def test_a_wrong_sign_is_named_with_both_values():
    said = failures(Broken(wrong_sign_of_the_last_entry))["gradient"]
    assert "DISAGREES" in said
    assert "relative error 2 " in said


def test_the_backend_that_answers_zero_fails_and_is_no_derivative():
    said = failures("null")
    assert {"gradient", "prepared at another point", "float32"} <= set(said)
    assert "derivatives" not in said  # it promises none


def test_constants_that_get_a_gradient_are_caught():
    def ones(inner, program, state, leaves):
        value, gradients, aux = inner(leaves)
        return value, [g + (g == 0.0) for g in gradients], aux

    with pytest.raises(errors.ConformanceError, match="constant is not zeros"):
        the_check(Broken(ones), "constant function")()


def test_gradients_of_nested_parameters_in_the_wrong_order_are_caught():
    def rotated(inner, program, state, leaves):
        value, gradients, aux = inner(leaves)
        return value, gradients[1:] + gradients[:1], aux

    with pytest.raises(errors.ConformanceError, match="mixture"):
        the_check(Broken(rotated), "nested parameters")()


@pytest.mark.parametrize(
    "capabilities, check, says",
    [
        (Capabilities(True, "2P"), "capability table", "2P evaluations"),
        (
            Capabilities(True, "1", derivatives=("gradient", "trace")),
            "capability table",
            "trace",
        ),
        (Capabilities(True, "1", dtypes=("float64",)), "float32", "was taken"),
    ],
)
def test_a_table_that_is_not_true_is_caught(capabilities, check, says):
    with pytest.raises(errors.ConformanceError, match=says):
        the_check(Broken(honest, capabilities), check)()


def test_evaluations_that_were_not_billed_are_caught():
    @dataclass(frozen=True)
    class Sneaky:
        name: ClassVar[str] = "autodiff"
        capabilities: ClassVar[Capabilities] = Capabilities(True, "1")

        def compile(self, program):
            inner = AUTODIFF.compile(program)

            class Compiled:
                info = inner.info
                value = inner.value
                evaluations_run = 0

                def __call__(self, leaves):
                    self.evaluations_run += 5
                    return inner(leaves)

            return Compiled()

    with pytest.raises(errors.ConformanceError, match="ran 5 evaluations"):
        the_check(Sneaky(), "capability table")()


def test_second_order_that_is_wrong_is_caught():
    def bent(inner, program, state, leaves):
        value, gradients, aux = inner(leaves)
        extra = len(leaves) > 1  # a cotangent or a direction came along
        return value, [g * (1.001 if extra else 1.0) for g in gradients], aux

    with pytest.raises(errors.ConformanceError, match="its jvp is not right"):
        the_check(Broken(bent), "derivatives")()


def test_an_interface_that_is_not_kept_is_caught():
    @dataclass  # neither frozen nor hashable
    class Loose:
        name: ClassVar[str] = "autodiff"
        capabilities: ClassVar[Capabilities] = Capabilities(True, "1")

        def compile(self, program):
            return AUTODIFF.compile(program)

    with pytest.raises(errors.ConformanceError, match="hashed"):
        the_check(Loose(), "interface")()

    @dataclass(frozen=True)
    class Renamed:
        name: ClassVar[str] = "renamed"
        capabilities: ClassVar[Capabilities] = HONEST

        def compile(self, program):
            return AUTODIFF.compile(program)

    with pytest.raises(errors.ConformanceError, match=r"info\.backend"):
        the_check(Renamed(), "interface")()


def test_a_prepared_program_that_takes_anything_is_caught(monkeypatch):
    monkeypatch.setattr(
        dk.prepared.Prepared, "leaves", lambda self, args: [np.ones(())] * 4
    )
    with pytest.raises(errors.ConformanceError, match="another shape"):
        the_check(
            Broken(lambda *_: (0.0, [np.ones(())] * 3, [])),
            "mismatch by shape, dtype and structure",
        )()


def test_what_is_no_backend_has_no_suite():
    with pytest.raises(errors.UnknownNameError, match="autodiff"):
        conformance("autodif")

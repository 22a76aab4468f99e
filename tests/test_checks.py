"""The checker itself: a thousandth off is caught, a sign among a thousand is caught."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

import diffkit as dk
from diffkit import errors
from diffkit.backends import Capabilities
from diffkit.checks import exact_reference, swept_reference
from diffkit.prepared import trace_program
from tests.cases import CASES


@dataclass(frozen=True)
class Spoiled:
    """Autodiff with one entry of the first gradient spoiled."""

    factor: float
    entry: int = 0
    dtype: str = "float64"
    name: ClassVar[str] = "spoiled"
    capabilities: ClassVar[Capabilities] = Capabilities(exact=True, evaluations="1")

    def compile(self, program):
        inner = dk.get_backend("autodiff", dtype=self.dtype).compile(program)
        spoil = self

        class Compiled:
            info = inner.info
            value = inner.value

            def __call__(self, leaves):
                value, gradients, aux = inner(leaves)
                gradients[0].flat[spoil.entry] *= spoil.factor
                return value, gradients, aux

        return Compiled()


W = np.linspace(0.2, 2.0, 1000)


def f(w):
    return np.sum(np.sin(w) * w)


@pytest.mark.parametrize("backend", ["autodiff", "forward", "symbolic"])
def test_honest_backends_pass(backend):
    for case in CASES[:3]:
        report = dk.check_grads(case.f, case.args, backend=backend)
        assert report.passed
        assert report.bits >= 256
        assert report.relative_error < 1e-12


def test_a_thousandth_off_is_caught_and_named():
    with pytest.raises(errors.GradientMismatchError) as caught:
        dk.check_grads(f, (W,), backend=Spoiled(1.001, 41))
    assert "w[41]" in str(caught.value)
    assert "0.001" in str(caught.value)


def test_one_wrong_sign_among_a_thousand_float32_is_caught():
    with pytest.raises(errors.GradientMismatchError, match=r"w\[999\]"):
        dk.check_grads(
            f, (W.astype(np.float32),), backend=Spoiled(-1.0, 999, "float32")
        )


def test_nan_is_never_within_tolerance():
    with pytest.raises(errors.GradientMismatchError, match=r"w\[7\].*nan"):
        dk.check_grads(f, (W,), backend=Spoiled(np.nan, 7), tolerance=np.inf)


def test_differences_as_the_backend_and_as_the_reference():
    assert dk.check_grads(f, (W[:5],), backend="finite_differences").passed
    report = dk.check_grads(f, (W[:5],), against="finite_differences", tolerance=1e-6)
    assert report.against == "finite_differences"
    assert "agrees with" in str(report)


def test_a_method_is_not_checked_with_itself():
    with pytest.raises(errors.UserInputError, match="against itself"):
        dk.check_grads(f, (W,), against="autodiff")


def test_the_wrong_value_is_in_the_report():
    report = dk.check_grads(f, (W[:3],))
    assert report.value_error < 1e-14
    assert report.entries == 3


def test_a_point_on_a_kink_follows_the_row_s_convention():
    assert dk.check_grads(lambda w: np.sum(np.abs(w)), (np.zeros(2),)).passed
    assert dk.check_grads(lambda w: np.max(w), (np.ones(3),)).passed


def test_a_reference_that_cannot_be_certified_is_refused():
    # sin²+cos² is 1 and no ball can prove that it is not more: a kink unresolved.
    def undecidable(w):
        one = np.sin(w) ** 2 + np.cos(w) ** 2
        return np.abs(one - 1.0) * w

    with pytest.raises(errors.BackendError, match="could not be certified") as caught:
        dk.check_grads(undecidable, (np.float64(0.3),))
    assert len(str(caught.value)) < 300  # and not the 20,000 digits it tried


def test_the_report_travels_with_the_error():
    with pytest.raises(errors.GradientMismatchError) as caught:
        dk.check_grads(f, (W,), backend=Spoiled(-1.0, 3))
    report = caught.value.report
    assert (report.name, report.index, report.failed) == ("w", (3,), 1)
    assert report.relative_error == pytest.approx(2.0)
    assert report.given == pytest.approx(-report.reference)
    assert report.ulps > 1e15
    for said in (repr(report.given), repr(report.reference), "ulps", "1 beyond"):
        assert said in str(caught.value)


def test_ulps_are_of_the_precision_that_was_given():
    single = dk.check_grads(f, (W[:50].astype(np.float32),))
    double = dk.check_grads(f, (W[:50],))
    assert 0 < single.ulps < 64
    assert 0 < double.ulps < 64


def test_many_wrong_entries_are_counted():
    with pytest.raises(errors.GradientMismatchError) as caught:
        dk.check_grads(lambda w: np.sum(w**2), (W,), backend=_AllOff())
    assert caught.value.report.failed == W.size


@dataclass(frozen=True)
class _AllOff:
    name: ClassVar[str] = "all off"
    capabilities: ClassVar[Capabilities] = Capabilities(exact=True, evaluations="1")

    def compile(self, program):
        inner = dk.get_backend("autodiff").compile(program)

        class Compiled:
            info = inner.info
            value = inner.value

            def __call__(self, leaves):
                value, gradients, aux = inner(leaves)
                return value, [1.01 * g for g in gradients], aux

        return Compiled()


def test_differences_as_a_reference_know_their_own_error():
    """Swept steps: the claimed radius holds the true error, and is small."""
    args = (W[:20],)
    report = dk.check_grads(f, args, against="finite_differences")
    assert 0 < report.radius < 1e-6
    traced = trace_program(f, args, 0, has_aux=False)
    swept = swept_reference(traced, list(args), dk.get_backend("finite_differences"))
    exact = exact_reference(traced, list(args))
    error = np.abs(swept.gradients[0] - exact.gradients[0])
    assert (error <= swept.radii[0]).mean() >= 0.99
    assert np.max(swept.radii[0]) < 1e-6
    with pytest.raises(errors.GradientMismatchError, match=r"w\[7\]"):
        dk.check_grads(f, args, backend=Spoiled(1.001, 7), against="finite_differences")


def test_differences_of_a_float32_program_run_in_float64():
    args = (W[:5].astype(np.float32),)
    report = dk.check_grads(f, args, against="finite_differences")
    assert report.radius < 1e-6
    with pytest.raises(errors.GradientMismatchError, match=r"w\[2\]"):
        dk.check_grads(
            f,
            args,
            backend=Spoiled(-1.0, 2, "float32"),
            against="finite_differences",
        )


def test_parameters_of_any_size_can_be_swept():
    point = np.array([1e6, 1.0, 1e-3])

    def scaled(w):
        return np.sum(np.sin(w / np.array([1e6, 1.0, 1e-3])))

    assert dk.check_grads(scaled, (point,), against="finite_differences").passed


def test_a_reference_that_is_not_sharp_enough_does_not_judge():
    with pytest.raises(errors.BackendError, match=r"cannot tell: w\[\d\].* ± "):
        dk.check_grads(f, (W[:3],), against="finite_differences", tolerance=1e-13)
    # where every step leaves the domain there is no radius at all
    with pytest.raises(errors.DiffkitError):
        dk.check_grads(
            lambda w: np.sum(np.sqrt(w)),
            (np.full(2, 1e-300),),
            against="finite_differences",
        )


def test_another_exact_method_is_granted_rounding_and_no_more():
    report = dk.check_grads(f, (W[:20],), against="symbolic")
    assert report.passed
    assert 0 < report.radius < 1e-10
    with pytest.raises(errors.GradientMismatchError):
        dk.check_grads(f, (W,), backend=Spoiled(1 + 1e-6, 5), against="symbolic")


@pytest.mark.parametrize(
    "backend, against",
    [
        ("autodiff", dk.get_backend("autodiff", runtime="numpy")),
        ("finite_differences", dk.get_backend("finite_differences", step=1e-3)),
        ("exact", "exact"),
        ("exact", dk.get_backend("exact", relative=1e-20)),
    ],
)
def test_runtime_and_step_do_not_make_another_method(backend, against):
    with pytest.raises(errors.UserInputError, match="against itself"):
        dk.check_grads(f, (W[:3],), backend=backend, against=against)


def test_other_forms_of_one_backend_may_check_each_other():
    expanded = dk.get_backend("symbolic", form="expanded")
    assert dk.check_grads(f, (W[:3],), backend="symbolic", against=expanded).passed


def test_a_function_that_changes_is_found_out():
    rng = np.random.default_rng(0)
    with pytest.raises(errors.NondeterministicError, match="traced again"):
        dk.check_grads(lambda w: np.sum(w * rng.normal(size=3)), (W[:3],))
    calls = []

    def growing(w):
        calls.append(1)
        return np.sum(w) if len(calls) % 2 else np.sum(np.sin(w))

    with pytest.raises(errors.NondeterministicError, match="another program"):
        dk.check_grads(growing, (W[:3],))


def test_a_backend_that_changes_is_found_out():
    @dataclass(frozen=True)
    class Drifting:
        name: ClassVar[str] = "drifting"
        capabilities: ClassVar[Capabilities] = Capabilities(True, "1")

        def compile(self, program):
            inner = dk.get_backend("autodiff").compile(program)
            calls = []

            class Compiled:
                info = inner.info
                value = inner.value

                def __call__(self, leaves):
                    value, gradients, aux = inner(leaves)
                    calls.append(1)
                    return value, [g * len(calls) for g in gradients], aux

            return Compiled()

    with pytest.raises(errors.NondeterministicError, match=r"drifting.*by w"):
        dk.check_grads(f, (W[:3],), backend=Drifting())


def test_constants_are_right_and_nothing_is_an_error():
    assert dk.check_grads(lambda w: np.float64(2.0), (W[:3],)).passed
    for empty in ((np.zeros(0),), ({},), ([],)):
        with pytest.raises(errors.UserInputError, match="nothing to check"):
            dk.check_grads(lambda p: np.float64(1.0), empty)


@pytest.mark.parametrize("bad", [np.arange(3), np.ones(3) * 1j])
def test_parameters_that_are_not_real_are_refused(bad):
    with pytest.raises(errors.DtypeError, match="dtype"):
        dk.check_grads(f, (bad,))


def test_a_vector_function_is_sent_to_jacobian():
    with pytest.raises(errors.ShapeError, match=r"dk\.jacobian or dk\.vjp"):
        dk.check_grads(lambda w: w * 2.0, (W[:3],))


def test_differences_that_claim_an_error_are_granted_it():
    ridders = dk.get_backend("finite_differences", method="ridders")
    report = dk.check_grads(f, (W[:5],), against=ridders)
    assert report.passed
    assert 0 < report.radius < 1e-6
    with pytest.raises(errors.GradientMismatchError, match=r"w\[4\]"):
        dk.check_grads(f, (W[:5],), backend=Spoiled(1.001, 4), against=ridders)

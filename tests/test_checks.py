"""The checker itself: a thousandth off is caught, a sign among a thousand is caught."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

import diffkit as dk
from diffkit import errors
from diffkit.backends import Capabilities
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

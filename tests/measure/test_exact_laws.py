"""Laws of exact counts: planted ones come back, what has none is not given one."""

from __future__ import annotations

from fractions import Fraction
from math import comb, factorial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffkit.measure import exact_law

small = st.integers(-9, 9)


@given(st.lists(small, min_size=1, max_size=4))
def test_a_polynomial_comes_back(coefficients: Any) -> None:
    def truth(n: int) -> int:
        return sum(c * n**p for p, c in enumerate(coefficients))

    law = exact_law([truth(n) for n in range(3, 15)], first=3)
    assert law is not None
    assert law.family == "polynomial"
    assert law(1000) == truth(1000)
    found = {term.power: term.coefficient for term in law.terms}
    assert found == {p: c for p, c in enumerate(coefficients) if c}


@given(st.integers(2, 20), st.integers(1, 9), small, small, st.integers(0, 2))
def test_an_exponential_comes_back(
    base: int, lead: int, slope: int, constant: int, degree: int
) -> None:
    def truth(n: int) -> int:
        return lead * n**degree * base**n + slope * n + constant

    law = exact_law([truth(n) for n in range(1, 17)])
    assert law is not None
    assert (law.family, law.base, law.degree) == ("exponential", base, degree)
    assert law(200) == truth(200)
    assert law.confirmed >= 2


def test_the_first_terms_may_be_irregular() -> None:
    law = exact_law([999, 17, *[5 * 2**n for n in range(3, 16)]])
    assert law is not None
    assert (law.first, law.text()) == (3, "5·2^n")


@pytest.mark.parametrize(
    "counts",
    [
        [factorial(n) for n in range(1, 16)],
        [comb(2 * n, n) for n in range(1, 16)],
        [1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89],  # its roots are irrational
        [1, 2, 4],  # nothing is left to confirm it
        [int(n) for n in np.random.default_rng(0).integers(1, 10**6, 16)],
    ],
    ids=["factorials", "binomials", "Fibonacci", "too few", "noise"],
)
def test_what_has_no_such_law_gets_none(counts: Any) -> None:
    assert exact_law(counts) is None


def test_one_wrong_count_is_not_explained_away() -> None:
    counts = [3 * 2**n + n for n in range(1, 15)]
    counts[-1] += 1
    assert exact_law(counts) is None


def test_laws_are_written_for_people() -> None:
    law = exact_law([Fraction(n * n - n, 2).numerator for n in range(1, 12)])
    assert law is not None
    assert law.text("w") == "(1/2)·w² − (1/2)·w"
    halves = exact_law([(-2) ** n * n + 1 for n in range(1, 12)])
    assert halves is not None
    assert halves.text() == "n·(-2)^n + 1"
    assert exact_law([0] * 5).text() == "0"  # pyright: ignore[reportOptionalMemberAccess]

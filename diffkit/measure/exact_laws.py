"""The law that a sequence of exact counts obeys, found exactly.

Counts of layered programs obey a linear recurrence: one more layer adds to, or
multiplies, what a few numbers of the layers before come to. Its shortest form is found
over the rationals, and its characteristic roots are the law:

    s(n) = Σ coefficient · nᵖ · rootⁿ

A polynomial is the case that every root is 1. Nothing is fitted, so there are no
intervals; terms that were not needed to find the law confirm it, at least two of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import flint

#: Terms beyond those that determine a law which have to obey it too.
CONFIRMING = 2
_POWERS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True)
class Term:
    """coefficient · nᵖ · rootⁿ, with p = `power`."""

    coefficient: Fraction
    power: int
    root: Fraction

    def text(self, variable: str) -> str:
        """The term, for people; without its sign."""
        size, root = abs(self.coefficient), self.root
        factors = []
        if self.power:
            raised = str(self.power).translate(_POWERS) if self.power > 1 else ""
            factors.append(f"{variable}{raised}")
        if root != 1:
            shown = f"({root})" if root < 0 or root.denominator > 1 else f"{root}"
            factors.append(f"{shown}^{variable}")
        if size != 1 or not factors:
            shown = f"{size}" if size.denominator == 1 else f"({size})"
            factors.insert(0, shown)
        return "·".join(factors)


@dataclass(frozen=True, slots=True)
class ExactLaw:
    """A law s(n) that holds from n = `first` on, exactly.

    `confirmed` is how many terms agreed that were not needed to find it. Terms are
    sorted by how fast they grow, the fastest first.

    >>> law = exact_law([n * 3**n + 5 for n in range(1, 13)], first=1)
    >>> print(law.text("d"), law.base, law.degree, law.family)
    d·3^d + 5 3 1 exponential
    >>> law(40) == 40 * 3**40 + 5
    True
    """

    terms: tuple[Term, ...]
    first: int
    confirmed: int

    @property
    def base(self) -> Fraction:
        """By what a step multiplies in the long run; 1 for a polynomial."""
        return abs(self.terms[0].root) if self.terms else Fraction(1)

    @property
    def degree(self) -> int:
        """The power of n that stands beside the fastest root."""
        return self.terms[0].power if self.terms else 0

    @property
    def family(self) -> str:
        """What it is: "polynomial" or "exponential"."""
        return "exponential" if self.base > 1 else "polynomial"

    def __call__(self, n: int) -> Fraction:
        """s(n), exactly; an integer where the counts are."""
        return sum(
            (term.coefficient * n**term.power * term.root**n for term in self.terms),
            Fraction(0),
        )

    def text(self, variable: str = "n") -> str:
        """The law as a formula."""
        parts: list[str] = []
        for term in self.terms:
            sign = "−" if term.coefficient < 0 else "+"
            lead = "−" if sign == "−" else ""
            shown = term.text(variable)
            parts.append(f"{sign} {shown}" if parts else f"{lead}{shown}")
        return " ".join(parts) or "0"


def exact_law(counts: Sequence[int], *, first: int = 1) -> ExactLaw | None:
    """The shortest law that all counts s(first), s(first + 1), ... obey, exactly.

    Solves for the shortest linear recurrence over the rationals (as Massey, 1969, does
    over any field) and splits its characteristic polynomial. The first counts are left
    out where only the later ones obey a law.

    None where the counts obey none that enough of them confirm (`CONFIRMING`), or one
    with roots that are not rational.
    """
    values = [flint.fmpq(count) for count in counts]
    if not any(value != 0 for value in values):
        return ExactLaw((), first, len(values)) if len(values) > CONFIRMING else None
    for order in range(1, (len(values) - CONFIRMING) // 2 + 1):
        recurrence = _recurrence(values, order)
        if recurrence is None:
            continue
        roots = _roots(recurrence)
        if roots is None:
            return None
        skipped = roots.pop(Fraction(0), 0)
        terms = _solve(roots, values[skipped:], first + skipped)
        return ExactLaw(terms, first + skipped, len(values) - 2 * order)
    return None


def _recurrence(values: Sequence[flint.fmpq], order: int) -> list[flint.fmpq] | None:
    """C with s(n) = c₁·s(n−1) + ... + c_order·s(n−order) for all terms, or None."""
    system = flint.fmpq_mat(
        [[values[i + order - 1 - j] for j in range(order)] for i in range(order)]
    )
    right = flint.fmpq_mat([[values[i + order]] for i in range(order)])
    try:
        solved = system.solve(right)
    except ZeroDivisionError:  # singular: no unique recurrence of this order
        return None
    found = [solved[j, 0] for j in range(order)]
    for n in range(order, len(values)):
        total = sum((found[j] * values[n - 1 - j] for j in range(order)), flint.fmpq(0))
        if total != values[n]:
            return None
    return found


def _roots(recurrence: Sequence[flint.fmpq]) -> dict[Fraction, int] | None:
    """Characteristic roots with their multiplicities; None where one is irrational."""
    order = len(recurrence)
    polynomial = flint.fmpq_poly([-c for c in reversed(recurrence)] + [1])
    _, factors = polynomial.numer().factor()
    roots: dict[Fraction, int] = {}
    for factor, multiplicity in factors:
        if factor.degree() != 1:
            return None
        roots[Fraction(-int(factor[0]), int(factor[1]))] = multiplicity
    assert sum(roots.values()) == order
    return roots


def _solve(
    roots: dict[Fraction, int], values: Sequence[flint.fmpq], first: int
) -> tuple[Term, ...]:
    """The coefficients that give the first values, fastest terms first."""
    kinds = [(root, power) for root, many in roots.items() for power in range(many)]
    kinds.sort(key=lambda kind: (abs(kind[0]), kind[1]), reverse=True)
    places = range(first, first + len(kinds))
    system = flint.fmpq_mat(
        [[_rational(root**n * n**power) for root, power in kinds] for n in places]
    )
    right = flint.fmpq_mat([[values[i]] for i in range(len(kinds))])
    solved = system.solve(right)
    terms = []
    for i, (root, power) in enumerate(kinds):
        found = solved[i, 0]
        coefficient = Fraction(int(found.p), int(found.q))
        if coefficient:
            terms.append(Term(coefficient, power, root))
    return tuple(terms)


def _rational(number: Fraction) -> flint.fmpq:
    return flint.fmpq(number.numerator, number.denominator)

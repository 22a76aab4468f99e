"""How a derivative's formula grows with depth: written out, and with sharing kept.

Tanh networks of one width throughout (inputs, hidden layers; one output, mean squared
error), counted exactly in every form, and the iterates of the logistic map, the example
by which expression swell is usually shown (Baydin et al., 2018, table 1; Laue, 2019).
Nothing is derived or printed: `count_forms` counts what would be. Run it alone::

    python experiments/expression_growth.py
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from diffkit import measure, report
from diffkit.backends import symbolic
from diffkit.backends.base import Program
from diffkit.measure import Case, Mode, Row
from diffkit.prepared import trace_program

NAME = "expression_growth"
WIDTHS = (1, 2, 4, 8)
#: Enough consecutive depths that the law of every form is determined and confirmed.
DEPTHS = {"quick": range(1, 13), "full": range(1, 41)}
#: The width sweep, at one depth.
WIDER = {"quick": (16, 32, 64), "full": (16, 32, 64, 128, 256)}
SWEPT_DEPTH = 6
#: More samples than any width has units, so that the two are never taken for another.
BATCH = 509

#: Form -> what it is, as figures name it; its colour and its marker.
FORMS: Mapping[str, tuple[str, str, str]] = {
    "loss_tree_operations": ("loss, written out", "#E69F00", "^"),
    "expanded_tree_operations": ("by parameter, written out", "#CC79A7", "v"),
    "nested_tree_operations": ("from the loss back, written out", "#D55E00", "s"),
    "cse_shared_operations": ("by parameter, shared afterwards", "#7F3C8D", "P"),
    "shared_operations": ("from the loss back, shared", "#0072B2", "o"),
    "loss_shared_operations": ("loss, shared", "#009E73", "D"),
}
SHORT = {
    "loss_tree_operations": "loss, tree",
    "expanded_tree_operations": "by parameter, tree",
    "nested_tree_operations": "from the loss, tree",
    "cse_shared_operations": "by parameter, shared",
    "shared_operations": "from the loss, shared",
    "loss_shared_operations": "loss, shared",
}
LIMITS = measure.Limits(seconds=20.0, bytes=1 << 30)


def cases(mode: Mode) -> list[Case]:
    """Every width at every depth, more widths at one depth, every iterate."""
    networks = [(w, d) for w in WIDTHS for d in DEPTHS[mode]]
    networks += [(w, SWEPT_DEPTH) for w in WIDER[mode]]
    asked = [("network", w, d) for w, d in networks]
    asked += [("logistic map", 1, n) for n in DEPTHS[mode]]
    return [
        measure.case(
            NAME,
            "symbolic",
            timed=False,
            limits=LIMITS,
            system=system,
            width=width,
            depth=depth,
        )
        for system, width, depth in asked
    ]


def logistic(iterations: int):
    """The map 4·x·(1 − x) applied again and again."""

    def iterate(x: Any) -> Any:
        for _ in range(iterations):
            x = 4.0 * x * (1.0 - x)
        return x

    return iterate


def program_of(case: Case) -> Program:
    """The traced program of a case."""
    if case["system"] == "logistic map":
        function, arguments = logistic(case["depth"]), (0.3,)
    else:
        sizes = (case["width"],) * (case["depth"] + 1)
        problem = measure.Network((*sizes, 1), batch=BATCH).problem()
        function, arguments = problem.function, problem.arguments
    return trace_program(function, arguments, 0, False).program


def measure_case(case: Case) -> list[Row]:
    """Exact operations in every form; the formula is that of one sample."""
    program = program_of(case)
    forms = symbolic.count_forms(program)
    alone = symbolic.count_forms(replace(program, wrt=()))["shared"]
    counts = {
        "loss_tree_operations": alone.tree_operations,
        "loss_shared_operations": alone.shared_operations,
        "expanded_tree_operations": forms["expanded"].tree_operations,
        "nested_tree_operations": forms["shared"].tree_operations,
        "cse_shared_operations": forms["cse"].shared_operations,
        "shared_operations": forms["shared"].shared_operations,
        "parameters_count": program.parameters,
    }
    return [case.row(metric, count) for metric, count in counts.items()]


@dataclass(frozen=True, slots=True)
class Growth:
    """One form's counts over consecutive depths, and the laws found for them."""

    depths: tuple[int, ...]
    counts: tuple[int, ...]
    fitted: measure.Choice | None
    exact: measure.ExactLaw | None


def growth(rows: Sequence[Row], system: str, width: int, form: str) -> Growth:
    """The laws of one form; None for each where too few depths were counted."""
    found = {
        row["depth"]: int(row.value)
        for row in rows
        if row.metric == form and row.value is not None
        if (row["system"], row["width"]) == (system, width)
    }
    depths = []
    for depth in range(min(found, default=1), max(found, default=0) + 1):
        if depth not in found:
            break  # an exact law is one of consecutive terms
        depths.append(depth)
    counts = tuple(found[depth] for depth in depths)
    fitted = measure.choose_law(depths, counts) if len(depths) >= 5 else None
    exact = measure.exact_law(counts, first=depths[0]) if depths else None
    return Growth(tuple(depths), counts, fitted, exact)


def _line(rows: Sequence[Row], system: str, width: int, form: str):
    found = growth(rows, system, width, form)
    points = list(zip(found.depths, found.counts, strict=True))
    return report.figures.Line(report.figures.Look(*FORMS[form]), points)


def _bases(rows: Sequence[Row], form: str, words: str):
    """Exact bases against the width, named by which form they are of."""
    _, colour, marker = FORMS[form]
    laws = [(width, growth(rows, "network", width, form).exact) for width in WIDTHS]
    points = [(width, float(law.base)) for width, law in laws if law]
    return report.figures.Line(report.figures.Look(words, colour, marker), points)


def figure(rows: Sequence[Row]):
    """A narrow and a wide network, the base against the width, the logistic map."""
    figures = report.figures
    shown, (narrow, wide, bases, chaos) = figures.panels(2, 2, width=15.5, height=9.6)
    narrowest, typical = WIDTHS[0], WIDTHS[2]
    figures.draw(
        narrow,
        [
            _line(rows, "network", narrowest, form)
            for form in FORMS
            if form not in ("loss_shared_operations", "nested_tree_operations")
        ],
        title="One unit wide: a polynomial, with or without sharing",
        x="hidden layers",
        y="operations in the formula",
    )
    figures.draw(
        wide,
        [
            _line(rows, "network", typical, form)
            for form in FORMS
            if form != "loss_shared_operations"
        ],
        title=f"{typical} units wide: exponential, but only if written out",
        x="hidden layers",
        y="operations in the formula",
        x_scale="linear",
    )
    figures.draw(
        bases,
        [
            _bases(rows, "expanded_tree_operations", "by parameter"),
            _bases(rows, "nested_tree_operations", "from the loss back"),
            _bases(rows, "shared_operations", "shared"),
        ],
        title="A layer multiplies the tree by the width, or by its square",
        x="width",
        y="factor by which one more layer\nmultiplies the operations (exact)",
    )
    figures.draw(
        chaos,
        [
            _line(rows, "logistic map", 1, form)
            for form in FORMS
            if form not in ("loss_shared_operations", "cse_shared_operations")
        ],
        title="The logistic map does the same: its variable occurs twice",
        x="iterations",
        y="operations in the formula",
        x_scale="linear",
    )
    return shown


def _described(found: Growth, variable: str) -> list[str]:
    """A table's cells: the family chosen, the fitted rate, the exact base and law."""
    if found.fitted is None:
        return ["too few depths"] + ["no result"] * 3
    choice = found.fitted
    rate = choice.exponential.rate if choice.law is None else choice.law.rate
    word = "degree" if choice.chosen == "polynomial" else "base"
    fitted = f"{word} {rate.value:.3g} ({rate.low:.3g} to {rate.high:.3g})"
    if found.exact is None:
        return [choice.chosen, fitted, "no result", "none confirmed"]
    exact = found.exact
    leading = (
        f"degree {exact.degree}"
        if exact.family == "polynomial"
        else f"base {exact.base}"
    )
    return [choice.chosen, fitted, leading, f"`{exact.text(variable)}`"]


def _table(rows: Sequence[Row], system: str, widths: Sequence[int], by: str) -> str:
    lines = []
    for width in widths:
        for form, short in SHORT.items():
            found = growth(rows, system, width, form)
            lead = [str(width)] if len(widths) > 1 else []
            lines.append([*lead, short, *_described(found, by)])
    header = ["form", "chosen", "fitted", "exact", f"operations at {by}"]
    if len(widths) > 1:
        header = ["width", *header]
    return report.markdown_table(header, lines, numbers_from=len(header))


def _agrees(rows: Sequence[Row]) -> int:
    """Growths whose family, chosen from the fit, is that of the exact law."""
    return sum(
        found.fitted.chosen == found.exact.family
        for found in _all(rows)
        if found.fitted and found.exact
    )


def _all(rows: Sequence[Row]) -> list[Growth]:
    every = [growth(rows, "network", w, f) for w in WIDTHS for f in FORMS]
    return every + [growth(rows, "logistic map", 1, f) for f in FORMS]


def _swept(rows: Sequence[Row], form: str) -> str:
    points = sorted(
        (row["width"], row.value)
        for row in rows
        if row.metric == form and row.value is not None
        if row["system"] == "network" and row["depth"] == SWEPT_DEPTH
        if row["width"] >= WIDTHS[1]
    )
    if len(points) < 5:
        return "no result"
    widths, counts = zip(*points, strict=True)
    rate = measure.fit_law("power", widths, counts).rate
    return f"{rate.value:.2f} ({rate.low:.2f} to {rate.high:.2f})"


def findings(rows: Sequence[Row]) -> measure.Findings:
    """The facts that the page may state."""
    numbers = report.numbers
    laws = {
        (width, form): growth(rows, "network", width, form).exact
        for width in WIDTHS
        for form in FORMS
    }

    def bases(form: str) -> str:
        found = [law for w in WIDTHS[1:] if (law := laws[w, form])]
        return ", ".join(f"{law.base}" for law in found) or "no result"

    def degree(width: int, form: str) -> str:
        law = laws[width, form]
        return "no result" if law is None else str(law.degree)

    def deepest(width: int, form: str) -> str:
        found = growth(rows, "network", width, form).counts
        return numbers.count(found[-1]) if found else "no result"

    narrow, wide = WIDTHS[0], WIDTHS[2]
    depths = growth(rows, "network", wide, "shared_operations").depths
    everything = _all(rows)
    overstated = growth(rows, "network", wide, "expanded_tree_operations")
    facts = {
        "narrow": narrow,
        "wide": wide,
        "widths": ", ".join(map(str, WIDTHS[1:])),
        "deepest": depths[-1] if depths else "no",
        "narrow_degree": degree(narrow, "expanded_tree_operations"),
        "expanded_bases": bases("expanded_tree_operations"),
        "loss_bases": bases("loss_tree_operations"),
        "nested_bases": bases("nested_tree_operations"),
        "cse_degree": degree(wide, "cse_shared_operations"),
        "shared_degree": degree(wide, "shared_operations"),
        "expanded": deepest(wide, "expanded_tree_operations"),
        "nested": deepest(wide, "nested_tree_operations"),
        "cse": deepest(wide, "cse_shared_operations"),
        "shared": deepest(wide, "shared_operations"),
        "networks": _table(rows, "network", WIDTHS, "d"),
        "logistic": _table(rows, "logistic map", (1,), "n"),
        "fitted_base": (
            f"{overstated.fitted.exponential.rate.value:.2f}"
            if overstated.fitted
            else "no result"
        ),
        "agreed": f"{_agrees(rows)} of {len(everything)}",
        "decisive": f"{measure.DECISIVE:g}",
        "confirmed": min(
            (found.exact.confirmed for found in everything if found.exact), default=0
        ),
        "swept_depth": SWEPT_DEPTH,
        "loss_swept": _swept(rows, "loss_tree_operations"),
        "expanded_swept": _swept(rows, "expanded_tree_operations"),
        "nested_swept": _swept(rows, "nested_tree_operations"),
        "shared_swept": _swept(rows, "shared_operations"),
    }
    everywhere = [laws[width, form] for width in WIDTHS for form in FORMS]
    if None in everywhere:
        return measure.Findings(facts)
    exponential = sum(law.family == "exponential" for law in everywhere if law)
    verdict = measure.Verdict(
        "C8",
        f"written out, polynomial of degree {facts['narrow_degree']} at width "
        f"{narrow}; at widths {facts['widths']} exponential with bases "
        f"{facts['expanded_bases']} (by one parameter after the other) or "
        f"{facts['nested_bases']} (from the loss back); with sharing kept, of degree "
        f"{facts['cse_degree']} and {facts['shared_degree']}",
        "conditional" if 0 < exponential < len(everywhere) else "measured",
    )
    return measure.Findings(facts, (verdict,))


ANSWER = """
Written out, a network's derivative grows exponentially with depth as soon as it is
wider than one unit: a layer multiplies it by the width, or by its square where the
chain rule is nested from the loss back. With sharing kept it grows quadratically, or
linearly.
"""

PAGE = """
A formula can be written out, so that a value used twice is written twice (a tree), or
every value can be named once and used again (sharing). Both are counted here, exactly
and without making them, for two ways to differentiate: by one parameter after the
other, as the textbook does, and with the chain rule nested from the loss back. At width
{wide} and depth {deepest} the formula takes:

* one parameter after the other, written out: {expanded} operations;
* from the loss back, written out: {nested};
* one parameter after the other, equal parts shared afterwards: {cse};
* from the loss back, shared throughout, which is reverse mode: {shared}.

So the way that has the largest tree has the smallest shared graph.

## The laws

One unit wide, nothing branches: the tree is a polynomial of degree {narrow_degree} in
the depth. At widths {widths} every unit of a layer is used by all units of the next:
the loss is multiplied by {loss_bases} with each layer, the derivative by one parameter
after the other by {expanded_bases} (times the square of the depth), the derivative
nested from the loss by {nested_bases}.

The column "chosen" is decided by the corrected Akaike criterion between a power law and
an exponential, both fitted in log space (a difference of {decisive} or more decides);
"fitted" gives the rate with its confidence interval. The column "exact" fits nothing:
the counts obey a linear recurrence, found over the rational numbers, whose
characteristic roots are the law; at least {confirmed} counts that were not needed to
find it confirm it. The two agree on the family for {agreed} sequences. They need not
agree on the rate: with a factor of the depth squared beside the exponential, the fit
over these depths gives base {fitted_base} at width {wide} where the law has {wide}.

{networks}

The letter d is the number of hidden layers.

## Against the width

At depth {swept_depth} the operations grow with the width like a power: the loss written
out with exponent {loss_swept}, the derivative by one parameter after the other with
{expanded_swept}, from the loss back with {nested_swept}, shared throughout with
{shared_swept}. Depth is in the exponent when a formula is written out, and nowhere when
it is not.

## The logistic map

The iterates of x ↦ `4·x·(1 − x)` are the example by which expression swell is usually
shown (Baydin et al., `2018`). They have no width, but the variable occurs twice in each
iterate, so that written out they do as a network of two units does. Laue (`2019`) shows
that the swell is a matter of how the result is written, not of how it is derived. After
n iterations:

{logistic}
"""

METRICS = {
    "loss_tree_operations": "operations in the formula of the loss, written out",
    "loss_shared_operations": "the same with equal parts written once",
    "expanded_tree_operations": "loss and all derivatives, by one parameter after the "
    "other, written out",
    "nested_tree_operations": "loss and all derivatives, nested from the loss back, "
    "written out",
    "cse_shared_operations": "one parameter after the other, equal parts written once",
    "shared_operations": "from the loss back, every value named once: reverse mode",
    "parameters_count": "parameters of the network",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="Does a derivative's formula grow exponentially with depth?",
    claims=("C8",),
    cases=cases,
    measure=measure_case,
    figure=figure,
    findings=findings,
    answer=ANSWER,
    page=PAGE,
    metrics=METRICS,
)

if __name__ == "__main__":
    from diffkit.cli import run_file

    sys.exit(run_file(__file__))

"""A random program's gradient by a backend, judged by ball arithmetic.

Two readings of the gradient's graph make the judge. One is proved to thirty digits: the
truth. The other computes with 48 bits, 32 times more coarsely than float64: the radius
that its balls reach is what rounding may do to *this* program at *this* point, so that
a gradient which cancels may be off and one which does not may not.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any, Literal

import numpy as np

from diffkit.backends import Backend, Program
from diffkit.errors import BackendError, ExpressionBudgetError
from diffkit.graph import Graph, reverse
from diffkit.interpret.balls import UndecidedError
from diffkit.interpret.exact import certify, evaluate, working
from diffkit.interpret.ulps import UlpErrors, distance, ulp_errors
from diffkit.measure.programs import RandomProgram
from diffkit.ops import TABLE

COARSE_BITS = 48
#: Precision beyond which a random program is given up as undecidable.
MOST_BITS = 4096
#: What may be off beside the coarse radius, in parts of the largest entry: an entry
#: that one order of summation gets exactly, another may not.
SLACK = 16 * 2.0**-53
#: Central differences with their own step, in parts of the largest entry and value.
DIFFERENCES = 1e-5
#: Below this nothing of a float64 is left to compare.
UNDERFLOW = 1e-300

Outcome = Literal["agrees", "wrong", "refused"]


@dataclass(frozen=True, slots=True)
class Truth:
    """The proved value and gradient of a program, and what rounding may do to it.

    `radii` are the allowed deviations of each entry, `value_radius` of the value;
    `operations` the names of what the program computes with; `smooth` says that no
    kink is in it.
    """

    value: Any
    gradients: tuple[np.ndarray, ...]
    radii: tuple[np.ndarray, ...]
    value_radius: float
    bits: int
    operations: frozenset[str]
    smooth: bool


@dataclass(frozen=True, slots=True)
class Judgement:
    """One backend on one program.

    `share` is the largest deviation as a part of what is allowed (wrong above 1);
    `errors` has the ulps and the worst entry by name.
    """

    outcome: Outcome
    share: float
    errors: UlpErrors | None
    message: str = ""


def truth_of(program: RandomProgram) -> Truth | None:
    """The judge of a program; None where float64 cannot be held to anything.

    That is where a value lies on a kink without being exactly on it, or within the
    rounding of 48 bits of one, or where coarse balls do not stay finite.
    """
    gradient = reverse(program.graph, program.wrt)
    try:
        proved = certify(gradient, program.leaves, most_bits=MOST_BITS)
        coarse = evaluate(gradient, program.leaves, COARSE_BITS)
    except (BackendError, UndecidedError):
        return None
    if any(not ball.is_finite() for balls in coarse for ball in balls.flat):
        return None
    largest = max(
        (abs(float(b)) for balls in proved.outputs[1:] for b in balls.flat), default=0.0
    )
    radii = tuple(
        np.reshape(
            [float(ball.rad()) + SLACK * largest + UNDERFLOW for ball in balls.flat],
            balls.shape,
        )
        for balls in coarse[1:]
    )
    rounding = float(coarse[0].item().rad()) + UNDERFLOW
    operations = operations_of(program.graph)
    return Truth(
        proved.outputs[0][()],
        proved.outputs[1:],
        radii,
        rounding + SLACK * abs(float(proved.outputs[0][()])),
        proved.bits,
        operations,
        all(TABLE[name].analytic for name in operations),
    )


def judge(program: RandomProgram, backend: Backend, truth: Truth) -> Judgement:
    """Run a backend on a program and hold it to the truth.

    A backend that is exact up to rounding is held to the coarse radii; differences to
    a part of the gradient's largest entry, on programs without kinks only (on others
    they are refused).
    """
    exact = backend.capabilities.exact
    if not exact and not truth.smooth:
        return Judgement("refused", 0.0, None, "differences across a kink")
    names = tuple(program.graph.input_names)
    given = Program(program.graph, program.wrt, names, np.dtype(np.float64))
    try:
        value, gradients, _ = backend.compile(given)(program.leaves)
    except ExpressionBudgetError as stopped:
        return Judgement("refused", 0.0, None, str(stopped))
    errors = ulp_errors(gradients, truth.gradients, names, truth.bits)
    radii = truth.radii if exact else _of_differences(truth)
    off = [(float(value), truth.value, truth.value_radius)]
    for mine, balls, allowed in zip(gradients, truth.gradients, radii, strict=True):
        off += zip(
            mine.ravel().tolist(), balls.ravel(), allowed.ravel().tolist(), strict=True
        )
    share = max(_share(*entry) for entry in off)
    if share <= 1:
        return Judgement("agrees", share, errors)
    said = f"{share:.3g} times what rounding explains; {errors}\n{program!r}"
    return Judgement("wrong", share, errors, said)


def operations_of(graph: Graph) -> frozenset[str]:
    """Names of the operations that a program's outputs need."""
    alive = graph.live()
    return frozenset(
        node.op.name
        for node, needed in zip(graph.nodes, alive, strict=True)
        if needed and node.op.family != "leaf"
    )


def _of_differences(truth: Truth) -> tuple[np.ndarray, ...]:
    largest = max(
        (abs(float(b)) for balls in truth.gradients for b in balls.flat), default=0.0
    )
    scale = DIFFERENCES * max(largest, abs(float(truth.value)), 1.0)
    return tuple(radii + scale for radii in truth.radii)


def _share(given: float, true: Any, allowed: float) -> float:
    with working(COARSE_BITS * 4):
        apart = distance(given, true)
    return inf if apart is None else float(apart) / allowed

"""The truth: a graph read in ball arithmetic, every digit of it proved.

Each value is an `arb` of python-flint (Johansson, 2017): a midpoint and a radius that
together enclose the true number. Precision is raised until the radius is small enough,
so errors of float64 backends are measured against a reference that carries its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import Any

import flint
import numpy as np
from flint import arb

from diffkit.errors import BackendError, ShapeError
from diffkit.graph import Graph, Node
from diffkit.interpret.balls import ARRAYS, SCALAR, UndecidedError, objects, shown
from diffkit.ops import TABLE, Constant

INPUT, CONSTANT = TABLE["input"], TABLE["constant"]
FIRST_BITS = 256
#: Balls widen along a program: by a bit in so many operations of its longest path, as
#: measured in deep tanh networks, and so many bits should be left.
OPERATIONS_PER_BIT, LEFT_BITS = 4, 166
MOST_BITS = 1 << 16
RELATIVE = 1e-30
# Far below the smallest float64: a ball this narrow around zero is zero to any of them.
ZERO_RADIUS_EXPONENT = -1100
NOTHING = arb(2) ** ZERO_RADIUS_EXPONENT
NAMED = 3  # inputs named in a refusal before "and n more"

_IRRATIONAL: dict[str, Callable[[], arb]] = {
    "log(2)": arb.const_log2,
    "2/sqrt(pi)": lambda: 2 / arb.const_sqrt_pi(),
}
# python-flint keeps one working precision for the whole process.
_PRECISION = RLock()


@contextmanager
def working(bits: int) -> Iterator[None]:
    """Ball arithmetic at a precision in bits, by one thread at a time."""
    with _PRECISION, flint.ctx.workprec(bits):
        yield


@dataclass(frozen=True, slots=True)
class Certified:
    """Outputs of a program as object arrays of balls, and the bits they took."""

    outputs: tuple[np.ndarray, ...]
    bits: int

    def midpoints(self, output: int) -> np.ndarray:
        """One output rounded to float64."""
        return to_float(self.outputs[output])


def to_float(balls: np.ndarray, dtype: Any = np.float64) -> np.ndarray:
    """The balls' midpoints, correctly rounded to float64 or float32.

    This is the true number correctly rounded, except where it lies within a radius of
    the middle between two floats: then it is one of these two.
    """
    dtype = np.dtype(dtype)
    out = np.empty(balls.shape, np.float64)
    for place in np.ndindex(balls.shape):
        out[place] = float(balls[place])
    if dtype == np.float64:
        return out
    return _rounded_once(balls, out, dtype)


def _rounded_once(balls: np.ndarray, wide: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Narrower floats: where float64 is a tie between two, the ball decides."""
    with np.errstate(over="ignore"):
        out = wide.astype(dtype)
    for place in np.ndindex(balls.shape):
        near, middle = out[place], wide[place]
        ball: Any = balls[place]
        if float(near) == middle or not np.isfinite(near):
            continue
        other = np.nextafter(near, dtype.type(np.copysign(np.inf, middle - near)))
        if abs(float(other) - middle) == abs(float(near) - middle):
            beyond = ball.mid() - arb(float(middle))
            if (beyond > 0 and other > near) or (beyond < 0 and other < near):
                out[place] = other
    return out


def certify(
    graph: Graph,
    leaves: Sequence[Any],
    relative: float = RELATIVE,
    narrow: Callable[[list[np.ndarray]], bool] | None = None,
    labels: Sequence[str] = (),
    most_bits: int = MOST_BITS,
) -> Certified:
    """Evaluate a program to a proved accuracy.

    Starts at 256 bits, or at more for a program that is so deep that they cannot be
    enough, and doubles them until `narrow` accepts the outputs. By default
    every element of every output must be enclosed to `relative`; where the true value
    is zero no relative radius can be had, and the ball must lie within 2⁻¹¹⁰⁰ of it.
    `labels` name the outputs in messages.

    Raises BackendError, with the operation, the inputs it depends on and the radius
    reached, when a comparison cannot be decided because a value sits on a kink without
    being exactly on it, at a pole, or when `most_bits` are not enough.
    """
    bits = min(first_bits(graph), most_bits)
    accept = narrow or (lambda outputs: all(_narrow(o, relative) for o in outputs))
    while True:
        undecided: UndecidedError | None = None
        reading = _Reading(graph, leaves)
        with working(bits):
            try:
                outputs = reading.run()
                if accept(outputs):
                    return Certified(tuple(outputs), bits)
            except UndecidedError as problem:
                undecided, outputs = problem, []
            hopeless = undecided is None and reading.pole and _infinite(outputs)
            if bits >= most_bits or (hopeless and not reading.may_narrow):
                if undecided is not None:
                    reason = str(undecided)
                elif hopeless:
                    reason = f"it is not finite at {reading.pole}"
                else:
                    reason = f"its balls stay too wide: {_widest(outputs, labels)}"
                raise BackendError(
                    f"The reference could not be certified with {bits} bits: {reason}."
                    " Move the point away from the kink or the pole."
                ) from undecided
        bits *= 2


def first_bits(graph: Graph) -> int:
    """The precision to begin with: 256 bits, doubled where depth asks for more.

    A pass with too few bits takes nearly as long as one with enough, and is lost.
    """
    heights: list[int] = []
    for node in graph.nodes:
        heights.append(1 + max((heights[i] for i in node.inputs), default=0))
    wanted = LEFT_BITS + max(heights, default=0) / OPERATIONS_PER_BIT
    bits = FIRST_BITS
    while bits < wanted:
        bits *= 2
    return bits


def evaluate(graph: Graph, leaves: Sequence[Any], bits: int) -> list[np.ndarray]:
    """The outputs as object arrays of balls, at a working precision in bits."""
    with working(bits):
        return _Reading(graph, leaves).run()


class _Reading:
    """One pass over a program.

    Equal computations give one ball, the same object: x and x are then known to be
    equal although their ball has a radius, so that a tie of shared values is a tie.
    """

    def __init__(self, graph: Graph, leaves: Sequence[Any]) -> None:
        if len(leaves) != len(graph.inputs):
            raise ShapeError(
                f"The program takes {len(graph.inputs)} inputs and was given "
                f"{len(leaves)}."
            )
        self.graph, self.leaves = graph, leaves
        self.pole: str = ""  # where a number first stopped being finite, exactly
        self.may_narrow = False  # whether more bits may make a ball finite
        self._known: dict[Any, arb] = {}

    def run(self) -> list[np.ndarray]:
        """The outputs; the working precision is the caller's."""
        graph = self.graph
        values: list[np.ndarray | None] = [None] * len(graph.nodes)
        for place, leaf in zip(graph.inputs, self.leaves, strict=True):
            values[place] = self._numbers(np.asarray(leaf))
            if _infinite([values[place]]):
                self.pole = f"the input {graph.nodes[place].attribute('name')}"
        alive = graph.live()
        for here, node in enumerate(graph.nodes):
            if not alive[here] or node.op is INPUT:
                continue
            operands: list[Any] = [values[i] for i in node.inputs]
            try:
                value = self._apply(node, operands)
            except UndecidedError as problem:
                raise UndecidedError(f"{problem} in {self._where(here)}") from problem
            values[here] = value
            if node.op is not CONSTANT and _infinite([value]):
                self._not_finite(here, operands)
        results: list[Any] = [values[o] for o in graph.outputs]
        return results

    def _not_finite(self, here: int, operands: list[np.ndarray]) -> None:
        if _infinite(operands):
            return  # not the first
        if all(ball.is_exact() for operand in operands for ball in operand.flat):
            self.pole = self.pole or self._where(here)
        else:
            self.may_narrow = True

    def _where(self, here: int) -> str:
        """An operation by its name, its node, and the inputs behind it."""
        nodes = self.graph.nodes
        behind, found = {here}, []
        for i in range(here, -1, -1):
            if i in behind:
                behind.update(nodes[i].inputs)
                if nodes[i].op is INPUT:
                    found.append(nodes[i].attribute("name"))
        names = ", ".join(found[::-1][:NAMED])
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        behind_it = f", which depends on {names}{more}" if found else ""
        return f"{nodes[here].op.name} (node %{here}{behind_it})"

    def _numbers(self, array: np.ndarray) -> np.ndarray:
        out = np.empty(array.shape, dtype=object)
        known = self._known
        for place in np.ndindex(array.shape):
            number = float(array[place])
            ball = known.get(number)
            if ball is None:
                ball = known[number] = arb(number)
            out[place] = ball
        return out

    def _apply(self, node: Node, operands: list[np.ndarray]) -> np.ndarray:
        if node.op is CONSTANT:
            held: Constant = node.attribute("value")
            if held.formula is not None:
                return objects(_IRRATIONAL[held.formula]())
            return self._numbers(held.array)
        if node.op.family == "elementwise":
            return self._elementwise(node, operands)
        if node.op.name in ARRAYS:
            return ARRAYS[node.op.name](operands, **node.keywords)
        placed = node.op.numpy(*operands, **node.keywords)
        if node.op.name != "scatter":
            return objects(placed)
        # Empty places are exact zeros.
        out = np.empty(node.shape, dtype=object)
        for place in np.ndindex(node.shape):
            element: Any = placed[place]
            out[place] = element if isinstance(element, arb) else arb(element)
        return out

    def _elementwise(self, node: Node, operands: list[np.ndarray]) -> np.ndarray:
        name = node.op.exact or ""
        function = SCALAR[name]
        out = np.empty(node.shape, dtype=object)
        spread = [np.broadcast_to(v, node.shape).ravel().tolist() for v in operands]
        known = self._known
        balls = []
        for scalars in zip(*spread, strict=True):
            # Operands live as long as this pass, so that identities stay theirs.
            key = (name, *map(id, scalars))
            ball = known.get(key)
            if ball is None:
                ball = known[key] = function(*scalars)
            balls.append(ball)
        out.ravel()[:] = balls  # a view: it was just made
        return out


def _infinite(arrays: Sequence[Any]) -> bool:
    return not all(all(map(arb.is_finite, array.ravel().tolist())) for array in arrays)


def _widest(outputs: Sequence[np.ndarray], labels: Sequence[str]) -> str:
    """The entry whose ball is widest beside its size, with that ball."""
    worst, found = -1.0, ""
    for number, balls in enumerate(outputs):
        label = labels[number] if number < len(labels) else f"output {number}"
        for place in np.ndindex(balls.shape):
            ball: Any = balls[place]
            size = abs(ball)
            finite = ball.is_finite()
            if finite and ball.rad() <= NOTHING:
                continue
            width = float(ball.rad() / size) if finite and size > 0 else float("inf")
            if width > worst:
                index = f"[{', '.join(map(str, place))}]" if place else ""
                worst, found = width, f"{label}{index} is {shown(ball)}"
    return found


def _narrow(balls: np.ndarray, relative: float) -> bool:
    for ball in balls.flat:
        radius = ball.rad()
        if not ball.is_finite():
            return False
        if not (radius <= relative * abs(ball) or radius <= NOTHING):
            return False
    return True

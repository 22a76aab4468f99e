"""Backpropagation node by node: values forward, cotangents backward, and proofs.

One network, x → W1, b1 → ReLU → W2, b2 → sigmoid → cross-entropy, with two inputs, two
hidden units (one of them off) and one output. Run it alone::

    python experiments/backward_trace.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise, product, takewhile
from typing import Any

import lazy_loader as lazy
import numpy as np

from diffkit import functions, losses, measure, report, transform
from diffkit.graph import Graph, reverse, trace
from diffkit.interpret.numpy import evaluate
from diffkit.measure import WAYS, Case, Mode, Row

# The proofs need it, and naming the cases does not.
sympy: Any = lazy.load("sympy")

NAME = "backward_trace"
X, Y = np.array([1.0, -0.5]), np.array([1.0])
PARAMS: dict[str, np.ndarray] = {
    "W1": np.array([[0.4, -0.3], [0.2, 0.8]]),
    "b1": np.array([0.1, -0.2]),
    "W2": np.array([[0.7], [-1.1]]),
    "b2": np.array([0.05]),
}
#: Stage -> how it follows from the stage before and the parameters.
STAGES: dict[str, Callable[[Any, Any], Any]] = {
    "z1": lambda x, p: x @ p["W1"] + p["b1"],
    "a1": lambda z1, p: functions.relu(z1),
    "z2": lambda a1, p: a1 @ p["W2"] + p["b2"],
    "yhat": lambda z2, p: functions.sigmoid(z2),
    "L": lambda yhat, p: losses.binary_cross_entropy(yhat, Y),
}
FORMULAS = {
    "z2": "ŷ − y",
    "W2": "a1ᵀ(ŷ − y)",
    "b2": "ŷ − y",
    "a1": "(ŷ − y)·W2ᵀ",
    "z1": "dL/da1 · [z1 > 0]",
    "W1": "xᵀ·dL/dz1",
    "b1": "dL/dz1",
}
WIDTHS = (1, 2, 4, 8, 16, 32)
DEPTHS = tuple(range(1, 11))
SUMMED_WIDTH, SUMMED_DEPTH = 3, 4
#: Digits that tell any float from its neighbours, and those of the proved derivative.
FLOAT_DIGITS, PROVED_DIGITS = 17, 30


def cases(mode: Mode) -> list[Case]:
    """The trace by each way; proofs, paths and order once."""

    def made(way: str, part: str) -> Case:
        return measure.case(
            NAME, way, runtime=WAYS[way].runtime, timed=False, part=part
        )

    return [
        *(made(way, "trace") for way in WAYS),
        measure.case(NAME, "exact", timed=False, part="proved_digits"),
        made("symbolic_shared", "proof"),
        made("autodiff", "paths"),
        made("autodiff", "order"),
    ]


def measure_case(case: Case) -> list[Row]:
    """The counted rows of one cell."""
    parts = {
        "trace": _trace,
        "proved_digits": _proved_digits,
        "proof": _proof,
        "paths": _paths,
        "order": _order,
    }
    return parts[case["part"]](case)


def forward_values() -> dict[str, np.ndarray]:
    """The value of every stage, from left to right."""
    values, here = {}, X
    for name, stage in STAGES.items():
        values[name] = here = np.asarray(stage(here, PARAMS))
    return values


def rest_from(name: str) -> Callable[[Any, Any], Any]:
    """The loss as a function of one stage's value: everything to its right."""
    names = list(STAGES)
    later = names[names.index(name) + 1 :]

    def rest(value: Any, params: Any) -> Any:
        for stage in later:
            value = STAGES[stage](value, params)
        return value

    return rest


def loss(params: Any) -> Any:
    """The loss of the network at its one example."""
    return rest_from("z1")(STAGES["z1"](X, params), params)


def by_hand() -> dict[str, np.ndarray]:
    """The claimed formulas, evaluated in NumPy alone."""
    z1 = X @ PARAMS["W1"] + PARAMS["b1"]
    a1 = np.maximum(z1, 0.0)
    z2 = a1 @ PARAMS["W2"] + PARAMS["b2"]
    at_z2 = 1.0 / (1.0 + np.exp(-z2)) - Y
    at_a1 = at_z2 @ PARAMS["W2"].T
    at_z1 = at_a1 * (z1 > 0)
    return {
        "z2": at_z2,
        "W2": np.outer(a1, at_z2),
        "b2": at_z2,
        "a1": at_a1,
        "z1": at_z1,
        "W1": np.outer(X, at_z1),
        "b1": at_z1,
    }


def entries(params: Mapping[str, Any]) -> dict[str, Any]:
    """Every entry of the parameters by its name: `W1_0` to `b2_0`, row by row."""
    return {
        f"{name}_{place}": entry
        for name, value in params.items()
        for place, entry in enumerate(np.ravel(value))
    }


def proved() -> dict[str, str]:
    """The derivative by every entry as a decimal of thirty digits, each proved."""
    prepared = transform.prepare(loss, PARAMS)
    reference = measure.reference_gradient(prepared, PARAMS)
    # Leaves come in the order of their names: "params['W1']" and so on.
    by_name = dict(zip(sorted(PARAMS), reference.gradients, strict=True))
    return {
        name: ball.str(PROVED_DIGITS, radius=False)
        for name, ball in entries(by_name).items()
    }


def agreeing_digits(given: float, true: str) -> int:
    """Leading digits that a float, written with seventeen, shares with a decimal.

    All seventeen where both are zero; none where the first digit stands elsewhere.

    >>> agreeing_digits(0.1234999, "0.12345"), agreeing_digits(0.0, "0")
    (4, 17)
    """
    known = Decimal(true)
    if not known:
        return FLOAT_DIGITS if given == 0 else 0
    (mine, power), (theirs, place) = (
        f"{number:.{FLOAT_DIGITS - 1}e}".split("e") for number in (given, known)
    )
    if int(power) != int(place):
        return 0
    same = takewhile(lambda pair: pair[0] == pair[1], zip(mine, theirs, strict=False))
    return sum(character.isdigit() for character, _ in same)


def _proved_digits(case: Case) -> list[Row]:
    return [
        case.row(f"{name}_derivative_value", float(digits), message=digits)
        for name, digits in proved().items()
    ]


def _trace(case: Case) -> list[Row]:
    values, hand = forward_values(), by_hand()
    given: dict[str, np.ndarray] = {}
    for name, value in values.items():
        if name == "L":
            given[name] = np.array(1.0)
            continue
        rest = rest_from(name)
        prepared = measure.prepare_by(case.backend, rest, value, PARAMS)
        given[name] = prepared(value, PARAMS)[1]
    gradient = measure.prepare_by(case.backend, loss, PARAMS)(PARAMS)[1]
    given |= gradient
    rows = [case.row("x_value", X[0], samples=X), case.row("y_value", Y[0])]
    true = proved()
    for name, entry in entries(gradient).items():
        rows += [
            case.row(f"{name}_derivative_value", entry),
            case.row(f"{name}_digits_count", agreeing_digits(entry, true[name])),
        ]
    for name, cotangent in given.items():
        value = values[name] if name in values else PARAMS[name]
        rows += [
            case.row(f"{name}_value", np.ravel(value)[0], samples=np.ravel(value)),
            case.row(
                f"{name}_cotangent_value",
                np.ravel(cotangent)[0],
                samples=np.ravel(cotangent),
            ),
        ]
        if name in hand:
            off = measure.relative_error(cotangent, hand[name])
            rows.append(case.row(f"{name}_formula_error", off))
    # Incoming × local = outgoing, stage by stage from the right.
    for before, after in pairwise(STAGES):
        local = np.atleast_2d(
            transform.jacobian(STAGES[after])(values[before], PARAMS)
        ).reshape(values[after].size, values[before].size)
        outgoing = np.ravel(given[after]) @ local
        rows += [
            case.row(f"{after}_local_value", local.flat[0], samples=local.flat),
            case.row(
                f"{after}_chain_error",
                measure.relative_error(outgoing, np.ravel(given[before])),
            ),
        ]

    def point(p: Any) -> Any:
        return (p[0] * 2.0 + p[1] - 5.0) ** 2

    at = np.ones(2)
    _, slope = measure.prepare_by(case.backend, point, at)(at)
    return [
        *rows,
        case.row("point_w_value", slope[0]),
        case.row("point_b_value", slope[1]),
    ]


def _proof(case: Case) -> list[Row]:
    """Each formula less SymPy's derivative, for either side of each ReLU."""
    w1 = sympy.Matrix(2, 2, sympy.symbols("u11 u12 u21 u22"))
    b1 = sympy.Matrix(1, 2, sympy.symbols("c1 c2"))
    w2 = sympy.Matrix(2, 1, sympy.symbols("v1 v2"))
    x = sympy.Matrix(1, 2, sympy.symbols("x1 x2"))
    b2, y, z = sympy.symbols("b2 y z")
    proved: dict[str, list[bool]] = {name: [] for name in FORMULAS}

    def entropy(logit: Any) -> Any:
        p = 1 / (1 + sympy.exp(-logit))
        return -(y * sympy.log(p) + (1 - y) * sympy.log(1 - p))

    def is_zero(expression: Any) -> bool:
        return sympy.simplify(expression) == 0

    at_z2 = 1 / (1 + sympy.exp(-z)) - y
    proved["z2"].append(is_zero(sympy.diff(entropy(z), z) - at_z2))
    # By that, dL/dz2 is one factor, and what is left to prove are the derivatives
    # of z2 by everything before it.
    delta = sympy.Symbol("delta")
    for gates in product((0, 1), repeat=2):
        gate = sympy.diag(*gates)
        a1 = (x * w1 + b1) * gate
        a = sympy.Matrix(1, 2, sympy.symbols("a1 a2"))
        z2_of_a = (a * w2)[0] + b2
        z2 = (a1 * w2)[0] + b2
        at_a1 = delta * w2.T
        at_z1 = at_a1 * gate
        claims = {
            "W2": (w2, a1.T * delta, z2),
            "a1": (a, at_a1, z2_of_a),
            "W1": (w1, x.T * at_z1, z2),
            "b1": (b1, at_z1, z2),
        }
        for name, (variables, formula, logit) in claims.items():
            left = variables.applyfunc(lambda v, f=logit: delta * sympy.diff(f, v))
            proved[name].append(all(is_zero(entry) for entry in left - formula))
        proved["b2"].append(is_zero(delta * sympy.diff(z2, b2) - delta))
        # z1 enters by b1 alone: their derivatives are one.
        proved["z1"].append(proved["b1"][-1])
    return [
        row
        for name, cases_ in proved.items()
        for row in (
            case.row(f"{name}_proved_count", sum(cases_)),
            case.row(f"{name}_to_prove_count", len(cases_)),
        )
    ]


def chain_of(width: int, depth: int, seed: int = 0) -> list[np.ndarray]:
    """Weights of a tanh network from one input through hidden layers to one output."""
    rng = np.random.default_rng(seed)
    sizes = [1, *[width] * depth, 1]
    return [rng.normal(size=pair) / np.sqrt(pair[0]) for pair in pairwise(sizes)]


def deep(weights: Any, x: Any) -> Any:
    """The output of that network, as a number."""
    for w in weights[:-1]:
        x = np.tanh(x @ w)
    return np.sum(x @ weights[-1])


def path_products(weights: Sequence[np.ndarray], x: np.ndarray) -> list[float]:
    """The product of factors along every path from the first weight to the output."""
    slopes, here = [], x
    for w in weights[:-1]:
        here = np.tanh(here @ w)
        slopes.append(1.0 - here[0] ** 2)
    found = []
    for path in product(range(weights[1].shape[0]), repeat=len(weights) - 2):
        units = (0, *path)
        factor = x[0, 0]
        for layer, unit in enumerate(units):
            factor = factor * slopes[layer][unit]
            after = units[layer + 1] if layer + 1 < len(units) else 0
            factor = factor * weights[layer + 1][unit, after]
        found.append(float(factor))
    return found


def _paths(case: Case) -> list[Row]:
    rows = []
    for width in WIDTHS:
        for depth in DEPTHS:
            graph = trace(deep, chain_of(width, depth), np.ones((1, 1)))
            label = f"width_{width}_depth_{depth}"
            scalars = width * depth + 1
            rows += [
                # From one weight of the first layer on, each later layer is a choice.
                case.row(f"{label}_paths_count", width ** (depth - 1)),
                case.row(f"{label}_scalars_nodes", scalars),
                case.row(f"{label}_shared_operations", graph.size().operations),
            ]
    x = np.array([[0.7]])
    for width in (1, SUMMED_WIDTH):
        weights = chain_of(width, SUMMED_DEPTH)
        products = path_products(weights, x)
        prepared = measure.prepare_by(case.backend, deep, weights, x)
        gradient = float(prepared(weights, x)[1][0][0, 0])
        rows += [
            case.row(f"summed_{width}_gradient_value", gradient),
            case.row(f"summed_{width}_paths_count", len(products)),
            case.row(f"summed_{width}_path_value", products[0], samples=products),
            case.row(
                f"summed_{width}_error",
                measure.relative_error([sum(products)], [gradient]),
            ),
            case.row(f"summed_{width}_one_path_ratio", products[0] / gradient),
        ]
    return rows


def small_graph(w: Any, b: Any, x: Any, target: Any) -> Any:
    """The graph of the claim: y = xw + b, ReLU, loss."""
    return (functions.relu(x * w + b) - target) ** 2


def _order(case: Case) -> list[Row]:
    """Where forward values and cotangents stand in the program that reverse made."""
    # No two of the values on the way are equal: a place is found by its value.
    w, b, x, target = 0.8, 0.3, 1.25, 2.0
    forward = trace(small_graph, w, b, x, target)
    both = reverse(forward, (0, 1))
    everything = Graph(both.nodes, both.inputs, tuple(range(len(both.nodes))))
    values = [float(v) for v in evaluate(everything, (w, b, x, target))]
    linear = w * x + b
    stages = {
        "linear": linear,
        "relu": max(linear, 0.0),
        "loss": (linear - target) ** 2,
    }
    at_relu = 2.0 * (linear - target)
    backward = {"relu": at_relu, "w": at_relu * x}
    first = len(forward.nodes)

    def place(value: float, start: int) -> int:
        return next(
            i
            for i in range(start, len(values))
            if abs(values[i] - value) <= 1e-12 * abs(value)
        )

    places = {}
    for name, value in stages.items():
        # Where ReLU changes nothing its value is that of the node before.
        places[name] = place(value, max(places.values(), default=-1) + 1)
    return [
        case.row("forward_nodes", first, message=forward.listing()),
        case.row("both_nodes", len(both.nodes), message=both.listing()),
        case.row("forward_first_count", int(both.nodes[:first] == forward.nodes)),
        *(case.row(f"{name}_place_count", at) for name, at in places.items()),
        *(
            case.row(f"{name}_cotangent_place_count", place(value, first))
            for name, value in backward.items()
        ),
        case.row("small_w_value", values[both.outputs[1]]),
        case.row("small_b_value", values[both.outputs[2]]),
    ]


def figure(rows: Sequence[Row]):
    """Values and cotangents of every node, and paths against nodes."""
    figures = report.figures
    shown, (graph, paths) = figures.panels(1, 2, width=14.5, height=5.2)
    graph.set_title(
        "Values go right, cotangents come back: incoming × local = outgoing"
    )
    graph.set_axis_off()
    graph.set_xlim(-0.6, 5.6)
    graph.set_ylim(-0.95, 0.95)
    names = {
        "x": "input\nx",
        "z1": "z1 =\nxW1 + b1",
        "a1": "a1 =\nReLU(z1)",
        "z2": "z2 =\na1W2 + b2",
        "yhat": "ŷ =\nσ(z2)",
        "L": "loss\nL(ŷ, y)",
    }
    look = figures.look_of("finite_differences_central")
    for place, (name, title) in enumerate(names.items()):
        value = (
            tuple(X)
            if name == "x"
            else report.samples_of(rows, f"{name}_value", "autodiff", part="trace")
        )
        back = report.samples_of(
            rows, f"{name}_cotangent_value", "autodiff", part="trace"
        )
        graph.text(
            place,
            0.4,
            title,
            ha="center",
            fontsize=9,
            fontweight="bold",
        )
        graph.text(
            place,
            0.12,
            "\n".join(f"{v:.4f}" for v in value) or "?",
            ha="center",
            va="center",
            color="#0072B2",
            bbox={"facecolor": "#e8f1f8", "edgecolor": "#0072B2", "pad": 4},
        )
        if back:
            graph.text(
                place,
                -0.5,
                "\n".join(f"{v:.4f}" for v in back),
                ha="center",
                va="center",
                color=look.colour,
                bbox={"facecolor": "#fbeee6", "edgecolor": look.colour, "pad": 4},
            )
        if place:
            graph.annotate(
                "",
                (place - 0.32, 0.12),
                (place - 0.68, 0.12),
                arrowprops={"arrowstyle": "->", "color": "#0072B2"},
            )
        if place > 1:
            graph.annotate(
                "",
                (place - 0.68, -0.5),
                (place - 0.32, -0.5),
                arrowprops={"arrowstyle": "->", "color": look.colour},
            )
    graph.text(-0.6, 0.8, "forward: values", color="#0072B2")
    graph.text(-0.6, -0.85, "backward: dL/d(node)", color=look.colour)
    looks = figures.looks([f"width {width}" for width in WIDTHS])
    figures.draw(
        paths,
        [
            figures.Line(
                looks[f"width {width}"],
                [
                    (depth, float(row.value or 0))
                    for depth in DEPTHS
                    for row in report.rows_of(
                        rows, f"width_{width}_depth_{depth}_paths_count"
                    )
                ],
            )
            for width in WIDTHS
        ]
        + [
            figures.Line(
                figures.Look("nodes, width 32", "#777777", "", "--"),
                [
                    (depth, float(row.value or 0))
                    for depth in DEPTHS
                    for row in report.rows_of(
                        rows, f"width_{WIDTHS[-1]}_depth_{depth}_scalars_nodes"
                    )
                ],
            )
        ],
        title="Paths multiply with depth, nodes add up: hence backprop",
        x="hidden layers",
        y="paths from one first weight to the loss",
        x_scale="linear",
    )
    return shown


def findings(rows: Sequence[Row]) -> measure.Findings:
    """The facts that the page may state."""
    numbers, said, value = report.numbers, report.said, report.value_of
    exact = [way for way in WAYS if not way.startswith("finite")]

    def worst(suffix: str, ways: Sequence[str]) -> float | None:
        return max(
            (
                float(row.value)
                for row in rows
                if row.metric.endswith(suffix)
                and row.value is not None
                and row.backend in ways
                and row.get("part") == "trace"
            ),
            default=None,
        )

    def shown(metric: str) -> str:
        samples = report.samples_of(rows, metric, "autodiff", part="trace")
        return ", ".join(f"{v:.6f}" for v in samples) or "no result"

    def proved(name: str) -> str:
        done = value(rows, f"{name}_proved_count")
        wanted = value(rows, f"{name}_to_prove_count")
        return f"{said(done)} of {said(wanted)}"

    nodes = report.markdown_table(
        ["node", "value", "dL/d(node)", "local derivative", "chain off by"],
        [
            [
                f"`{name}`",
                shown(f"{name}_value"),
                shown(f"{name}_cotangent_value"),
                shown(f"{name}_local_value"),
                said(
                    value(rows, f"{name}_chain_error", "autodiff", part="trace"),
                    numbers.scientific,
                ),
            ]
            for name in STAGES
        ],
    )
    formulas = report.markdown_table(
        ["by", "formula", "value", "proved, cases", "off, reverse", "off, differences"],
        [
            [
                f"`{name}`",
                formula,
                shown(f"{name}_cotangent_value"),
                proved(name),
                *(
                    said(
                        value(rows, f"{name}_formula_error", way, part="trace"),
                        numbers.scientific,
                    )
                    for way in ("autodiff", "finite_differences_central")
                ),
            ]
            for name, formula in FORMULAS.items()
        ],
        numbers_from=2,
    )
    counts = [
        (
            value(rows, f"{name}_proved_count"),
            value(rows, f"{name}_to_prove_count"),
        )
        for name in FORMULAS
    ]
    all_proved = all(done is not None and done == of for done, of in counts)
    points = {
        row.backend: (row.value, value(rows, "point_b_value", row.backend))
        for row in report.rows_of(rows, "point_w_value", part="trace")
    }
    off_point = max(
        (
            max(abs(float(w or 0.0) + 8.0), abs(float(b or 0.0) + 4.0))
            for w, b in points.values()
        ),
        default=None,
    )
    deepest = f"width_{WIDTHS[-1]}_depth_{DEPTHS[-1]}"
    order = {
        name: value(rows, f"{name}_place_count")
        for name in ("linear", "relu", "loss", "relu_cotangent", "w_cotangent")
    }
    places = [place for place in order.values() if place is not None]
    facts = {
        "hand": said(worst("_formula_error", exact), numbers.scientific),
        "hand_differences": said(
            worst("_formula_error", ["finite_differences_central"]), numbers.scientific
        ),
        "chain": said(worst("_chain_error", exact), numbers.scientific),
        "nodes": nodes,
        "formulas": formulas,
        "proved": "every formula is proved" if all_proved else "not all is proved",
        "paths": said(value(rows, f"{deepest}_paths_count"), numbers.count),
        "path_nodes": said(value(rows, f"{deepest}_scalars_nodes"), numbers.count),
        "width": WIDTHS[-1],
        "depth": DEPTHS[-1],
        "summed": said(
            value(rows, f"summed_{SUMMED_WIDTH}_paths_count"), numbers.count
        ),
        "summed_width": SUMMED_WIDTH,
        "summed_depth": SUMMED_DEPTH,
        "summed_error": said(
            value(rows, f"summed_{SUMMED_WIDTH}_error"), numbers.scientific
        ),
        "narrow_error": said(value(rows, "summed_1_error"), numbers.scientific),
        "one_path": said(
            value(rows, f"summed_{SUMMED_WIDTH}_one_path_ratio"), "{:.3f}".format
        ),
        "ways": len(points),
        "point_off": said(off_point, numbers.scientific),
        "forward_nodes": said(value(rows, "forward_nodes"), numbers.count),
        "both_nodes": said(value(rows, "both_nodes"), numbers.count),
        "order": ", ".join(
            f"{name.replace('_', ' ')} at {said(place)}"
            for name, place in order.items()
        ),
    }
    verdicts = []
    if any(done is not None for done, _ in counts):
        verdicts.append(
            measure.Verdict(
                "C16",
                f"{facts['proved']} by SymPy for either side of each ReLU; every exact "
                f"way has their values to {facts['hand']}",
                "right" if all_proved else "conditional",
            )
        )
    if value(rows, f"summed_{SUMMED_WIDTH}_error") is not None:
        verdicts.append(
            measure.Verdict(
                "C17",
                f"true for width one (off by {facts['narrow_error']}); at width "
                f"{SUMMED_WIDTH} and depth {SUMMED_DEPTH} the gradient is the sum "
                f"over {facts['summed']} such products (off by "
                f"{facts['summed_error']}), one of which is {facts['one_path']} of it",
                "conditional",
            )
        )
    if len(places) == len(order):
        forward_first = value(rows, "forward_first_count") == 1
        verdicts.append(
            measure.Verdict(
                "C18",
                f"in the program that reverse mode makes: {facts['order']}",
                "right" if forward_first and places == sorted(places) else "wrong",
            )
        )
    if off_point is not None:
        verdicts.append(
            measure.Verdict(
                "C13",
                f"[−8, −4] to within {facts['point_off']} by {facts['ways']} ways",
                "measured",
            )
        )
    return measure.Findings(facts, tuple(verdicts))


def tables(rows: Sequence[Row]) -> dict[str, str]:
    """The tables beside the figure."""
    facts = findings(rows).facts
    return {
        "Node by node": facts["nodes"],
        "The formulas": facts["formulas"],
    }


ANSWER = """
Each node multiplies what comes in by its own derivative and hands it on; {proved} by
SymPy, and every exact way agrees with the formulas to {hand}.
"""

PAGE = """
The network takes two inputs through two ReLU units, of which the second is off, to one
sigmoid and cross-entropy.

## Forward, then backward

Values from left to right, then derivatives of the loss from right to left. The local
derivative of a node is that of its value by the node before (row by row); incoming
times local is what goes out, to {chain}.

## The formulas, proved

The derivative that SymPy finds, less the formula, simplifies to zero; where a ReLU
stands between, for each side of each kink. By hand formulas in NumPy the values agree
with every exact way to {hand} and with central differences to {hand_differences}.

## One path, and all of them

In a network of one unit a layer the derivative by the first weight is the product of
one factor per layer (off by {narrow_error}). With {summed_width} units in each of
{summed_depth} layers it is the sum of such products over {summed} paths; one of them
alone is {one_path} of the gradient, their sum is off by {summed_error}. At width
{width} and depth {depth} there are {paths} paths, through {path_nodes} nodes: reverse
mode visits each node once, and never a path.

## The order of the work

For xw + b, ReLU, squared loss the traced program has {forward_nodes} nodes, and the one
with its gradient {both_nodes}, the forward ones first. Places of values and cotangents
in it: {order}.

## A derivative at one point

For the loss (wx + b − y)² at the claim's point, the gradient of {ways} ways is the
claimed one to within {point_off}.
"""

METRICS = {
    "N_value, N_cotangent_value": "a node's value and the loss's derivative by it; "
    "samples: all entries, row by row (`yhat` is ŷ, `L` the loss)",
    "x_value, y_value": "the example: its inputs and its label",
    "P_I_derivative_value": "the loss's derivative by entry I of parameter P; by "
    f"`exact` in ball arithmetic, with {PROVED_DIGITS} proved digits as its message",
    "P_I_digits_count": f"leading digits, of {FLOAT_DIGITS}, that are the proved ones",
    "N_formula_error": "deviation from the formula in NumPy over the largest entry",
    "N_local_value": "derivative of a stage's value by the stage before it",
    "N_chain_error": "incoming × local less what the stage before has",
    "N_proved_count, N_to_prove_count": "cases (sides of the kinks) in which the "
    "difference from the formula simplifies to 0",
    "width_W_depth_D_…": "paths from one first weight to the loss, scalar nodes that "
    "hold activations, operations of the forward program",
    "summed_W_…": f"the sum over paths at depth {SUMMED_DEPTH}; samples: every path",
    "forward_nodes, both_nodes": "nodes of the small program, alone and with its "
    "gradient; message: its listing",
    "N_place_count, N_cotangent_place_count": "place in the program",
    "point_w_value, point_b_value": "gradient of (wx + b − y)² at (1, 1), (2, 5)",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="What happens at each node when a network runs backward?",
    claims=("C16", "C17", "C18", "C13"),
    cases=cases,
    measure=measure_case,
    figure=figure,
    findings=findings,
    answer=ANSWER,
    page=PAGE,
    metrics=METRICS,
    tables=tables,
)

if __name__ == "__main__":
    from diffkit.cli import run_file

    sys.exit(run_file(__file__))

"""Classic bugs, shown with their numbers, and what cures each of them.

Run it alone::

    python experiments/pitfalls.py
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from diffkit import functions, losses, measure, nn, optim, report, train
from diffkit.backends import get_backend
from diffkit.interpret.ulps import ulps
from diffkit.measure import Case, Mode, Row
from diffkit.transform import prepare

NAME = "pitfalls"
CALLS = 10
RATE, LARGE_RATE, STEPS = 0.1, 1.0, 100
PARTS = (
    "accumulation",
    "large_rate",
    "equal_weights",
    "relu_at_zero",
    "kink",
    "float32_step",
    "naive_softmax",
    "printed_sigmoid",
    "printed_tanh",
)
#: Steps of differences in float32, from far too small to far too large.
H = np.logspace(-9, 0, 37)
#: The step that is right for float64: the cube root of its unit roundoff.
H64 = float((np.finfo(np.float64).eps / 2) ** (1 / 3))
#: How far from the kink of |x| the point lies, in steps.
OFFSETS = np.linspace(-2.0, 2.0, 81)
LOGITS = np.arange(0.0, 1001.0, 10.0)
SIGMOID_Z, TANH_Z = -750.0, 10.0
Z = np.linspace(-800.0, 40.0, 106)
TANH_LINE = np.linspace(0.0, 19.0, 77)


def cases(mode: Mode) -> list[Case]:
    """Each pitfall once."""
    return [
        measure.case(NAME, "autodiff", runtime="engine", timed=False, part=part)
        for part in PARTS
    ]


def measure_case(case: Case) -> list[Row]:
    """The counted rows of one pitfall."""
    measured: dict[str, Callable[[Case], list[Row]]] = {
        "accumulation": _accumulation,
        "large_rate": _large_rate,
        "equal_weights": _equal_weights,
        "relu_at_zero": _relu_at_zero,
        "kink": _kink,
        "float32_step": _float32_step,
        "naive_softmax": _naive_softmax,
        "printed_sigmoid": _printed_sigmoid,
        "printed_tanh": _printed_tanh,
    }
    return measured[case["part"]](case)


def line_loss(p, x, y):
    """Mean squared error of the line p[0]·x + p[1]."""
    return losses.mse(p[0] * x + p[1], y)


def _line(case: Case):
    x, y = train.data.linear_regression().train
    prepared = measure.prepare_by(case.backend, line_loss, np.zeros(2), x, y)
    return lambda p: prepared(p, x, y)


def _accumulation(case: Case) -> list[Row]:
    """The same gradient asked for k times into one buffer; and training with it."""
    value_and_grad = _line(case)
    p = np.zeros(2)
    gradient = value_and_grad(p)[1]
    buffer, ratios = np.zeros(2), []
    for _ in range(CALLS):
        buffer = buffer + value_and_grad(p)[1]
        ratios.append(float(buffer[0] / gradient[0]))
    rows = [
        case.row("gradient_value", gradient[0], samples=gradient),
        case.row("buffer_ratio", ratios[-1], samples=ratios),
    ]
    for name, forget in (("zeroed", False), ("forgotten", True)):
        p, buffer, values = np.zeros(2), np.zeros(2), []
        for _ in range(STEPS):
            value, gradient = value_and_grad(p)
            values.append(float(value))
            buffer = buffer + gradient if forget else gradient
            p = p - RATE * buffer
        rows.append(case.row(f"{name}_loss", values[-1], samples=values))
    return rows


def _large_rate(case: Case) -> list[Row]:
    value_and_grad = _line(case)
    rows = []
    for name, rate in (("usual", RATE), ("large", LARGE_RATE)):
        path = measure.descend(value_and_grad, optim.sgd(rate), np.zeros(2), STEPS)
        rows.append(case.row(f"{name}_rate_loss", path.values[-1], samples=path.values))
    return rows


def _equal_weights(case: Case) -> list[Row]:
    """XOR by 2-4-1, started from zeros, from equal weights, and from random ones."""
    x, labels = train.data.xor().train
    y = labels[:, None].astype(float)
    net = nn.mlp((2, 4, 1), "tanh")

    def loss(params, x, y):
        return losses.binary_cross_entropy_with_logits(net.apply(params, x), y)

    random = net.init(np.random.default_rng(case.seed))
    prepared = measure.prepare_by(case.backend, loss, random, x, y)
    start, value_and_grad, nested = measure.on_vector(prepared, random, x, y)
    rows = []
    for name, at in (
        ("zeros", np.zeros_like(start)),
        ("equal", np.full_like(start, 0.5)),
        ("random", start),
    ):
        path = measure.descend(value_and_grad, optim.adam(RATE), at, 2 * STEPS)
        hidden = np.asarray(nested(path.last)[0]["weight"])
        # Units are columns: how far they have come apart.
        apart = float(np.max(np.ptp(hidden, axis=1)))
        first = nested(path.gradients[0])[0]["weight"]
        rows += [
            case.row(f"{name}_start_loss", path.values[-1], samples=path.values),
            case.row(f"{name}_units_apart_value", apart),
            case.row(f"{name}_hidden_gradient_value", np.max(np.abs(first))),
        ]
    return rows


def _relu_at_zero(case: Case) -> list[Row]:
    """Zero biases put a ReLU exactly on its kink for the input (0, 0)."""
    net = nn.mlp((2, 8, 1), "relu")
    params = net.init(np.random.default_rng(case.seed))
    x, y = np.zeros((1, 2)), np.ones((1, 1))

    def loss(params, x, y):
        return losses.binary_cross_entropy_with_logits(net.apply(params, x), y)

    by: dict[str, np.ndarray] = {}
    for way in ("autodiff", "finite_differences_central"):
        prepared = measure.prepare_by(way, loss, params, x, y)
        by[way] = np.asarray(prepared(params, x, y)[1][0]["bias"])
    # From the right every unit is on: the slope there is σ(0) − y times its weight.
    right = -0.5 * np.asarray(params[2]["weight"])[:, 0]
    seen = by["finite_differences_central"] / right
    return [
        case.row("units_on_kink_count", int(np.sum(x @ params[0]["weight"] == 0.0))),
        case.row("reverse_bias_gradient_value", np.max(np.abs(by["autodiff"]))),
        case.row("differences_share_ratio", np.mean(seen), samples=seen),
    ]


def _kink(case: Case) -> list[Row]:
    """Central differences of |x| beside its kink, by distance in steps."""
    h = 1e-3
    slopes = [
        (abs(offset * h + h) - abs(offset * h - h)) / (2 * h) for offset in OFFSETS
    ]
    inside = np.abs(OFFSETS) < 1
    reverse = measure.prepare_by(case.backend, lambda x: np.sum(np.abs(x)), OFFSETS)
    true = reverse(OFFSETS)[1]
    off = np.abs(np.array(slopes) - true)
    return [
        case.row("offset_value", OFFSETS[0], samples=OFFSETS),
        case.row("kink_slope_value", slopes[0], samples=slopes),
        case.row("kink_worst_error", np.max(off)),
        case.row("kink_outside_error", np.max(off[~inside])),
    ]


def _float32_step(case: Case) -> list[Row]:
    """Differences of a float32 function with steps made for other precisions."""
    x = np.linspace(0.2, 1.2, 11)
    true = 1.0 / np.cosh(x) ** 2

    def error(h: float, dtype: Any) -> float:
        at, step = x.astype(dtype), dtype(h)
        slope = (np.tanh(at + step) - np.tanh(at - step)) / (dtype(2) * step)
        return measure.relative_error(slope, true)

    rows = [case.row("step_value", H[0], samples=H)]
    for name, dtype in (("float32", np.float32), ("float64", np.float64)):
        errors = [error(h, dtype) for h in H]
        rows += [
            case.row(f"{name}_differences_error", min(errors), samples=errors),
            case.row(f"{name}_best_step_value", H[int(np.argmin(errors))]),
            case.row(f"{name}_at_step_of_float64_error", error(H64, dtype)),
        ]
    given = x.astype(np.float32)
    # On NumPy: a float32 engine would be compiled for this one number.
    chosen = get_backend("finite_differences", method="central", runtime="numpy")
    prepared = prepare(lambda x: np.sum(np.tanh(x)), given, backend=chosen)
    slope = prepared(given)[1]
    return [*rows, case.row("own_step_error", measure.relative_error(slope, true))]


def _naive_softmax(case: Case) -> list[Row]:
    """log(softmax) as it is written, and as one function, for logits (0, d)."""

    def naive(z):
        e = np.exp(z)
        return -np.log(e[0] / np.sum(e))

    def stable(z):
        return -functions.log_softmax(z)[0]

    rows = [case.row("logits_value", LOGITS[-1], samples=LOGITS)]
    for name, function in (("naive", naive), ("stable", stable)):
        prepared = measure.prepare_by(case.backend, function, np.zeros(2))
        found = [prepared(np.array([0.0, d])) for d in LOGITS]
        bad = [
            not (np.isfinite(value) and np.isfinite(gradient).all())
            for value, gradient in found
        ]
        # A loss that is not finite is left out of the curve and counted.
        curve = [float(v) if np.isfinite(v) else -1.0 for v, _ in found]
        rows += [
            case.row(f"{name}_not_finite_count", sum(bad)),
            case.row(
                f"{name}_nan_gradients_count",
                sum(bool(np.isnan(gradient).any()) for _, gradient in found),
            ),
            case.row(f"{name}_curve_loss", curve[0], samples=curve),
        ]
        if any(bad):
            rows.append(
                case.row(f"{name}_first_not_finite_value", LOGITS[bad.index(True)])
            )
    return rows


def printed_sigmoid_slope(z: np.ndarray) -> np.ndarray:
    """The derivative as textbooks print it: e⁻ᶻ ÷ (1 + e⁻ᶻ)²."""
    with np.errstate(all="ignore"):
        return np.exp(-z) / (1.0 + np.exp(-z)) ** 2


def _printed_sigmoid(case: Case) -> list[Row]:
    prepared = measure.prepare_by(
        case.backend, lambda z: np.sum(functions.sigmoid(z)), Z
    )
    mine, printed = prepared(Z)[1], printed_sigmoid_slope(Z)
    truth = measure.reference_gradient(prepared, Z).gradients[0]
    normal = np.array([float(abs(ball).mid()) > 1e-300 for ball in truth])
    at = np.array([SIGMOID_Z])
    return [
        case.row("points_count", len(Z)),
        case.row("printed_nan_count", int(np.sum(~np.isfinite(printed)))),
        case.row("rule_nan_count", int(np.sum(~np.isfinite(mine)))),
        case.row("rule_ulps", np.max(ulps(mine, truth)[normal])),
        case.row(
            "printed_at_named_nan_count", int(np.isnan(printed_sigmoid_slope(at))[0])
        ),
    ]


def _printed_tanh(case: Case) -> list[Row]:
    """1 − tanh² against a form that does not subtract, both against the proved value.

    Two float64 methods that use the same formula agree with each other.
    """
    forms = {
        "printed": 1.0 - np.tanh(TANH_LINE) ** 2,
        "kept": 4.0
        * functions.sigmoid(2 * TANH_LINE)
        * functions.sigmoid(-2 * TANH_LINE),
    }
    prepared = measure.prepare_by(case.backend, lambda z: np.sum(np.tanh(z)), TANH_LINE)
    forms["reverse"] = prepared(TANH_LINE)[1]
    truth = measure.reference_gradient(prepared, TANH_LINE).gradients[0]
    place = int(np.argmin(np.abs(TANH_LINE - TANH_Z)))
    rows = [case.row("tanh_z_value", TANH_LINE[-1], samples=TANH_LINE)]
    for name, slope in forms.items():
        off = ulps(slope, truth)
        rows += [
            case.row(f"{name}_tanh_ulps", np.max(off), samples=off),
            case.row(f"{name}_tanh_at_named_ulps", off[place]),
            case.row(
                f"{name}_tanh_at_named_error",
                abs(float(slope[place]) - float(truth[place])) / float(truth[place]),
            ),
        ]
    apart = measure.relative_error(forms["reverse"], forms["printed"])
    return [*rows, case.row("printed_against_reverse_error", apart)]


def figure(rows: Sequence[Row]):
    """Six of the pitfalls, each with its cure beside it."""
    figures = report.figures
    shown, axes = figures.panels(2, 3, width=16.5, height=8.6)

    def curve(metric: str) -> list[tuple[float, float]]:
        return list(enumerate(report.samples_of(rows, metric)))

    def over(x: str, y: str) -> list[tuple[float, float]]:
        return list(
            zip(report.samples_of(rows, x), report.samples_of(rows, y), strict=False)
        )

    looks = figures.looks(["right", "wrong", "other"])

    def line(role: str, name: str, points: list[tuple[float, float]]) -> Any:
        look = looks[role]
        return figures.Line(
            figures.Look(name, look.colour, look.marker, look.dash), points
        )

    figures.draw(
        axes[0],
        [
            line("right", "zeroed", curve("zeroed_loss")),
            line("wrong", "forgotten", curve("forgotten_loss")),
        ],
        title="Gradients never zeroed: training swings for ever",
        x="step",
        y="loss",
        x_scale="linear",
    )
    figures.draw(
        axes[1],
        [
            line("right", "random", curve("random_start_loss")),
            line("wrong", "zeros", curve("zeros_start_loss")),
            line("other", "equal", curve("equal_start_loss")),
        ],
        title="Equal weights stay equal: XOR is never learned",
        x="step",
        y="loss",
        x_scale="linear",
    )
    figures.draw(
        axes[2],
        [
            figures.Line(
                figures.Look("central difference", "#D55E00", "s"),
                over("offset_value", "kink_slope_value"),
            ),
        ],
        title="Beside a kink a difference mixes both slopes",
        x="distance from the kink of |x|, in steps h",
        y="slope",
        x_scale="linear",
        y_scale="linear",
    )
    figures.draw(
        axes[3],
        [
            line("right", "float64", over("step_value", "float64_differences_error")),
            line("wrong", "float32", over("step_value", "float32_differences_error")),
        ],
        title="A step made for float64 drowns in float32",
        x="step h",
        y="error of a central difference",
        rules=[figures.Rule(H64, "float64's step", "x")],
    )
    powers = range(-9, 1, 3)
    axes[3].set_xticks(
        [10.0**power for power in powers],
        [report.numbers.power_of_ten(power) for power in powers],
    )
    figures.draw(
        axes[4],
        [
            line("right", "log_softmax", over("logits_value", "stable_curve_loss")),
            line(
                "wrong",
                "log(softmax)",
                [p for p in over("logits_value", "naive_curve_loss") if p[1] >= 0],
            ),
        ],
        title="log(softmax) ends where the exponential overflows",
        x="difference of two logits",
        y="loss",
        x_scale="linear",
        y_scale="linear",
    )
    figures.draw(
        axes[5],
        [
            line("right", "4σ(2z)σ(−2z)", over("tanh_z_value", "kept_tanh_ulps")),
            line("wrong", "1 − tanh²", over("tanh_z_value", "printed_tanh_ulps")),
        ],
        title="1 − tanh² loses its digits one by one",
        x="z",
        y="error, ulps of the true derivative",
        x_scale="linear",
        y_limits=(0.1, 1e17),
    )
    return shown


def findings(rows: Sequence[Row]) -> measure.Findings:
    """The facts that the page may state."""
    numbers, said = report.numbers, report.said

    def told(metric: str, words: Callable[[float], str] = numbers.scientific) -> str:
        return said(report.value_of(rows, metric), words)

    ratios = report.samples_of(rows, "buffer_ratio")
    wrong_ratio = max(
        (abs(ratio - k) for k, ratio in enumerate(ratios, start=1)), default=None
    )
    facts = {
        "calls": CALLS,
        "ratio": told("buffer_ratio", "{:g}".format),
        "ratio_off": said(wrong_ratio, numbers.scientific),
        "zeroed": told("zeroed_loss"),
        "forgotten": told("forgotten_loss"),
        "steps": STEPS,
        "rate": f"{RATE:g}",
        "large_rate": f"{LARGE_RATE:g}",
        "usual_loss": told("usual_rate_loss"),
        "large_loss": told("large_rate_loss"),
        "zeros_gradient": told("zeros_hidden_gradient_value"),
        "zeros_loss": told("zeros_start_loss", "{:.4f}".format),
        "equal_apart": told("equal_units_apart_value"),
        "equal_loss": told("equal_start_loss", "{:.4f}".format),
        "random_apart": told("random_units_apart_value", "{:.2f}".format),
        "random_loss": told("random_start_loss"),
        "kinks": told("units_on_kink_count", numbers.count),
        "reverse_bias": told("reverse_bias_gradient_value"),
        "share": told("differences_share_ratio", "{:.6f}".format),
        "kink_error": told("kink_worst_error", "{:.3f}".format),
        "outside_error": told("kink_outside_error"),
        "h64": numbers.scientific(H64),
        "single": told("float32_at_step_of_float64_error"),
        "double": told("float64_at_step_of_float64_error"),
        "best_single": told("float32_differences_error"),
        "best_single_step": told("float32_best_step_value"),
        "own": told("own_step_error"),
        "first_bad": told("naive_first_not_finite_value", "{:g}".format),
        "naive_bad": told("naive_nan_gradients_count", numbers.count),
        "stable_bad": told("stable_not_finite_count", numbers.count),
        "logits": len(LOGITS),
        "sigmoid_z": f"{SIGMOID_Z:g}",
        "printed_nan": told("printed_nan_count", numbers.count),
        "points": told("points_count", numbers.count),
        "at_z": "NaN"
        if report.value_of(rows, "printed_at_named_nan_count") == 1
        else "a number",
        "rule_nan": told("rule_nan_count", numbers.count),
        "rule_ulps": told("rule_ulps", "{:.2f}".format),
        "tanh_z": f"{TANH_Z:g}",
        "tanh_ulps": told("printed_tanh_at_named_ulps"),
        "tanh_error": told("printed_tanh_at_named_error"),
        "kept_ulps": told("kept_tanh_at_named_ulps", "{:.2f}".format),
        "apart": told("printed_against_reverse_error"),
    }
    facts["table"] = report.markdown_table(
        ["pitfall", "what shows it", "wrong", "right"],
        [
            ["gradients never zeroed", "loss", facts["forgotten"], facts["zeroed"]],
            ["too large a rate", "loss", facts["large_loss"], facts["usual_loss"]],
            ["all weights zero", "loss", facts["zeros_loss"], facts["random_loss"]],
            ["equal weights", "loss", facts["equal_loss"], facts["random_loss"]],
            ["step of float64", "error in float32", facts["single"], facts["own"]],
            ["log(softmax)", "NaN gradients", facts["naive_bad"], facts["stable_bad"]],
            ["σ′ as printed", "NaN", facts["printed_nan"], facts["rule_nan"]],
            ["1 − tanh²", "ulps", facts["tanh_ulps"], facts["kept_ulps"]],
        ],
        numbers_from=2,
    )
    verdicts = []
    if wrong_ratio is not None:
        verdicts.append(
            measure.Verdict(
                "C24",
                f"after k calls the buffer holds k times the gradient (k = 1 … "
                f"{CALLS}, off by {facts['ratio_off']}); trained so, the loss is "
                f"{facts['forgotten']} after {STEPS} steps, and {facts['zeroed']} with "
                "zeroing",
                "right" if wrong_ratio < 1e-12 else "wrong",
            )
        )
    return measure.Findings(facts, tuple(verdicts))


def tables(rows: Sequence[Row]) -> dict[str, str]:
    """The tables beside the figure."""
    facts = findings(rows).facts
    return {
        "Each pitfall and its cure": facts["table"],
    }


ANSWER = """
After {calls} calls without zeroing the buffer holds {ratio} times the gradient; equal
weights stay equal; and three formulas as textbooks print them give NaN, or lose digits
as only a proved reference shows.
"""

PAGE = """
## Gradients that are never zeroed

A library that adds gradients into a buffer leaves k times the gradient there after k
calls (off by {ratio_off} up to {calls} calls). Trained at rate {rate} for {steps}
steps, the exercise's line has a loss of {forgotten} instead of {zeroed}. Here the
backends are functions: they return a fresh gradient, and there is nothing to zero.

## Too large a rate

At rate {large_rate} the same line ends at {large_loss}, at rate {rate} at {usual_loss}.

## Equal weights

On XOR, from zeros, the first gradient of the hidden layer is {zeros_gradient} and the
loss stays at {zeros_loss}. From equal weights the units receive equal gradients: after
training they differ by {equal_apart}, and the loss is {equal_loss}. From random weights
they come apart by {random_apart}, and the loss is {random_loss}.

## A ReLU exactly on its kink

Biases begin at zero, and so the input (zero, zero) puts all {kinks} units of a layer on
the kink. Reverse mode takes the slope there as zero and gives {reverse_bias}; central
differences see {share} of the slope to the right. Neither is wrong: there is no
derivative. Comparing the two there tells nothing.

## Differences across a kink

Within one step of the kink of |x| a central difference is off by up to {kink_error};
further away by {outside_error}.

## Differences in `float32`

The step that is right for `float64`, {h64}, gives an error of {single} in `float32`,
where `float64` has {double}. The best step for `float32` is near {best_single_step},
with an error of {best_single}; the step that the backend chooses for it has {own}.

## The logarithm of a softmax

Written as it is read, the loss is not finite from a difference of logits of {first_bad}
on, and {naive_bad} of {logits} gradients are NaN; as one function, {stable_bad} are.

## σ′ as it is printed

`exp(-z)/(1+exp(-z))²` is {at_z} at z = {sigmoid_z}, and not finite at {printed_nan} of
{points} points. The rule used here is not finite at {rule_nan} of them and within
{rule_ulps} ulps of the proved value.

## The derivative of tanh as it is printed

At z = {tanh_z} `1 − tanh²` is off by {tanh_ulps} ulps, a relative error of
{tanh_error}; the form `4σ(2z)σ(−2z)` by {kept_ulps}. Reverse mode uses the printed form
(its row says so), and the two `float64` results differ by {apart} only: no comparison
between them shows the loss, the proved reference does.
"""

METRICS = {
    "buffer_ratio": "buffer over gradient after the last call; samples: call by call",
    "zeroed_loss, forgotten_loss": "the line's loss at the end; samples: step by step",
    "usual_rate_loss, large_rate_loss": "the same at two rates",
    "S_start_loss": "XOR's loss at the end from the start S; samples: step by step",
    "S_units_apart_value": "largest difference between hidden units at the end",
    "S_hidden_gradient_value": "largest entry of the hidden layer's first gradient",
    "units_on_kink_count": "ReLU units whose input is exactly 0",
    "differences_share_ratio": "central difference over the slope to the right",
    "kink_slope_value": "central difference of |x|; samples: over `offset_value`",
    "float32_…, float64_…": "central differences of tanh; samples: over `step_value`",
    "own_step_error": "the backend's float32 gradient with its own step",
    "naive_…, stable_…": "log(softmax) in two forms over `logits_value`; a sample of "
    "−1 stands for a loss that is not finite",
    "printed_…, rule_…": "σ′ as printed, and by the rule of the op",
    "F_tanh_ulps": "error of the form F of tanh′; samples: over `tanh_z_value`",
    "gradient_value": "the gradient itself",
    "kept_tanh_at_named_error, kept_tanh_at_named_ulps": "error of the form that keeps "
    "its digits, at the page's z",
    "reverse_tanh_at_named_error, reverse_tanh_at_named_ulps": "error of 1 − "
    "tanh² there, by reverse mode",
    "kink_worst_error, kink_outside_error": "error of a central difference nearer to "
    "a kink than its step, and farther",
    "reverse_bias_gradient_value": "gradient of the biases by reverse mode",
    "points_count": "points compared",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="Which bugs does everyone write once, and how large are they?",
    claims=("C24",),
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

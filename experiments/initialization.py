"""What the first weights decide: variances, symmetry, and whether anything is learned.

Activations of a deep network of 128 units a layer before any training, and small
classifiers of 8 × 8 digits trained from each kind of first weights. Run it alone::

    python experiments/initialization.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from diffkit import losses, measure, nn, optim, report, train
from diffkit.measure import Case, Mode, Row, layers
from diffkit.report.lookup import rows_of, said, samples_of, value_of

NAME = "initialization"
WIDTH, BATCH = 128, 256
DEPTH = {"quick": 20, "full": 50}
ACTIVATIONS = ("sigmoid", "tanh", "relu")
HIDDEN = 16
EPOCHS = {"quick": 10, "full": 40}
LIMITS = measure.Limits(seconds=120.0, bytes=2 << 30)


def deviation_misread(
    generator: np.random.Generator, n_in: int, n_out: int
) -> np.ndarray:
    """Xavier by one who takes the second argument of N(0, v) for the deviation."""
    return generator.standard_normal((n_in, n_out)) * (2.0 / (n_in + n_out))


RULES: dict[str, nn.Initializer] = {
    "zeros": nn.zeros,
    "constant": nn.Constant(0.1),
    "U(-1, 1)": nn.uniform,
    "Xavier": nn.xavier,
    "He": nn.he,
    "Xavier, v as deviation": deviation_misread,
}
#: Rules that make the units of a layer alike.
ALIKE = ("zeros", "constant")


def cases(mode: Mode) -> list[Case]:
    """Every rule with every activation: once as it stands, once trained."""
    return [
        measure.case(
            NAME,
            "autodiff",
            runtime="engine",
            timed=False,
            limits=LIMITS,
            part=part,
            activation=activation,
            init=init,
            size=size,
        )
        for part, size in (("variance", DEPTH[mode]), ("training", EPOCHS[mode]))
        for activation in ACTIVATIONS
        for init in RULES
    ]


def measure_case(case: Case) -> list[Row]:
    """The rows of one part."""
    return _variances(case) if case["part"] == "variance" else _training(case)


def spreads(
    activation: str, rule: nn.Initializer, depth: int, seed: int = 0
) -> tuple[list[float], list[float]]:
    """Variance of what enters the activations, and mean square of what leaves them.

    Layer by layer, over a batch of standard normal inputs and all units; the inputs
    themselves come first. Weights only: biases are zero, as they start.
    """
    generator = np.random.default_rng(seed)
    h = generator.standard_normal((BATCH, WIDTH))
    act = nn.get_activation(activation)
    before, after = [float(h.var())], [float(np.mean(h**2))]
    for _ in range(depth):
        z = h @ rule(generator, WIDTH, WIDTH)
        h = np.asarray(act.apply((), z))
        before.append(float(z.var()))
        after.append(float(np.mean(h**2)))
    return before, after


def _variances(case: Case) -> list[Row]:
    before, after = spreads(
        case["activation"], RULES[case["init"]], case["size"], case.seed
    )
    weights = RULES[case["init"]](np.random.default_rng(1), WIDTH, WIDTH)
    return [
        case.row("weight_variance_value", float(weights.var())),
        case.row("preactivation_variance_value", before[-1], samples=before),
        case.row("activation_square_value", after[-1], samples=after),
        case.row("last_over_first_ratio", after[-1] / after[1] if after[1] else 0.0),
    ]


def different_units(weights: np.ndarray) -> int:
    """How many different units a layer has: columns that differ in any bit."""
    return len(np.unique(weights, axis=1).T)


def _training(case: Case) -> list[Row]:
    data = train.data.digits(validation=0.25)
    net = nn.mlp(
        (64, HIDDEN, HIDDEN, 10), case["activation"], initializer=RULES[case["init"]]
    )
    history = train.fit(
        net,
        losses.cross_entropy,
        optim.momentum(0.05),
        data.train,
        epochs=case["size"],
        batch_size=64,
        validation=data.validation,
        metrics={"accuracy": train.metrics.accuracy},
        rng=case.seed,
        on_divergence="stop",
        progress=False,
    )
    first, second = layers.matrices(history.params)[:2]
    return [
        *measure.curve_rows(case, history, ("accuracy",)),
        case.row("first_layer_units_count", different_units(first)),
        case.row("second_layer_units_count", different_units(second)),
    ]


def _curve(rows: Sequence[Row], activation: str, init: str) -> list:
    found = samples_of(
        rows, "activation_square_value", activation=activation, init=init
    )
    return list(enumerate(found))


def figure(rows: Sequence[Row]):
    """Size of the activations by layer for each activation, and what was learned."""
    figures = report.figures
    shown, axes = figures.panels(2, 2, width=13.5, height=9.0)
    looks = figures.looks(list(RULES))
    titles = {
        "sigmoid": "Sigmoids hide it: they saturate instead of growing",
        "tanh": "tanh saturates under U(-1, 1), fades slowly under Xavier",
        "relu": "relu grows or fades without bound unless weights are He's",
    }
    for axis, activation in zip(axes, ACTIVATIONS, strict=False):
        figures.draw(
            axis,
            [
                figures.Line(looks[init], _curve(rows, activation, init))
                for init in RULES
            ],
            title=titles[activation],
            x="layer",
            y=f"mean square of {activation} activations",
            x_scale="linear",
        )
    by = figures.looks(list(ACTIVATIONS))
    figures.bars(
        axes[3],
        [
            figures.Bars(
                by[activation],
                {
                    init: value_of(
                        rows,
                        "validation_accuracy",
                        activation=activation,
                        init=init,
                    )
                    for init in RULES
                },
                why=dict.fromkeys(RULES, "no result"),
            )
            for activation in ACTIVATIONS
        ],
        title="Units that start alike stay alike, and little is learned",
        x="validation accuracy, two hidden layers",
        show="{:.2f}".format,
    )
    return shown


def findings(rows: Sequence[Row]) -> measure.Findings:
    """Facts and verdicts from whatever was measured."""
    numbers = report.numbers
    depth = max(
        (row["size"] for row in rows_of(rows, "activation_square_value")), default=0
    )

    def last(activation: str, init: str) -> float | None:
        return value_of(
            rows, "activation_square_value", activation=activation, init=init
        )

    def ratio(activation: str, init: str) -> float | None:
        return value_of(rows, "last_over_first_ratio", activation=activation, init=init)

    def trained(metric: str, activation: str, init: str) -> float | None:
        return value_of(rows, metric, activation=activation, init=init)

    def accuracy(activation: str, init: str) -> str:
        value = trained("validation_accuracy", activation, init)
        return said(value, "{:.0%}".format)

    alike = [
        int(row.value or 0)
        for init in ALIKE
        for row in rows_of(rows, "first_layer_units_count", init=init)
    ]
    before = value_of(
        rows, "preactivation_variance_value", activation="sigmoid", init="U(-1, 1)"
    )
    small = numbers.scientific
    facts = {
        "depth": depth,
        "width": WIDTH,
        "hidden": HIDDEN,
        "alike_units": max(alike) if alike else "no result",
        "zero_sigmoid": accuracy("sigmoid", "zeros"),
        "zero_tanh": accuracy("tanh", "zeros"),
        "zero_relu": accuracy("relu", "zeros"),
        "constant_tanh": accuracy("tanh", "constant"),
        "xavier_tanh": accuracy("tanh", "Xavier"),
        "he_relu": accuracy("relu", "He"),
        "uniform_relu": said(last("relu", "U(-1, 1)"), small),
        "uniform_tanh": said(last("tanh", "U(-1, 1)"), "{:.2f}".format),
        "uniform_sigmoid": said(last("sigmoid", "U(-1, 1)"), "{:.2f}".format),
        "uniform_before": said(before, "{:.1f}".format),
        "xavier_tanh_ratio": said(ratio("tanh", "Xavier"), "{:.3f}".format),
        "xavier_sigmoid_ratio": said(ratio("sigmoid", "Xavier"), "{:.3f}".format),
        "he_relu_ratio": said(ratio("relu", "He"), "{:.2f}".format),
        "xavier_relu": said(last("relu", "Xavier"), small),
        "misread_tanh": said(last("tanh", "Xavier, v as deviation"), small),
        "misread_relu": said(last("relu", "Xavier, v as deviation"), small),
        "misread_accuracy": accuracy("tanh", "Xavier, v as deviation"),
    }
    verdicts = (
        measure.Verdict(
            "C5",
            f"zeros: the {HIDDEN} units of a layer end as {facts['alike_units']}; tanh "
            f"and relu then learn only the output's bias, a sigmoid net reaches "
            f"{facts['zero_sigmoid']}. U(-1, 1) at depth {depth}: relu explodes to "
            f"{facts['uniform_relu']}, tanh and sigmoid cannot and saturate. From the "
            f"first layer to the last, the mean square keeps "
            f"{facts['xavier_tanh_ratio']} of itself for tanh with Xavier, "
            f"{facts['he_relu_ratio']} for relu with He",
            "conditional" if depth else "measured",
        ),
    )
    return measure.Findings(facts, verdicts)


ANSWER = """
With He's weights the mean square of relu activations is {he_relu_ratio} of itself after
{depth} layers, with weights from the unit interval both ways it grows to
{uniform_relu}; weights that are all alike leave {alike_units} unit in a layer of
{hidden}.
"""

PAGE = """
## Variances

A batch of standard normal inputs goes through {depth} layers of {width} units. From the
first layer to the last the mean square of the activations keeps {xavier_tanh_ratio} of
itself for tanh with Xavier, {xavier_sigmoid_ratio} for sigmoid with Xavier and
{he_relu_ratio} for relu with He. Xavier's slow fading under tanh is real: the rule
assumes the slope of the origin, and tanh is flatter elsewhere. Under relu, Xavier loses
half of the variance in each layer and ends at {xavier_relu}.

Weights drawn evenly from minus one to one make relu explode to {uniform_relu}. tanh and
sigmoid are bounded and cannot explode: their mean square ends at {uniform_tanh} and
{uniform_sigmoid}. What grows there is the sum before the activation (its variance is
{uniform_before} for sigmoid), which saturates them.

## The second argument is the variance

Read as a standard deviation, Xavier's rule gives weights far too small: activations end
at {misread_tanh} (tanh) and {misread_relu} (relu).

## Symmetry

Classifiers of digits with two hidden layers of {hidden} units. Units that start alike
get equal gradients and stay alike to the last bit: after training, a layer that started
with equal weights has {alike_units} different unit. With zeros, tanh and relu do not
learn at all beyond the output's bias ({zero_tanh} and {zero_relu} accuracy); a sigmoid
network does move, because its units stand at a half and not at zero, but all of them
together ({zero_sigmoid}). A constant is no better in kind ({constant_tanh} for tanh).
Drawn weights reach {xavier_tanh} (tanh, Xavier) and {he_relu} (relu, He).
"""

METRICS = {
    "weight_variance_value": "variance of one drawn weight matrix",
    "preactivation_variance_value": "variance of the sums before the activation; the "
    "last layer, every layer as samples (the inputs first)",
    "activation_square_value": "mean square of the activations, likewise",
    "last_over_first_ratio": "the last layer's mean square over the first's",
    "train_loss, validation_loss": "after the last epoch; every epoch as samples",
    "train_accuracy, validation_accuracy": "the share of digits right, likewise",
    "first_layer_units_count": "different columns of the first weights after training",
    "second_layer_units_count": "the same of the second weights",
    "diverged_count": "whether the training stopped being finite",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="What do the first weights of a network decide?",
    claims=("C5",),
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

"""Whether a gradient reaches the first layer of a deep network, and what helps it.

Chains of one unit a layer give the factors of the textbook exactly; networks of 32
units on 8 × 8 pictures of digits give what depth, activation and initialisation make
of a real gradient, what each cure changes, and whether the network then learns. Run it
alone::

    python experiments/vanishing_gradients.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from diffkit import grad, losses, measure, nn, optim, report, train
from diffkit.measure import Case, Mode, Row, layers
from diffkit.report.lookup import rows_of, said, samples_of, value_of

NAME = "vanishing_gradients"
WIDTH, BATCH, CLASSES = 32, 64, 10
#: The textbook's depth, and how far the chains go.
TEN, CHAIN = 10, 50
#: Activation and weight of the chains of one unit a layer.
CHAINS = (("sigmoid", 1.0), ("relu", 0.5), ("relu", 1.0), ("relu", 1.5))
DEPTHS = {"quick": (2, 10, 50), "full": (2, 5, 10, 20, 35, 50)}
ACTIVATIONS = ("sigmoid", "tanh", "relu")
INITIALIZERS: dict[str, nn.Initializer] = {
    "N(0, 1)": nn.Normal(1.0),
    "U(-1, 1)": nn.uniform,
    "Xavier": nn.xavier,
    "He": nn.he,
}
#: What is wrong -> (activation, initialiser); every cure is tried on both.
ILLS = {"vanishing": ("sigmoid", "Xavier"), "exploding": ("relu", "N(0, 1)")}
CURES = (
    "none",
    "initialization",
    "activation",
    "batch norm",
    "layer norm",
    "skips",
    "clipping",
)
#: Networks that are trained at every depth, and their names in figures.
ARMS = {
    "none": "plain",
    "skips": "skips",
    "normalized skips": "skips and layer norm",
}
CURE_DEPTH, CLIP, RATE, ADAM_RATE = 20, 1.0, 0.02, 3e-3
EPOCHS = {"quick": 3, "full": 20}
SEEDS = {"quick": 1, "full": 3}
LIMITS = measure.Limits(seconds=120.0, bytes=2 << 30)


def cases(mode: Mode) -> list[Case]:
    """Chains, gradients at first weights, cures, and depth with and without skips."""

    def one(part: str, seed: int = 0, **fields: str | float) -> Case:
        return measure.case(
            NAME,
            "autodiff",
            runtime="engine",
            seed=seed,
            timed=False,
            limits=LIMITS,
            part=part,
            **fields,
        )

    seeds = range(SEEDS[mode])
    return [
        *(
            one("chain", activation=activation, weight=weight)
            for activation, weight in CHAINS
        ),
        *(
            one("norms", seed, depth=depth, activation=activation, init=init)
            for depth in DEPTHS[mode]
            for activation in ACTIVATIONS
            for init in INITIALIZERS
            for seed in seeds
        ),
        *(
            one("cure", seed, ill=ill, cure=cure, epochs=EPOCHS[mode])
            for ill in ILLS
            for cure in CURES
            for seed in seeds
        ),
        *(
            one("depth", seed, depth=depth, cure=arm, epochs=EPOCHS[mode])
            for depth in DEPTHS[mode]
            for arm in ARMS
            for seed in seeds
        ),
    ]


def measure_case(case: Case) -> list[Row]:
    """The rows of one part."""
    parts = {"chain": _chain, "norms": _norms, "cure": _cure, "depth": _depth}
    return parts[case["part"]](case)


def chain_factor(activation: str, weight: float, depth: int) -> float:
    """How much of a gradient passes a chain of `depth` units a(w·x + b).

    A sigmoid is centred on its steepest point: the input is 1/2 and b = −w/2. The relu
    is held open: the input is 1 and b = 0.
    """
    centred = activation == "sigmoid"
    unit = {
        "weight": np.array([[weight]]),
        "bias": np.array([-weight / 2 if centred else 0.0]),
    }
    net = nn.mlp((1,) * (depth + 1), activation, output=activation)
    params = tuple(unit if i % 2 == 0 else () for i in range(2 * depth))

    def output(x: np.ndarray) -> np.ndarray:
        return np.sum(net.apply(params, x))

    return float(grad(output)(np.array([[0.5 if centred else 1.0]]))[0, 0])


def _chain(case: Case) -> list[Row]:
    depths = range(1, CHAIN + 1)
    factors = [chain_factor(case["activation"], case["weight"], d) for d in depths]
    return [
        case.row("factor_at_ten_value", factors[TEN - 1]),
        case.row("factor_by_depth_value", factors[-1], samples=factors),
    ]


def network(
    depth: int, activation: str, init: nn.Initializer, cure: str = "none"
) -> nn.Sequential:
    """`depth` hidden layers of 32 between 64 pixels and 10 classes, perhaps cured."""
    act = nn.get_activation(activation)
    found: list[nn.Layer] = [nn.Linear(64, WIDTH, initializer=init)]
    for number in range(depth):
        inner: list[nn.Layer] = []
        if number:
            inner.append(nn.Linear(WIDTH, WIDTH, initializer=init))
        if cure == "batch norm":
            inner.append(nn.BatchNorm(WIDTH))
        if cure == "layer norm":
            inner.append(nn.LayerNorm(WIDTH))
        inner.append(act)
        if cure == "normalized skips" and number:
            inner.insert(0, nn.LayerNorm(WIDTH))
        if cure.endswith("skips") and number:
            inner = [nn.Residual(nn.Sequential(*inner))]
        found += inner
    return nn.Sequential(*found, nn.Linear(WIDTH, CLASSES, initializer=init))


def _norm_rows(case: Case, net: nn.Sequential, params) -> list[Row]:
    x, labels = (part[:BATCH] for part in train.data.digits().train)
    by_layer = layers.weight_norms(layers.gradient_of(net, params, x, labels))
    rows = [case.row("gradient_norm_value", by_layer[0], samples=by_layer)]
    # A gradient that is lost altogether has no ratio worth a number.
    if by_layer[-1] > 0 and np.isfinite(by_layer).all():
        rows.append(case.row("first_over_last_ratio", by_layer[0] / by_layer[-1]))
    return rows


def _norms(case: Case) -> list[Row]:
    init = INITIALIZERS[case["init"]]
    net = network(case["depth"], case["activation"], init)
    return _norm_rows(case, net, net.init(np.random.default_rng(case.seed)))


def cured(ill: str, cure: str) -> nn.Sequential:
    """The network that is ill, with one thing changed."""
    activation, init = ILLS[ill]
    rule = INITIALIZERS[init]
    if cure == "activation":
        activation = "tanh"
    if cure == "initialization":
        # What keeps the variance: He for relu; sigmoid has slope 1/4, so 16/n.
        rule = nn.he if ill == "exploding" else nn.Normal(16.0 / WIDTH)
    return network(CURE_DEPTH, activation, rule, cure)


def _learn(case: Case, net: nn.Sequential, optimizer: optim.Optimizer) -> list[Row]:
    data = train.data.digits(validation=0.25)
    history = train.fit(
        net,
        losses.cross_entropy,
        optimizer,
        data.train,
        epochs=case["epochs"],
        batch_size=BATCH,
        validation=data.validation,
        metrics={"accuracy": train.metrics.accuracy},
        rng=case.seed,
        on_divergence="stop",
        progress=False,
    )
    return measure.curve_rows(case, history, ("accuracy",))


def _cure(case: Case) -> list[Row]:
    net = cured(case["ill"], case["cure"])
    params = net.init(np.random.default_rng(case.seed))
    optimizer = optim.momentum(RATE)
    if case["cure"] == "clipping":
        optimizer = optim.chain(optim.clip_by_global_norm(CLIP), optimizer)
    return [*_norm_rows(case, net, params), *_learn(case, net, optimizer)]


def _depth(case: Case) -> list[Row]:
    net = network(case["depth"], "relu", nn.he, case["cure"])
    return _learn(case, net, optim.adam(ADAM_RATE))


def _typical(rows: Sequence[Row], metric: str, **where: Any) -> float | None:
    """The median over seeds, None where every seed failed."""
    values = [float(row.value or 0.0) for row in rows_of(rows, metric, **where)]
    return median(values) if values else None


def _depths(rows: Sequence[Row], part: str) -> list[int]:
    return sorted({row["depth"] for row in rows if row.get("part") == part})


def _by_depth(rows: Sequence[Row], metric: str, arm: str) -> list[tuple[int, float]]:
    found = [
        (depth, _typical(rows, metric, part="depth", depth=depth, cure=arm))
        for depth in _depths(rows, "depth")
    ]
    return [(depth, value) for depth, value in found if value is not None]


def _chain_lines(rows: Sequence[Row]) -> list[report.figures.Line]:
    looks = report.figures.looks([f"{name}, weight {w:g}" for name, w in CHAINS])
    lines = []
    for look, (activation, weight) in zip(looks.values(), CHAINS, strict=True):
        factors = samples_of(
            rows, "factor_by_depth_value", activation=activation, weight=weight
        )
        lines.append(report.figures.Line(look, list(enumerate(factors, 1))))
    return lines


def _layer_lines(rows: Sequence[Row], deepest: int) -> list[report.figures.Line]:
    shown = (
        ("sigmoid", "Xavier"),
        ("tanh", "N(0, 1)"),
        ("tanh", "Xavier"),
        ("relu", "N(0, 1)"),
        ("relu", "He"),
    )
    looks = report.figures.looks([f"{a}, {i}" for a, i in shown])
    return [
        report.figures.Line(
            look,
            list(
                enumerate(
                    samples_of(
                        rows,
                        "gradient_norm_value",
                        part="norms",
                        depth=deepest,
                        activation=activation,
                        init=init,
                    ),
                    1,
                )
            ),
        )
        for look, (activation, init) in zip(looks.values(), shown, strict=True)
    ]


def figure(rows: Sequence[Row]):
    """Chains, layers, the table of first layers, cures, and depth with skips."""
    figures = report.figures
    shown, axes = figures.panels(2, 3, width=16.5, height=9.0)
    deepest = max(_depths(rows, "norms"), default=0)
    figures.draw(
        axes[0],
        _chain_lines(rows),
        title="A relu passes gradients on only if weights are one",
        x="layers of one unit",
        y="factor on the gradient",
        x_scale="linear",
    )
    figures.draw(
        axes[1],
        _layer_lines(rows, deepest),
        title="Gradients vanish, explode or keep level",
        x="layer, from the input",
        y="norm of its weights' gradient",
        x_scale="linear",
    )
    table = [
        [
            _typical(
                rows,
                "gradient_norm_value",
                part="norms",
                depth=deepest,
                activation=activation,
                init=init,
            )
            or np.nan
            for init in INITIALIZERS
        ]
        for activation in ACTIVATIONS
    ]
    figures.heat_map(
        axes[2],
        table,
        columns=list(INITIALIZERS),
        rows=ACTIVATIONS,
        title=f"No activation is safe alone, depth {deepest}",
        x="initialisation",
        y="activation",
        unit="gradient of the first layer",
        scale="log",
        show=lambda v: f"{v:.0e}",
    )
    looks = figures.looks(list(ILLS))
    for place, metric, title, x, scale in (
        (
            3,
            "gradient_norm_value",
            "Clipping changes the step, not the gradient",
            "first layer's gradient before the first step",
            "log",
        ),
        (
            4,
            "validation_accuracy",
            "What reaches the first layer decides what is learned",
            "validation accuracy after the same few epochs",
            "linear",
        ),
    ):
        figures.bars(
            axes[place],
            [
                figures.Bars(
                    looks[ill],
                    {
                        cure: _typical(rows, metric, part="cure", ill=ill, cure=cure)
                        for cure in CURES
                    },
                    why=dict.fromkeys(CURES, "not measured"),
                )
                for ill in ILLS
            ],
            title=title,
            x=x,
            scale="log" if scale == "log" else "linear",
            show=(lambda v: f"{v:.0e}") if scale == "log" else "{:.2f}".format,
        )
    arms = figures.looks(list(ARMS.values()))
    figures.draw(
        axes[5],
        [
            figures.Line(arms[name], _by_depth(rows, "validation_accuracy", arm))
            for arm, name in ARMS.items()
        ],
        title="Deeper is not better, with skips or without",
        x="hidden layers",
        y="validation accuracy",
        y_scale="linear",
    )
    return shown


def findings(rows: Sequence[Row]) -> measure.Findings:
    """Facts and verdicts from whatever was measured."""
    numbers = report.numbers
    deepest = max(_depths(rows, "norms"), default=0)

    def factor(activation: str, weight: float) -> str:
        value = value_of(
            rows, "factor_at_ten_value", activation=activation, weight=weight
        )
        return said(value, numbers.scientific)

    def first(activation: str, init: str) -> str:
        value = _typical(
            rows,
            "gradient_norm_value",
            part="norms",
            depth=deepest,
            activation=activation,
            init=init,
        )
        return said(value, numbers.scientific)

    def cure(ill: str, name: str, metric: str = "validation_accuracy") -> float | None:
        return _typical(rows, metric, part="cure", ill=ill, cure=name)

    def learned(ill: str, name: str) -> str:
        return said(cure(ill, name), "{:.0%}".format)

    def helped(ill: str) -> str:
        base = cure(ill, "none") or 0.0
        better = {
            name: value
            for name in CURES[1:]
            if (value := cure(ill, name)) is not None and value > base + 0.05
        }
        ranked = sorted(better, key=lambda name: -better[name])
        return ", ".join(f"{n} ({better[n]:.0%})" for n in ranked) or "none of them"

    arms = {arm: dict(_by_depth(rows, "train_loss", arm)) for arm in ARMS}
    checks = {arm: dict(_by_depth(rows, "validation_loss", arm)) for arm in ARMS}
    shallow = min((d for d in arms["skips"]), default=0)
    deep = max((d for d in arms["skips"]), default=0)

    def loss(table: dict[str, dict[int, float]], arm: str, depth: int) -> str:
        return said(table[arm].get(depth), "{:.3g}".format)

    sigmoid = value_of(rows, "factor_at_ten_value", activation="sigmoid", weight=1.0)
    worse = arms["skips"].get(deep, 0.0) > arms["skips"].get(shallow, np.inf)
    facts = {
        "ten": TEN,
        "width": WIDTH,
        "cure_depth": CURE_DEPTH,
        "deepest": deepest,
        "shallow": shallow,
        "deep": deep,
        "sigmoid_ten": factor("sigmoid", 1.0),
        "claimed": numbers.scientific(1e-7),
        "off": numbers.times((sigmoid or 0.0) / 1e-7),
        "relu_half": factor("relu", 0.5),
        "relu_one": factor("relu", 1.0),
        "relu_more": factor("relu", 1.5),
        "half": "0.5",
        "more": "1.5",
        "sigmoid_xavier": first("sigmoid", "Xavier"),
        "tanh_xavier": first("tanh", "Xavier"),
        "tanh_normal": first("tanh", "N(0, 1)"),
        "relu_normal": first("relu", "N(0, 1)"),
        "relu_xavier": first("relu", "Xavier"),
        "relu_he": first("relu", "He"),
        "vanishing_none": learned("vanishing", "none"),
        "exploding_none": learned("exploding", "none"),
        "vanishing_helped": helped("vanishing"),
        "exploding_helped": helped("exploding"),
        "plain_shallow": loss(arms, "none", shallow),
        "plain_deep": loss(arms, "none", deep),
        "skips_shallow": loss(arms, "skips", shallow),
        "skips_deep": loss(arms, "skips", deep),
        "normal_shallow": loss(arms, "normalized skips", shallow),
        "normal_deep": loss(arms, "normalized skips", deep),
        "plain_check": loss(checks, "none", deep),
        "skips_check": loss(checks, "skips", deep),
        "normal_check": loss(checks, "normalized skips", deep),
    }
    verdicts = (
        measure.Verdict(
            "C2",
            f"the product is {facts['sigmoid_ten']}, {facts['off']} what was printed",
            "measured" if sigmoid is None else "wrong",
        ),
        measure.Verdict(
            "C3",
            f"only for weights of one: a chain of {TEN} passes {facts['relu_half']} at "
            f"weight 0.5 and {facts['relu_more']} at 1.5",
            "conditional",
        ),
        measure.Verdict(
            "C4",
            f"at depth {CURE_DEPTH} what helped against vanishing: "
            f"{facts['vanishing_helped']}; against exploding: "
            f"{facts['exploding_helped']} (validation accuracy; untreated "
            f"{facts['vanishing_none']} and {facts['exploding_none']})",
            "conditional",
        ),
        measure.Verdict(
            "C27",
            f"training loss with skips {facts['skips_shallow']} at depth "
            f"{facts['shallow']} and {facts['skips_deep']} at depth {facts['deep']}; "
            f"with layer norm inside as well, {facts['normal_shallow']} and "
            f"{facts['normal_deep']}; without either, {facts['plain_shallow']} and "
            f"{facts['plain_deep']}",
            "wrong" if worse else "conditional" if deep else "measured",
        ),
    )
    return measure.Findings(facts, verdicts)


ANSWER = """
Not by itself: the first layer's gradient at depth {deepest} is {sigmoid_xavier} with
sigmoids and Xavier weights, {relu_normal} with relus and weights from the standard
normal, and {tanh_xavier} with tanh and Xavier: activation and initialisation decide
together.
"""

PAGE = """
## The factors of the textbook

One unit a layer, so that the gradient is a product with one factor a layer. The
steepest sigmoid with weight one passes {sigmoid_ten} of a gradient through {ten}
layers; the source prints {claimed}, which is wrong by {off}. A relu that is open passes
{relu_one} at weight one, but {relu_half} at weight {half} and {relu_more} at weight
{more}: the factor is the weight, and the relu only adds nothing to it.

## Networks

Networks of {width} units a layer on pictures of handwritten digits, one batch, first
weights. At depth {deepest} the first layer's gradient has the norm {sigmoid_xavier}
(sigmoid, Xavier), {tanh_xavier} (tanh, Xavier), {tanh_normal} (tanh, standard normal),
{relu_normal} (relu, standard normal), {relu_xavier} (relu, Xavier) and {relu_he} (relu,
He). Relus do not save a gradient from weights of the wrong size.

## Cures

Two ill networks of depth {cure_depth} are trained by momentum for the same few epochs,
with one thing changed at a time. The vanishing one (sigmoid, Xavier) reaches
{vanishing_none} untreated, which is guessing; what helped: {vanishing_helped}. The
exploding one (relu, standard normal) reaches {exploding_none}; what helped:
{exploding_helped}. Clipping bounds the step that a gradient takes; it cannot bring back
a gradient that has vanished, and it leaves the activations exploding.

## Whether more layers can only help

Relu networks with He weights, trained by Adam: training loss at depth {shallow} and at
depth {deep} is {plain_shallow} and {plain_deep} without skips, {skips_shallow} and
{skips_deep} with skips alone, {normal_shallow} and {normal_deep} with skips around
normalised layers; validation loss at depth {deep} is {plain_check}, {skips_check} and
{normal_check}. A skip keeps the gradient alive, but each block also adds its variance:
without normalisation, deep stacks of them explode.
"""

METRICS = {
    "factor_at_ten_value": "derivative of a chain's output by its input, ten layers",
    "factor_by_depth_value": "the same for every depth from one up (samples)",
    "gradient_norm_value": "norm of the first weight matrix's gradient; every matrix "
    "from input to output as samples",
    "first_over_last_ratio": "norm of the first matrix's gradient over the last's",
    "train_loss, validation_loss": "after the last epoch; every epoch as samples "
    "(validation from before the first step)",
    "train_accuracy, validation_accuracy": "the same for the share of digits right",
    "diverged_count": "whether the training stopped being finite",
}

EXPERIMENT = measure.Experiment(
    name=NAME,
    question="Does a gradient reach the first layer of a deep network?",
    claims=("C2", "C3", "C4", "C27"),
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

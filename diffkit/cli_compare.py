"""``diffkit compare``: every way of differentiating one network, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

import diffkit as dk
from diffkit import measure, report
from diffkit.cli_show import meter, note, table
from diffkit.errors import UserInputError, unknown_name

#: Name on the command line -> backend and options.
WAYS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "autodiff": ("autodiff", {}),
    "forward": ("forward", {}),
    "finite_differences": ("finite_differences", {"method": "central"}),
    "symbolic_shared": ("symbolic", {"form": "shared"}),
    "symbolic_cse": ("symbolic", {"form": "cse"}),
    "symbolic_expanded": ("symbolic", {"form": "expanded"}),
}
#: Other libraries, added by --peers; those that are not installed are said to be so.
PEERS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "jax": ("jax", {}),
    "torch": ("torch", {"threads": 1}),
    "casadi": ("casadi", {}),
    "autograd": ("autograd", {}),
    "scipy": ("scipy", {}),
    "numdifftools": ("numdifftools", {}),
    "sympy-lambdify": ("sympy-lambdify", {}),
}
HEADER = (
    "backend",
    "runtime",
    "value",
    "prepare",
    "gradient",
    "÷ forward pass",
    "error",
    "operations",
    "evaluations",
)


@click.command()
@click.option(
    "--sizes", default="4,16,3", show_default=True, help="Widths, input to output."
)
@click.option("--activation", default="tanh", show_default=True)
@click.option("--loss", default="mse", show_default=True)
@click.option("--batch", default=32, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--backends",
    default=",".join(WAYS),
    help="Which ones, in order. Default: all of " + ", ".join(WAYS) + ".",
)
@click.option("--peers", is_flag=True, help="Add " + ", ".join(PEERS) + ".")
@click.option(
    "--seconds", default=30.0, show_default=True, help="Limit for each backend."
)
@click.option(
    "--mebibytes", default=2048, show_default=True, help="Memory limit for each."
)
def compare(
    sizes: str,
    activation: str,
    loss: str,
    batch: int,
    seed: int,
    backends: str,
    peers: bool,
    seconds: float,
    mebibytes: int,
) -> int:
    """Compare the backends on one network.

    Each backend runs alone in a process of its own; its gradient and its forward pass
    are timed in turn. The error is the largest deviation from a reference proved to
    fifty digits, over the gradient's largest entry.

    \b
    Examples:
      diffkit compare
      diffkit compare --sizes 10,64,32,1 --batch 32
      diffkit compare --sizes 4,4,4,3 --loss cross_entropy --activation sigmoid
      diffkit compare --sizes 784,128,10 --backends autodiff --batch 64
      diffkit compare --peers
    """
    network = measure.Network(layer_sizes(sizes), activation, loss, batch, seed)
    names = [name.strip() for name in backends.split(",") if name.strip()]
    if peers:
        names += [name for name in PEERS if name not in names]
    if not names:
        raise UserInputError("--backends names none. Leave it out to compare all.")
    ways = {name: _way(name) for name in names}
    limits = measure.Limits(seconds, mebibytes << 20)
    lines: list[list[str]] = []
    failed = False
    note(network.name)
    with meter("comparing") as shown, measure.LimitedRunner() as runner:
        for number, (name, (backend, options)) in enumerate(ways.items(), start=1):
            shown.doing(number, len(ways), name)
            outcome = runner.run(
                measure.measure_network, network, backend, options, limits=limits
            )
            failed |= outcome.status == "error"
            runtime = _runtime(backend, options, outcome)
            lines.append(_line(name, runtime, outcome))
    table(HEADER, lines, numbers_from=2)
    return 1 if failed else 0


def _runtime(backend: str, options: Mapping[str, Any], outcome: measure.Outcome) -> str:
    """What runs the arithmetic; nothing does where the backend is not installed."""
    if outcome.status == "unavailable":
        return "–"
    return measure.runtime_of(backend, options)


def _line(name: str, runtime: str, outcome: measure.Outcome) -> list[str]:
    if outcome.status != "ok":
        status = outcome.status.replace("_", " ")
        return [name, runtime, f"{status}: {outcome.message}", *[""] * 6]
    cost: measure.GradientCost = outcome.value
    numbers, error = report.numbers, cost.relative_error
    return [
        name,
        runtime,
        f"{cost.value:.6g}",
        numbers.seconds(cost.prepare.median_seconds),
        numbers.seconds(cost.gradient.median_seconds),
        numbers.times(cost.ratio.median_seconds),
        "not proved" if error is None else numbers.scientific(error),
        numbers.count(cost.operations),
        numbers.count(cost.evaluations),
    ]


def _way(name: str) -> tuple[str, dict[str, Any]]:
    if name in WAYS:
        return WAYS[name]
    if name in PEERS:
        return PEERS[name]
    if name in dk.backend_names():
        return name, {}
    raise unknown_name("backend", name, {*WAYS, *dk.backend_names()})


def layer_sizes(text: str) -> tuple[int, ...]:
    """Widths as they are typed.

    >>> layer_sizes("4,16,3")
    (4, 16, 3)
    """
    try:
        return tuple(int(part) for part in text.replace("-", ",").split(","))
    except ValueError:
        raise UserInputError(
            f"{text!r} does not list layer sizes: write whole numbers with commas, "
            "such as --sizes 4,16,3."
        ) from None

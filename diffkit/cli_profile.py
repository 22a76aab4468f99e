"""``diffkit profile``: where the time of a gradient goes, by instruction or by op."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

import diffkit as dk
from diffkit import measure, report
from diffkit.cli_compare import layer_sizes
from diffkit.cli_run import argument_numbers, function_and_arguments
from diffkit.cli_show import near, note, table
from diffkit.errors import UserInputError

if TYPE_CHECKING:
    import pandas as pd

#: Columns of text, where the profile has them; numbers follow, set flush right.
WORDS = ("op", "node", "direction", "shape")


@click.command("profile")
@click.argument("target", metavar="[MODULE:FUNCTION]", required=False)
@click.option("--sizes", help="A network instead: widths, input to output.")
@click.option("--activation", default="tanh", show_default=True)
@click.option("--loss", default="mse", show_default=True)
@click.option("--batch", default=32, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--argnums", default="0", help="Differentiated arguments: 0 or 0,1.")
@click.option(
    "--dtype",
    type=click.Choice(["float64", "float32"]),
    help="Precision. Default: that of the arguments.",
)
@click.option(
    "--by",
    type=click.Choice(["instruction", "op"]),
    default="instruction",
    show_default=True,
    help="One line for each instruction, in their order, or for each kind.",
)
@click.option(
    "--top", type=click.IntRange(min=1), help="Only so many lines, the costliest first."
)
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Runs that are timed; shown are medians over the faster half.",
)
@click.option(
    "--csv",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write every line and column to this file, too.",
)
def profile_command(
    target: str | None,
    sizes: str | None,
    activation: str,
    loss: str,
    batch: int,
    seed: int,
    argnums: str,
    dtype: str | None,
    by: str,
    top: int | None,
    repeats: int,
    file: Path | None,
) -> None:
    """Show where the time of a gradient goes, on the engine.

    Of a function of yours (MODULE and the example arguments are found as by `diffkit
    check`), or of a network with a loss. The clock is read between the instructions.
    "(between instructions)" is what a run takes beside them, "(around the program)"
    what a call takes beside the run.

    \b
    Examples:
      diffkit profile mylosses:mean_square
      diffkit profile --sizes 10,64,32,1 --batch 32 --by op
      diffkit profile --sizes 784,512,512,10 --batch 128 --dtype float32 --top 10
      diffkit profile --sizes 4,16,3 --csv profile.csv
    """
    if (target is None) == (sizes is None):
        raise UserInputError(
            "Name either a function (module:function) or a network (--sizes 4,16,3)."
        )
    if target is not None:
        function, arguments = function_and_arguments(target)
        name = target
    else:
        widths = layer_sizes(sizes or "")
        network = measure.Network(widths, activation, loss, batch, seed)
        problem = network.problem()
        function, arguments, name = problem.function, problem.arguments, network.name
    prepared = dk.prepare(
        function,
        *arguments,
        argnums=argument_numbers(argnums),
        backend=dk.get_backend("autodiff", dtype=dtype),
    )
    profile = prepared.profile(
        *arguments, repeats=repeats, by="op" if by == "op" else "instruction"
    )
    precision = dtype or prepared.program.dtype.name
    note(f"{name}, {precision}: {_summary(profile)}")
    _show(profile, top)
    if file is not None:
        _write(profile, file)
        note(f"{len(profile)} lines → {near(file)}")


def _summary(profile: pd.DataFrame) -> str:
    seconds = report.numbers.seconds
    facts = profile.attrs
    return (
        f"a call takes {seconds(facts['call_seconds'])}, the program in it "
        f"{seconds(facts['run_seconds'])} (medians, the faster half of "
        f"{facts['repeats']} runs; "
        f"{seconds(facts['clock_seconds'])} for each reading of the clock taken off)"
    )


def _show(profile: pd.DataFrame, top: int | None) -> None:
    if top is not None:
        profile = profile.sort_values("seconds", ascending=False).head(top)
    words = [name for name in WORDS if name in profile.columns]
    header = [*words, "calls", "time", "share", "flops", "bytes", "GFLOP/s", "GB/s"]
    table(
        header,
        [
            [
                *(str(line[word]) for word in words),
                str(line["calls"]),
                report.numbers.seconds(line["seconds"]),
                f"{100 * line['share']:.1f} %",
                report.numbers.count(int(line["flops"])),
                report.numbers.count(int(line["bytes"])),
                _rate(line["gflop_per_second"]),
                _rate(line["gbyte_per_second"]),
            ]
            for line in profile.to_dict("records")
        ],
        numbers_from=len(words),
    )


def _rate(value: float) -> str:
    """A rate; nothing where nothing was done, or in no time.

    >>> _rate(41.234), _rate(0.0), _rate(float("nan"))
    ('41.2', '', '')
    """
    return f"{value:.3g}" if value > 0 else ""


def _write(profile: pd.DataFrame, file: Path) -> None:
    try:
        profile.to_csv(file, index_label="line")
    except OSError as error:
        raise UserInputError(
            f"The profile cannot be written to {file}: {error.strerror or error}."
        ) from error

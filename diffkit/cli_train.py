"""``diffkit train`` and ``diffkit predict``: their options, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from diffkit import cli_training
from diffkit.cli_show import error
from diffkit.errors import TrainingInterrupted

INTERRUPTED = 130
_METHODS = "sgd, momentum, averaged_momentum, nesterov, adagrad, rmsprop, adam, adamw."
_SCHEDULES = "constant, step, cosine, warmup_cosine, warmup_linear, one_cycle, plateau."


@click.command("train")
@click.argument("dataset", required=False)
@click.option("--data", metavar="FILE", help="A CSV file with a header, instead.")
@click.option("--target", metavar="COLUMN", help="The column of FILE to predict.")
@click.option(
    "--task",
    type=click.Choice(["auto", "classes", "numbers"]),
    default="auto",
    show_default=True,
    help="What the target column holds.",
)
@click.option(
    "--missing",
    type=click.Choice(["refuse", "drop"]),
    default="refuse",
    show_default=True,
    help="Rows with missing values.",
)
@click.option("--ignore", multiple=True, metavar="COLUMN", help="Leave a column out.")
@click.option("--separator", default=",", show_default=True, help="Between fields.")
@click.option("--sizes", help="Widths, input to output. Default: one hidden of 16.")
@click.option("--activation", default="tanh", show_default=True)
@click.option("--loss", help="Default: the usual one for the target.")
@click.option("--optimizer", default="adam", show_default=True, help=_METHODS)
@click.option("--rate", default=0.01, show_default=True, help="Learning rate.")
@click.option(
    "--schedule",
    default="constant",
    show_default=True,
    help=_SCHEDULES,
)
@click.option("--clip", type=float, help="Largest norm of a gradient.")
@click.option("--backend", default="autodiff", show_default=True)
@click.option("--epochs", default=30, show_default=True)
@click.option("--batch", type=int, help="Rows a step; 0 takes all. Default: 32.")
@click.option("--drop-last", is_flag=True, help="Leave out the last partial batch.")
@click.option("--accumulate", default=1, show_default=True, help="Batches a step.")
@click.option("--shards", default=1, show_default=True, help="Parts of each batch.")
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--validation",
    type=float,
    help="Fraction of training rows. Default: 0.2; 0 for xor and linear_regression.",
)
@click.option("--test", type=float, help="Fraction held out. Default: of the data set.")
@click.option("--patience", type=int, help="Stop after that many epochs no better.")
@click.option("--noise", type=float, help="Deviation of noise added to each batch.")
@click.option("--shift", type=int, help="Move pictures by up to that many pixels.")
@click.option(
    "--dtype",
    type=click.Choice(["float64", "float32"]),
    default="float64",
    show_default=True,
)
@click.option(
    "--checkpoint-dir",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Keep the last and the best standing there.",
)
@click.option("--checkpoint-every", default=1, show_default=True, help="Epochs.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint folder.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="For history, figures and model. Default: runs/NAME.",
)
@click.pass_context
def train_command(ctx: click.Context, **options: Any) -> int:
    """Train a network on DATASET, or on a CSV file.

    DATASET is breast_cancer, circles, diabetes, digits, iris, linear_regression, moons,
    spirals, student_dropout, wine or xor. Inputs are scaled by the training rows alone.
    Writes history.csv, the loss and the calibration as figures (numbers: predicted
    against observed), and model.safetensors for 'diffkit predict'.

    With a checkpoint folder, Ctrl-C or a crash loses nothing: the same folder and
    --resume go on, bit for bit; options not given are those it was begun with.

    \b
    Examples:
      diffkit train iris
      diffkit train digits --sizes 64,128,10 --activation relu --epochs 10
      diffkit train --data students.csv --target dropout --missing drop
      diffkit train moons --checkpoint-dir runs/moons/kept --epochs 20
      diffkit train --checkpoint-dir runs/moons/kept --resume --epochs 40
    """
    if options["resume"]:
        given = {
            name
            for name in options
            if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT
        }
        options = cli_training.resumed(options, given)
    try:
        cli_training.run(options)
    except TrainingInterrupted as problem:
        # Told here: click would make a bare "Aborted" of a KeyboardInterrupt.
        error(str(problem))
        return INTERRUPTED
    return 0


@click.command("predict")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", metavar="FILE", help="A CSV file with the feature columns.")
@click.option(
    "--part",
    type=click.Choice(["train", "validation", "test", "all"]),
    default="test",
    show_default=True,
    help="Without a file: rows of the data it was trained on.",
)
@click.option(
    "--missing",
    type=click.Choice(["refuse", "drop"]),
    default="refuse",
    show_default=True,
    help="Rows with missing values.",
)
@click.option("--separator", default=",", show_default=True, help="Between fields.")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Default: stdout."
)
def predict_command(
    model: Path,
    data: str | None,
    part: Any,
    missing: Any,
    separator: str,
    out: Path | None,
) -> None:
    """Predict by a trained network: CSV with a line for each row.

    MODEL is a checkpoint, or a folder that 'diffkit train' wrote to. Columns of FILE
    are found by name and scaled as the training rows were. Where the truth is there
    too, how good the predictions are is said on stderr.

    \b
    Examples:
      diffkit predict runs/iris
      diffkit predict runs/iris --part all --out predictions.csv
      diffkit predict runs/students --data next_year.csv --missing drop
    """
    cli_training.predict(model, data, part, missing, separator, out)

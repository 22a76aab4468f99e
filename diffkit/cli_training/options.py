"""From the words of the command line to data, and to those of a resumed training."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from diffkit import train
from diffkit.errors import UserInputError
from diffkit.train import data as data_sets
from diffkit.train.data import Dataset

#: What may differ when a training is resumed; everything else decides its course.
_FREE = {"resume", "checkpoint_dir", "out", "epochs", "patience", "checkpoint_every"}
#: Where every row trains unless asked otherwise: a truth table, and an exercise.
_WHOLE = ("xor", "linear_regression")


def load_data(options: Mapping[str, Any]) -> Dataset:
    """The data set that the options name, split and scaled.

    Raises UserInputError when they name none, or one that cannot be used.
    """
    name, path = options["dataset"], options["data"]
    validation = options["validation"]
    if validation is None:
        validation = 0.0 if name in _WHOLE else 0.2
    shared = {
        "validation": validation,
        "rng": options["seed"],
        "dtype": options["dtype"],
    }
    if options["test"] is not None:
        shared["test"] = options["test"]
    if (name is None) == (path is None):
        raise UserInputError(
            "Name one data set, or one file with --data and --target: "
            f"{', '.join(sorted(data_sets.DATASETS))}."
        )
    if options["seed"] < 0:
        raise UserInputError(f"--seed is {options['seed']}; seeds count from 0.")
    if path is None:
        if name == "linear_regression":
            shared["rng"] = 42  # The exercise's own rows, whatever the seed.
        return data_sets.get(name, **shared)
    if options["target"] is None:
        columns = data_sets.read_table(path, options["separator"]).columns
        raise UserInputError(
            f"--data needs --target, the column to predict: {', '.join(columns)}."
        )
    return data_sets.from_csv(
        path,
        options["target"],
        task=options["task"],
        missing=options["missing"],
        ignore=options["ignore"],
        separator=options["separator"],
        **shared,
    )


def resumed(options: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """The options that the training was begun with, and those that may be new.

    `given` are the names of those that stand on the command line. Raises UserInputError
    for one that would change the course of the training.
    """
    options = dict(options)
    folder = options["checkpoint_dir"]
    if folder is None:
        raise UserInputError("--resume needs --checkpoint-dir, the folder to go on in.")
    saved = train.checkpoint.load(folder / train.checkpoint.LAST).metadata
    before = saved.get("options")
    if not isinstance(before, dict) or set(options) - set(before) - _FREE:
        raise UserInputError(
            f"{folder} holds a checkpoint that was not written by this version of "
            "'diffkit train'. Go on with it from Python: train.fit(resume=True)."
        )
    for name, value in list(options.items()):
        old = before.get(name)
        old = tuple(old) if isinstance(old, list) else old
        if name not in given and name in before and name != "checkpoint_dir":
            options[name] = old
        elif name in given and name not in _FREE and value != old:
            raise UserInputError(
                f"--{name.replace('_', '-')} is {value} and the training in {folder} "
                f"was begun with {old}. Leave it out, or begin anew in another folder."
            )
    planned = options["schedule"] not in ("constant", "plateau")
    if planned and options["epochs"] != before["epochs"]:
        raise UserInputError(
            f"The schedule {options['schedule']} was laid out over {before['epochs']} "
            f"epochs, and --epochs is {options['epochs']}: resume with the same number."
        )
    return options


def read_sizes(text: str | None) -> tuple[int, ...] | None:
    """Widths from 4,16,3 or 4-16-3; UserInputError for anything else."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.replace("-", ",").split(","))
    except ValueError:
        raise UserInputError(
            f"{text!r} does not list layer sizes: write whole numbers with commas, "
            "such as --sizes 4,16,3."
        ) from None

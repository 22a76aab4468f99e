"""One training from its options to its files, for ``diffkit train``."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diffkit import report, train
from diffkit.cli_show import note, table
from diffkit.cli_training.epochs import epoch_table
from diffkit.cli_training.model import Model, build, optimizer_for
from diffkit.cli_training.options import load_data, read_sizes
from diffkit.errors import (
    CheckpointError,
    DivergenceError,
    ReportError,
    TrainingInterrupted,
    UserInputError,
)
from diffkit.report import training as figures
from diffkit.train import data as data_sets
from diffkit.train import metrics
from diffkit.train.data import Dataset

MODEL_FILE = "model.safetensors"
#: Rows in a batch where nobody says, and there are as many.
_BATCH = 32
#: Up to this many classes the confusion matrix is shown.
_MOST_CLASSES = 10


def run(options: Mapping[str, Any]) -> None:
    """Train as the options of the command say, and write what came of it.

    What can be kept of a training that is interrupted, diverges or meets a full disk is
    written before its error goes on.
    """
    data = load_data(options)
    out = options["out"] or Path("runs") / data.name
    sizes = read_sizes(options["sizes"])
    model = build(data, sizes, options["activation"], options["loss"])
    job = Job(options, data, model, out)
    job.check()
    note(f"{data.name}: {_parts(data)}. {model.name}. Source: {data.source}.")
    try:
        history = job.train()
    except (TrainingInterrupted, CheckpointError, DivergenceError) as problem:
        job.salvage(problem)
        raise
    job.write(history)


@dataclass(frozen=True, slots=True)
class Job:
    """One training, from its options to its files."""

    options: Mapping[str, Any]
    data: Dataset
    model: Model
    out: Path

    @property
    def metadata(self) -> dict[str, Any]:
        """What 'diffkit predict' and --resume need to know."""
        kept = {k: v for k, v in self.options.items() if k not in ("resume", "out")}
        kept["checkpoint_dir"] = str(kept["checkpoint_dir"] or "")
        return {"model": self.model.as_json(), "options": kept}

    def check(self) -> None:
        """Raise for what would only be found out after training."""
        self._augment()
        _check_folder(self.out)

    def train(self) -> train.History:
        """Train, with the table of epochs on stdout."""
        options, model, net = self.options, self.model, self.model.net()
        x, y = self.data.train
        pair = x, model.targets(y)
        held_out = self.data.validation
        rows, size = len(x), options["batch"]
        size = min(_BATCH, rows) if size is None else size or None
        steps = options["epochs"] * self._steps_per_epoch(rows, size)
        optimizer, rate = optimizer_for(
            options["optimizer"],
            options["rate"],
            options["schedule"],
            steps,
            options["clip"],
        )
        patience = options["patience"]
        params = None
        if model.dtype != "float64":
            # The generator that the trainer would draw them from.
            drawn = np.random.default_rng(options["seed"]).spawn(1)[0]
            params = net.init(drawn, model.dtype)
        measured = model.metrics()
        with epoch_table(list(measured), held_out is not None, rate) as shown:
            return train.fit(
                net,
                model.loss_function(),
                optimizer,
                pair,
                epochs=options["epochs"],
                backend=options["backend"],
                batch_size=size,
                drop_last=options["drop_last"],
                validation=held_out and (held_out[0], model.targets(held_out[1])),
                metrics=measured,
                early_stopping=(
                    None if patience is None else train.EarlyStopping(patience)
                ),
                callbacks=[shown],
                accumulate=options["accumulate"],
                shards=options["shards"],
                augment=self._augment(),
                checkpoint=options["checkpoint_dir"],
                checkpoint_every=options["checkpoint_every"],
                resume=options["resume"],
                metadata=self.metadata,
                rng=options["seed"],
                params=params,
                progress=False,
            )

    def _steps_per_epoch(self, rows: int, size: int | None) -> int:
        """For the schedule; numbers that make no sense are the trainer's to refuse."""
        if size is None or not 0 < size <= rows:
            return 1
        batches = train.Batches(rows, size, self.options["drop_last"])
        return -(-len(batches) // max(1, self.options["accumulate"]))

    def write(self, history: train.History) -> None:
        """Files, and the measures of the parts on stdout."""
        self._write_model(history)
        self._write_history(history)
        metric = next(iter(self.model.metrics()))
        figure = figures.loss_figure(
            history.frame, f"{self.data.name}: {self.model.name}", metric
        )
        report.figures.save(figure, self.out, "loss")
        net, rows = self.model.net(), []
        outputs = {
            part: net.apply(history.params, x) for part, (x, _) in self.parts.items()
        }
        for part, (_, y) in self.parts.items():
            measured = measure(self.model, outputs[part], y)
            rows.append([part, str(len(y)), *(f"{v:.4f}" for v in measured.values())])
        part = list(self.parts)[-1]
        names = list(measure(self.model, outputs[part], self.parts[part][1]))
        table(["part", "rows", *names], rows)
        self._show_confusion(part, outputs[part], self.parts[part][1])
        self._write_quality(part, outputs[part], self.parts[part][1])
        ended = f"ended by {history.ended}, " if history.ended != "epochs" else ""
        note(f"{ended}{history.frame['step'].to_numpy().max()} steps → {self.out}")

    @property
    def parts(self) -> dict[str, train.data.Pair]:
        """The parts that have rows; the last is the fairest to judge by."""
        named = {
            "train": self.data.train,
            "validation": self.data.validation,
            "test": self.data.test,
        }
        return {k: v for k, v in named.items() if v is not None and len(v[0])}

    def salvage(self, problem: Any) -> None:
        """Keep what can be kept of a training that was cut short."""
        history: Any = problem.history
        if history is None:
            return
        with suppress(OSError):
            self._write_history(history)
        if isinstance(problem, CheckpointError):
            with suppress(OSError):
                path = self._write_model(history)
                problem.args = (f"{problem} The network as it stands is in {path}.",)

    def _write_history(self, history: train.History) -> None:
        path = self.out / "history.csv"
        try:
            history.frame.to_csv(path, index=False, lineterminator="\n")
        except OSError as error:
            raise ReportError(f"{path} cannot be written: {error.strerror}") from error

    def _write_model(self, history: train.History) -> Path:
        return train.checkpoint.save(
            self.out / MODEL_FILE,
            train.checkpoint.Checkpoint(
                history.params, net_state=history.net_state, metadata=self.metadata
            ),
        )

    def _write_quality(self, part: str, outputs: np.ndarray, y: np.ndarray) -> None:
        title = f"{self.data.name}, {part}: {len(y)} rows"
        if self.data.classes:
            curve = metrics.reliability_curve(self.model.probabilities(outputs), y)
            figure = figures.calibration_figure({self.model.name: curve}, title)
            report.figures.save(figure, self.out, "calibration")
            return
        scale, mean = self.data.target_scale, self.data.target_mean
        figure = figures.prediction_figure(
            y * scale + mean, outputs * scale + mean, title, self.data.target
        )
        report.figures.save(figure, self.out, "predictions")

    def _show_confusion(self, part: str, outputs: np.ndarray, y: np.ndarray) -> None:
        """How often each class was taken for which, where there is room for it."""
        classes = self.model.classes
        if not 2 <= len(classes) <= _MOST_CLASSES:
            return
        p = self.model.probabilities(outputs)
        counts = metrics.confusion_matrix(p, y, threshold=0.5)
        lines = [
            [name, *map(str, row)]
            for name, row in zip(classes, counts.tolist(), strict=True)
        ]
        table([f"{part}: true, by predicted", *classes], lines)

    def _augment(self) -> Any:
        noise, shift, image = (
            self.options["noise"],
            self.options["shift"],
            self.data.image,
        )
        if shift is not None and (image is None or self.data.mean.any()):
            raise UserInputError(
                f"--shift moves pictures, and {self.data.name} has none. Of the data "
                "sets, digits has."
            )
        if noise is None and shift is None:
            return None

        def augmented(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            if shift is not None and image is not None:
                x = data_sets.with_shifts(x, rng, shift, image)
            return x if noise is None else data_sets.with_noise(x, rng, noise)

        return augmented


def measure(model: Model, outputs: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """What is said of predictions in the end, by name; NaN where not defined."""
    if not model.classes:
        residual = (outputs - y) * model.target_scale
        constant = bool((y == y[0]).all())
        return {
            "RMSE": float(np.sqrt(np.mean(residual**2))),
            "R²": np.nan if constant else metrics.r_squared(outputs, y),
        }
    p = model.probabilities(outputs)
    everywhere = len(np.unique(y)) == len(model.classes)
    return {
        "accuracy": metrics.accuracy(p, y, threshold=0.5),
        "ROC AUC": metrics.roc_auc(p, y) if everywhere else np.nan,
        "Brier": metrics.brier(p, y),
        "ECE": metrics.expected_calibration_error(p, y),
    }


def _parts(data: Dataset) -> str:
    counts = [f"{len(data.train[0])} rows to train"]
    if data.validation is not None:
        counts.append(f"{len(data.validation[0])} to validate")
    if len(data.test[0]):
        counts.append(f"{len(data.test[0])} to test")
    made_up = "synthetic, " if data.synthetic else ""
    return made_up + ", ".join(counts)


def _check_folder(folder: Path) -> None:
    try:
        report.check_writable(folder)
    except ReportError as problem:
        reason = getattr(problem.__cause__, "strerror", None) or problem
        raise ReportError(
            f"Results cannot be written to {folder}: {reason}. Nothing was trained. "
            "Name another folder with --out."
        ) from problem.__cause__

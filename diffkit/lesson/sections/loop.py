"""The loop: two recorded iterations, number by number."""

from __future__ import annotations

from collections.abc import Mapping

from diffkit.lesson.data import Data, Measured, Number, short
from diffkit.lesson.section import Section, View

NAME = "loop"
#: Iterations that are written out: two, so that the loss is seen to fall.
WRITTEN = (0, 1)
#: Name in the template -> metric of `linear_regression`.
SHOWN = {
    "w": "w_value",
    "b": "b_value",
    "prediction": "example_prediction_value",
    "loss": "mse_loss",
    "w_slope": "w_gradient_value",
    "b_slope": "b_gradient_value",
}


def view(data: Data) -> View:
    """The numbers of the first iterations of the exercise's line."""
    rows = data["linear_regression"]
    return View(
        {
            "rounds": [_round(rows, k) for k in WRITTEN],
            "x": _one(rows, "example_x_value"),
            "y": _one(rows, "example_y_value"),
            "last": _one(rows, "mse_loss"),
        }
    )


def _round(rows: Measured, k: int) -> Mapping[str, Number]:
    """What stands before iteration k, and, called next_…, what stands after it."""
    now = {name: _one(rows, metric, k) for name, metric in SHOWN.items()}
    later = {
        f"next_{name}": _one(rows, SHOWN[name], k + 1) for name in ("w", "b", "loss")
    }
    return now | later


def _one(rows: Measured, metric: str, sample: int | None = None) -> Number:
    return rows.number(metric, "autodiff", sample=sample, words=short, part="train")


SECTION = Section(NAME, "2", "The loop", ("linear_regression",), ("C12", "W2"), view)

"""What losses share: shapes that fit, values in range, reductions."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

import numpy as np

from diffkit.errors import ShapeError, UserInputError, unknown_name
from diffkit.functions import check_labels
from diffkit.graph import Traced

Loss = Callable[..., Any]

# PyTorch's floor for the logarithm of a probability: a certain and wrong prediction
# costs 100, not infinity.
LOG_FLOOR = -100.0
SMALLEST_PROBABILITY = float(np.exp(LOG_FLOOR))
# How far the sum of a distribution may be from 1: rounding of float32 is far below.
SUM_TOLERANCE = 1e-3

_REDUCTIONS: dict[str, Callable[[Any], Any]] = {
    "mean": np.mean,
    "sum": np.sum,
    "none": lambda losses: losses,
}


def array(x: Any) -> Any:
    """A traced value as it is, anything else as an array."""
    return x if isinstance(x, Traced) else np.asarray(x)


def reduce(losses: Any, reduction: str) -> Any:
    """The mean, the sum, or the losses themselves; UnknownNameError for others."""
    if reduction not in _REDUCTIONS:
        raise unknown_name("reduction", reduction, _REDUCTIONS)
    return _REDUCTIONS[reduction](losses)


def pair(loss: str, prediction: Any, target: Any) -> tuple[Any, Any]:
    """Both as arrays; ShapeError unless they are shaped alike and not empty."""
    prediction, target = array(prediction), array(target)
    if prediction.shape != target.shape:
        raise ShapeError(
            f"{loss} was given a prediction of shape {prediction.shape} and a target "
            f"of shape {target.shape}. They must be the same."
            + column_hint("the target", target.shape, prediction.shape)
        )
    if 0 in prediction.shape:
        raise ShapeError(
            f"{loss} was given no elements (shape {prediction.shape}); its mean is "
            "not defined."
        )
    return prediction, target


def class_pair(loss: str, what: str, scores: Any, targets: Any) -> tuple[Any, Any]:
    """Scores of shape (..., classes), and labels (...) or distributions like them.

    Raises ShapeError for shapes that do not fit; where values are known, UserInputError
    for labels out of range and for rows that are no distributions, DtypeError for
    labels that are no whole numbers.
    """
    z, t = array(scores), array(targets)
    if z.ndim == 0 or 0 in z.shape:
        raise ShapeError(
            f"{loss} needs {what} of shape (..., classes) with at least one "
            f"sample and was given shape {z.shape}."
        )
    if t.shape == z.shape[:-1]:
        if not isinstance(t, Traced):
            check_labels(t, z.shape[-1], "targets")
        return z, t
    if t.shape != z.shape:
        raise ShapeError(
            f"{loss} of {what} with shape {z.shape} needs class indices of "
            f"shape {z.shape[:-1]} or distributions of shape {z.shape} and was given "
            f"targets of shape {t.shape}."
            + column_hint("targets", t.shape, z.shape[:-1])
        )
    check_targets(t, "Each row is a distribution over the classes.")
    check_distributions(
        "targets", t, "For several classes at once use binary_cross_entropy_with_logits"
    )
    return z, t


def column_hint(what: str, given: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """What to write when a column meets a vector."""
    if (*given, 1) == wanted:
        return f" Make {what} a column with y[..., None]."
    if given == (*wanted, 1):
        return f" Drop the last axis of {what} with y[..., 0]."
    return ""


def check_probabilities(name: str, values: Any, advice: str) -> None:
    """Raise UserInputError for values outside 0 to 1; NaN is left to the loss."""
    if not isinstance(values, Traced):
        _refuse(name, values, (values < 0) | (values > 1), "outside 0 to 1", advice)


def check_targets(values: Any, advice: str) -> None:
    """Raise UserInputError for targets outside 0 to 1, or NaN."""
    if not isinstance(values, Traced):
        inside = (values >= 0) & (values <= 1)
        _refuse("targets", values, ~inside, "outside 0 to 1", advice)


def check_distributions(name: str, values: Any, advice: str) -> None:
    """Raise UserInputError for rows that do not sum to 1."""
    if isinstance(values, Traced):
        return
    sums = np.sum(values, axis=-1)
    wrong = np.abs(sums - 1.0) > SUM_TOLERANCE
    advice = f"Each row is a distribution. {advice}."
    _refuse(f"The sum of {name}", sums, wrong, "and must be 1", advice)


def check_log_probabilities(name: str, values: Any) -> None:
    """Raise UserInputError for logarithms above 0: logits, or probabilities."""
    if not isinstance(values, Traced):
        advice = "They are logarithms of probabilities: log_softmax(logits)."
        _refuse(name, values, values > SUM_TOLERANCE, "above 0", advice)


def check_number(
    loss: str, name: str, value: Any, least: float, *, above: bool = False
) -> float:
    """A finite Python number from `least` on, or above it; UserInputError for others.

    >>> check_number("huber", "delta", 2, 0.0, above=True)
    2.0
    """
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if number and isfinite(value) and (value > least if above else value >= least):
        return float(value)
    bound = f"{'above' if above else 'at least'} {least:g}"
    raise UserInputError(f"{loss}: {name} is {value!r}; it must be a number {bound}.")


def check_class_weights(loss: str, weights: Any, classes: int) -> np.ndarray:
    """One weight for each class, at least 0 and not all 0, in float64.

    Raises ShapeError for another number of them, UserInputError for values that are no
    weights.
    """
    known = np.asarray(weights, np.float64)
    if known.shape != (classes,):
        raise ShapeError(
            f"{loss} of {classes} classes needs weights of shape ({classes},), one for "
            f"each class, and was given shape {known.shape}."
        )
    if not (np.isfinite(known).all() and (known >= 0).all() and known.any()):
        raise UserInputError(
            f"{loss}: the class weights {known.tolist()} must be finite, at least 0, "
            "and not all 0."
        )
    return known


def log(p: Any) -> Any:
    """Logarithm of p above the floor; the inner choice keeps 1/0 out of its slope."""
    known = p > SMALLEST_PROBABILITY
    return np.where(known, np.log(np.where(known, p, 1.0)), LOG_FLOOR)


def _refuse(
    name: str, values: np.ndarray, wrong: np.ndarray, said: str, advice: str
) -> None:
    if np.any(wrong):
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        place = f"{name}[{', '.join(map(str, where))}]" if where else name
        raise UserInputError(
            f"{place} is {values[where]:g}, {said} ({int(np.sum(wrong))} of "
            f"{values.size} are). {advice}"
        )

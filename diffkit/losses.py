"""Losses: how wrong a prediction is, as one number.

Each is a function loss(prediction, target, reduction="mean"), on arrays and on traced
values alike. Shapes must agree exactly: a column (n, 1) against a vector (n,) would
broadcast to (n, n) without a word, and is refused. Values are checked where they are
known; inside a traced program only shapes are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from diffkit.errors import ShapeError, UserInputError, unknown_name
from diffkit.functions import (
    check_labels,
    log_softmax,
    logsumexp,
    softplus,
)
from diffkit.graph import Traced

__all__ = [
    "LOSSES",
    "Loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "get",
    "mse",
]

Loss = Callable[..., Any]

# PyTorch's floor for the logarithm of a probability: a certain and wrong prediction
# costs 100, not infinity.
LOG_FLOOR = -100.0
SMALLEST_PROBABILITY = float(np.exp(LOG_FLOOR))


def mse(prediction: Any, target: Any, reduction: str = "mean") -> Any:
    """Mean squared error: (ŷ − y)² over all m elements, gradient (2/m)(ŷ − y).

    m counts every element, rows times outputs, as in PyTorch's mse_loss and
    scikit-learn; there is no factor 1/2. `reduction` is "mean", "sum" or "none".

    Raises ShapeError unless both have the same shape.

    >>> float(mse([1.0, 2.0], [0.0, 4.0]))
    2.5
    """
    prediction, target = _pair("mse", prediction, target)
    return _reduce(np.square(prediction - target), reduction)


def binary_cross_entropy(
    probabilities: Any, targets: Any, reduction: str = "mean"
) -> Any:
    """−(t·log p + (1 − t)·log(1 − p)), the mean over all elements.

    `targets` t are 0, 1 or between. As in PyTorch's binary_cross_entropy, logarithms
    are held above −100; the derivative there is taken as 0, where PyTorch's is up to
    1e12. A saturated sigmoid therefore stops learning: prefer
    `binary_cross_entropy_with_logits`.

    Raises ShapeError unless both have the same shape, UserInputError for values outside
    0 to 1 where they are known.

    >>> binary_cross_entropy([0.5, 0.0], [1.0, 1.0], "none").round(4).tolist()
    [0.6931, 100.0]
    """
    p, t = _pair("binary_cross_entropy", probabilities, targets)
    _check_unit_interval("probabilities", p, "Logits go to the ..._with_logits loss.")
    _check_unit_interval("targets", t, "They are 0, 1 or a probability between.")
    return _reduce(-(t * _log(p) + (1.0 - t) * _log(1.0 - p)), reduction)


def binary_cross_entropy_with_logits(
    logits: Any, targets: Any, reduction: str = "mean"
) -> Any:
    """Binary cross-entropy of p = σ(z): t·softplus(−z) + (1 − t)·softplus(z), the mean.

    No overflow for any z, and full relative precision in both tails for t = 0 and 1.
    The gradient is σ(z) − t. PyTorch's binary_cross_entropy_with_logits has the same
    value.

    Raises ShapeError unless both have the same shape, UserInputError for targets
    outside 0 to 1 where they are known.

    >>> z = np.array([1000.0, -1000.0])
    >>> binary_cross_entropy_with_logits(z, np.array([0.0, 0.0]), "none").tolist()
    [1000.0, 0.0]
    """
    z, t = _pair("binary_cross_entropy_with_logits", logits, targets)
    _check_unit_interval("targets", t, "They are 0, 1 or a probability between.")
    return _reduce(t * softplus(-z) + (1.0 - t) * softplus(z), reduction)


def cross_entropy(logits: Any, targets: Any, reduction: str = "mean") -> Any:
    """Categorical cross-entropy of softmax(z), the mean over samples.

    `logits` z have shape (..., classes). `targets` are class indices of shape (...),
    and the loss of a sample is logsumexp(z) − z[label]; or they are distributions of
    shape (..., classes), such as one-hot rows, and it is −Σ t·log_softmax(z). Classes
    are the last axis (PyTorch's cross_entropy wants them second). The gradient is
    (softmax(z) − t)/samples. No overflow for any z.

    Labels may be an argument of the traced program; those outside 0 … classes − 1
    cannot be seen there, and count as no class at all.

    Raises ShapeError for shapes that do not fit, UserInputError for a label out of
    range, DtypeError for labels that are no whole numbers, where values are known.

    >>> float(cross_entropy([[0.0, 1000.0], [0.0, 0.0]], [0, 1]).round(4))
    500.3466
    """
    z, t = _array(logits), _array(targets)
    if z.ndim == 0 or 0 in z.shape:
        raise ShapeError(
            f"cross_entropy needs logits of shape (..., classes) with at least one "
            f"sample and was given shape {z.shape}."
        )
    classes = z.shape[-1]
    if t.shape == z.shape[:-1]:
        if not isinstance(t, Traced):
            check_labels(t, classes, "targets")
        # A choice and not a product: a masked logit of −inf must not become 0·inf.
        is_label = t[..., None] == np.arange(classes)
        chosen = np.sum(np.where(is_label, z, 0.0), axis=-1)
        return _reduce(logsumexp(z, axis=-1) - chosen, reduction)
    if t.shape != z.shape:
        raise ShapeError(
            f"cross_entropy of logits with shape {z.shape} needs class indices of "
            f"shape {z.shape[:-1]} or distributions of shape {z.shape} and was given "
            f"targets of shape {t.shape}."
            + _column_hint("targets", t.shape, z.shape[:-1])
        )
    _check_unit_interval("targets", t, "Each row is a distribution over the classes.")
    return _reduce(-np.sum(t * log_softmax(z), axis=-1), reduction)


LOSSES: dict[str, Loss] = {
    "mse": mse,
    "binary_cross_entropy": binary_cross_entropy,
    "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits,
    "cross_entropy": cross_entropy,
}


def get(name: str) -> Loss:
    """A loss by its name.

    Raises UnknownNameError with the nearest name.

    >>> get("mse") is mse
    True
    """
    if name not in LOSSES:
        raise unknown_name("loss", name, LOSSES)
    return LOSSES[name]


def _array(x: Any) -> Any:
    return x if isinstance(x, Traced) else np.asarray(x)


def _pair(loss: str, prediction: Any, target: Any) -> tuple[Any, Any]:
    prediction, target = _array(prediction), _array(target)
    if prediction.shape != target.shape:
        raise ShapeError(
            f"{loss} was given a prediction of shape {prediction.shape} and a target "
            f"of shape {target.shape}. They must be the same."
            + _column_hint("the target", target.shape, prediction.shape)
        )
    if 0 in prediction.shape:
        raise ShapeError(
            f"{loss} was given no elements (shape {prediction.shape}); its mean is "
            "not defined."
        )
    return prediction, target


def _column_hint(what: str, given: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    if (*given, 1) == wanted:
        return f" Make {what} a column with y[..., None]."
    if given == (*wanted, 1):
        return f" Drop the last axis of {what} with y[..., 0]."
    return ""


def _check_unit_interval(name: str, values: Any, advice: str) -> None:
    if isinstance(values, Traced):
        return
    wrong = (values < 0) | (values > 1)
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        place = f"{name}[{', '.join(map(str, where))}]" if where else name
        raise UserInputError(
            f"{place} is {values[where]:g}, outside 0 to 1 ({int(wrong.sum())} of "
            f"{values.size} are). {advice}"
        )


def _log(p: Any) -> Any:
    """Logarithm of p above the floor; the inner choice keeps 1/0 out of its slope."""
    known = p > SMALLEST_PROBABILITY
    return np.where(known, np.log(np.where(known, p, 1.0)), LOG_FLOOR)


def _reduce(losses: Any, reduction: str) -> Any:
    if reduction not in _REDUCTIONS:
        raise unknown_name("reduction", reduction, _REDUCTIONS)
    return _REDUCTIONS[reduction](losses)


_REDUCTIONS: dict[str, Callable[[Any], Any]] = {
    "mean": np.mean,
    "sum": np.sum,
    "none": lambda losses: losses,
}

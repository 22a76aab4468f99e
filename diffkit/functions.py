"""Functions networks need and NumPy lacks, on arrays and on traced values alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from diffkit.errors import DtypeError, ShapeError, UserInputError
from diffkit.graph import Traced
from diffkit.ops import TABLE

__all__ = [
    "erf",
    "log_softmax",
    "logsumexp",
    "one_hot",
    "relu",
    "sigmoid",
    "softmax",
    "softplus",
]


def sigmoid(x: Any) -> Any:
    """The logistic function σ(x) = 1/(1 + e⁻ˣ), elementwise; σ′ = σ(1 − σ) ≤ 1/4.

    Written with e^(−|x|), so that it neither overflows nor loses its small values.

    >>> sigmoid([-1000.0, 0.0, 1000.0])
    array([0. , 0.5, 1. ])
    """
    return _scalar(TABLE["sigmoid"](_array(x)))


def softplus(x: Any) -> Any:
    """log(1 + eˣ), elementwise, without overflow; its derivative is the sigmoid.

    >>> softplus([-1000.0, 1000.0])
    array([   0., 1000.])
    """
    return _scalar(TABLE["softplus"](_array(x)))


def relu(x: Any) -> Any:
    """max(x, 0), elementwise; the derivative at the kink is taken as relu′(0) = 0.

    >>> relu([-2.0, 3.0])
    array([0., 3.])
    """
    return _scalar(TABLE["relu"](_array(x)))


def erf(x: Any) -> Any:
    """The error function (2/√π)·∫₀ˣ e^(−t²) dt, elementwise.

    >>> erf([0.0, 30.0])
    array([0., 1.])
    """
    return _scalar(TABLE["erf"](_array(x)))


def logsumexp(
    x: Any, axis: int | tuple[int, ...] | None = None, keepdims: bool = False
) -> Any:
    """The logarithm of Σ e^(xᵢ) along `axis`, by default over all axes; no overflow.

    Its derivative is the softmax. Raises ShapeError for an axis that `x` does not have.

    >>> float(logsumexp([1000.0, 1000.0]) - 1000.0)  # log 2, to 1000·2⁻⁵³
    0.69314718055...
    """
    x = _array(x)
    axes = _axes(axis, x.ndim)
    if not axes:
        return x
    return _scalar(TABLE["logsumexp"](x, axes=axes, keepdims=keepdims))


def log_softmax(x: Any, axis: int = -1) -> Any:
    """Logarithms of the softmax, x − logsumexp(x) along `axis`, stable for any x.

    >>> log_softmax([0.0, 1000.0])
    array([-1000.,     0.])
    """
    x = _array(x)
    return x - logsumexp(x, axis=axis, keepdims=True)


def softmax(x: Any, axis: int = -1) -> Any:
    """e^(xᵢ) / Σ e^(xⱼ) along `axis`, as the exponential of `log_softmax`.

    Relative rounding error grows with the size of the logits, about |x|·2⁻⁵³.

    >>> softmax([[0.0, 0.0], [-1000.0, 1000.0]])
    array([[0.5, 0.5],
           [0. , 1. ]])
    """
    return np.exp(log_softmax(x, axis))


def one_hot(labels: Any, classes: int) -> Any:
    """Rows of 0 and 1: entry (..., k) is 1 where the label is k, in float64.

    `labels` are class indices 0 … classes−1 of any shape. They may be an argument of
    a traced program: then they are compared with np.arange, their values cannot be
    checked, and a label outside the range gives a row of zeros.

    Raises UserInputError for a label outside the range, DtypeError for labels that are
    not whole numbers.

    >>> one_hot([2, 0], 3)
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    labels = _array(labels)
    if not isinstance(labels, Traced):
        check_labels(labels, classes)
    return np.where(labels[..., None] == np.arange(classes), 1.0, 0.0)


def check_labels(labels: np.ndarray, classes: int, name: str = "labels") -> None:
    """Raise, naming the first wrong entry, unless all are whole numbers 0…classes−1."""
    if labels.dtype.kind not in "iuf" or (labels != np.floor(labels)).any():
        raise DtypeError(
            f"{name} must be class indices, whole numbers from 0 to {classes - 1}, and "
            f"have dtype {labels.dtype}"
            + (" with fractions or NaN" if labels.dtype.kind == "f" else "")
            + ". Encode classes as integers, for example with "
            "np.unique(names, return_inverse=True)[1]."
        )
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise UserInputError(
            f"{name}[{', '.join(map(str, where))}] is {labels[where]:g}, outside the "
            f"range 0 to {classes - 1} of {classes} classes ({int(wrong.sum())} of "
            f"{labels.size} are outside). Number the classes from 0, or give the "
            "network one output for each class."
        )


def _array(x: Any) -> Any:
    return x if hasattr(x, "__diffkit_apply__") else np.asarray(x)


def _scalar(x: Any) -> Any:
    """What NumPy's own functions return for no axes: a scalar, not a 0-d array."""
    return x if isinstance(x, Traced) else np.asarray(x)[()]


def _axes(axis: int | tuple[int, ...] | None, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    wanted = (axis,) if isinstance(axis, int | np.integer) else tuple(axis)
    for a in wanted:
        if not -ndim <= a < ndim:
            raise ShapeError(f"axis {a} is out of range for an array of {ndim} axes")
    return tuple(sorted(int(a) % ndim for a in wanted))

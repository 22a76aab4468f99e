"""Functions networks need and NumPy lacks, on arrays and on traced values alike."""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

import numpy as np

from diffkit.errors import DtypeError, ShapeError, UserInputError
from diffkit.graph import Traced
from diffkit.ops import TABLE

__all__ = [
    "elu",
    "erf",
    "gelu",
    "leaky_relu",
    "log_softmax",
    "logsumexp",
    "one_hot",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
]


ONE_OVER_SQRT_2 = sqrt(0.5)
SQRT_2_OVER_PI = sqrt(2.0 / pi)


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


def leaky_relu(x: Any, slope: float = 0.01) -> Any:
    """The relu with a slope: x above 0, slope·x elsewhere, derivative `slope` at 0.

    Source: Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network
    acoustic models", 2013; PyTorch's leaky_relu.

    >>> leaky_relu([-2.0, 3.0], 0.5)
    array([-1.,  3.])
    """
    x = _real(x)
    return _scalar(np.where(x > 0, x, float(slope) * x))


def elu(x: Any, alpha: float = 1.0) -> Any:
    """The exponential linear unit: x above 0, α(eˣ − 1) elsewhere; elu′(0) = α.

    Written with expm1 of min(x, 0), so that small x keep their digits and large ones do
    not overflow in the branch not taken. Source: Clevert, Unterthiner and Hochreiter,
    "Fast and accurate deep network learning by exponential linear units", ICLR 2016;
    PyTorch's elu.

    >>> elu([-1000.0, 0.0, 1000.0])
    array([  -1.,    0., 1000.])
    """
    x = _real(x)
    # A choice and not np.minimum, whose tie at 0 would halve the derivative there.
    below = np.expm1(np.where(x > 0, 0.0, x))
    return _scalar(np.where(x > 0, x, float(alpha) * below))


def silu(x: Any) -> Any:
    """x·σ(x), elementwise, also called swish; the derivative at 0 is 1/2.

    Source: Elfwing, Uchibe and Doya, "Sigmoid-weighted linear units", Neural Networks
    107, 2018; PyTorch's silu.

    >>> silu([0.0, 1000.0])
    array([   0., 1000.])
    """
    x = _real(x)
    return _scalar(x * sigmoid(x))


def gelu(x: Any, approximate: str = "none") -> Any:
    """x·Φ(x), elementwise, with the distribution function Φ of the standard normal.

    "none" is the definition, Φ(x) = (1 + erf(x/√2))/2; "tanh" puts
    (1 + tanh(√(2/π)·(x + 0.044715·x³)))/2 in its place, off by at most 5e-4. Both lose
    relative digits where Φ tends to 0 (below about −5), as PyTorch's do; the absolute
    error stays at rounding. Source: Hendrycks and Gimpel, "Gaussian error linear
    units", 2016.

    Raises UserInputError for another form.

    >>> gelu([1.0]).round(4), gelu([1.0], "tanh").round(4)
    (array([0.8413]), array([0.8412]))
    """
    x = _real(x)
    if approximate == "none":
        return _scalar(x * (0.5 * (1.0 + erf(x * ONE_OVER_SQRT_2))))
    if approximate == "tanh":
        inner = SQRT_2_OVER_PI * (x * (1.0 + 0.044715 * np.square(x)))
        return _scalar(x * (0.5 * (1.0 + np.tanh(inner))))
    raise UserInputError(
        f"gelu has the forms 'none' (exact, by erf) and 'tanh', not {approximate!r}."
    )


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


def _real(x: Any) -> Any:
    """As an array of floats: integers are real numbers here, as in a program."""
    x = _array(x)
    return x if x.dtype.kind == "f" else x.astype(float)


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

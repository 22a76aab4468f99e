"""How good predictions are: accuracy, ranking, and whether probabilities are honest.

A metric is a function (outputs, labels) of arrays. Labels are classes 0 … k − 1 of
shape (rows,), a column of 0 and 1, or one-hot rows. Outputs are (rows, k), one column a
class, or (rows,) and (rows, 1) for class 1 of two.

Networks that train on logits give logits: `probabilities` makes them probabilities,
and `of_logits(brier)` is the metric that does it first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.metrics import confusion_matrix as count_pairs

from diffkit.errors import NonFiniteError, ShapeError, UserInputError

Metric = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True)
class Reliability:
    """A reliability curve: one entry for each bin of probabilities that holds rows.

    `predicted` is the mean probability in the bin, `observed` the share of rows where
    it came true, and `counts` how many rows there are. `error` is the expected
    calibration error Σ counts/n·|observed − predicted|.
    """

    predicted: np.ndarray = field(repr=False)
    observed: np.ndarray = field(repr=False)
    counts: np.ndarray = field(repr=False)

    @property
    def error(self) -> float:
        """The expected calibration error over these bins."""
        gaps = np.abs(self.observed - self.predicted)
        return float(np.average(gaps, weights=self.counts))


def accuracy(outputs: Any, labels: Any, threshold: float = 0.0) -> float:
    """The share of rows whose class is right.

    The class of (rows, k) outputs is the largest; that of a single column is 1 above
    the threshold, which is 0 for logits: use 0.5 for probabilities.

    >>> accuracy(np.array([[0.1, 2.0], [1.0, 3.0]]), np.array([1, 0]))
    0.5
    """
    outputs, labels = _pair("accuracy", outputs, labels)
    return float(np.mean(_classes(outputs, threshold) == labels))


def confusion_matrix(outputs: Any, labels: Any, threshold: float = 0.0) -> np.ndarray:
    """Counts of rows by true class (rows) and predicted class (columns).

    Classes are chosen as by `accuracy`; scikit-learn counts.

    >>> confusion_matrix(np.array([-1.0, 2.0, 3.0]), np.array([0, 0, 1])).tolist()
    [[1, 1], [0, 1]]
    """
    outputs, labels = _pair("confusion_matrix", outputs, labels)
    count = 2 if outputs.ndim == 1 else outputs.shape[1]
    chosen = _classes(outputs, threshold)
    return count_pairs(labels, chosen, labels=range(count))


def roc_auc(outputs: Any, labels: Any) -> float:
    """Area under the ROC curve: the chance that a 1 is ranked above a 0.

    Any increasing function of the probability gives the same: logits will do for one
    column. With k > 2 classes, the mean over classes of each against the rest, ranked
    by its own column. scikit-learn computes it.

    Raises UserInputError when a class has no row, where the area is not defined.

    >>> roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1]))
    0.75
    """
    outputs, labels = _pair("roc_auc", outputs, labels)
    if outputs.ndim == 2 and outputs.shape[1] == 2:
        outputs = outputs[:, 1] - outputs[:, 0]
    count = 2 if outputs.ndim == 1 else outputs.shape[1]
    absent = sorted(set(range(count)) - set(labels.tolist()))
    if absent:
        raise UserInputError(
            f"roc_auc: no row is of class {absent[0]} ({len(labels)} rows), and an "
            "area needs rows of every class. Use more rows, or another metric."
        )
    if outputs.ndim == 1:
        return float(roc_auc_score(labels, outputs))
    areas = [roc_auc_score(labels == k, outputs[:, k]) for k in range(count)]
    return float(np.mean(areas))


def brier(probabilities: Any, labels: Any) -> float:
    """Brier score: mean squared distance of probability from what came true.

    One column: mean of (p − y)², from 0 to 1, by scikit-learn. (rows, k): the sum over
    the k classes, from 0 to 2, as Brier (1950) has it; for two columns that is twice
    the score of one.

    Raises UserInputError for values that are no probabilities.

    >>> round(brier(np.array([0.9, 0.2]), np.array([1, 0])), 12)
    0.025
    """
    p, labels = _pair("brier", probabilities, labels)
    _check_probabilities("brier", p)
    if p.ndim == 1:
        return float(brier_score_loss(labels, p, pos_label=1))
    return float(np.mean(np.sum((p - np.eye(p.shape[1])[labels]) ** 2, axis=1)))


def reliability_curve(probabilities: Any, labels: Any, bins: int = 10) -> Reliability:
    """Observed against predicted frequency, in `bins` bins of equal width.

    One column: the probability of class 1. (rows, k): that of the chosen class, against
    whether it was right (Guo et al., "On calibration of modern neural networks", 2017).
    A bin holds (lower, upper], the first one 0 too; those without rows are left out.

    >>> curve = reliability_curve(np.array([0.1, 0.15, 0.9]), np.array([0, 1, 1]), 5)
    >>> curve.predicted.tolist(), curve.observed.tolist(), curve.counts.tolist()
    ([0.125, 0.9], [0.5, 1.0], [2, 1])
    """
    if isinstance(bins, bool) or not isinstance(bins, int | np.integer) or bins < 1:
        raise UserInputError(f"bins must be a whole number from 1 and is {bins!r}.")
    p, labels = _pair("reliability_curve", probabilities, labels)
    _check_probabilities("reliability_curve", p)
    if p.ndim == 2:
        labels = (p.argmax(axis=1) == labels).astype(np.int64)
        p = p.max(axis=1)
    # pos_label: rows may all have come true, or none.
    observed, predicted = calibration_curve(labels == 1, p, n_bins=bins, pos_label=True)
    edges = np.linspace(0.0, 1.0, bins + 1)
    counts = np.bincount(np.searchsorted(edges[1:-1], p), minlength=bins)
    return Reliability(predicted, observed, counts[counts > 0])


def expected_calibration_error(
    probabilities: Any, labels: Any, bins: int = 10
) -> float:
    """Σ over bins of (rows in the bin/rows)·|observed − predicted|, from 0 to 1.

    Bins and meaning are those of `reliability_curve`. Naeini, Cooper, Hauskrecht,
    "Obtaining well calibrated probabilities using Bayesian binning", 2015. A good
    ranking may be badly calibrated and a constant well: read it beside `brier`.

    >>> round(
    ...     expected_calibration_error(np.array([0.8, 0.8, 0.2]), np.array([1, 0, 0])),
    ...     12,
    ... )
    0.266666666667
    """
    return reliability_curve(probabilities, labels, bins).error


def mean_absolute_error(outputs: Any, targets: Any) -> float:
    """Mean of |ŷ − y|, for numbers.

    >>> mean_absolute_error(np.array([1.0, 2.0]), np.array([0.0, 4.0]))
    1.5
    """
    return float(np.mean(np.abs(_numbers(outputs, targets))))


def r_squared(outputs: Any, targets: Any) -> float:
    """1 − Σ(ŷ − y)²/Σ(y − mean y)²: 1 is perfect, 0 no better than the mean.

    Raises UserInputError for targets that are all the same.

    >>> r_squared(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]))
    1.0
    """
    residual = _numbers(outputs, targets)
    y = np.asarray(targets, dtype=np.float64)
    spread = np.sum((y - y.mean()) ** 2)
    if spread == 0:
        raise UserInputError("r_squared: all targets are the same; it is not defined.")
    return float(1 - np.sum(residual**2) / spread)


def probabilities(logits: Any) -> np.ndarray:
    """Softmax of (rows, k) logits, shaped alike; sigmoid of one column, shape (rows,).

    >>> probabilities(np.array([[0.0], [800.0]])).tolist()
    [0.5, 1.0]
    """
    z = _scores("probabilities", logits)
    return expit(z) if z.ndim == 1 else softmax(z, axis=1)


def of_logits(metric: Metric) -> Metric:
    """The metric of probabilities, made to take logits.

    >>> of_logits(brier)(np.array([[0.0]]), np.array([[1.0]]))
    0.25
    """

    def measured(outputs: Any, labels: Any) -> Any:
        return metric(probabilities(outputs), labels)

    measured.__name__ = f"{getattr(metric, '__name__', 'metric')}_of_logits"
    return measured


def _scores(name: str, outputs: Any) -> np.ndarray:
    """Outputs as float64 of shape (rows,) or (rows, k ≥ 2), all finite."""
    z = np.asarray(outputs, dtype=np.float64)
    if z.ndim == 2 and z.shape[1] == 1:
        z = z[:, 0]
    if z.ndim not in (1, 2) or z.size == 0:
        raise ShapeError(
            f"{name}: outputs have shape {np.shape(outputs)}; give one row for each "
            "sample, (rows,), (rows, 1) or (rows, classes), and at least one."
        )
    if not np.isfinite(z).all():
        raise NonFiniteError(
            f"{name}: of {z.size} outputs, {int((~np.isfinite(z)).sum())} are not "
            "finite."
        )
    return z


def _pair(name: str, outputs: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Outputs, and labels as whole numbers that fit them, of shape (rows,)."""
    z, y = _scores(name, outputs), np.asarray(labels)
    classes = 2 if z.ndim == 1 else z.shape[1]
    if y.ndim == 2 and y.shape == (len(y), 1):
        y = y[:, 0]
    elif y.ndim == 2 and y.shape[1] == classes and z.ndim == 2:
        if not (np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all()):
            raise UserInputError(f"{name}: rows of labels are not one-hot.")
        y = y.argmax(axis=1)
    if y.shape != (len(z),):
        raise ShapeError(
            f"{name}: outputs have shape {np.shape(outputs)} and labels "
            f"{np.shape(labels)}. Each row of outputs needs one label."
        )
    wrong = ~np.isin(y, np.arange(classes))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserInputError(
            f"{name}: labels[{row}] is {y[row]}; labels are 0 … {classes - 1} for "
            f"outputs of shape {np.shape(outputs)}."
        )
    return z, y.astype(np.int64)


def _check_probabilities(name: str, p: np.ndarray) -> None:
    outside = (p < 0) | (p > 1)
    if outside.any():
        raise UserInputError(
            f"{name} needs probabilities, and {int(outside.sum())} of {p.size} values "
            f"lie outside 0 to 1, {p[outside][0]:g} first. For logits use "
            f"metrics.of_logits(metrics.{name})."
        )
    if p.ndim == 2 and np.abs(p.sum(axis=1) - 1).max() > 1e-5:
        raise UserInputError(
            f"{name} needs probabilities, and their rows do not add up to 1. For "
            f"logits use metrics.of_logits(metrics.{name})."
        )


def _classes(outputs: np.ndarray, threshold: float) -> np.ndarray:
    if outputs.ndim == 2:
        return outputs.argmax(axis=1)
    return (outputs > threshold).astype(np.int64)


def _numbers(outputs: Any, targets: Any) -> np.ndarray:
    prediction, y = np.asarray(outputs, np.float64), np.asarray(targets, np.float64)
    if prediction.shape != y.shape or y.size == 0:
        raise ShapeError(
            f"outputs have shape {prediction.shape} and targets {y.shape}: they must "
            "be the same, and not empty."
        )
    return prediction - y

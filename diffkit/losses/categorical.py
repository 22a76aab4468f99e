"""Losses for one class of several: from logits, probabilities and their logarithms."""

from __future__ import annotations

from typing import Any

import numpy as np

from diffkit.errors import ShapeError
from diffkit.functions import log_softmax, logsumexp
from diffkit.losses.support import (
    check_class_weights,
    check_distributions,
    check_log_probabilities,
    check_number,
    check_probabilities,
    check_targets,
    class_pair,
    log,
    pair,
    reduce,
)


def cross_entropy(
    logits: Any, targets: Any, reduction: str = "mean", *, weights: Any = None
) -> Any:
    """Categorical cross-entropy of softmax(z), the mean over samples.

    `logits` z have shape (..., classes). `targets` are class indices of shape (...),
    and the loss of a sample is logsumexp(z) − z[label]; or they are distributions of
    shape (..., classes), such as one-hot rows, and it is −Σ t·log_softmax(z). Classes
    are the last axis (PyTorch's cross_entropy wants them second). The gradient is
    (softmax(z) − t)/samples. No overflow for any z.

    `weights`, one for each class, multiply the losses: for labels by w[label], the mean
    then being weighted (divided by Σ w[label]); for distributions −Σ w·t·log_softmax(z)
    divided by the number of samples. Both are PyTorch's conventions. A logit of −∞
    masks a class for labels; distributions need finite logits.

    Labels may be an argument of the traced program; those outside 0 … classes − 1
    cannot be seen there, and count as no class at all.

    Raises ShapeError for shapes that do not fit; where values are known, UserInputError
    for a label out of range or a row that is no distribution, and DtypeError for labels
    that are no whole numbers.

    >>> float(cross_entropy([[0.0, 1000.0], [0.0, 0.0]], [0, 1]).round(4))
    500.3466
    """
    z, t = class_pair("cross_entropy", "logits", logits, targets)
    if t.shape == z.shape:
        return _of_rows("cross_entropy", log_softmax(z), t, reduction, weights)
    # A choice and not a product: a masked logit of −inf must not become 0·inf.
    losses = logsumexp(z, axis=-1) - _at_labels(z, t)
    return _of_labels("cross_entropy", losses, t, z.shape[-1], reduction, weights)


def cross_entropy_from_probabilities(
    probabilities: Any, targets: Any, reduction: str = "mean", *, weights: Any = None
) -> Any:
    """Categorical cross-entropy −log p[label] or −Σ t·log p, the mean over samples.

    `probabilities` p have shape (..., classes), the output of a softmax; `targets` and
    `weights` are those of `cross_entropy`. Logarithms are held above −100, with
    derivative 0 there, as in `binary_cross_entropy`: a softmax that is certain and
    wrong stops learning, so prefer `cross_entropy`. PyTorch has no such loss; its
    nll_loss of log(p) is this one above the floor.

    Raises what `cross_entropy` raises, and UserInputError for probabilities outside 0
    to 1, or rows that do not sum to 1, where they are known.

    >>> float(cross_entropy_from_probabilities([[0.25, 0.75], [1.0, 0.0]], [0, 1]))
    50.6931...
    """
    loss = "cross_entropy_from_probabilities"
    p, t = class_pair(loss, "probabilities", probabilities, targets)
    check_probabilities("probabilities", p, "Logits go to cross_entropy.")
    check_distributions("probabilities", p, "Logits go to cross_entropy")
    if t.shape == p.shape:
        return _of_rows(loss, log(p), t, reduction, weights)
    losses = -log(_at_labels(p, t))
    return _of_labels(loss, losses, t, p.shape[-1], reduction, weights)


def nll(
    log_probabilities: Any,
    targets: Any,
    reduction: str = "mean",
    *,
    weights: Any = None,
) -> Any:
    """Negative log-likelihood: −log p[label], or −Σ t·log p, the mean over samples.

    `log_probabilities` have shape (..., classes), the output of a LogSoftmax; `targets`
    and `weights` are those of `cross_entropy`, which is this after log_softmax.
    PyTorch's nll_loss takes labels only, and has the classes second.

    Raises what `cross_entropy` raises, and UserInputError for logarithms above 0 where
    they are known: those are logits or probabilities.

    >>> float(nll(np.log([[0.25, 0.75]]), [0]).round(4))
    1.3863
    """
    given, t = class_pair("nll", "log-probabilities", log_probabilities, targets)
    check_log_probabilities("log_probabilities", given)
    if t.shape == given.shape:
        # What is impossible and does not happen costs 0, not 0·∞.
        possible = np.where(t > 0, given, 0.0)
        return _of_rows("nll", possible, t, reduction, weights)
    losses = -_at_labels(given, t)
    return _of_labels("nll", losses, t, given.shape[-1], reduction, weights)


def kl_divergence(log_probabilities: Any, targets: Any, reduction: str = "mean") -> Any:
    """D(t ‖ p) = Σ t·(log t − log p) over the last axis, the mean over samples.

    How much longer a code made for p is than the best one for t: the cross-entropy
    less the entropy of t, at least 0, and 0 where p = t. The first argument is log p of
    shape (..., classes), as log_softmax gives it; the second are distributions t of the
    same shape, with 0·log 0 = 0. PyTorch's kl_div takes the same arguments; this mean
    is its "batchmean" (its "mean" also divides by the number of classes). Source:
    Kullback and Leibler, "On information and sufficiency", 1951.

    Raises ShapeError unless both have the same shape; where values are known,
    UserInputError for logarithms above 0 and rows that are no distributions.

    >>> float(kl_divergence(np.log([[0.5, 0.5]]), [[1.0, 0.0]]).round(4))
    0.6931
    """
    q, t = pair("kl_divergence", log_probabilities, targets)
    if q.ndim == 0:
        raise ShapeError("kl_divergence needs arrays of shape (..., classes).")
    check_log_probabilities("log_probabilities", q)
    check_targets(t, "Each row is a distribution over the classes.")
    check_distributions("targets", t, "Divide by the sums of the rows")
    possible = t > 0
    # The inner choices keep log 0 and 0·(−∞) out of values and slopes.
    log_t = np.log(np.where(possible, t, 1.0))
    losses = np.where(possible, t * (log_t - np.where(possible, q, 0.0)), 0.0)
    return reduce(np.sum(losses, axis=-1), reduction)


def focal_cross_entropy(
    logits: Any,
    targets: Any,
    reduction: str = "mean",
    *,
    gamma: float = 2.0,
    weights: Any = None,
) -> Any:
    """Focal loss of softmax(z): Σ t·(1 − p)^γ·(−log p), the mean over samples.

    The form of `focal` for several classes: γ = 0 is `cross_entropy`, whose shapes and
    `weights` these are. log(1 − p) is taken as log(−expm1(log p)), so that no digits
    are lost where p is near 1. Source: Lin and others (2017).

    Raises what `cross_entropy` raises, and UserInputError for γ < 0.

    >>> float(focal_cross_entropy([[0.0, 0.0]], [0]).round(4))  # log(2)/4
    0.1733
    """
    loss = "focal_cross_entropy"
    gamma = check_number(loss, "gamma", gamma, 0.0)
    z, t = class_pair(loss, "logits", logits, targets)
    log_p = log_softmax(z)
    if t.shape != z.shape:
        log_p = _at_labels(log_p, t)
    if gamma > 0:
        uncertain = log_p < 0
        others = np.log(-np.expm1(np.where(uncertain, log_p, -1.0)))
        factor = np.where(uncertain, np.exp(gamma * others), 0.0)
        log_p = factor * log_p
    if t.shape == z.shape:
        return _of_rows(loss, log_p, t, reduction, weights)
    return _of_labels(loss, -log_p, t, z.shape[-1], reduction, weights)


def _is_label(labels: Any, classes: int) -> Any:
    return labels[..., None] == np.arange(classes)


def _at_labels(values: Any, labels: Any) -> Any:
    """The value of each row at its label; 0 for a label that is no class."""
    chosen = np.where(_is_label(labels, values.shape[-1]), values, 0.0)
    return np.sum(chosen, axis=-1)


def _of_labels(
    loss: str, losses: Any, labels: Any, classes: int, reduction: str, weights: Any
) -> Any:
    if weights is None:
        return reduce(losses, reduction)
    known = check_class_weights(loss, weights, classes).astype(losses.dtype)
    each = np.sum(np.where(_is_label(labels, classes), known, 0.0), axis=-1)
    weighted = losses * each
    if reduction == "mean":
        return np.sum(weighted) / np.sum(each)
    return reduce(weighted, reduction)


def _of_rows(loss: str, log_p: Any, t: Any, reduction: str, weights: Any) -> Any:
    if weights is not None:
        t = t * check_class_weights(loss, weights, t.shape[-1]).astype(log_p.dtype)
    return reduce(-np.sum(t * log_p, axis=-1), reduction)

"""How good scores are, in numbers. Plain numpy; every function says what it does with ties and with absent labels.

Throughout: `truth` is bool (n, labels), `scores` float (n, labels), one row a clip or a window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from birdwatchd.analysis.ranking import average_precision as average_precision  # noqa: PLC0414 - one of the metrics, too
from birdwatchd.analysis.ranking import precision_recall as precision_recall  # noqa: PLC0414 - as above

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Truth = NDArray[np.bool_]
    Values = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class PerLabel:
    """Counts and shares of every label, each (labels,). A share with nothing below its line is NaN."""

    positives: NDArray[np.int64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    """NaN for a label that neither occurs nor is predicted."""


def accuracy(truth: Truth, scores: Values) -> float:
    """Share of the rows with a label whose best-scored label is one of theirs; of equals the first. NaN without any."""
    labelled = truth.any(axis=1)
    if not labelled.any():
        return float("nan")
    best = scores[labelled].argmax(axis=1)
    return float(truth[labelled][np.arange(len(best)), best].mean())


def roc_auc(truth: NDArray[np.bool_], scores: NDArray[np.floating]) -> float:
    """Chance that a positive outscores a negative, equals counting half; `truth`, `scores` (n,). NaN if either lacks."""
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # equal scores share their mean rank
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def macro(values: NDArray[np.float64] | list[float]) -> float:
    """The mean over the labels for which there is a value; NaN when there is none."""
    values = np.asarray(values, dtype=np.float64)
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def macro_average_precision(truth: Truth, scores: Values) -> float:
    """Mean over the labels that occur."""
    return macro([average_precision(truth[:, label], scores[:, label]) for label in range(truth.shape[1])])


def macro_roc_auc(truth: Truth, scores: Values) -> float:
    """Mean over the labels that occur, and are absent somewhere."""
    return macro([roc_auc(truth[:, label], scores[:, label]) for label in range(truth.shape[1])])


def per_label(truth: Truth, predicted: Truth) -> PerLabel:
    """Precision, recall and F1 of `predicted`, bool (n, labels)."""
    hits = (truth & predicted).sum(axis=0)
    positives = truth.sum(axis=0)
    claims = predicted.sum(axis=0)
    return PerLabel(
        positives=positives,
        precision=_share(hits, claims),
        recall=_share(hits, positives),
        f1=_share(2 * hits, positives + claims),
    )


def best_only(scores: Values) -> NDArray[np.bool_]:
    """Every row predicted as its best-scored label, bool (n, labels); of equals the first."""
    predicted = np.zeros(scores.shape, dtype=bool)
    predicted[np.arange(len(scores)), scores.argmax(axis=1)] = True
    return predicted


def confusion(truth: Truth, scores: Values, thresholds: Values) -> NDArray[np.int64]:
    """Counts (labels + 1, labels + 1): rows what it is, columns what it was taken for; the last of each is "nothing".

    A row is taken for its best-scored label if that reaches its threshold; `thresholds` is (labels,) or (n, labels). A
    row with several labels counts under the best-scored of them.
    """
    labels = truth.shape[1]
    matrix = np.zeros((labels + 1, labels + 1), dtype=np.int64)
    levels = np.broadcast_to(thresholds, scores.shape)
    for is_so, score, level in zip(truth, scores, levels, strict=True):
        best = int(score.argmax())
        actual = int(np.where(is_so, score, -np.inf).argmax()) if is_so.any() else labels
        taken_for = best if score[best] >= level[best] else labels
        matrix[actual, taken_for] += 1
    return matrix


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    share = np.full(len(part), np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share

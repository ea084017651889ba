"""How well scores put what is true before what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def average_precision(truth: NDArray[np.bool_], scores: NDArray[np.floating]) -> float:
    """Area under the precision-recall steps, `truth` and `scores` (n,). NaN without positives.

    Rows of equal score are taken together, so their order does not matter.
    """
    if not truth.any():
        return float("nan")
    _, precision, recall = precision_recall(truth, scores)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def precision_recall(
    truth: NDArray[np.bool_], scores: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Thresholds, each distinct score from high to low, with precision and recall of `score >= threshold`, each (m,)."""
    order = np.argsort(-scores, kind="stable")
    sorted_scores = scores[order]
    last = np.flatnonzero(np.diff(sorted_scores, append=-np.inf))  # the last row of each distinct score
    hits = np.cumsum(truth[order])[last]
    recall = hits / max(1, int(truth.sum()))
    return sorted_scores[last].astype(np.float64), hits / (last + 1), recall

"""How well a model does, put together from what it says of a manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from train import metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from train.metrics import PerLabel
    from train.scoring import Scores


@dataclass(frozen=True, slots=True)
class View:
    """Figures of one way to look at the same sound: by clip, or by window as the daemon decides."""

    name: str
    truth: NDArray[np.bool_]
    """(n, labels)"""
    scores: NDArray[np.float32]
    """(n, labels)"""
    thresholds: NDArray[np.float64]
    """(n, labels): in cross-validation every fold has its own."""

    @property
    def figures(self) -> dict[str, float]:
        """By name, in the order in which they are shown; NaN where there is none."""
        by_best = metrics.per_label(self.truth, metrics.best_only(self.scores))
        return {
            "accuracy": metrics.accuracy(self.truth, self.scores),
            "macro_average_precision": metrics.macro_average_precision(self.truth, self.scores),
            "macro_roc_auc": metrics.macro_roc_auc(self.truth, self.scores),
            "macro_f1_of_best": metrics.macro(by_best.f1),
            "macro_f1_at_threshold": metrics.macro(self.per_label.f1),
            "false_claims": float((self.claims & ~self.truth).sum()),
        }

    @property
    def claims(self) -> NDArray[np.bool_]:
        """Which labels reach their threshold, (n, labels)."""
        return self.scores >= self.thresholds

    @property
    def per_label(self) -> PerLabel:
        """Of the claims."""
        return metrics.per_label(self.truth, self.claims)

    @property
    def average_precisions(self) -> list[float]:
        """Of each label."""
        return [
            metrics.average_precision(self.truth[:, label], self.scores[:, label])
            for label in range(self.truth.shape[1])
        ]

    @property
    def confusion(self) -> NDArray[np.int64]:
        """What was taken for what, (labels + 1, labels + 1); the last of each is nothing."""
        return metrics.confusion(self.truth, self.scores, self.thresholds)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that is told of a model, or of several that cross-validation made."""

    model: str
    names: tuple[str, ...]
    """The labels, as people call them."""
    clips: View
    windows: View
    faults: tuple[str, ...] = ()
    """Why files were left out."""
    unknown: tuple[str, ...] = ()
    """Names in the manifest that are no labels of the model."""
    notes: tuple[str, ...] = ()
    """What else to know before the figures are believed, a sentence each."""
    folds: tuple[dict[str, float], ...] = ()
    """In cross-validation, the figures by clip of each fold."""

    @property
    def spread(self) -> dict[str, tuple[float, float, float, float]]:
        """Mean, standard deviation, least and most of each figure over the folds."""
        found = {}
        for name in self.folds[0] if self.folds else ():
            values = np.array([fold[name] for fold in self.folds])
            known = values[~np.isnan(values)]
            if len(known):
                found[name] = (
                    float(known.mean()),
                    float(known.std(ddof=1)) if len(known) > 1 else 0.0,
                    float(known.min()),
                    float(known.max()),
                )
        return found


def evaluation(
    model: str,
    names: Sequence[str],
    parts: Sequence[tuple[Scores, NDArray[np.float64]]],
) -> Evaluation:
    """Put together what models say of their test data.

    Args:
        model: its name.
        names: the labels, as people call them.
        parts: scores, and the thresholds that hold for them, (labels,): one pair, or one for each fold.
    """
    clips = [_view("clip", *scores.by_clip, thresholds) for scores, thresholds in parts]
    windows = [_view("window", *scores.by_window, thresholds) for scores, thresholds in parts]
    return Evaluation(
        model,
        tuple(names),
        _pooled(clips),
        _pooled(windows),
        faults=tuple(fault for scores, _ in parts for fault in scores.faults),
        unknown=tuple(sorted({name for scores, _ in parts for name in scores.unknown})),
        folds=tuple(view.figures for view in clips) if len(parts) > 1 else (),
    )


def _view(
    name: str, truth: NDArray[np.bool_], scores: NDArray[np.float32], thresholds: NDArray[np.float64]
) -> View:
    return View(name, truth, scores, np.broadcast_to(thresholds, scores.shape))


def _pooled(views: Sequence[View]) -> View:
    """The rows of all, each with the thresholds that held for it."""
    return View(
        views[0].name,
        np.concatenate([view.truth for view in views]),
        np.concatenate([view.scores for view in views]),
        np.concatenate([view.thresholds for view in views]),
    )

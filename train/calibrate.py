"""A threshold per label that gives the precision one wants, and scores that mean what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from train.calibration import Calibration
from train.listener import DEFAULT_THRESHOLD
from train.metrics import precision_recall
from train.platt import fit_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from train.scoring import Scores

LEAST_THRESHOLD = DEFAULT_THRESHOLD
"""A label that was calibrated is not to be detected more readily than one that was not, whatever the validation data allow:
in a garden every bird is rarer than there."""
MOST_THRESHOLD = 0.99
"""None lies higher, unless what it must not let through does."""
NEVER = 1.001
"""What no score reaches, for a label that is wrong with the highest score there is."""


def calibrate(scores: Scores, *, precision: float, said: str) -> tuple[Calibration, list[str]]:
    """Calibrate from what the network, not calibrated yet, says of validation data.

    The lines are fitted to segments, the thresholds to windows, as the daemon decides on them. Besides, no threshold lets
    through what is heard in clips that hold nothing, whatever the precision: a garden is quiet most of the day, and what is
    heard in a few minutes of wind would be heard in every storm.

    Args:
        scores: of data that the network was not trained on.
        precision: share of the detections of a label that shall be right.
        said: where the data came from, in words.

    Returns:
        The calibration, and the labels that do not reach that precision where they are still found.
    """
    line = fit_line(*scores.by_segment)
    truth, decisive = scores.changed(line.apply).by_window
    nothing = decisive[~truth.any(axis=1)]
    found = [
        threshold_for(
            truth[:, label], decisive[:, label], precision, float(nothing[:, label].max(initial=0.0))
        )
        for label in range(len(scores.names))
    ]
    thresholds = np.array([threshold for threshold, _ in found])
    unreached = [name for name, (_, reached) in zip(scores.names, found, strict=True) if not reached]
    return Calibration(scores.names, line, thresholds, said), unreached


def threshold_for(
    truth: NDArray[np.bool_],
    scores: NDArray[np.floating],
    precision: float,
    above: float = 0.0,
) -> tuple[float, bool]:
    """The lowest threshold with which the claims are right often enough, and whether there is one.

    It lies halfway between the lowest score that still claims and the next one below it, above `above`, and within 0.7 and
    0.99 where that lets nothing else through. Where no threshold will do, it lies above every wrong claim.
    """
    levels, precisions, _ = precision_recall(truth, scores)
    allowed = levels >= LEAST_THRESHOLD
    if not allowed.any():
        allowed[:] = True  # then nothing is claimed, and nothing wrongly
    enough = np.flatnonzero((precisions >= precision) & (levels > above) & allowed)
    reached = bool(truth.any() and len(enough))
    if reached:
        last = int(enough[-1])
        lowest = float(levels[last])
        below = max(float(levels[last + 1]) if last + 1 < len(levels) else 0.0, above)
    else:
        lowest, below = 1.0, max(float(scores[~truth].max(initial=0.0)), above)
    if below >= MOST_THRESHOLD:
        return (lowest + below) / 2 if below < 1 else NEVER, reached
    return float(np.clip((lowest + below) / 2, LEAST_THRESHOLD, MOST_THRESHOLD)), reached

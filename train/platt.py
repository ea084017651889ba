"""Platt scaling: a line through a label's logits, so that its scores are as likely as they say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

EPSILON = 1e-5
"""Scores are kept so far from 0 and 1: beyond it, a float32 is too coarse for its logit to be the same elsewhere."""
STEPS = 100
ENOUGH = 1e-10
RIDGE = np.array([16.0, 4.0])
"""How strongly a line is pulled to where it is believed to lie beforehand: within 0.25 of that scale and 0.5 of that shift.

That is the line that all labels share, and its own beforehand the scores as they are. A shared line changes no order, so
that five clips of a label cannot favour it over others; with five hundred the pull hardly counts. How strong it is was
settled on recordings of none of the benchmarks: docs/decisions/0032.
"""


@dataclass(frozen=True, slots=True)
class Line:
    """`scale * logit + shift`, one of each per label, float64 (labels,)."""

    scale: NDArray[np.float64]
    shift: NDArray[np.float64]

    def apply(self, scores: NDArray[np.floating]) -> NDArray[np.float32]:
        """Scores in [0, 1] in, (n, labels), and out."""
        squashed = 1 / (1 + np.exp(-(self.scale * logits(scores) + self.shift)))
        return squashed.astype(np.float32)


def logits(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """The logits of scores, of any shape."""
    clamped = np.clip(scores.astype(np.float64), EPSILON, 1 - EPSILON)
    return np.log(clamped) - np.log1p(-clamped)


def fit_line(truth: NDArray[np.bool_], scores: NDArray[np.floating]) -> Line:
    """The lines for `scores`, (n, labels), given what is true, bool (n, labels).

    A label without positives or without negatives gets the line that the others share. After Platt 1999, with the Newton steps and the targets
    (not quite 0 and 1) of Lin, Lin and Weng 2007.
    """
    x = logits(scores)
    has_both = truth.any(axis=0) & ~truth.all(axis=0)
    shared = _fit_one(truth[:, has_both].ravel(), x[:, has_both].ravel(), np.array([1.0, 0.0]))
    lines = [_fit_one(truth[:, label], x[:, label], shared) for label in range(truth.shape[1])]
    return Line(np.array([line[0] for line in lines]), np.array([line[1] for line in lines]))


def _fit_one(
    truth: NDArray[np.bool_], x: NDArray[np.float64], rest: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Scale and shift, (2,), pulled to `rest`."""
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return rest
    target = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    line = rest.copy()
    for _ in range(STEPS):
        expected = 1 / (1 + np.exp(-(line[0] * x + line[1])))
        error, weight = expected - target, expected * (1 - expected)
        gradient = np.array([error @ x, error.sum()]) + RIDGE * (line - rest)
        hessian = np.array([[weight @ (x * x), weight @ x], [weight @ x, weight.sum()]]) + np.diag(RIDGE)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > ENOUGH and _loss(line - size * step, rest, x, target) > _loss(line, rest, x, target):
            size /= 2
        line = line - size * step
        if size * np.abs(step).max() < ENOUGH:
            break
    # A line that falls would turn the label's scores upside down; then they carry nothing, and are left as they are.
    return line if line[0] > 0 else rest


def _loss(
    line: NDArray[np.float64], rest: NDArray[np.float64], x: NDArray[np.float64], target: NDArray[np.float64]
) -> float:
    z = line[0] * x + line[1]
    cross_entropy = np.logaddexp(0, z) - target * z
    return float(cross_entropy.sum() + (RIDGE / 2 * (line - rest) ** 2).sum())

"""How well a network does on the validation rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from train.memory import in_pieces
from train.metrics import accuracy, macro_average_precision

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from train.networks import Network
    from train.prepare import Ready
    from train.settings import Settings

BATCH = 32
WITHIN_CLIPS = 2
"""So many validation clips in the wrong place are chance: what they cost tells no epoch from another."""


@dataclass(slots=True)
class Best:
    """The epoch that is kept.

    It has the lowest validation loss of those whose macro average precision is as good as the best, to within what a few
    clips in the wrong place would cost. Without the allowance, a lucky early epoch would win over all that is learnt
    after it, as few clips are soon in nearly the right order. Without validation, it is the last.
    """

    tolerance: float = 0.0
    highest: float = -math.inf
    """Macro average precision of any epoch so far."""
    macro_ap: float = -math.inf
    loss: float = math.inf
    epoch: int = 0

    @classmethod
    def of(cls, validation_rows: int) -> Best:
        """None so far, with so many rows to validate on."""
        return cls(WITHIN_CLIPS / validation_rows if validation_rows else 0.0)

    def beaten_by(self, entry: dict[str, float]) -> bool:
        """Whether the epoch of `entry` is to be kept instead; if so, it is the best from now on."""
        macro_ap = entry.get("validation_macro_ap", entry["epoch"])
        loss = entry.get("validation_loss", 0.0)
        self.highest = max(self.highest, macro_ap)
        least = self.highest - self.tolerance
        better = macro_ap >= least and (self.macro_ap < least or loss < self.loss)
        if better:
            self.macro_ap, self.loss, self.epoch = macro_ap, loss, int(entry["epoch"])
        return better


@torch.no_grad()
def validate(network: Network, ready: Ready, settings: Settings) -> dict[str, float]:
    """`validation_loss` over windows; `validation_macro_ap` and `validation_accuracy` over rows.

    The score of a row is the mean of its windows' scores. Nothing where there are no validation rows.
    """
    from train.fit import Learner, loss_of

    windows, inputs = ready.validation_windows, ready.validation_inputs
    if windows is None or inputs is None:
        return {}
    network.eval()
    learner = Learner(network, ready.stage, settings)
    order = np.arange(len(windows))
    parts: list[Tensor] = []
    total = 0.0
    for values, targets in inputs.batches(
        [order[at : at + BATCH] for at in range(0, len(order), BATCH)], (0,)
    ):
        logits = in_pieces(learner, values)
        total += float(loss_of(logits, targets, settings)) * len(logits)
        scores = torch.sigmoid(logits) if settings.score == "sigmoid" else torch.softmax(logits, dim=1)
        parts.append(scores.cpu())
    scores_of_rows = mean_of_rows(torch.cat(parts).numpy(), windows.of_row, len(windows.rows))
    truth = windows.row_targets > 0
    return {
        "validation_loss": total / len(order),
        "validation_macro_ap": macro_average_precision(truth, scores_of_rows),
        "validation_accuracy": accuracy(truth, scores_of_rows),
    }


def mean_of_rows(scores: NDArray[np.float32], of_row: NDArray[np.int64], rows: int) -> NDArray[np.float32]:
    """The mean of `scores` (windows, labels) over the windows of each row: (rows, labels)."""
    total = np.zeros((rows, scores.shape[1]), dtype=np.float32)
    np.add.at(total, of_row, scores)
    counts = np.bincount(of_row, minlength=rows)
    total /= counts[:, None]
    return total

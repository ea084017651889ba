"""What a model makes of nothing: silence, and white noise at five levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from birdwatchd.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from birdwatchd.domain import Label

NOISES_DBFS = (-80.0, -60.0, -40.0, -20.0, -10.0)
"""Levels of white noise that a model must not take for a bird."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """What silence or noise comes near to."""

    sound: str
    scores: tuple[tuple[Label, float], ...]
    """Of each label, the nearest first."""

    @property
    def label(self) -> Label:
        """The nearest."""
        return self.scores[0][0]

    @property
    def score(self) -> float:
        """Of the nearest."""
        return self.scores[0][1]


def quiet_check(module: torch.nn.Module, labels: Sequence[Label], input_samples: int) -> list[Quiet]:
    """What silence and white noise at five levels are nearest to, silence first; of several noises the worst."""
    random = np.random.default_rng(0)
    noise = random.standard_normal((3, input_samples)).astype(np.float32)
    found = []
    for sound, batch in [
        ("silence", np.zeros((1, input_samples), dtype=np.float32)),
        *((f"noise at {level:g} dBFS", noise * np.float32(10 ** (level / 20))) for level in NOISES_DBFS),
    ]:
        with torch.inference_mode():
            scores = module(torch.from_numpy(batch.clip(-1, 1))).numpy()
        most = scores.max(axis=0)
        nearest = np.argsort(-most, kind="stable").tolist()
        found.append(Quiet(sound, tuple((labels[label], float(most[label])) for label in nearest)))
    return found


def refuse_noisy(found: Sequence[Quiet], thresholds: dict[str, float], limit: float) -> None:
    """Refuse a model that hears a bird in nothing.

    Raises:
        UserError: a score of any label lies above `limit`, or above its own threshold where that is lower.
    """
    for sound, label, score in ((one.sound, *scored) for one in found for scored in one.scores):
        most = min(limit, thresholds.get(label.scientific_name, limit))
        if score >= most:
            raise UserError(
                f"the model hears {label.common_name} in {sound} (score {score:.2f}, at most {most:.2f}): "
                "train it with recordings of nothing but noise among the clips, or export with --force"
            )

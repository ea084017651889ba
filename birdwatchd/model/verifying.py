"""Tells whether a bundle still does what it did when it was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from birdwatchd.errors import BundleError
from birdwatchd.model.classifier import Classifier
from birdwatchd.model.probes import furthest_move, probe_segments

if TYPE_CHECKING:
    from pathlib import Path

    from birdwatchd.model.bundle import Card

MAY_MOVE = 1e-3
"""How far a probe score may lie from the recorded one: other processors add up in another order."""


def verified(path: Path, *, device: Literal["auto", "cpu", "cuda"]) -> tuple[Card, float]:
    """The card of the bundle, and how far its probe scores moved since it was made.

    Raises:
        BundleError: it cannot be loaded, or a score moved too far.
        UserError: the device is not to be had.
    """
    with Classifier.load(path, device=device) as classifier:
        card = classifier.card
        move = furthest_move(card.probes, classifier.classify(probe_segments(card.input_samples)))
    if not move <= MAY_MOVE:
        raise BundleError(
            f"{path} does not score as when it was made: a probe score moved by {move:.3f}; build it again"
        )
    return card, move

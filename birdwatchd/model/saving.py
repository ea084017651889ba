"""Writes a bundle: checked first, then whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from birdwatchd.errors import BundleError
from birdwatchd.model.bundle import CARD, Card, card_json, parse_card
from birdwatchd.model.probes import best_scores, probe_segments
from birdwatchd.on_disk import whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def save(
    module: torch.jit.ScriptModule, path: Path, card: Card, extra_files: Mapping[str, bytes] | None = None
) -> None:
    """Write `module` (unfrozen, on the CPU) with its card, and record in the card how it scores the probes.

    Raises:
        BundleError: its scores do not fit the card, the card says what none can, or the file cannot be written.
    """
    with torch.inference_mode():
        scores = module(torch.from_numpy(probe_segments(card.input_samples))).numpy()
    if scores.shape[1] != len(card.labels):
        raise BundleError(
            f"the network of {card.name} has {scores.shape[1]} outputs for {len(card.labels)} labels"
        )
    card = replace(card, probes=best_scores(scores))
    written = card_json(card).encode()
    parse_card(written, path)
    content = module.save_to_buffer({CARD: written, **(extra_files or {})})
    try:
        with whole(path) as file:
            file.write(content)
    except OSError as error:
        raise BundleError(
            f"{path} cannot be written ({error.strerror or error}); mend that or choose another place"
        ) from error

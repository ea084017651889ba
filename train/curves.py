"""How a training went, for people: a table and a picture."""

from __future__ import annotations

import csv
import io
import math
import time
from typing import TYPE_CHECKING

from birdwatchd.errors import UserError
from birdwatchd.on_disk import whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SECONDS = 5.0
"""From one picture of a training to the next."""


def write_metrics(path: Path, history: Sequence[dict[str, float]]) -> None:
    """The history as CSV, one line for each epoch.

    Raises:
        UserError: it cannot be written.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, fieldnames=list(history[-1]), lineterminator="\n")
    table.writeheader()
    table.writerows(history)
    try:
        with whole(path, lasting=False) as file:
            file.write(text.getvalue().encode())
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror or error}): make room") from error


class Curves:
    """The picture of a training that goes on: an epoch of a head takes less time than drawing it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._history: Sequence[dict[str, float]] = ()
        self._drawn_at = -math.inf

    def follow(self, history: Sequence[dict[str, float]]) -> None:
        """Draw `history` as `draw_curves` does, or wait where the last picture is but a few seconds old."""
        self._history = history
        if time.monotonic() - self._drawn_at > SECONDS:
            self.draw()

    def draw(self) -> None:
        """Draw what there is to be seen by now."""
        if self._history:
            draw_curves(self._path, self._history)
            self._drawn_at = time.monotonic()


def draw_curves(path: Path, history: Sequence[dict[str, float]]) -> None:
    """Losses, and what was reached in validation, over the epochs, as PNG.

    Raises:
        UserError: matplotlib is missing, or the picture cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise UserError(
            "matplotlib, which draws the curves, is missing: pip install 'birdwatchd[train]'"
        ) from error
    figure = Figure(figsize=(9, 4), layout="constrained")
    losses, reached = figure.subplots(1, 2)
    epochs = [entry["epoch"] for entry in history]
    for name, label in (("loss", "training"), ("validation_loss", "validation")):
        if name in history[-1]:
            losses.plot(epochs, [entry[name] for entry in history], label=label, marker=".")
    losses.set(xlabel="epoch", ylabel="loss")
    losses.legend()
    for name, label in (
        ("validation_macro_ap", "macro average precision"),
        ("validation_accuracy", "accuracy"),
    ):
        if name in history[-1]:
            reached.plot(epochs, [entry[name] for entry in history], label=label, marker=".")
    reached.set(xlabel="epoch", ylabel="validation, per recording", ylim=(0, 1.02))
    if reached.lines:
        reached.legend(loc="lower right")
    try:
        with whole(path, lasting=False) as file:
            figure.savefig(file, dpi=120, format="png")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror or error}): make room") from error

"""How a training went, for people: a table and a picture."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from birdwatchd.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def write_metrics(path: Path, history: Sequence[dict[str, float]]) -> None:
    """The history as CSV, one line for each epoch.

    Raises:
        UserError: it cannot be written.
    """
    try:
        with path.open("w", newline="") as file:
            table = csv.DictWriter(file, fieldnames=list(history[-1]), lineterminator="\n")
            table.writeheader()
            table.writerows(history)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror or error}): make room") from error


def draw_curves(path: Path, history: Sequence[dict[str, float]]) -> None:
    """Losses, and what was reached in validation, over the epochs, as PNG.

    Raises:
        UserError: matplotlib is missing, or the picture cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
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
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror or error}): make room") from error

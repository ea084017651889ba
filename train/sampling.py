"""Which rows are trained on, and which windows an epoch is made of, in which order. All of it follows from the seed and the number of the epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from birdwatchd.errors import UserError
from train.manifest import SPLITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from train.dataset import Windows
    from train.manifest import Row
    from train.settings import Settings


def split(rows: Sequence[Row], settings: Settings) -> tuple[list[Row], list[Row]]:
    """The rows to train on and those to validate on: by fold where a fold is named, else by the manifest's split.

    A row without a split is trained on.

    Raises:
        UserError: the manifest does not have a fold that is named, or one fold is named for both.
    """
    test, validation = settings.test_fold, settings.validation_fold
    if test is not None and test == validation:
        raise UserError(f"fold {test} cannot be validated on and be kept for the test: name two")
    folds = sorted({row.fold for row in rows if row.fold is not None})
    for fold in (test, validation):
        if fold is not None and fold not in folds:
            there = ", ".join(map(str, folds)) or "none"
            raise UserError(f"the manifest has no fold {fold}: its folds are {there}")
    parts = divided(rows, settings)
    return parts["train"], parts["validation"]


def divided(rows: Sequence[Row], settings: Settings | None) -> dict[str, list[Row]]:
    """What a training with these settings takes the rows for: `train`, `validation` and `test`.

    By fold where it `goes_by_fold`, else by the manifest's split; a row without is trained on.
    """
    parts: dict[str, list[Row]] = {part: [] for part in SPLITS}
    if settings is None or not goes_by_fold(rows, settings):
        for row in rows:
            parts[row.split or "train"].append(row)
        return parts
    part_of = {settings.validation_fold: "validation", settings.test_fold: "test", None: "train"}
    for row in rows:
        parts[part_of.get(row.fold, "train")].append(row)
    return parts


def goes_by_fold(rows: Sequence[Row], settings: Settings) -> bool:
    """Whether the settings name a fold that some of these rows are in: then their split means nothing."""
    named = {settings.test_fold, settings.validation_fold} - {None}
    return any(row.fold in named for row in rows)


def epoch_order(
    windows: Windows, *, balanced: bool, batch_size: int, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Window numbers, a whole number of batches of them: (batches, batch_size).

    Balanced, they are drawn so that every label comes equally often (rows without any count as one more label), and
    within a label every row. Otherwise every window comes once, and some of the first again to fill the last batch.
    """
    generator = np.random.default_rng((seed, epoch))
    batches = -(-len(windows) // batch_size)
    if balanced:
        order = generator.choice(len(windows), batches * batch_size, p=weights(windows))
    else:
        order = np.resize(generator.permutation(len(windows)), batches * batch_size)
    return order.reshape(batches, batch_size)


def weights(windows: Windows) -> NDArray[np.float64]:
    """The chance of each window, (windows,), in all 1."""
    nothing = 1.0 - windows.row_targets.max(axis=1, keepdims=True, initial=0.0)
    held = np.concatenate([windows.row_targets, nothing], axis=1).astype(np.float64)  # (rows, labels + 1)
    windows_per_row = np.bincount(windows.of_row, minlength=len(held))
    held[windows_per_row == 0] = 0.0
    rows_per_label = held.sum(axis=0)
    shares = held @ (1.0 / np.maximum(rows_per_label, 1.0)) / held.sum(axis=1).clip(min=1.0)  # (rows,)
    chance: NDArray[np.float64] = (shares / np.maximum(windows_per_row, 1))[windows.of_row]
    chance /= chance.sum()
    return chance

"""Cross-validation: each fold judged by a model that was trained, validated and calibrated on the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from birdwatchd.errors import UserError
from train.calibrate import calibrate
from train.listener import DEFAULT_THRESHOLD
from train.scoring import Scores, score
from train.splitting import deal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from train.listener import Listener
    from train.manifest import Row

    Trainer = Callable[[int, list[Row], list[Row]], Listener]
    """Fold, rows to train on, rows to validate on, to what came of it, not calibrated."""
    Hearing = Callable[[Listener, Sequence[Row]], Scores]
    Judged = tuple[Scores, NDArray[np.float64]]
    """Scores of a fold, and the thresholds that hold there, (labels,)."""

VALIDATION_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class Fold:
    """Who is what while one fold is the test."""

    number: int
    train: list[Row]
    validation: list[Row]
    test: list[Row]


def folds(
    rows: Sequence[Row], *, seed: int = 0, validation_share: float = VALIDATION_SHARE
) -> Iterator[Fold]:
    """Each fold of the rows in turn as the test; rows without one are trained on always.

    The rest is dealt into training and validation by group, never with a look at the test; without a share for
    validation, all of it is trained on.

    Raises:
        UserError: there are fewer than two folds, or a group, or a file, stands in several, or in one and in none.
    """
    numbers = sorted({row.fold for row in rows if row.fold is not None})
    if len(numbers) < 2:  # noqa: PLR2004 - one must be left to train on
        raise UserError("the manifest has no folds: make it again with `birdwatchd-train list --folds 5`")
    _refuse_divided(rows)
    for number in numbers:
        rest = [row for row in rows if row.fold != number]
        shares = {"train": 1 - validation_share, "validation": validation_share}
        parts: dict[str, list[Row]] = {part: [] for part in shares}
        for row, part in zip(rest, deal(rest, shares, seed=seed), strict=True):
            parts[part].append(replace(row, split=part))
        yield Fold(number, parts["train"], parts["validation"], [row for row in rows if row.fold == number])


def cross_validate(
    rows: Sequence[Row],
    trainer: Trainer,
    *,
    precision: float,
    hearing: Hearing = score,
    validation_share: float = VALIDATION_SHARE,
) -> Iterator[Judged]:
    """Each fold, as `judge` has it, as soon as it is judged.

    Raises:
        UserError: the folds are none, or a training was refused.
    """
    for fold in folds(rows, validation_share=validation_share):
        yield judge(fold, trainer, precision=precision, hearing=hearing)


def judge(fold: Fold, trainer: Trainer, *, precision: float, hearing: Hearing = score) -> Judged:
    """What a model that does not know the fold says of it, calibrated, and the thresholds that hold there.

    Without rows to validate on it is not calibrated, and the thresholds are the daemon's.

    Raises:
        UserError: the training was refused.
    """
    listener = trainer(fold.number, fold.train, fold.validation)
    if not fold.validation:
        return hearing(listener, fold.test), np.full(len(listener.labels), DEFAULT_THRESHOLD)
    calibration, _ = calibrate(hearing(listener, fold.validation), precision=precision, said="")
    return hearing(listener, fold.test).changed(calibration.line.apply), calibration.thresholds


def _refuse_divided(rows: Sequence[Row]) -> None:
    folds_of: dict[tuple[str, str], int | None] = {}
    for row in rows:
        for kind, name in (("group", row.group), ("file", str(row.path))):
            known = folds_of.setdefault((kind, name), row.fold) if name else row.fold
            if known != row.fold:
                where = (
                    f"in fold {row.fold if known is None else known} and in none, so that it is trained on always"
                    if None in (known, row.fold)
                    else f"in the folds {known} and {row.fold}"
                )
                raise UserError(
                    f"the {kind} {name!r} stands {where}: what is tested would be known from training; make the folds with "
                    "`birdwatchd-train list`"
                )

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from birdwatchd.errors import UserError
from tests.train.stand_in import stand_in, tone
from train.folds import cross_validate, folds
from train.manifest import Row

if TYPE_CHECKING:
    from train.listener import Listener

ROWS = [
    Row(
        Path(f"{fold}{number}.wav"),
        ("Testus altus" if number % 2 else "Testus bassus",),
        group=f"g{fold}{number // 2}",
        fold=fold,
    )
    for fold in (1, 2, 3)
    for number in range(12)
]


def test_each_fold_is_the_test_once_and_nobody_stands_on_two_sides() -> None:
    found = list(folds([*ROWS, Row(Path("always.wav"), ())]))
    assert [fold.number for fold in found] == [1, 2, 3]
    for fold in found:
        assert {row.fold for row in fold.test} == {fold.number}
        sides = [
            {row.group or str(row.path) for row in side} for side in (fold.train, fold.validation, fold.test)
        ]
        assert all(sides)
        assert len(set.union(*sides)) == sum(map(len, sides))
        assert len(fold.train) + len(fold.validation) + len(fold.test) == len(ROWS) + 1


def test_without_folds_there_is_nothing_to_do() -> None:
    with pytest.raises(UserError, match="--folds 5"):
        list(folds([replace(row, fold=None) for row in ROWS]))
    with pytest.raises(UserError, match="no folds"):
        list(folds([replace(row, fold=1) for row in ROWS]))


def test_a_group_in_two_folds_is_refused() -> None:
    with pytest.raises(UserError, match="'g10' stands in the folds 1 and 2"):
        list(folds([*ROWS, Row(Path("x.wav"), (), group="g10", fold=2)]))
    with pytest.raises(
        UserError, match="'g10' stands in fold 1 and in none, so that it is trained on always"
    ):
        list(folds([*ROWS, Row(Path("x.wav"), (), group="g10")]))
    with pytest.raises(UserError, match="'g' stands in fold 0 and in none"):
        list(folds([*ROWS, Row(Path("x.wav"), (), group="g", fold=0), Row(Path("y.wav"), (), group="g")]))


def test_a_file_in_two_folds_is_refused() -> None:
    stretch = Row(Path("10.wav"), ("Testus altus",), start=3.0, fold=2)
    with pytest.raises(UserError, match=r"file '10\.wav' stands in the folds 1 and 2"):
        list(folds([*ROWS, stretch]))
    with pytest.raises(UserError, match=r"file '10\.wav' stands in fold 1 and in none"):
        list(folds([*ROWS, replace(stretch, group="elsewhere", fold=None)]))


def test_models_are_trained_without_their_test_and_calibrated_on_neither(tmp_path: Path) -> None:
    rows = [replace(row, path=tone(tmp_path / row.path.name, row.labels[0])) for row in ROWS]
    trained: dict[int, set[Path]] = {}

    def trainer(fold: int, train: list[Row], validation: list[Row]) -> Listener:
        trained[fold] = {row.path for row in (*train, *validation)}
        return stand_in()

    parts = list(cross_validate(rows, trainer, precision=0.9))
    assert len(parts) == 3
    for number, (scores, thresholds) in enumerate(parts, 1):
        tested = {one.row.path for one in scores.rows}
        assert tested == {row.path for row in rows if row.fold == number}
        assert not tested & trained[number]
        assert (np.array(thresholds) >= 0.5).all()
        truth, values = scores.by_clip
        assert ((values >= thresholds) == truth).all()

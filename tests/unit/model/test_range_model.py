from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from birdwatchd.errors import BundleError
from birdwatchd.model.bundle import read_card
from birdwatchd.model.range_model import load_range_model
from tests.tiny import TinyRange, build_tiny_bundle, trace

if TYPE_CHECKING:
    from pathlib import Path


def test_it_tells_what_lives_where(tiny_bundle: Path) -> None:
    occurrence = load_range_model(tiny_bundle, read_card(tiny_bundle))
    assert occurrence is not None
    assert occurrence(52.5, 13.4, 20).tolist() == [1, 0, 0]
    assert occurrence(-33.9, 18.4, 20).tolist() == [0, 1, 0]


def test_a_bundle_without_one_has_none(tmp_path: Path) -> None:
    path = build_tiny_bundle(tmp_path / "a.pt", extra_files={})
    assert load_range_model(path, read_card(path)) is None


def test_a_range_model_that_cannot_be_loaded_is_refused(tmp_path: Path) -> None:
    path = build_tiny_bundle(tmp_path / "a.pt", extra_files={"range_model.pt": b"oops"})
    with pytest.raises(BundleError, match="a range model that torch cannot load"):
        load_range_model(path, read_card(path))


def test_a_range_model_of_other_labels_is_refused(tmp_path: Path) -> None:
    class Narrow(TinyRange):
        def forward(self, place: torch.Tensor) -> torch.Tensor:
            return super().forward(place)[:, :2]

    content = trace(Narrow(), "forward", example=torch.zeros(1, 3)).save_to_buffer()
    path = build_tiny_bundle(tmp_path / "a.pt", extra_files={"range_model.pt": content})
    with pytest.raises(BundleError, match="does not fit its 3 labels"):
        load_range_model(path, read_card(path))


@pytest.mark.parametrize("place", [(91.0, 0.0, 1), (0.0, 181.0, 1), (0.0, 0.0, 0), (0.0, 0.0, 49)])
def test_no_such_place_or_week_is_a_fault_of_the_caller(
    tiny_bundle: Path, place: tuple[float, float, int]
) -> None:
    occurrence = load_range_model(tiny_bundle, read_card(tiny_bundle))
    assert occurrence is not None
    with pytest.raises(ValueError, match="no such place or week"):
        occurrence(*place)

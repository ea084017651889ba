"""A damaged recording is neither listed, learnt from nor judged by; what can be heard of it is predicted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import soundfile
from click.testing import CliRunner

from birdwatchd.errors import RecordingError
from tests.train.sounds import noise
from tests.train.stand_in import RATE, stand_in
from train.cache import SoundCache
from train.cli import train
from train.events import detections_in
from train.inspection import inspect
from train.manifest import Row
from train.predict import predict
from train.scoring import score

if TYPE_CHECKING:
    from pathlib import Path

REASON = r"bad\.flac is damaged after 20\.0 s \(.*\): leave it out, or copy it again"


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Half a minute, of which a copy has only the first three quarters."""
    path = tmp_path / "bad.flac"
    soundfile.write(path, noise(30.0, rate=RATE), RATE)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])
    return path


def test_list_fit_and_evaluate_leave_it_out_alike(damaged: Path, tmp_path: Path) -> None:
    whole = tmp_path / "good.flac"
    soundfile.write(whole, noise(4.0, rate=RATE), RATE)
    row = Row(damaged, ("Testus altus",))
    judged = score(stand_in(), [row, Row(whole, ("Testus altus",))])
    with pytest.raises(RecordingError, match=REASON) as refused:
        SoundCache(tmp_path / "cache", RATE).add(damaged)
    assert inspect(row).failure == str(refused.value)
    assert judged.faults == [str(refused.value)]
    assert [one.row.path for one in judged.rows] == [whole]


def test_predict_goes_as_far_as_it_goes_and_says_so(damaged: Path, tiny_bundle: Path) -> None:
    found = list(predict(stand_in(), damaged, top=1, over_time=True))
    assert found[-1].end == pytest.approx(20.0)
    result = CliRunner().invoke(train, ["predict", str(tiny_bundle), str(damaged), "-k", "1"])
    assert result.exit_code == 0
    assert f"heard as far as it goes: {damaged}: damaged after 20.0 s" in result.stderr
    assert f"{damaged},0.000,20.000,1," in result.stdout


def test_events_of_it_are_not_looked_for(damaged: Path, tiny_bundle: Path) -> None:
    found, seconds, faults = detections_in([damaged], tiny_bundle)
    assert (found, seconds, list(faults)) == ([], 0.0, [damaged])
    # Read in other pieces, it ends elsewhere.
    assert re.search(REASON.replace("20", "22"), faults[damaged])

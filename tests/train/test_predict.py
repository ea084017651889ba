from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from birdwatchd.errors import BundleError, RecordingError
from tests.train.stand_in import RATE, stand_in, tone
from train.cli import train
from train.listener import located
from train.predict import predict, recordings


def change(folder: Path) -> Path:
    """Four seconds of the high tone, then four of the low one."""
    parts = [
        soundfile.read(tone(folder / f"{name}.wav", name, seconds=4.0))[0]
        for name in ("Testus altus", "Testus bassus")
    ]
    (folder / "both").mkdir()
    soundfile.write(folder / "both" / "a.wav", np.concatenate(parts), RATE)
    return folder / "both" / "a.wav"


def test_a_recording_as_a_whole_has_the_best_of_each_label(tmp_path: Path) -> None:
    found = list(predict(stand_in(), change(tmp_path), top=5))
    assert [(one.start, one.end, one.rank) for one in found] == [(0, 8, 1), (0, 8, 2)]
    assert all(one.claimed and one.score > 0.9 for one in found)


def test_a_recording_shorter_than_a_segment_ends_where_it_does(tmp_path: Path) -> None:
    short = tone(tmp_path / "a.wav", "Testus altus", seconds=1.25)
    for over_time in (False, True):
        assert [one.end for one in predict(stand_in(), short, top=1, over_time=over_time)] == [1.25]
    longer = tone(tmp_path / "b.wav", "Testus altus", seconds=2.25)
    assert [one.end for one in predict(stand_in(), longer, top=1, hop_seconds=2.0)] == [2.0]


def test_over_time_each_segment_stands_by_itself(tmp_path: Path) -> None:
    found = list(predict(stand_in(), change(tmp_path), top=1, hop_seconds=2.0, over_time=True))
    assert [one.start for one in found] == [0, 2, 4, 6]
    assert [one.label.common_name for one in found] == ["High Tone"] * 2 + ["Low Tone"] * 2


def test_nothing_reaches_no_threshold(tmp_path: Path) -> None:
    found = list(predict(stand_in(), tone(tmp_path / "a.wav", ""), top=2))
    assert not any(one.claimed for one in found)


def test_folders_are_searched(tmp_path: Path) -> None:
    path = change(tmp_path)
    assert recordings([path.parent]) == [path]
    with pytest.raises(RecordingError, match="does not exist"):
        recordings([tmp_path / "gone"])


def test_the_command_reports_what_it_cannot_read_and_goes_on(tmp_path: Path, tiny_bundle: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    good = tone(tmp_path / "good.wav", "Testus bassus", seconds=4.0)
    result = CliRunner().invoke(
        train, ["predict", str(tiny_bundle), str(tmp_path / "bad.wav"), str(good), "-k", "1"]
    )
    assert result.exit_code == 1
    assert "bad.wav" in result.stderr
    header, row = result.stdout.splitlines()
    assert header.startswith("file,start_seconds,end_seconds,rank,scientific_name")
    assert row.startswith(f"{good},0.000,4.000,1,Testus bassus,Low Tone,0.9")
    assert row.endswith(",true")


def test_a_bundle_in_the_models_folder_goes_by_its_name(
    tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    bundle = tmp_path / "birdwatchd" / "models" / "garden.pt"
    bundle.parent.mkdir(parents=True)
    shutil.copy(tiny_bundle, bundle)
    good = tone(tmp_path / "good.wav", "Testus bassus", seconds=4.0)
    result = CliRunner().invoke(train, ["predict", "garden", str(good), "-k", "1"], catch_exceptions=False)
    assert "Testus bassus" in result.stdout
    # What the user has there comes first, and a path is a path.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "garden").write_bytes(tiny_bundle.read_bytes())
    assert located(Path("garden")) == Path("garden")
    assert located(Path("training/garden")) == Path("training/garden")
    with pytest.raises(BundleError, match="did you mean 'garden'"):
        located(Path("gardn"))

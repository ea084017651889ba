"""One file, in this process, with the small model: what is found, where, when, and whether it may be there."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from birdwatchd.analysis.settings import settle
from birdwatchd.analysis.sites import Site
from birdwatchd.analysis.worker import Settings, Task, Worker
from birdwatchd.model.classifier import Classifier

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from birdwatchd.analysis.findings import Findings

RATE = 48000
HIGH, LOW, VOICE = 4000.0, 1000.0, 300.0
NOWHERE = Site()
NORTH = Site("north", 52.5, 13.4, "Europe/Berlin")


def sound(seconds: float, *tones: tuple[float, float, float], rate: int = RATE) -> NDArray[np.float32]:
    """Faint noise with tones in it: (hertz, from, to)."""
    samples = np.random.default_rng(1).normal(0, 0.001, round(seconds * rate))
    at = np.arange(len(samples)) / rate
    for hertz, begin, end in tones:
        samples += np.where((at >= begin) & (at < end), 0.3 * np.sin(2 * np.pi * hertz * at), 0)
    return samples.astype(np.float32)


def analyse(bundle: Path, path: Path, site: Site = NOWHERE, **settings: Any) -> Findings:
    heard: list[float] = []
    with Worker(Settings(settle(None, {}), bundle, **settings)) as worker:
        findings = worker.analyse(Task(path, site), heard.append)
    assert sum(heard) == pytest.approx(findings.seconds, abs=0.001)
    return findings


def test_a_detection_lies_where_the_sound_is(tmp_path: Path, tiny_bundle: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sound(20, (HIGH, 6, 12)), RATE)
    findings = analyse(tiny_bundle, path)
    (row,) = findings.rows
    assert (row.file, row.scientific_name, row.common_name, row.code) == (
        str(path),
        "Testus altus",
        "High Tone",
        "tesalt",
    )
    assert 3 <= row.start_seconds <= 6
    assert 12 <= row.end_seconds <= 15
    assert row.score > 0.9
    assert (row.time, row.week, row.latitude, row.occurrence, row.site) == ("", None, None, None, "")
    assert (findings.seconds, findings.sample_rate) == (20, RATE)


@pytest.mark.parametrize("rate", [22050, 44100, 96000])
def test_other_rates_find_the_same(tmp_path: Path, tiny_bundle: Path, rate: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sound(20, (HIGH, 6, 12), rate=rate), rate)
    findings = analyse(tiny_bundle, path)
    (row,) = findings.rows
    assert (row.start_seconds, row.end_seconds) == (4.5, 13.5)
    assert findings.sample_rate == rate


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg")
@pytest.mark.parametrize("suffix", ["mp3", "ogg", "flac", "m4a"])
def test_formats(tmp_path: Path, tiny_bundle: Path, suffix: str) -> None:
    soundfile.write(tmp_path / "in.wav", sound(20, (HIGH, 6, 12)), RATE)
    path = tmp_path / f"a.{suffix}"
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", tmp_path / "in.wav", path], check=True)
    (row,) = analyse(tiny_bundle, path).rows
    assert row.common_name == "High Tone"
    assert 3 <= row.start_seconds <= 6


def test_the_end_of_a_file_is_heard_and_a_file_shorter_than_a_window(
    tmp_path: Path, tiny_bundle: Path
) -> None:
    soundfile.write(tmp_path / "end.wav", sound(20, (LOW, 17.5, 20)), RATE)
    (row,) = analyse(tiny_bundle, tmp_path / "end.wav").rows
    assert row.end_seconds == 20
    soundfile.write(tmp_path / "short.wav", sound(2, (LOW, 0, 2)), RATE)
    (row,) = analyse(tiny_bundle, tmp_path / "short.wav").rows
    assert (row.start_seconds, row.end_seconds) == (0, 2)


def test_times_are_those_of_the_site(tmp_path: Path, tiny_bundle: Path) -> None:
    """The name is AudioMoth's, UTC; clocks at the site had sprung forward."""
    path = tmp_path / "20230401_233000.WAV"
    soundfile.write(path, sound(12, (HIGH, 3, 9)), RATE)
    (row,) = analyse(tiny_bundle, path, NORTH).rows
    assert row.time == "2023-04-02T01:30:01.500+02:00"
    assert (row.site, row.latitude, row.longitude, row.week, row.occurrence) == ("north", 52.5, 13.4, 13, 1.0)


def test_a_given_start_wins(tmp_path: Path, tiny_bundle: Path) -> None:
    path = tmp_path / "20230401_233000.WAV"
    soundfile.write(path, sound(12, (HIGH, 3, 9)), RATE)
    (row,) = analyse(tiny_bundle, path, start=datetime(2024, 6, 1, 5, tzinfo=UTC)).rows
    assert row.time == "2024-06-01T05:00:01.500+00:00"


@pytest.mark.parametrize(("latitude", "expected"), [(52.5, "High Tone"), (-33.9, "Low Tone")])
@pytest.mark.parametrize("name", ["20230401_233000.WAV", "undated.wav"])
def test_only_what_lives_there_is_reported(
    tmp_path: Path, tiny_bundle: Path, latitude: float, expected: str, name: str
) -> None:
    """The small model's high tone lives in the north. A file that nothing dates is asked about the whole year."""
    path = tmp_path / name
    soundfile.write(path, sound(24, (HIGH, 3, 9), (LOW, 15, 21)), RATE)
    (row,) = analyse(tiny_bundle, path, replace(NORTH, latitude=latitude)).rows
    assert row.common_name == expected


def test_people_are_private(tmp_path: Path, tiny_bundle: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sound(12, (HIGH, 0, 12), (VOICE, 0, 12)), RATE)
    assert analyse(tiny_bundle, path).rows == ()


def test_windows_are_kept_from_a_score_on(tmp_path: Path, tiny_bundle: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sound(20, (HIGH, 6, 12)), RATE)
    assert analyse(tiny_bundle, path).windows == ()
    some = analyse(tiny_bundle, path, windows_minimum=0.9).windows
    assert {window.common_name for window in some} == {"High Tone"}
    assert all(window.score >= 0.9 for window in some)
    assert all(window.end_seconds - window.start_seconds == 6 for window in some)
    every = analyse(tiny_bundle, path, windows_minimum=0.001).windows
    assert len(every) > len(some)


def test_a_cut_off_file_is_analysed_as_far_as_it_goes(tmp_path: Path, tiny_bundle: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sound(20, (HIGH, 3, 9)), RATE)
    path.write_bytes(path.read_bytes()[: 12 * 2 * RATE])
    findings = analyse(tiny_bundle, path)
    assert len(findings.rows) == 1
    assert findings.complaint.startswith("cut off: 40.0% of the sound")
    assert not findings.failure


def test_what_is_no_recording_fails_in_a_sentence(tmp_path: Path, tiny_bundle: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_text("I am a text\n" * 50)
    findings = analyse(tiny_bundle, path)
    assert findings.failure.startswith(f"{path} holds no sound")
    assert findings.rows == ()


def test_the_same_file_always_gets_the_same_scores(tmp_path: Path, tiny_bundle: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sound(60, (HIGH, 6, 12), (LOW, 20, 30)), RATE)
    assert analyse(tiny_bundle, path, windows_minimum=0.001) == analyse(
        tiny_bundle, path, windows_minimum=0.001
    )


def test_batches_depend_on_the_file_alone(
    tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last bits of a score depend on its batch, so every batch is full, however late the sound comes."""
    sizes: list[int] = []
    classify = Classifier.classify

    def count(self: Classifier, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        sizes.append(len(segments))
        return classify(self, segments)

    monkeypatch.setattr(Classifier, "classify", count)
    path = tmp_path / "a.wav"
    soundfile.write(path, sound(60, (HIGH, 6, 12)), RATE)
    analyse(tiny_bundle, path)
    assert sizes == [8] * 5  # 39 whole segments, and a half one at the end

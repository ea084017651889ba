"""A detection's sound becomes files: all of them, or none, and never a person's voice."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from PIL import Image
from pydantic import ValidationError

from birdwatchd.actions import GiveUp, Postpone
from birdwatchd.actions.save_clip import SaveClip
from birdwatchd.domain import Clip, Gap
from tests.doubles import DAWN, FakeContext, sample_delivery, sample_detection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from birdwatchd.domain import Detection

RATE = 48000


def action(**settings: Any) -> SaveClip:
    return SaveClip(SaveClip.Config.model_validate({"name": "keep", "kind": "save_clip", **settings}))


def clip(**changes: Any) -> Clip:
    """From 3 s before `sample_detection` to 3 s after it, in values that a 16 bit microphone delivers."""
    samples = np.random.default_rng(3).integers(-3000, 3000, round(10.5 * RATE)) / 32768
    whole = Clip(
        source="garden",
        start_sample=17 * RATE,
        stop_sample=17 * RATE + len(samples),
        start=DAWN - timedelta(seconds=3),
        sample_rate=RATE,
        samples=samples.astype(np.float32),
        gaps=(),
        voice=False,
    )
    return replace(whole, **changes)


def run(folder: Path, sound: Clip | str, detection: Detection | None = None, **settings: Any) -> FakeContext:
    context = context_of(folder, sound, detection)
    action(**settings).run(context.delivery.detection, context)
    return context


def context_of(folder: Path, sound: Clip | str, detection: Detection | None = None) -> FakeContext:
    detection = detection or sample_detection(state="ended")
    delivery = sample_delivery("keep", detection=detection)
    return FakeContext(clips_folder=folder, delivery=delivery, sound=sound)


def files(folder: Path) -> Mapping[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


STEM = "2026/05/09/garden-Parus_major-044210"


def test_the_sound_is_kept_sample_for_sample_with_what_is_known_of_it(tmp_path: Path) -> None:
    whole = clip()
    context = run(tmp_path, whole)
    assert set(files(tmp_path)) == {f"{STEM}.flac", f"{STEM}.json", f"{STEM}.png"}
    kept, rate = soundfile.read(tmp_path / f"{STEM}.flac", dtype="float32")
    assert rate == RATE
    assert np.array_equal(kept, whole.samples)
    said = json.loads((tmp_path / f"{STEM}.json").read_text())
    assert said["clip"]["file"] == "garden-Parus_major-044210.flac"
    assert (said["clip"]["first_sample"], said["clip"]["last_sample"]) == (17 * RATE, round(27.5 * RATE) - 1)
    assert (said["call"]["offset_samples"], said["call"]["offset_seconds"]) == (3 * RATE, 3.0)
    assert (said["call"]["samples"], said["call"]["seconds"]) == (4.5 * RATE, 4.5)
    assert (said["detection"]["model"], said["node"]) == ("tiny-1", "wood")
    assert (said["clip"]["gaps"], said["clip"]["changes"]) == ([], {})
    assert context.notes == {"kept": True, "file": f"{STEM}.flac", "seconds": 10.5}
    with Image.open(tmp_path / f"{STEM}.png") as picture:
        picture.verify()


def test_the_call_lies_where_the_sidecar_says(tmp_path: Path) -> None:
    whole = clip()
    run(tmp_path, whole, picture=False)
    said = json.loads((tmp_path / f"{STEM}.json").read_text())["call"]
    kept, _ = soundfile.read(tmp_path / f"{STEM}.flac", dtype="float32")
    first = said["offset_samples"]
    call = whole.samples[20 * RATE - whole.start_sample :][: round(4.5 * RATE)]
    assert np.array_equal(kept[first : first + said["samples"]], call)


def test_gaps_are_told(tmp_path: Path) -> None:
    context = run(tmp_path, clip(gaps=(Gap(25 * RATE, 2.25, "lost"),)))
    said = json.loads((tmp_path / f"{STEM}.json").read_text())
    assert said["clip"]["gaps"] == [
        {"offset_samples": 8 * RATE, "offset_seconds": 8.0, "missing_seconds": 2.25, "cause": "lost"}
    ]
    assert context.notes["missing_seconds"] == 2.25


@pytest.mark.parametrize("form", ["wav", "ogg"])
def test_other_formats(tmp_path: Path, form: str) -> None:
    run(tmp_path, clip(), format=form, picture=False)
    assert set(files(tmp_path)) == {f"{STEM}.{form}", f"{STEM}.json"}
    assert soundfile.info(tmp_path / f"{STEM}.{form}").frames == round(10.5 * RATE)


def test_what_was_changed_is_told(tmp_path: Path) -> None:
    run(tmp_path, clip(), high_pass_hz=300, normalise_lufs=-23)
    changes = json.loads((tmp_path / f"{STEM}.json").read_text())["clip"]["changes"]
    assert changes["high_pass_hz"] == 300
    assert changes["gain_db"] != 0


def test_a_voice_anywhere_in_the_clip_and_nothing_is_kept(tmp_path: Path) -> None:
    for context in (
        run(tmp_path, clip(voice=True)),
        run(tmp_path, clip(), sample_detection(state="ended", voice=True)),
    ):
        assert context.notes == {"kept": False, "why": "a person speaks"}
    assert not list(tmp_path.iterdir())


def test_sound_that_is_gone_is_given_up_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(GiveUp, match="the sound is no longer in memory"):
        run(tmp_path, "the sound is no longer in memory")


def test_a_folder_without_room_is_tried_again(tmp_path: Path) -> None:
    context = context_of(tmp_path, clip())
    context.full = "10 GB are in use, and nothing may give way"
    with pytest.raises(Postpone, match="10 GB are in use"):
        action().run(context.delivery.detection, context)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_nothing_is_left_of_a_clip_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, count: int
) -> None:
    """The disk is full at the first, the second, the third file."""
    calls = iter(range(count + 1))
    real: Any = os.fsync if step == "fsync" else Path.replace

    def fails(*arguments: Any) -> Any:
        if next(calls) == count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments)

    monkeypatch.setattr(os if step == "fsync" else Path, step, fails)
    with pytest.raises(Postpone, match="No space left on device") as told:
        run(tmp_path, clip())
    assert told.value.seconds == 5
    assert not files(tmp_path)


def test_a_second_time_replaces_the_first(tmp_path: Path) -> None:
    run(tmp_path, clip())
    run(tmp_path, clip(samples=np.zeros(round(10.5 * RATE), dtype=np.float32)))
    kept, _ = soundfile.read(tmp_path / f"{STEM}.flac")
    assert not kept.any()
    assert len(files(tmp_path)) == 3


def test_it_is_known_by_its_sound_that_it_was_done(tmp_path: Path) -> None:
    keep, context = action(), FakeContext(clips_folder=tmp_path, sound=clip())
    assert not keep.was_done(sample_detection(), context)
    assert context.notes == {}
    keep.run(sample_detection(), context)
    after = FakeContext(clips_folder=tmp_path)
    assert keep.was_done(sample_detection(), after)
    assert after.notes == {name: context.notes[name] for name in ("kept", "file")}
    (sound,) = tmp_path.rglob("*.flac")
    sound.unlink()
    assert not keep.was_done(sample_detection(), FakeContext(clips_folder=tmp_path))


def test_no_path_leads_out_of_the_folder(tmp_path: Path) -> None:
    for path in ("/etc/passwd", "../outside"):
        with pytest.raises(GiveUp, match="leads out"):
            run(tmp_path / "clips", clip(), sample_detection(clip_path=path))
    assert not list(tmp_path.iterdir())


def test_it_waits_for_what_follows_the_call() -> None:
    assert action(after_seconds=4).after_seconds() == 4
    assert action().config.on == "ended"


@pytest.mark.parametrize(
    "settings", [{"format": "m4a"}, {"before_seconds": -1}, {"after_seconds": 1000}, {"normalise_lufs": 3}]
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        action(**settings)

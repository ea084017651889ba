"""`birdwatchd-train crop` as its user meets it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import click
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from birdwatchd.errors import UserError
from tests.train.sounds import noise, tone, write
from train.commands.crop import crop
from train.commands.list import list_
from train.crop import Cutter
from train.manifest import read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from train.manifest import Row


def run(*words: object) -> Result:
    return CliRunner().invoke(crop, [*map(str, words)], standalone_mode=False, catch_exceptions=False)


def test_every_sample_lands_in_its_clip(tmp_path: Path) -> None:
    recording = write(tmp_path / "recs" / "Parus_major" / "dawn.wav", noise(20, seed=1))
    result = run(tmp_path / "recs", "-o", tmp_path / "clips", "--seconds", 6)
    assert result.stdout == f"3 clips from 1 recording(s) in {tmp_path / 'clips'}\n"
    whole, _ = soundfile.read(recording, dtype="int16")
    for start in (0, 6, 12):
        name = f"dawn__{start}.000-{start + 6}.000.wav"
        clip, rate = soundfile.read(tmp_path / "clips" / "Parus_major" / name, dtype="int16")
        assert rate == 8000
        assert np.array_equal(clip, whole[start * 8000 : (start + 6) * 8000])


def test_overlapping_clips_hold_the_right_samples(tmp_path: Path) -> None:
    recording = write(tmp_path / "dawn.flac", noise(47, seed=1))
    run(recording, "-o", tmp_path / "clips", "--seconds", 3, "--step", 0.7, "--label", "x")
    whole, _ = soundfile.read(recording, dtype="int16")
    clips = sorted((tmp_path / "clips" / "x").iterdir())
    assert len(clips) == 64
    for clip in clips:
        start, end = (round(float(part) * 8000) for part in clip.stem.partition("__")[2].split("-"))
        assert np.array_equal(soundfile.read(clip, dtype="int16")[0], whole[start:end])


def test_pieces_of_one_recording_stay_together(tmp_path: Path) -> None:
    for label in "ab":
        for number in range(4):
            write(tmp_path / "recs" / label / f"r{number}.wav", noise(12, seed=10 * ord(label) + number))
    run(tmp_path / "recs", "-o", tmp_path / "clips")
    for source in (tmp_path / "clips" / "manifest.csv", tmp_path / "clips"):
        words = [str(source), "--folds", "4", "-o", str(tmp_path / "m.csv")]
        CliRunner().invoke(list_, words, standalone_mode=False, catch_exceptions=False)
        rows = read_manifest(tmp_path / "m.csv")
        assert len(rows) == 32
        assert all(row.group for row in rows)
        assert len({(row.group, row.fold) for row in rows}) == len({row.group for row in rows})


def test_the_second_cut_adds_to_the_first_and_replaces_its_own(tmp_path: Path) -> None:
    for folder in ("monday", "tuesday"):
        write(tmp_path / folder / "a.wav", noise(6, seed=len(folder)))
        run(tmp_path / folder / "a.wav", "-o", tmp_path / "clips", "--label", "x")
    run(tmp_path / "monday" / "a.wav", "-o", tmp_path / "clips", "--label", "x")
    rows = read_manifest(tmp_path / "clips" / "manifest.csv")
    assert sorted(row.path.name for row in rows) == [
        "a (2)__0.000-3.000.wav",
        "a (2)__3.000-6.000.wav",
        "a__0.000-3.000.wav",
        "a__3.000-6.000.wav",
    ]
    assert len({row.group for row in rows}) == 2


def test_without_its_manifest_no_clip_of_another_recording_is_written_over(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    for seed, folder in enumerate(("monday", "tuesday")):
        write(tmp_path / folder / "a.wav", noise(3, seed=seed))
    run(tmp_path / "monday" / "a.wav", "-o", clips, "--label", "x")
    before = (clips / "x" / "a__0.000-3.000.wav").read_bytes()
    (clips / "manifest.csv").unlink()
    run(tmp_path / "tuesday" / "a.wav", "-o", clips, "--label", "x")
    assert (clips / "x" / "a__0.000-3.000.wav").read_bytes() == before
    run(tmp_path / "monday" / "a.wav", "-o", clips, "--label", "x")
    rows = read_manifest(clips / "manifest.csv")
    assert [row.path.name for row in rows] == ["a (2)__0.000-3.000.wav", "a__0.000-3.000.wav"]
    assert len({row.group for row in rows}) == 2


def test_without_its_manifest_an_ogg_clip_is_known_by_its_sound(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    for seed in (0, 0, 1):
        write(tmp_path / "recs" / "x" / "a.wav", noise(3, seed=seed))
        run(tmp_path / "recs", "-o", clips, "--format", "ogg")
        (clips / "manifest.csv").unlink()
    assert {path.name for path in (clips / "x").iterdir()} == {
        "a__0.000-3.000.ogg",
        "a (2)__0.000-3.000.ogg",
    }


def test_what_was_thrown_away_or_moved_is_not_cut_again(tmp_path: Path) -> None:
    recordings, clips = tmp_path / "recs", tmp_path / "clips"
    write(recordings / "a" / "one.wav", noise(9, seed=1))
    run(recordings, "-o", clips)
    (clips / "a" / "one__0.000-3.000.wav").unlink()
    (clips / "b").mkdir()
    (clips / "a" / "one__3.000-6.000.wav").rename(clips / "b" / "one__3.000-6.000.wav")
    write(recordings / "a" / "two.wav", noise(3, seed=2))
    for _ in range(2):  # also after it was written down again
        result = run(recordings, "-o", clips)
        assert "thrown away or moved since: 2 clips (--again cuts them too)" in result.stderr
        assert result.stdout == f"2 clips from 2 recording(s) in {clips}\n"
        assert {str(path.relative_to(clips)) for path in clips.rglob("*.wav")} == {
            "a/one__6.000-9.000.wav",
            "a/two__0.000-3.000.wav",
            "b/one__3.000-6.000.wav",
        }
    for path in clips.rglob("*.wav"):
        path.unlink()
    result = run(recordings, "-o", clips)
    assert "no clip from" not in result.stderr
    assert result.stdout == f"0 clips from 0 recording(s) in {clips}\n"
    assert run(recordings, "-o", clips, "--again").stdout == f"4 clips from 2 recording(s) in {clips}\n"


def test_clips_are_not_cut_into_clips(tmp_path: Path) -> None:
    write(tmp_path / "recs" / "a" / "one.wav", noise(9, seed=1))
    clips = tmp_path / "recs" / "clips"
    run(tmp_path / "recs", "-o", clips)
    result = run(tmp_path / "recs", "-o", clips, "--seconds", 1)
    assert f"not cut, as clips go there: 3 files in {clips}" in result.stderr
    assert result.stdout == f"9 clips from 1 recording(s) in {clips}\n"
    assert [path.name for path in clips.iterdir() if path.is_dir()] == ["a"]
    with pytest.raises(UserError, match="are clips, not recordings: name another folder"):
        run(clips, "-o", clips)


def test_a_recording_that_is_named_by_itself_may_lie_where_its_clips_go(tmp_path: Path) -> None:
    write(tmp_path / "dawn.wav", noise(6, seed=1))
    result = run(tmp_path / "dawn.wav", "-o", tmp_path, "--label", "x")
    assert result.stdout == f"2 clips from 1 recording(s) in {tmp_path}\n"


def test_what_was_thrown_away_stays_away_when_its_recordings_have_moved(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    write(tmp_path / "recs" / "a" / "one.wav", noise(6, seed=1))
    run(tmp_path / "recs", "-o", clips)
    (clips / "a" / "one__0.000-3.000.wav").unlink()
    (tmp_path / "recs").rename(tmp_path / "2026")
    run(tmp_path / "2026", "-o", clips)
    assert [path.name for path in clips.rglob("*.wav")] == ["one__3.000-6.000.wav"]
    # It stays away, and also when they move once more.
    (tmp_path / "2026").rename(tmp_path / "garden")
    assert "since: 1 clips" in run(tmp_path / "garden", "-o", clips).stderr
    # Another recording that has its name, now that it is deleted.
    (tmp_path / "garden" / "a" / "one.wav").unlink()
    write(tmp_path / "2027" / "a" / "one.wav", noise(6, seed=2))
    assert run(tmp_path / "2027", "-o", clips).stdout == f"2 clips from 1 recording(s) in {clips}\n"


@pytest.mark.parametrize("left", [0, 1000], ids=["empty", "cut"])
def test_what_a_power_cut_has_left_of_a_clip_is_written_again(tmp_path: Path, left: int) -> None:
    write(tmp_path / "recs" / "a" / "one.wav", noise(3, seed=1))
    run(tmp_path / "recs", "-o", tmp_path / "clips")
    (tmp_path / "clips" / "manifest.csv").unlink()
    (clip,) = (tmp_path / "clips").rglob("*.wav")
    before = clip.read_bytes()
    clip.write_bytes(before[:left])
    run(tmp_path / "recs", "-o", tmp_path / "clips")
    assert [(path, path.read_bytes()) for path in (tmp_path / "clips").rglob("*.wav")] == [(clip, before)]


def test_only_what_stands_out_is_cut(tmp_path: Path) -> None:
    sound = noise(60, rate=16_000, level=0.005)
    for at in (10.0, 40.0):
        sound[round(at * 16_000) : round((at + 1) * 16_000)] += tone(1, rate=16_000, hertz=3000)
    write(tmp_path / "recs" / "x" / "long.wav", sound, rate=16_000)
    run(tmp_path / "recs", "-o", tmp_path / "clips", "--activity")
    assert sorted(path.name for path in (tmp_path / "clips" / "x").iterdir()) == [
        "long__39.000-42.000.wav",
        "long__9.000-12.000.wav",
    ]


def test_recordings_in_which_nothing_stands_out_are_named_and_not_counted(tmp_path: Path) -> None:
    sound = noise(20, level=0.005)
    sound[80_000:88_000] += tone(1, hertz=3000)
    write(tmp_path / "recs" / "x" / "call.wav", sound)
    for number in range(6):
        write(tmp_path / "recs" / "background" / f"rain{number}.wav", noise(9, seed=number))
    result = run(tmp_path / "recs", "-o", tmp_path / "clips", "--activity")
    assert result.stdout == f"1 clips from 1 recording(s) in {tmp_path / 'clips'}\n"
    assert "no clip from 6 recording(s), nothing stands out; try a lower --above-db" in result.stderr
    assert str(tmp_path / "recs" / "background" / "rain4.wav") in result.stderr
    assert "rain5" not in result.stderr
    assert "… and 1 more" in result.stderr


def test_around_annotations_with_all_labels_that_are_heard(tmp_path: Path) -> None:
    recording = write(tmp_path / "a.wav", noise(60))
    lines = "10.0\t11.0\tgreat tit\n11.0\t11.8\trobin\n30.0\t38.0\twren/song\n"
    (tmp_path / "a.txt").write_text(lines)
    run(recording, "-o", tmp_path / "clips", "--annotations", tmp_path / "a.txt")
    rows = read_manifest(tmp_path / "clips" / "manifest.csv")
    assert {(row.path.name, row.labels) for row in rows} == {
        ("a__9.000-12.000.wav", ("great tit", "robin")),
        ("a__30.000-33.000.wav", ("wren/song",)),
        ("a__33.000-36.000.wav", ("wren/song",)),
        ("a__36.000-38.000.wav", ("wren/song",)),
    }
    assert {path.name for path in (tmp_path / "clips").iterdir()} == {
        "great tit",
        "wren-song",
        "manifest.csv",
    }


def test_the_list_of_clips_has_all_of_their_labels_and_follows_those_that_were_moved(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    for day in ("mon", "tue"):
        recording = write(tmp_path / day / "a.wav", noise(60, seed=ord(day[0])))
        lines = "10.0\t11.0\tgreat tit\n11.0\t11.8\trobin\n20.0\t21.0\trobin\n30.0\t32.0\twren/song\n"
        (tmp_path / "a.txt").write_text(lines)
        run(recording, "-o", clips, "--annotations", tmp_path / "a.txt")
    # The user hears that one is of another bird; of Tuesday's recording it is all the same.
    (clips / "robin" / "a (2)__19.000-22.000.wav").rename(clips / "great tit" / "a (2)__19.000-22.000.wav")

    def listed() -> tuple[Result, dict[str, tuple[tuple[str, ...], str]]]:
        words = [str(clips), "--split", "1,0,0", "-o", str(tmp_path / "m.csv")]
        result = CliRunner().invoke(list_, words, standalone_mode=False, catch_exceptions=False)
        found = read_manifest(tmp_path / "m.csv")
        return result, {row.path.name: (row.labels, row.group) for row in found}

    _, rows = listed()
    monday, tuesday = str(tmp_path / "mon" / "a.wav"), str(tmp_path / "tue" / "a.wav")
    assert rows == {
        "a__9.000-12.000.wav": (("great tit", "robin"), monday),
        "a__19.000-22.000.wav": (("robin",), monday),
        "a__29.500-32.500.wav": (("wren/song",), monday),
        "a (2)__9.000-12.000.wav": (("great tit", "robin"), tuesday),
        "a (2)__19.000-22.000.wav": (("great tit",), tuesday),
        "a (2)__29.500-32.500.wav": (("wren/song",), tuesday),
    }
    (clips / "manifest.csv").write_text("path,labels\n,x\n")
    result, rows = listed()
    assert rows["a__9.000-12.000.wav"] == (("great tit",), "a")
    assert "clips have the labels of their folders alone: " in result.stderr
    assert "manifest.csv:2: there is no path" in result.stderr


def test_clips_that_were_all_moved_are_still_of_their_recording(tmp_path: Path) -> None:
    recording, clips = write(tmp_path / "a.wav", noise(6)), tmp_path / "clips"
    run(recording, "-o", clips, "--label", "robin")
    (clips / "robin").rename(clips / "wren")
    words = [str(clips), "--split", "1,0,0", "-o", str(tmp_path / "m.csv")]
    result = CliRunner().invoke(list_, words, standalone_mode=False, catch_exceptions=False)
    assert "labels of their folders alone" not in result.stderr
    assert {(row.labels, row.group) for row in read_manifest(tmp_path / "m.csv")} == {
        (("wren",), str(recording))
    }


def test_annotations_of_other_recordings_are_told(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("file,start,end,label\na.wav,1,2,x\nb.wav,1,2,x\n")
    result = run(
        write(tmp_path / "a.wav", noise(9)), "-o", tmp_path / "c", "--annotations", tmp_path / "d.csv"
    )
    assert "annotations of recordings that were not given: b.wav" in result.stderr
    with pytest.raises(UserError, match="no annotation is of them"):
        run(write(tmp_path / "z.wav", noise(9)), "-o", tmp_path / "c", "--annotations", tmp_path / "d.csv")


def test_stereo_becomes_mono(tmp_path: Path) -> None:
    left, right = noise(3, seed=1), noise(3, seed=2)
    recording = write(tmp_path / "s.wav", np.stack([left, right], axis=1))
    run(recording, "-o", tmp_path / "two", "--label", "x", "--channel", 2)
    clip, _ = soundfile.read(tmp_path / "two" / "x" / "s__0.000-3.000.wav", dtype="int16")
    assert np.array_equal(clip, soundfile.read(recording, dtype="int16")[0][:, 1])
    with pytest.raises(UserError, match=r"has 2 channel\(s\): --channel 3"):
        run(recording, "-o", tmp_path / "three", "--label", "x", "--channel", 3)


def test_corrupt_recordings_are_skipped_counted_and_named(tmp_path: Path) -> None:
    write(tmp_path / "recs" / "x" / "good.wav", noise(6))
    (tmp_path / "recs" / "x" / "bad.wav").write_bytes(b"no sound")
    cut_off = write(tmp_path / "recs" / "x" / "cut.wav", noise(6, seed=3))
    cut_off.write_bytes(cut_off.read_bytes()[:60_000])
    result = run(tmp_path / "recs", "-o", tmp_path / "clips")
    assert "skipped, cannot be read: 1\n" in result.stderr
    assert "bad.wav" in result.stderr
    assert "cut as far as it goes: " in result.stderr
    assert result.stdout.startswith("3 clips from 2 recording(s)")


def test_after_ctrl_c_the_manifest_tells_of_the_clips_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        write(tmp_path / "recs" / "x" / f"{number}.wav", noise(6, seed=number))
    cut = Cutter.cut

    def interrupted(self: Cutter, recording: Path, label: str) -> list[Row]:
        if recording.stem == "1":
            raise KeyboardInterrupt
        return cut(self, recording, label)

    monkeypatch.setattr(Cutter, "cut", interrupted)
    with pytest.raises(click.Abort):
        run(tmp_path / "recs", "-o", tmp_path / "clips")
    rows = read_manifest(tmp_path / "clips" / "manifest.csv")
    assert [row.path.name for row in rows] == ["0__0.000-3.000.wav", "0__3.000-6.000.wav"]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg")
def test_what_soundfile_cannot_write_is_written_by_pydub(tmp_path: Path) -> None:
    run(write(tmp_path / "a.wav", noise(6)), "-o", tmp_path / "c", "--label", "x", "--format", "mp3")
    assert len(read_manifest(tmp_path / "c" / "manifest.csv")) == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "Say it with --label"),
        (["--label", "x", "--channel", "left"], "--channel 'left' is no channel"),
        (["--label", "x", "--above-db", "9"], "are for --activity"),
        (["--label", "x", "--activity", "--step", "1"], "--step is for cutting everything"),
        (["--activity", "--annotations", "a.csv"], "exclude each other"),
        (["--label", "x", "--activity"], "nothing stands out"),
    ],
)
def test_options_that_cannot_be_followed(tmp_path: Path, words: list[str], told: str) -> None:
    recording = write(tmp_path / "a.wav", noise(9))
    with pytest.raises(UserError) as refusal:
        run(recording, "-o", tmp_path / "clips", *words)
    assert told in str(refusal.value)

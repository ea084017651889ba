"""What is kept of a detection is found by its own path, and nothing else ever is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from birdwatchd.store.inside import open_file
from birdwatchd.store.kept import NOTHING, Cut, Missing, look, open_kept, stem_of
from tests.pictures import picture
from tests.rows import detection

STEM = "2026/05/09/Great_Tit_06-42-10_garden_3f0c12ab"
TIT = detection(clip_path=STEM)
CLIP = {
    "sample_rate": 48000,
    "samples": 480_000,
    "first_sample": 96_000,
    "gaps": [{"offset_samples": 48_000, "offset_seconds": 1.0, "missing_seconds": 0.25, "cause": "lost"}],
    "changes": {"gain_db": 3.5},
}


def put(folder: Path, name: str, content: bytes | str | dict[str, object] = b"sound") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    said = json.dumps(content) if isinstance(content, dict) else content
    path.write_bytes(said.encode() if isinstance(said, str) else said)
    return path


def test_sound_and_pictures_are_found_with_what_is_told_of_them(tmp_path: Path) -> None:
    put(tmp_path, f"{STEM}.flac")
    put(tmp_path, f"{STEM}.json", {"clip": CLIP})
    put(tmp_path, f"{STEM}.png")
    put(tmp_path, f"{STEM}_10.png", picture("PNG"))
    put(tmp_path, f"{STEM}_2.jpg", picture())
    put(
        tmp_path,
        f"{STEM}_2.json",
        {"picture": {"camera": "gate", "taken": "2026-05-09T06:42:11.000+02:00", "latency_seconds": 0.75}},
    )
    put(tmp_path, f"{STEM}0_1.jpg", picture())
    kept = look(tmp_path, TIT)
    assert kept.sound == Path(f"{STEM}.flac")
    assert kept.cut == Cut(48000, 96_000, 480_000, (Missing(1.0, 0.25, "lost"),), {"gain_db": 3.5})
    assert kept.cut.seconds == 10
    assert kept.cut.offset_seconds(120_000) == 0.5
    assert [(one.number, one.camera, one.latency_seconds) for one in kept.pictures] == [
        (2, "gate", 0.75),
        (10, "", None),
    ]


@pytest.mark.parametrize("suffix", [".flac", ".wav", ".ogg", ".opus", ".mp3", ".m4a"])
def test_every_format_of_a_clip_is_found(tmp_path: Path, suffix: str) -> None:
    put(tmp_path, f"{STEM}{suffix}")
    assert look(tmp_path, TIT).sound == Path(f"{STEM}{suffix}")


def test_where_nothing_is_kept_there_is_nothing(tmp_path: Path) -> None:
    assert look(tmp_path / "none", TIT) == NOTHING
    assert look(tmp_path, TIT) == NOTHING
    put(tmp_path, "2026/05/09/other.flac")
    assert look(tmp_path, TIT) == NOTHING


@pytest.mark.parametrize(
    "said",
    [
        "",
        "no JSON",
        "[" * 100_000,
        {"clip": 3},
        {"clip": {**CLIP, "sample_rate": 0}},
        {"clip": {**CLIP, "gaps": 1}},
        {"clip": {**CLIP, "samples": 1e400}},
    ],
)
def test_a_sidecar_that_somebody_broke_takes_nothing_else_away(
    tmp_path: Path, said: str | dict[str, object]
) -> None:
    put(tmp_path, f"{STEM}.flac")
    put(tmp_path, f"{STEM}.json", said)
    kept = look(tmp_path, TIT)
    assert (kept.sound, kept.cut) == (Path(f"{STEM}.flac"), None)


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../secret", "a/../../secret", ".", "/", "a\0b", ".."])
def test_a_path_that_leads_out_is_none(tmp_path: Path, path: str) -> None:
    assert stem_of(detection(clip_path=path)) is None
    assert look(tmp_path, detection(clip_path=path)) == NOTHING


def test_no_link_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    secret = put(tmp_path, "secret.flac")
    (folder / "2026/05/09").mkdir(parents=True)
    (folder / f"{STEM}.flac").symlink_to(secret)
    kept = look(folder, TIT)
    assert kept.sound is not None
    assert open_kept(folder, kept.sound) is None
    (folder / "elsewhere").symlink_to(tmp_path)
    assert open_kept(folder, Path("elsewhere/secret.flac")) is None
    with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
        open_file(folder, folder / "elsewhere" / "secret.flac")


def test_the_clips_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    put(tmp_path / "disk", f"{STEM}.flac", b"here")
    (tmp_path / "clips").symlink_to(tmp_path / "disk")
    file = open_kept(tmp_path / "clips", Path(f"{STEM}.flac"))
    assert file is not None
    with file:
        assert file.read() == b"here"


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "folder.flac").mkdir()
    os.mkfifo(tmp_path / "pipe.flac")
    assert open_kept(tmp_path, Path("folder.flac")) is None
    assert open_kept(tmp_path, Path("pipe.flac")) is None
    assert open_kept(tmp_path, Path("gone.flac")) is None

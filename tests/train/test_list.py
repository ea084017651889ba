"""`birdwatchd-train list` as its user meets it."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from birdwatchd.errors import UserError
from birdwatchd.store import reviews
from birdwatchd.store.database import Database
from tests import rows as database
from tests.train.sounds import noise, tone, write, write_class
from train.commands.list import list_
from train.manifest import read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from train.manifest import Row


def run(*words: object, output: Path) -> tuple[Result, list[Row]]:
    result = CliRunner().invoke(
        list_, [*map(str, words), "--output", str(output)], standalone_mode=False, catch_exceptions=False
    )
    return result, read_manifest(output)


def test_a_folder_for_each_class_becomes_a_manifest(tmp_path: Path) -> None:
    write_class(tmp_path / "birds", "Parus_major", 20)
    write_class(tmp_path / "birds", "Turdus merula", 20, first_seed=100)
    write_class(tmp_path, "rain", 20, first_seed=200)
    result, rows = run(tmp_path / "birds", tmp_path / "rain", "--negative", "rain", output=tmp_path / "m.csv")
    assert {row.labels for row in rows} == {("Parus major",), ("Turdus merula",), ()}
    assert [sum(row.split == part for row in rows) for part in ("train", "validation", "test")] == [42, 9, 9]
    assert result.stderr == ""
    table = [line.split() for line in result.stdout.splitlines()]
    assert ["Parus", "major", "20", "20", "1:00", "14", "3", "3"] in table
    assert ["(nothing)", "20", "20", "1:00", "14", "3", "3"] in table
    assert ["all", "60", "60", "3:00", "42", "9", "9"] in table


def test_labels_that_differ_by_how_accents_are_written_are_one(tmp_path: Path) -> None:
    """As a Mac writes the names of folders, and as others do."""
    composed, decomposed = "Gr\u00fcnspecht", "Gru\u0308nspecht"
    write_class(tmp_path / "birds", composed, 3)
    write_class(tmp_path / "birds", decomposed, 3, first_seed=10)
    _, rows = run(tmp_path / "birds", "--split", "1,0,0", output=tmp_path / "m.csv")
    assert [row.labels for row in rows] == [(composed,)] * 6
    _, rows = run(tmp_path / "birds", "--split", "1,0,0", "--negative", decomposed, output=tmp_path / "m.csv")
    assert [row.labels for row in rows] == [()] * 6
    lines = "".join(f"{row.path},{decomposed}\n" for row in rows)
    (tmp_path / "m.csv").write_text(f"path,labels\n{lines}", encoding="utf-8")
    assert {row.labels for row in read_manifest(tmp_path / "m.csv")} == {(composed,)}


def test_the_same_again_gives_the_same_manifest(tmp_path: Path) -> None:
    write_class(tmp_path / "birds", "a", 12)
    write_class(tmp_path / "birds", "b", 12, first_seed=100)
    for name in ("one.csv", "two.csv"):
        run(tmp_path / "birds", "--folds", 4, output=tmp_path / name)
    assert (tmp_path / "one.csv").read_text() == (tmp_path / "two.csv").read_text()


def test_what_is_of_no_use_is_left_out_counted_and_named(tmp_path: Path) -> None:
    birds = tmp_path / "birds"
    paths = write_class(birds, "a", 30)
    write_class(birds, "b", 30, first_seed=100)
    (birds / "a" / "corrupt.wav").write_bytes(b"RIFF and then nothing of the kind" * 40)
    (birds / "a" / "empty.flac").write_bytes(b"")
    write(birds / "a" / "brief.wav", noise(2.0, seed=900))
    write(birds / "b" / "silent.wav", np.zeros(24_000, np.float32))
    soundfile.write(birds / "a" / "zz copy.flac", soundfile.read(paths[3], dtype="int16")[0], 8000)
    write(birds / "b" / "zz again.wav", soundfile.read(paths[4], dtype="float32")[0])
    result, rows = run(birds, output=tmp_path / "m.csv")
    assert len(rows) == 59, "one clip is in both classes, and in neither any more"
    assert "left out, cannot be read: 2\n" in result.stderr
    assert "corrupt.wav" in result.stderr
    assert "empty.flac is empty" in result.stderr
    assert "left out, too short: 1\n" in result.stderr
    assert "brief.wav (2.00 s)" in result.stderr
    assert "left out, silent: 1\n" in result.stderr
    assert "left out, there twice: 1\n" in result.stderr
    assert "zz copy.flac is " in result.stderr
    assert "other labels, neither is taken: 1\n" in result.stderr
    assert "zz again.wav (b) is " in result.stderr


def test_many_that_are_left_out_are_named_when_asked_for(tmp_path: Path) -> None:
    write_class(tmp_path / "birds", "a", 10)
    write_class(tmp_path / "birds", "b", 10, first_seed=100)
    for number in range(8):
        (tmp_path / "birds" / "a" / f"bad{number}.wav").write_bytes(b"no")
    result, _ = run(tmp_path / "birds", output=tmp_path / "m.csv")
    assert "bad7" not in result.stderr
    assert "and 3 more (--all names them)" in result.stderr
    result, _ = run(tmp_path / "birds", "--all", output=tmp_path / "m.csv")
    assert "bad7" in result.stderr


def test_silence_without_a_label_is_an_example_of_nothing(tmp_path: Path) -> None:
    write_class(tmp_path / "birds", "a", 10)
    for number in range(3):
        write(tmp_path / "birds" / "quiet" / f"{number}.wav", np.zeros(24_000 + number, np.float32))
    _, rows = run(tmp_path / "birds", "--negative", "quiet", output=tmp_path / "m.csv")
    assert sum(not row.labels for row in rows) == 3


def test_a_class_folder_without_readable_sound_is_told(tmp_path: Path) -> None:
    birds = tmp_path / "birds"
    write_class(birds, "a", 10)
    write_class(birds, "b", 10, first_seed=100)
    (birds / "c").mkdir()
    (birds / "c" / "notes.txt").write_text("no sound")
    (birds / "d").mkdir()
    (birds / "d" / "broken.mp3").write_bytes(b"no sound either" * 30)
    result, rows = run(birds, output=tmp_path / "m.csv")
    assert {row.labels for row in rows} == {("a",), ("b",)}
    assert f"the class folder {birds / 'c'} holds no sound" in result.stderr
    assert "a class without any clip that is of use: 'd'" in result.stderr


def test_nothing_but_broken_files(tmp_path: Path) -> None:
    (tmp_path / "birds" / "a").mkdir(parents=True)
    (tmp_path / "birds" / "a" / "broken.wav").write_bytes(b"no sound")
    with pytest.raises(UserError, match="no clip is of use"):
        run(tmp_path / "birds", output=tmp_path / "m.csv")


def test_one_class_only_is_told(tmp_path: Path) -> None:
    write_class(tmp_path / "birds", "a", 20)
    result, _ = run(tmp_path / "birds", output=tmp_path / "m.csv")
    assert "there is one class only, 'a'" in result.stderr


def test_one_clip_per_class_cannot_be_split(tmp_path: Path) -> None:
    write_class(tmp_path / "birds", "a", 1)
    write_class(tmp_path / "birds", "b", 1, first_seed=5)
    with pytest.raises(UserError, match="nothing is left for 'validation': 2 clips come from 2 recordings"):
        run(tmp_path / "birds", output=tmp_path / "m.csv")
    result, rows = run(tmp_path / "birds", "--split", "1,0,0", output=tmp_path / "m.csv")
    assert [row.split for row in rows] == ["train", "train"]
    assert "'a' has one clip: 20 or more are wanted" in result.stderr


def test_a_class_that_misses_in_a_part_is_told(tmp_path: Path) -> None:
    write_class(tmp_path / "birds", "a", 20)
    write_class(tmp_path / "birds", "b", 2, first_seed=100)
    result, _ = run(tmp_path / "birds", output=tmp_path / "m.csv")
    assert "'b' is not in test: it comes from 2 recordings" in result.stderr


def test_labels_that_differ_by_case_or_spaces_are_one(tmp_path: Path) -> None:
    for number, name in enumerate(("Great Tit", "Great Tit", "great  tit ", "great_tit", "Robin")):
        write(tmp_path / "birds" / f"set {number}" / name / "x.wav", noise(3, seed=number))
    sources = [tmp_path / "birds" / f"set {number}" for number in range(5)]
    result, rows = run(*sources, "--split", "1,0,0", output=tmp_path / "m.csv")
    assert {row.labels for row in rows} == {("Great Tit",), ("Robin",)}
    assert "differ by case or spaces only: all are 'Great Tit'" in result.stderr


def test_rates_channels_and_formats_may_differ(tmp_path: Path) -> None:
    birds = tmp_path / "birds"
    write(birds / "a" / "1.wav", noise(3, rate=8000, seed=1), rate=8000)
    write(birds / "a" / "2.flac", noise(3, rate=22_050, seed=2), rate=22_050)
    write(birds / "b" / "3.wav", np.stack([noise(3, rate=44_100, seed=3)] * 2, axis=1), rate=44_100)
    soundfile.write(birds / "b" / "4.ogg", noise(3, rate=48_000, seed=4), 48_000)
    result, rows = run(birds, "--split", "0.5,0.5,0", output=tmp_path / "m.csv")
    assert len(rows) == 4
    assert "8000 Hz (1), 22050 Hz (1), 44100 Hz (1), 48000 Hz (1)" in result.stderr


def test_clipped_sound_is_told(tmp_path: Path) -> None:
    write_class(tmp_path / "birds", "a", 20)
    write(tmp_path / "birds" / "a" / "loud.wav", np.clip(tone(3, level=3), -1, 1))
    result, _ = run(tmp_path / "birds", output=tmp_path / "m.csv")
    assert "'a': one clip with peaks cut off" in result.stderr


def test_esc50_keeps_its_folds_and_recordings(tmp_path: Path) -> None:
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    for number in range(10):
        name = f"{1 + number % 5}-{100 + number // 2}-A-0.wav"
        write(tmp_path / "audio" / name, noise(5, seed=number))
        category = ("dog", "crying_baby")[number % 2]
        lines.append(f"{name},{1 + number % 5},0,{category},{number < 8},{100 + number // 2},A")
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "esc50.csv").write_text("\n".join(lines))
    _, rows = run(tmp_path / "meta" / "esc50.csv", "--only", "esc10=True", output=tmp_path / "m.csv")
    assert len(rows) == 8
    assert {row.labels for row in rows} == {("dog",), ("crying_baby",)}
    assert {row.fold for row in rows} == {1, 2, 3, 4, 5}
    assert {row.group for row in rows} == {"100", "101", "102", "103"}


def test_urbansound8k_is_found_in_its_fold_folders(tmp_path: Path) -> None:
    lines = ["slice_file_name,fsID,start,end,salience,fold,classID,class"]
    for number in range(4):
        name = f"{100 + number}-3-0-0.wav"
        write(tmp_path / "audio" / f"fold{1 + number % 2}" / name, noise(3, seed=number))
        lines.append(f"{name},{100 + number},12.5,15.5,1,{1 + number % 2},3,dog_bark")
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "UrbanSound8K.csv").write_text("\n".join(lines))
    _, rows = run(tmp_path / "metadata" / "UrbanSound8K.csv", output=tmp_path / "m.csv")
    assert [(row.fold, row.group, row.start, row.end) for row in rows][:2] == [
        (1, "100", 0, None),
        (2, "101", 0, None),
    ]


def test_the_files_of_a_table_may_lie_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "disk" / "1-100-A-0.wav", noise(5))
    (tmp_path / "esc50.csv").write_text("filename,fold,category,src_file\n1-100-A-0.wav,1,dog,100\n")
    words = ("--audio", tmp_path / "disk", "--split", "1,0,0")
    _, rows = run(tmp_path / "esc50.csv", *words, output=tmp_path / "m.csv")
    assert [(row.path, row.labels, row.group) for row in rows] == [
        (tmp_path / "disk" / "1-100-A-0.wav", ("dog",), "100")
    ]
    write(tmp_path / "disk" / "fold2" / "7-3-0-0.wav", noise(4, seed=1))
    (tmp_path / "us8k.csv").write_text("slice_file_name,fsID,fold,class\n7-3-0-0.wav,7,2,siren\n")
    _, rows = run(tmp_path / "us8k.csv", *words, output=tmp_path / "m.csv")
    assert [(row.path, row.labels) for row in rows] == [
        (tmp_path / "disk" / "fold2" / "7-3-0-0.wav", ("siren",))
    ]


def test_a_table_that_points_nowhere(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,label\nx/a.wav,dog\n")
    with pytest.raises(UserError, match=r"none of the 1 files of .*such as x/a.wav: say with --audio"):
        run(tmp_path / "t.csv", output=tmp_path / "m.csv")


def test_the_recording_is_found_in_the_name(tmp_path: Path) -> None:
    for number in range(12):
        write(tmp_path / "a" / f"XC{number // 4} {number}.wav", noise(3, seed=number))
    _, rows = run(tmp_path / "a", "--group", r"^(XC\d+)", "--folds", 3, output=tmp_path / "m.csv")
    assert {(row.group, row.fold) for row in rows} == {(f"XC{n}", rows[4 * n].fold) for n in range(3)}
    with pytest.raises(UserError, match="finds nothing in the file name"):
        run(tmp_path / "a", "--group", "ZZ", output=tmp_path / "m.csv")


def test_tutorial_lists_are_written_and_read(tmp_path: Path) -> None:
    write_class(tmp_path / "birds", "Parus_major", 10)
    write_class(tmp_path / "birds", "b", 10, first_seed=100)
    lists = tmp_path / "lists"
    _, rows = run(tmp_path / "birds", "--tutorial", lists, output=tmp_path / "m.csv")
    assert (lists / "label_list.txt").read_text() == "Parus major\nb\n"
    assert (lists / "train_list.txt").read_text().splitlines()[0].endswith(("\t0", "\t1"))
    sources = [lists / f"{split}_list.txt" for split in ("train", "validation", "test")]
    _, again = run(*sources, output=tmp_path / "again.csv")
    known = {(row.path, row.labels, row.split) for row in rows}
    assert {(row.path, row.labels, row.split) for row in again} == known


def test_a_tutorial_line_without_a_tab_is_told(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.wav\tdog\nb.wav cat\n")
    with pytest.raises(UserError, match=r"list.txt:2: 'b.wav cat' is not `path<TAB>label`"):
        run(tmp_path / "list.txt", output=tmp_path / "m.csv")


def test_reviewed_detections_become_examples_and_wrong_ones_negatives(tmp_path: Path) -> None:
    verdicts: list[dict[str, object] | None] = [
        {"reviewed": True},
        {"verdict": "wrong"},
        {"verdict": "unsure"},
        {"reviewed": False},
        None,
    ]
    detections = [database.detection(60.0 * n, clip_path=f"Great_Tit/{n}") for n in range(len(verdicts))]
    for number, verdict in enumerate(verdicts):
        if verdict is not None:
            clip = write(tmp_path / "clips" / "Great_Tit" / f"{number}.flac", noise(10.5, seed=number))
            said = {"clip": {"file": clip.name}, "call": {"offset_seconds": 3.0, "seconds": 4.5}, **verdict}
            clip.with_suffix(".json").write_text(json.dumps(said))
    station = database.write(tmp_path / "birdwatchd.sqlite", *detections)
    result, rows = run(station, "--split", "1,0,0", output=tmp_path / "m.csv")
    assert sorted(row.labels for row in rows) == [(), ("Parus major_Great Tit",)]
    assert {(row.start, row.end, row.group) for row in rows} == {(3.0, 7.5, "garden 2026-05-09")}
    assert "clips that nobody has judged for certain: 2" in result.stderr
    assert "detections without a clip in" in result.stderr
    _, rows = run(station, "--unreviewed", "--split", "1,0,0", output=tmp_path / "m.csv")
    assert sorted(row.labels for row in rows) == [(), ("Parus major_Great Tit",), ("Parus major_Great Tit",)]


def test_verdicts_of_the_review_page_are_labels_and_the_newest_wins(tmp_path: Path) -> None:
    """Right, another species, wrong, unsure, taken back; and JSON files that are older, or newer, than the review."""
    said: list[tuple[dict[str, object], str, bool]] = [
        ({}, "right", False),
        ({}, "other", False),
        ({}, "wrong", False),
        ({}, "unsure", False),
        ({"verdict": "wrong"}, "withdrawn", False),
        ({"verdict": "wrong"}, "right", False),
        ({"verdict": "wrong"}, "right", True),
        ({"reviewed": False}, "wrong", True),
        ({}, "typed", False),
    ]
    detections = [database.detection(60.0 * n, clip_path=f"Great_Tit/{n}") for n in range(len(said))]
    station = database.write(tmp_path / "birdwatchd.sqlite", *detections)
    when = datetime(2026, 6, 1, tzinfo=UTC)
    with Database.open_beside(station) as opened:
        for number, (told, verdict, json_is_newer) in enumerate(said):
            clip = write(tmp_path / "clips" / "Great_Tit" / f"{number}.flac", noise(10.5, seed=number))
            sidecar = clip.with_suffix(".json")
            sidecar.write_text(json.dumps({"clip": {"file": clip.name}, **told}))
            os.utime(sidecar, (when.timestamp() + (60 if json_is_newer else -60),) * 2)
            names = {"other": ("Cyanistes caeruleus", "Blue Tit"), "typed": ("a; b", "x" * 200)}.get(
                verdict, ("", "")
            )
            verdict = "other" if verdict == "typed" else verdict  # noqa: PLW2901 - as it is written down
            reviews.add(opened, reviews.Review(detections[number].id, when, verdict, *names))  # type: ignore[arg-type]
    result, rows = run(station, "--split", "1,0,0", output=tmp_path / "m.csv")
    assert {int(row.path.stem): row.labels for row in rows} == {
        0: ("Parus major_Great Tit",),
        1: ("Cyanistes caeruleus_Blue Tit",),
        2: (),
        5: ("Parus major_Great Tit",),
        6: (),
        7: (),
        8: ("a, b",),
    }
    assert "clips taken: 7, of which judged wrong: 3, another species: 2" in result.stderr
    assert "clips that nobody has judged for certain: 2" in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--split", "0.5,0.5"], "is not three fractions"),
        (["--split", "0.5,0.6,0"], "adds up to 1.1: it must be 1"),
        (["--split", "1,0,0", "--folds", "3"], "exclude each other"),
        (["--negative", "wind*"], "fits no label: there is a, b"),
        (["--only", "x=y"], "--only chooses rows of a table"),
        (["--group", "("], "is no regular expression"),
        (["--folds", "40"], "nothing is left for fold"),
    ],
)
def test_options_that_cannot_be_followed(tmp_path: Path, words: list[str], told: str) -> None:
    write_class(tmp_path / "birds", "a", 10)
    write_class(tmp_path / "birds", "b", 10, first_seed=100)
    with pytest.raises(UserError) as refusal:
        run(tmp_path / "birds", *words, output=tmp_path / "m.csv")
    assert told in str(refusal.value)


@pytest.mark.parametrize("content", ["", "just a line", "a,b,c\n1,2,3\n"])
def test_what_is_no_source_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "what.txt").write_text(content)
    with pytest.raises(UserError, match="is no source that is known"):
        run(tmp_path / "what.txt", output=tmp_path / "m.csv")

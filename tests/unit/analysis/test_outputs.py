"""What an analysis leaves behind, in every format, and never half of it."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import subprocess
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from birdwatchd.analysis import results, samples
from birdwatchd.analysis.beside import beside
from birdwatchd.analysis.findings import Findings, Row
from birdwatchd.analysis.outputs import Outputs
from birdwatchd.analysis.summary import write_summary
from birdwatchd.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROW = Row(
    file="a/one.wav",
    site="Wood",
    start_seconds=3.0,
    end_seconds=7.5,
    time="2023-04-01T07:30:03.000+02:00",
    scientific_name="Parus major",
    common_name="Great Tit",
    code="gretit1",
    score=0.9123,
    windows=2,
    occurrence=0.5,
    voice=False,
    model="BirdNET-2.4",
    latitude=52.5,
    longitude=13.4,
    week=13,
    id="0123456789abcdef0123",
)
UNDATED = replace(
    ROW, file="b/two.wav", time="", week=None, occurrence=None, latitude=None, longitude=None, id="1" * 20
)
FINDINGS = [Findings("a/one.wav", 60.0, 48000, (ROW,)), Findings("b/two.wav", 30.0, 32000, (UNDATED,))]


def test_csv_has_the_fields_of_a_row_and_empty_cells_for_what_is_unknown() -> None:
    out = io.StringIO()
    results.write_csv(FINDINGS, out)
    first, second = csv.DictReader(out.getvalue().splitlines())
    assert list(first) == [field.name for field in fields(Row)]
    assert (first["score"], first["voice"], first["week"], first["occurrence"]) == (
        "0.9123",
        "false",
        "13",
        "0.5",
    )
    assert (second["time"], second["week"], second["latitude"], second["occurrence"]) == ("", "", "", "")


def test_jsonl_is_typed() -> None:
    out = io.StringIO()
    results.write_jsonl(FINDINGS, out)
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert (first["score"], first["voice"], first["week"]) == (0.9123, False, 13)
    assert second["week"] is None


def test_raven_counts_time_through_all_files_as_raven_opens_them() -> None:
    out = io.StringIO()
    results.write_raven(FINDINGS, out)
    first, second = csv.DictReader(out.getvalue().splitlines(), delimiter="\t")
    assert (first["Selection"], first["View"], first["Channel"]) == ("1", "Spectrogram 1", "1")
    assert (first["Begin Time (s)"], first["End Time (s)"], first["File Offset (s)"]) == (
        "3.000",
        "7.500",
        "3.000",
    )
    assert (second["Begin Time (s)"], second["End Time (s)"], second["File Offset (s)"]) == (
        "63.000",
        "67.500",
        "3.000",
    )
    assert (second["Low Freq (Hz)"], second["High Freq (Hz)"]) == ("0", "16000")
    assert (second["Begin File"], second["Begin Path"], second["Common Name"]) == (
        "two.wav",
        "b/two.wav",
        "Great Tit",
    )


def test_audacity_has_one_track_a_recording_also_without_detections(tmp_path: Path) -> None:
    strange = Findings("/../a/one.wav", 1.0, 48000)
    results.write_audacity([*FINDINGS, strange], tmp_path)
    found = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*.txt")}
    assert found == {
        "a/one.wav.txt": "3.000\t7.500\tGreat Tit 0.91\n",
        "b/two.wav.txt": "3.000\t7.500\tGreat Tit 0.91\n",
        "a/one.wav (2).txt": "",
    }


def test_parquet_is_typed_and_dates_are_utc(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "out.parquet"
    results.write_parquet(
        [*FINDINGS, Findings("bad\udcff.wav", 1, 1, (replace(ROW, file="bad\udcff.wav"),))], path
    )
    first, second, third = parquet.read_table(path).to_pylist()
    assert first["time"].isoformat() == "2023-04-01T05:30:03+00:00"
    assert (first["score"], first["voice"], first["week"]) == (0.9123, False, 13)
    assert (second["time"], second["week"]) == (None, None)
    assert third["file"] == "bad\N{REPLACEMENT CHARACTER}.wav"


def test_without_detections_the_tables_still_have_their_columns(tmp_path: Path) -> None:
    Outputs("csv", tmp_path / "a.csv", summary=tmp_path / "b.csv", windows=tmp_path / "c.csv").write(list)
    assert [path.read_text().count("\n") for path in sorted(tmp_path.iterdir())] == [1, 1, 1]


def test_a_file_name_that_is_not_utf_8_comes_out_as_its_bytes(tmp_path: Path) -> None:
    name = os.fsdecode(b"bad\xff.wav")
    Outputs("csv", tmp_path / "a.csv").write(lambda: [Findings(name, 1, 1, (replace(ROW, file=name),))])
    assert b"\nbad\xff.wav," in (tmp_path / "a.csv").read_bytes()


def test_summary_counts_by_site_and_local_day() -> None:
    late = replace(ROW, time="2023-04-01T23:59:59.999+02:00", score=0.8, start_seconds=10.0, end_seconds=12.0)
    night = replace(ROW, time="2023-04-02T00:00:00.000+02:00")
    rows = (late, ROW, night, replace(night, site="Meadow"), replace(ROW, scientific_name="Turdus merula"))
    out = io.StringIO()
    write_summary([Findings("a", 1, 1, rows), Findings("b", 1, 1, (UNDATED,))], out)
    found = [tuple(row.values()) for row in csv.DictReader(out.getvalue().splitlines())]
    assert found == [
        ("Meadow", "2023-04-02", "Parus major", "Great Tit", "1", "4.5", "0.9123", "00:00:00", "00:00:00"),
        ("Wood", "", "Parus major", "Great Tit", "1", "4.5", "0.9123", "", ""),
        ("Wood", "2023-04-01", "Parus major", "Great Tit", "2", "6.5", "0.9123", "07:30:03", "23:59:59"),
        ("Wood", "2023-04-01", "Turdus merula", "Great Tit", "1", "4.5", "0.9123", "07:30:03", "07:30:03"),
        ("Wood", "2023-04-02", "Parus major", "Great Tit", "1", "4.5", "0.9123", "00:00:00", "00:00:00"),
    ]


def many(count: int) -> list[Findings]:
    rows = [
        replace(ROW, id=f"{number:020}", score=number / 100, scientific_name=f"Species {number % 2}")
        for number in range(count)
    ]
    return [Findings("a", 1, 1, (row,)) for row in rows]


def test_the_best_samples_are_the_best() -> None:
    assert [row.score for row in samples.choose(many(20), 2, "best", 0)] == [0.18, 0.16, 0.19, 0.17]


def test_random_samples_depend_on_the_seed_alone() -> None:
    first = samples.choose(many(40), 3, "random", 1)
    assert first == samples.choose(reversed(many(40)), 3, "random", 1)
    assert first != samples.choose(many(40), 3, "random", 2)
    assert len(first) == 6


def test_no_voice_is_picked() -> None:
    assert samples.choose([Findings("a", 1, 1, (replace(ROW, voice=True),))], 5, "random", 0) == []


def test_clips_hold_the_detection_and_a_second_around_it(tmp_path: Path) -> None:
    path = tmp_path / "one.wav"
    ramp = np.arange(20 * 1000) / 20000
    soundfile.write(path, np.stack([ramp, -ramp], axis=1), 1000, subtype="PCM_16")
    rows = [replace(ROW, file=str(path)), replace(ROW, file=str(path), start_seconds=0.5, id="2" * 20)]
    gone = replace(ROW, file=str(tmp_path / "gone.wav"))
    assert samples.cut([*rows, gone], tmp_path / "clips") == 1
    listed = list(csv.DictReader((tmp_path / "clips" / "samples.csv").read_text().splitlines()))
    assert [row["right"] for row in listed] == ["", "", ""]
    assert listed[2]["clip"] == ""
    assert listed[0]["clip"] == "Great Tit/0.91_one_3.0s_0123.flac"
    clip, rate = soundfile.read(tmp_path / "clips" / listed[0]["clip"])
    assert (clip.shape, rate) == ((6500, 2), 1000)
    assert clip[0, 0] == pytest.approx(0.1, abs=1e-4)
    clip, _ = soundfile.read(tmp_path / "clips" / listed[1]["clip"])
    assert len(clip) == 8500


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "parquet"}, "name a file with --output"),
        ({"format": "audacity"}, "name a folder with --output"),
        ({"format": "csv", "output": "."}, "is a folder: name a file"),
        ({"format": "audacity", "output": "here"}, "is a file"),
        ({"format": "csv", "output": "no/a.csv"}, "there is no folder"),
        ({"format": "csv", "output": "a.csv", "summary": "a.csv"}, "two outputs have the same name"),
    ],
)
def test_what_cannot_be_written_is_refused_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here").touch()
    paths: dict[str, Any] = {
        name: Path(value) if name != "format" else value for name, value in settings.items()
    }
    with pytest.raises(UserError, match=message):
        Outputs(**paths).check()


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")

    def fail() -> None:
        with beside(path) as part:
            part.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.csv", "old")]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.parametrize("form", ["csv", "jsonl", "raven", "audacity", "parquet"])
def test_a_full_disk_leaves_nothing_half_written(small_disk: Path, form: str) -> None:
    chance = random.Random(1)
    rows = tuple(replace(ROW, common_name=chance.randbytes(300).hex()) for _ in range(300))
    output = small_disk / "out"
    with pytest.raises(UserError, match=r"out cannot be written \(.*make room"):
        Outputs(form, output).write(lambda: [Findings("a", 1, 1, rows)])
    assert list(small_disk.iterdir()) == []

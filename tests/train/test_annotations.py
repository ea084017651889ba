from __future__ import annotations

from pathlib import Path

import pytest

from birdwatchd.analysis.findings import Findings, Row
from birdwatchd.analysis.results import write_audacity, write_csv, write_raven
from birdwatchd.errors import UserError
from train.annotations import Annotation, of_recording, read_annotations

RAVEN = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies\n"


def findings(file: str, start: float) -> Findings:
    row = Row(
        file,
        "",
        start,
        start + 2,
        "",
        "Parus major",
        "Great Tit",
        "gretit1",
        0.91,
        2,
        None,
        False,
        "m",
        None,
        None,
        None,
        "i",
    )
    return Findings(file, 60.0, 48_000, (row,))


def test_what_analyze_writes_is_read(tmp_path: Path) -> None:
    found = [findings("recs/a.wav", 3.0), findings("recs/b.wav", 5.0)]
    with (tmp_path / "d.csv").open("w") as out:
        write_csv(found, out)
    with (tmp_path / "d.txt").open("w") as out:
        write_raven(found, out)
    write_audacity(found, tmp_path / "labels")
    whole = [
        Annotation("recs/a.wav", 3.0, 5.0, "Parus major_Great Tit"),
        Annotation("recs/b.wav", 5.0, 7.0, "Parus major_Great Tit"),
    ]
    assert read_annotations(tmp_path / "d.csv") == whole
    assert read_annotations(tmp_path / "d.txt") == whole, "times of the second file count from its own start"
    labels = read_annotations(tmp_path / "labels")
    assert [(one.start, one.end, one.label) for one in labels] == [(3, 5, "Great Tit"), (5, 7, "Great Tit")]
    assert [
        len(of_recording(labels, Path("recs", name), alone=False)) for name in ("a.wav", "b.wav", "c.wav")
    ] == [1, 1, 0]


def test_ravens_two_views_of_one_selection_are_one(tmp_path: Path) -> None:
    line = "1\t{}\t1\t1.5\t2.5\t0\t8000\tTurdus merula\n"
    (tmp_path / "x.Table.1.selections.txt").write_text(
        RAVEN + line.format("Waveform 1") + line.format("Spectrogram 1")
    )
    found = read_annotations(tmp_path / "x.Table.1.selections.txt")
    assert [(one.start, one.end, one.label) for one in found] == [(1.5, 2.5, "Turdus merula")]
    assert of_recording(found, Path("x.wav"), alone=False) == found
    assert of_recording(found, Path("y.wav"), alone=False) == []
    assert of_recording(found, Path("y.wav"), alone=True) == found


def test_audacity_writes_commas_and_frequencies(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("1,5\t2,5\tmy bird\n\\\t200,0\t300,0\n3.0\t3.0\tclick\n")
    found = read_annotations(tmp_path / "labels.txt")
    assert [(one.start, one.end, one.label) for one in found] == [(1.5, 2.5, "my bird"), (3, 3, "click")]


def test_recordings_of_one_name_are_told_apart_by_their_folders() -> None:
    one = Annotation("monday/a.wav", 0, 1, "x")
    assert of_recording([one], Path("recs/monday/a.wav"), alone=False) == [one]
    assert of_recording([one], Path("recs/tuesday/a.wav"), alone=False) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b\n1,2\n", "is no table of annotations"),
        (RAVEN + "1\tS\t1\tx\t2\t0\t1\tTit\n", "a.txt:2: 'x' to '2' is no stretch"),
        (RAVEN + "1\tS\t1\t3\t2\t0\t1\tTit\n", "a.txt:2: '3' to '2' is no stretch"),
        (RAVEN + "1\tS\t1\t1\t2\t0\t1\t\n", "a.txt:2: there is no label"),
        ("1.0\t2.0\t\n", "a.txt:1: there is no label"),
        ("1.0\t2.0\tx\n1.0\n", "a.txt:2: '1.0' to '' is no stretch"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(UserError) as refusal:
        read_annotations(tmp_path / "a.txt")
    assert told in str(refusal.value)

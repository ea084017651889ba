from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from birdwatchd.domain import Label
from birdwatchd.errors import UserError
from tests.train.sounds import tone, write
from train.manifest import Row, labels_in, read_manifest, to_label, write_manifest

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    clip = write(tmp_path / "in" / "a b,c.wav", tone(1))
    rows = [
        Row(clip, ("Parus major_Great Tit", "dog, barking"), 1.25, 4.5, 'XC1; "x"', 3, "validation"),
        Row(clip, ()),
        Row(clip.with_name("ä\udcff.wav"), ("a",), split="test"),
    ]
    write_manifest(tmp_path / "m.csv", rows)
    assert read_manifest(tmp_path / "m.csv") == rows


def test_a_folder_that_moves_takes_its_manifest_along(tmp_path: Path) -> None:
    clip = write(tmp_path / "one" / "clips" / "a.wav", tone(1))
    write_manifest(tmp_path / "one" / "m.csv", [Row(clip, ("a",))])
    (tmp_path / "one").rename(tmp_path / "two")
    assert read_manifest(tmp_path / "two" / "m.csv")[0].path == tmp_path / "two" / "clips" / "a.wav"


def test_columns_that_are_not_needed_may_be_left_out(tmp_path: Path) -> None:
    clip = write(tmp_path / "a.wav", tone(1))
    (tmp_path / "m.csv").write_text("\ufefflabels,path\n  dog   bark ;dog bark,a.wav\n,a.wav\n")
    assert read_manifest(tmp_path / "m.csv") == [Row(clip, ("dog bark",)), Row(clip, ())]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "m.csv:1: there is no column 'path'"),
        ("filename,fold,category\na.wav,1,dog\n", "make one of it with `birdwatchd-train list`"),
        ("path,labels,gruop\na.wav,dog,x\n", "m.csv:1: unknown column 'gruop'"),
        ("path,labels\n", "has no rows"),
        ("path,labels\na.wav,dog\n,dog\n", "m.csv:3: there is no path"),
        ("path,labels\na.wav,dog,2\n", "m.csv:2: more cells than columns"),
        ("path,labels\na.wav,dog;;cat\n", "m.csv:2: there is nothing between two ';'"),
        ("path,labels,start\na.wav,dog,one\n", "m.csv:2: start and end are seconds"),
        ("path,labels,start\na.wav,dog,-1\n", "m.csv:2: start and end are seconds"),
        ("path,labels,end\na.wav,dog,nan\n", "m.csv:2: start and end are seconds"),
        ("path,labels,start,end\na.wav,dog,3,3\n", "m.csv:2: the stretch ends at 3.0 s"),
        ("path,labels,fold\na.wav,dog,-1\n", "m.csv:2: the fold '-1'"),
        ("path,labels,split\na.wav,dog,valid\n", "m.csv:2: the split is 'valid'"),
        ("path,labels\na.wav,Dog\na.wav,dog\n", "'Dog' and 'dog' differ by case only"),
        ("path,labels\nb.wav,dog\nc.wav,dog\n", "none of the 2 files in"),
        ("path,labels\n" + "x" * 200_000 + ",dog\n", "is no manifest (field larger"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    write(tmp_path / "a.wav", tone(1))
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(UserError) as refusal:
        read_manifest(tmp_path / "m.csv")
    assert told in str(refusal.value)


def test_no_manifest_at_all(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be read .*make one"):
        read_manifest(tmp_path / "m.csv")


def test_some_files_may_be_gone(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", tone(1))
    (tmp_path / "m.csv").write_text("path,labels\na.wav,dog\ngone.wav,dog\n")
    assert len(read_manifest(tmp_path / "m.csv")) == 2


def test_a_label_that_would_be_read_as_two_is_refused_and_the_old_manifest_stays(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("old")
    with pytest.raises(UserError, match="holds a ';'"):
        write_manifest(tmp_path / "m.csv", [Row(tmp_path / "a.wav", ("a;b",))])
    assert [path.name for path in tmp_path.iterdir()] == ["m.csv"]
    assert (tmp_path / "m.csv").read_text() == "old"


@pytest.mark.parametrize(
    ("name", "scientific", "common"),
    [
        ("Parus major", "Parus major", "Parus major"),
        ("Parus major_Great Tit", "Parus major", "Great Tit"),
        ("Engine_Engine", "Engine", "Engine"),
        ("crying_baby", "crying_baby", "crying_baby"),
        ("dog bark", "dog bark", "dog bark"),
    ],
)
def test_what_a_name_means(name: str, scientific: str, common: str) -> None:
    assert to_label(4, name) == Label(4, scientific, common)


def test_labels_are_numbered_by_scientific_name_and_keep_a_common_name(tmp_path: Path) -> None:
    rows = [
        Row(tmp_path, ("b",)),
        Row(tmp_path, ("Parus major",)),
        Row(tmp_path, ("Parus major_Great Tit", "a")),
    ]
    assert labels_in(rows) == (
        Label(0, "Parus major", "Great Tit"),
        Label(1, "a", "a"),
        Label(2, "b", "b"),
    )


@pytest.mark.parametrize("label", ["Parus\x1b[2J", "Parus\u202emajor", "x" * 201])
def test_a_label_that_no_model_could_have_is_refused_before_anything_is_trained(
    tmp_path: Path, label: str
) -> None:
    manifest = tmp_path / "clips.csv"
    manifest.write_text(f"path,labels\na.wav,{label}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"clips\.csv:2: the label .* is no name") as refusal:
        read_manifest(manifest)
    assert "\x1b" not in str(refusal.value)

"""The demo's verdict: each song heard, and nothing that did not sing."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from scripts import verdict

if TYPE_CHECKING:
    from pathlib import Path

TRUTH = [
    {"scientific_name": "Parus major", "common_name": "Great Tit", "start": 5.0, "end": 10.0},
    {"scientific_name": "Cuculus canorus", "common_name": "Common Cuckoo", "start": 20.0, "end": 30.0},
    {"scientific_name": "Parus major", "common_name": "Great Tit", "start": 40.0, "end": 50.0},
]


def detection(scientific_name: str, start: float, end: float) -> dict[str, Any]:
    return {
        "scientific_name": scientific_name,
        "common_name": scientific_name.upper(),
        "start_sample": round(start * verdict.SAMPLE_RATE),
        "end_sample": round(end * verdict.SAMPLE_RATE),
        "score": 0.9,
    }


ALL_HEARD = [
    detection("Parus major", 4.0, 11.0),
    detection("Cuculus canorus", 19.0, 24.0),
    detection("Cuculus canorus", 25.0, 31.0),
    detection("Parus major", 43.0, 44.0),
]


def judge(
    heard: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> tuple[int, str]:
    """The exit status and what is printed."""
    (tmp_path / "truth.json").write_text(json.dumps(TRUTH), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["verdict.py", str(tmp_path / "truth.json")])
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(heard)))
    return verdict.main(), capsys.readouterr().out


def test_all_heard_is_a_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, printed = judge(ALL_HEARD, tmp_path, monkeypatch, capsys)
    assert status == 0
    assert "3 of 3 songs heard, 0 heard that did not sing." in printed
    assert "0:19 - 0:31" in printed, "two detections of one song are one line"


def test_a_missed_song_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, printed = judge(ALL_HEARD[:3], tmp_path, monkeypatch, capsys)
    assert status == 1
    assert "missed" in printed
    assert "2 of 3 songs heard" in printed


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(detection("Strix aluco", 5.0, 10.0), id="a species that is not there"),
        pytest.param(detection("Parus major", 20.0, 30.0), id="the right one while another sings"),
    ],
)
def test_hearing_what_did_not_sing_is_a_failure(
    wrong: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, printed = judge([*ALL_HEARD, wrong], tmp_path, monkeypatch, capsys)
    assert status == 1
    assert "did not sing" in printed
    assert "3 of 3 songs heard, 1 heard that did not sing." in printed


def test_hearing_nothing_at_all_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, printed = judge([], tmp_path, monkeypatch, capsys)
    assert status == 1
    assert "0 of 3 songs heard" in printed

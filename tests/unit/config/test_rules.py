"""Settings that the user wrote and that can never fire with a model are refused, at their line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from birdwatchd.config.load import load
from birdwatchd.domain import Label
from birdwatchd.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

LABELS = [
    Label(0, "Parus major", "Great Tit"),
    Label(1, "Cyanistes caeruleus", "Eurasian Blue Tit"),
    Label(2, "Human vocal", "Human vocal"),
]


def refusals(folder: Path, text: str, segment_seconds: float = 3.0) -> list[str]:
    path = folder / "config.yaml"
    path.write_text("sources: [{kind: microphone, name: a}]\n" + text)
    loaded = load(path)
    try:
        loaded.refuse_unfit(segment_seconds, LABELS)
    except ConfigError as error:
        lines = [line.removeprefix(str(path)) for line in str(error).splitlines()]
        return lines[1:] if len(lines) > 1 else lines
    return []


@pytest.mark.parametrize(
    ("text", "segment_seconds"),
    [
        ("", 3.0),
        ("", 6.0),  # windows of one segment: the default min_hits of 2 gives way
        ("hop_seconds: 3", 3.0),
        ("deciding: {min_hits: 3}", 3.0),
        ("hop_seconds: 0.1\ndeciding: {min_hits: 31}", 3.0),
        ("window_seconds: 3", 3.0),
        ("window_seconds: 3.3\nhop_seconds: 0.1\ndeciding: {min_hits: 4}", 3.0),  # (3.3 - 3) / 0.1 is 2.9999…
        (
            "deciding: {thresholds: {great tit: 0.5, cyan*: 0.6}, include: [HUMAN*], exclude: ['*blue tit']}",
            3.0,
        ),
        ("deciding: {only: [Parus *], include: [Great Tit]}", 3.0),
        ("deciding: {voice: {labels: ['Human *']}}", 3.0),
    ],
)
def test_what_fits_passes(text: str, segment_seconds: float, tmp_path: Path) -> None:
    assert refusals(tmp_path, text, segment_seconds) == []


@pytest.mark.parametrize(
    ("text", "segment_seconds", "said"),
    [
        (
            "hop_seconds: 4",
            3.0,
            (
                ":2: hop_seconds: 4 is longer than the 3 s that the model takes at once, so sound between would go unheard; "
                "write at most 3"
            ),
        ),
        (
            "",
            1.0,
            (
                ": hop_seconds: 1.5 (the default) is longer than the 1 s that the model takes at once, so sound between "
                "would go unheard; write at most 1"
            ),
        ),
        (
            "window_seconds: 2",
            3.0,
            ":2: window_seconds: 2 is shorter than the 3 s that the model takes at once; write at least 3",
        ),
        (
            "",
            10.0,
            ": window_seconds: 6 (the default) is shorter than the 10 s that the model takes at once; write at least 10",
        ),
        (
            "deciding:\n  min_hits: 4",
            3.0,
            (
                ":3: deciding.min_hits: 4 can never be reached, as a window of 6 s holds 3 segments of 3 s "
                "(one every 1.5 s); write at most 3"
            ),
        ),
        (
            "deciding: {min_hits: 2}",
            6.0,
            (
                ":2: deciding.min_hits: 2 can never be reached, as a window of 6 s holds 1 segment of 6 s "
                "(one every 1.5 s); write at most 1"
            ),
        ),
        (
            "hop_seconds: 0.1\ndeciding: {min_hits: 32}",
            3.0,
            (
                ":3: deciding.min_hits: 32 can never be reached, as a window of 6 s holds 31 segments of 3 s "
                "(one every 0.1 s); write at most 31"
            ),
        ),
        (
            "deciding:\n  thresholds:\n    Graet Tit: 0.5",
            3.0,
            ":4: deciding.thresholds.Graet Tit: the model knows no such species; did you mean Great Tit?",
        ),
        (
            "deciding: {only: [Corvus *]}",
            3.0,
            ":2: deciding.only[0]: the model knows no such species",
        ),
        (
            "deciding: {exclude: [Zzz]}",
            3.0,
            ":2: deciding.exclude[0]: the model knows no such species (`birdwatchd model info --labels` lists them)",
        ),
        (
            "deciding: {voice: {labels: [Human voc]}}",
            3.0,
            ":2: deciding.voice.labels[0]: the model knows no such species; did you mean Human vocal?",
        ),
        (
            "deciding: {include: [Great Tit], exclude: [Parus *]}",
            3.0,
            ":2: deciding.include[0]: can never be reported, as deciding.exclude names it",
        ),
        (
            "deciding: {only: [Great Tit], include: [Human*]}",
            3.0,
            ":2: deciding.include[0]: can never be reported, as deciding.only does not",
        ),
        (
            "deciding: {exclude: ['*']}",
            3.0,
            ":2: deciding.exclude: leaves no species of the model to be reported",
        ),
    ],
)
def test_what_can_never_fire_is_refused(text: str, segment_seconds: float, said: str, tmp_path: Path) -> None:
    assert refusals(tmp_path, text, segment_seconds) == [said]


def test_all_that_does_not_fit_is_told_at_once(tmp_path: Path) -> None:
    said = refusals(tmp_path, "hop_seconds: 4\ndeciding:\n  only: [Corvus *]\n  thresholds: {Corvus: 1}")
    assert [line.split(":")[1] for line in said] == ["2", "4", "5"]

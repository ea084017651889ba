"""Each gate stops what it is for, says why, and they stand in order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from birdwatchd.detection.gates import GATES, Offer, VoiceSpans, judge, pool
from birdwatchd.domain import Label

GOOD = Offer(
    label=Label(0, "Parus major", "Great Tit"),
    pooled=0.8,
    values=np.array([0.9, 0.7, 0.1], dtype=np.float32),
    threshold=0.7,
    min_hits=2,
    silent=False,
    occurrence=0.5,
    named=False,
    wanted=True,
    is_species=True,
    minimum_occurrence=0.03,
    voice=False,
    resting_seconds=0.0,
)


def test_the_order_of_the_gates() -> None:
    assert [gate.__name__ for gate in GATES] == ["level", "species_range", "voice", "threshold", "refractory"]


def test_a_good_offer_passes() -> None:
    # 0.7 as float32 is a little below 0.7: a segment at the threshold is a hit.
    assert judge(replace(GOOD, values=np.array([0.9, 0.71, 0.1], dtype=np.float32))) == ("detection", "")


@pytest.mark.parametrize(
    ("changes", "gate", "reason"),
    [
        ({"silent": True}, "level", "silence: nothing reaches the microphone"),
        ({"wanted": False}, "species_range", "excluded by the config (deciding.only or deciding.exclude)"),
        ({"occurrence": 0.01}, "species_range", "not expected here this week (0.010 below 0.03)"),
        (
            {"is_species": False},
            "species_range",
            "not a species; name it in deciding.include to be told of it",
        ),
        ({"voice": True}, "voice", "a person speaks"),
        ({"pooled": 0.66}, "threshold", "score 0.66 below 0.7"),
        (
            {"values": np.array([0.95, 0.65, 0.1], dtype=np.float32)},
            "threshold",
            "1 of 3 segments reach 0.7, 2 have to",
        ),
        ({"resting_seconds": 12.3}, "refractory", "heard just now; silent for another 12 s"),
    ],
)
def test_what_each_gate_stops(changes: dict[str, Any], gate: str, reason: str) -> None:
    good = replace(GOOD, values=np.array([0.9, 0.75, 0.1], dtype=np.float32))
    assert judge(replace(good, **changes)) == (gate, reason)


def test_include_lets_through_what_the_range_would_stop() -> None:
    good = replace(GOOD, values=np.array([0.9, 0.75, 0.1], dtype=np.float32), named=True)
    assert judge(replace(good, occurrence=0.0))[0] == "detection"
    assert judge(replace(good, is_species=False))[0] == "detection"
    assert judge(replace(good, wanted=False))[0] == "species_range"


def test_one_segment_is_enough_in_a_window_of_one() -> None:
    alone = replace(GOOD, values=np.array([0.9], dtype=np.float32), pooled=0.9)
    assert judge(alone)[0] == "detection"


def test_pooling_is_the_mean_of_the_best_two() -> None:
    values = np.array([[0.9, 0.0], [0.1, 0.2], [0.7, 0.4]], dtype=np.float32)
    np.testing.assert_allclose(pool(values), [0.8, 0.3], rtol=1e-6)
    np.testing.assert_allclose(pool(values[:2]), [0.5, 0.1], rtol=1e-6)
    np.testing.assert_allclose(pool(values[:1]), [0.9, 0.0], rtol=1e-6)


def test_a_voice_marks_its_segment_only() -> None:
    spans = VoiceSpans([1, 2], 0.2)
    spans.mark(100, 200, np.array([0.9, 0.19, 0.1], dtype=np.float32))
    assert not spans.overlap(0, 1000)
    spans.mark(300, 400, np.array([0.9, 0.0, 0.2], dtype=np.float32))
    assert spans.overlap(399, 500)
    assert spans.overlap(0, 301)
    assert not spans.overlap(400, 500)
    assert not spans.overlap(200, 300)
    spans.forget(400)
    assert not spans.overlap(0, 1000)

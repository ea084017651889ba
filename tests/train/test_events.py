from __future__ import annotations

import math
from pathlib import Path

from train.events import Matches, Span, events_of, match, total
from train.manifest import Row


def test_detections_find_the_events_that_they_overlap() -> None:
    events = [
        Span("a", "Parus major", 1, 2),
        Span("a", "Parus major", 3, 4),
        Span("a", "Parus major", 50, 52),
    ]
    detections = [Span("a", "Parus major", 0, 6), Span("a", "Parus major", 20, 26)]
    assert match(events, detections) == {"Parus major": Matches(events=3, found=2, detections=2, right=1)}


def test_touching_is_not_overlapping() -> None:
    found = match([Span("a", "x", 1, 2)], [Span("a", "x", 2, 8)])["x"]
    assert (found.found, found.right) == (0, 0)


def test_neither_another_label_nor_another_file_will_do() -> None:
    found = match([Span("a", "x", 1, 2)], [Span("a", "y", 1, 2), Span("b", "x", 1, 2)])
    assert found == {"x": Matches(1, 0, 1, 0), "y": Matches(0, 0, 1, 0)}
    assert total(found) == Matches(1, 0, 2, 0)
    assert total(found).false_detections == 2


def test_shares_of_nothing_are_no_numbers() -> None:
    assert math.isnan(Matches(0, 0, 1, 0).recall)
    assert math.isnan(Matches(1, 0, 0, 0).precision)


def test_rows_of_a_manifest_are_events() -> None:
    rows = [
        Row(Path("a.wav"), ("Parus major_Great Tit", "Corvus corax"), 1.5, 2.0),
        Row(Path("b.wav"), ("Corvus corax",)),
        Row(Path("c.wav"), ()),
    ]
    assert events_of(rows) == [
        Span("a.wav", "Parus major", 1.5, 2.0),
        Span("a.wav", "Corvus corax", 1.5, 2.0),
        Span("b.wav", "Corvus corax", 0.0, math.inf),
    ]

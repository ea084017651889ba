from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from birdwatchd.roster import Roster


def track(name: str, first: int = 0) -> Any:
    return SimpleNamespace(source=SimpleNamespace(name=name), first=first, memory_seconds=70.0)


def test_a_source_is_found_by_name_as_it_is_now_or_as_it_was_at_a_sample() -> None:
    roster, garden, pond, anew = Roster(), track("garden"), track("pond"), track("garden", first=1000)
    roster.add(garden)
    roster.add(pond)
    roster.retire(garden)
    assert roster.find("garden") is garden, "clips of its last detections are still to be cut"
    roster.add(anew)
    roster.rotate()
    assert roster.find("garden") is anew
    assert roster.find("garden", 999) is garden
    assert roster.find("garden", 1000) is anew
    assert roster.find("pond", 5) is pond
    assert roster.find("balcony") is None


def test_a_source_that_left_is_forgotten_once_its_sound_would_be_gone() -> None:
    now = 0.0
    roster, garden, pond, anew = Roster(lambda: now), track("garden"), track("pond"), track("pond")
    for one in (garden, pond):
        roster.add(one)
        roster.retire(one)
    roster.add(anew)
    now = 70.0
    roster.forget()
    assert roster.find("garden") is garden
    now = 70.1
    roster.forget()
    assert roster.find("garden") is None
    assert roster.find("pond") is anew
    assert list(roster.everybody) == [anew]

"""The rules of a station as its user wrote them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from birdwatchd.config.schema import Deciding
from birdwatchd.detection.decider import Decider, Rules
from birdwatchd.detection.detector import Naming
from birdwatchd.detection.species_range import Nowhere, SpeciesRange, week_of
from birdwatchd.domain import Detection, Label, Scores, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from birdwatchd.detection.decider import Decision

RATE = 1000
START = datetime(2026, 5, 1, 4, 30, tzinfo=UTC)
LABELS = (
    Label(0, "Parus major", "Great Tit"),
    Label(1, "Poecile montanus", "Willow Tit"),
    Label(2, "Human vocal", "Human vocal"),
    Label(3, "Power tools", "Power tools"),
    Label(4, "Hyla arborea", "European Tree Frog"),
)
NAMES = [label.common_name for label in LABELS]


class Station:
    """A decider that is fed one column of scores at a time."""

    def __init__(self, occurrence: Any = None, **deciding: Any) -> None:
        rules = Rules(
            Deciding.model_validate(deciding),
            LABELS,
            card_thresholds={"Poecile montanus": 0.95},
            unranged={"Human vocal", "Power tools", "Hyla arborea"},
            sounds={"Human vocal", "Power tools"},
        )
        self.decider = Decider(rules, occurrence or Nowhere(), Naming("run", "garden", "home", "m"))
        self.columns: list[NDArray[np.float32]] = []

    def hear(self, **scores: float) -> Decision | None:
        """One more segment; a decision once there are three."""
        column = np.array([scores.get(name.replace(" ", "_"), 0.01) for name in NAMES], dtype=np.float32)
        first = len(self.columns) * 1500
        self.columns.append(column)
        self.decider.listen(first, first + 3000, column)
        if len(self.columns) < 3:
            return None
        starts = tuple(first - back for back in (3000, 1500, 0))
        stops = tuple(start + 3000 for start in starts)
        window = Window(
            "garden", starts[0], stops[-1], START + timedelta(milliseconds=starts[0]), RATE, starts
        )
        return self.decider.decide(
            window, Scores(starts, stops, np.stack(self.columns[-3:])), silent=False, processing_ns=1
        )

    def hear_all(self, *columns: dict[str, float]) -> list[Detection]:
        decisions = [self.hear(**column) for column in columns]
        return [d for decision in decisions if decision for d in decision.detections] + self.decider.finish()

    def gates(self, *columns: dict[str, float]) -> dict[str, str]:
        """The gate that each label met in the last window."""
        decision = [self.hear(**column) for column in columns][-1]
        assert decision is not None
        return {candidate.label.common_name: candidate.gate for candidate in decision.candidates}


TIT = {"Great_Tit": 0.9}


def test_a_bird_in_two_segments_is_a_detection() -> None:
    started, ended = Station().hear_all({}, TIT, TIT)
    assert started.label.common_name == "Great Tit"
    assert started.score == pytest.approx(0.9)
    assert (started.start_sample, ended.end_sample) == (1500, 6000)


def test_one_loud_segment_is_none() -> None:
    assert Station().gates({}, {}, {"Great_Tit": 0.99}) == {"Great Tit": "threshold"}


def test_min_hits_of_one_takes_a_loud_segment_beside_a_middling_one() -> None:
    columns: tuple[dict[str, float], ...] = {}, {"Great_Tit": 0.5}, {"Great_Tit": 0.99}
    assert Station().gates(*columns) == {"Great Tit": "threshold"}
    assert Station(min_hits=1).gates(*columns) == {"Great Tit": "detection"}


def test_thresholds_are_the_users_then_the_cards_then_the_general_one() -> None:
    willow = {"Willow_Tit": 0.9}
    assert Station().gates({}, willow, willow) == {"Willow Tit": "threshold"}
    assert Station(use_card_thresholds=False).gates({}, willow, willow) == {"Willow Tit": "detection"}
    assert Station(thresholds={"willow tit": 0.8}).gates({}, willow, willow) == {"Willow Tit": "detection"}
    assert Station(thresholds={"Parus *": 0.95}).gates({}, TIT, TIT) == {"Great Tit": "threshold"}


def test_a_threshold_below_the_candidates_is_still_looked_at() -> None:
    faint = {"Great_Tit": 0.06}
    assert Station(thresholds={"Great Tit": 0.05}).gates({}, faint, faint) == {"Great Tit": "detection"}
    assert Station().gates({}, faint, faint) == {}


def test_a_detection_goes_on_below_its_threshold_but_does_not_start_there() -> None:
    middling = {"Great_Tit": 0.65}
    assert Station().hear_all({}, middling, middling) == []
    ended = Station().hear_all({}, TIT, TIT, middling, middling, middling)[-1]
    assert ended.end_sample == 10_500
    split = Station(hysteresis=0.0).hear_all({}, TIT, TIT, middling, middling, middling)[-1]
    assert split.end_sample == 6000


def test_lists() -> None:
    assert Station(exclude=["*tit"]).gates({}, TIT, TIT) == {"Great Tit": "species_range"}
    assert Station(only=["Poecile*"]).gates({}, TIT, TIT) == {"Great Tit": "species_range"}
    assert Station(only=["great tit"]).gates({}, TIT, TIT) == {"Great Tit": "detection"}


def test_noises_are_told_only_when_they_are_asked_for() -> None:
    saw = {"Power_tools": 0.95}
    assert Station().gates({}, saw, saw) == {"Power tools": "species_range"}
    assert Station(include=["Power tools"]).gates({}, saw, saw) == {"Power tools": "detection"}


class Nothing:
    """A place where no species occurs."""

    def on(self, day: date) -> NDArray[np.float32]:
        return np.zeros(len(LABELS), dtype=np.float32)


def test_the_species_range() -> None:
    assert Station(occurrence=Nothing()).gates({}, TIT, TIT) == {"Great Tit": "species_range"}
    assert Station(occurrence=Nothing(), include=["Great Tit"]).gates({}, TIT, TIT) == {
        "Great Tit": "detection"
    }


def test_a_frog_is_told_of_although_the_range_model_knows_birds_only() -> None:
    frog = {"European_Tree_Frog": 0.95}
    assert Station(occurrence=Nothing()).gates({}, frog, frog) == {"European Tree Frog": "detection"}


def test_a_voice_anywhere_in_the_window_drops_the_bird() -> None:
    voice = {"Human_vocal": 0.25}
    gates = Station().gates(voice, TIT, TIT)
    assert gates["Great Tit"] == "voice"
    assert Station().gates({"Human_vocal": 0.19}, TIT, TIT)["Great Tit"] == "detection"


def test_a_bird_under_a_voice_may_be_kept_without_audio() -> None:
    voice = {"Human_vocal": 0.25}
    kept = Station(voice={"mode": "no_audio"}).hear_all(voice, TIT, TIT)
    assert [d.voice for d in kept] == [True, True]
    quiet = Station(voice={"mode": "no_audio"}).hear_all({}, TIT, TIT)
    assert [d.voice for d in quiet] == [False, False]
    unguarded = Station(voice={"mode": "off"}).hear_all(voice, TIT, TIT)
    assert [d.voice for d in unguarded] == [False, False]


def test_the_refractory_gate() -> None:
    station = Station(refractory_seconds=60)
    station.hear_all({}, TIT, TIT, {}, {}, {}, {})
    assert station.gates(TIT, TIT) == {"Great Tit": "refractory"}


@pytest.mark.parametrize(
    ("day", "week"),
    [
        ("2026-01-01", 1),
        ("2026-01-07", 1),
        ("2026-01-08", 2),
        ("2026-01-31", 4),
        ("2026-02-01", 5),
        ("2028-02-29", 8),
        ("2026-12-31", 48),
    ],
)
def test_weeks_are_four_to_a_month(day: str, week: int) -> None:
    assert week_of(date.fromisoformat(day)) == week


def test_the_range_model_is_asked_once_a_week() -> None:
    asked: list[tuple[float, float, int]] = []

    def model(latitude: float, longitude: float, week: int) -> NDArray[np.float32]:
        asked.append((latitude, longitude, week))
        return np.zeros(5, dtype=np.float32)

    here = SpeciesRange(model, 52.5, 13.4)
    for day in (date(2026, 5, 1), date(2026, 5, 7), date(2026, 5, 8)):
        here.on(day)
    assert asked == [(52.5, 13.4, 17), (52.5, 13.4, 18)]


def test_on_a_clock_that_was_not_set_no_week_is_assumed_and_the_detection_says_so() -> None:
    asked: list[date] = []

    class Nothing:
        def on(self, day: date) -> NDArray[np.float32]:
            asked.append(day)
            return np.zeros(len(LABELS), np.float32)

    for is_set, expected in ((True, []), (False, ["unset"])):
        station = Station(Nothing())
        station.decider.naming = Naming(
            "run", "garden", "home", "m", {True: lambda _: True, False: lambda _: False}[is_set]
        )
        station.decider._detector._naming = station.decider.naming
        found = station.hear_all(*[{"Great_Tit": 0.9}] * 4)
        assert [one.dating for one in found if one.state == "started"] == expected
        assert bool(asked) is is_set
        asked.clear()

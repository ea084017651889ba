"""Cooldowns and hourly limits: never sooner, never more, and the same after a restart."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdwatchd.config.trigger import ActionConfig
from birdwatchd.dispatch.restraint import Restraint
from birdwatchd.domain import Detection, Label
from tests.doubles import DAWN, sample_detection

SPECIES = [Label(index, f"Species {index}", f"Bird {index}") for index in range(3)]


def restraint(**settings: Any) -> Restraint:
    return Restraint(ActionConfig.model_validate({"name": "one", "kind": "log", **settings}))


def heard(second: float, species: int = 0, **changes: Any) -> Detection:
    return sample_detection(start=DAWN + timedelta(seconds=second), label=SPECIES[species], **changes)


def acts(on: Restraint, detection: Detection, *, kept: bool = True) -> bool:
    if on.refusal(detection):
        return False
    on.acted(detection)
    on.settle(kept=kept)
    return True


def test_a_species_is_left_alone_for_a_while() -> None:
    one = restraint(cooldown_seconds=60)
    assert acts(one, heard(0))
    assert one.refusal(heard(59.9)) == "cooldown_seconds: it acted on Bird 0 less than 60 s ago"
    assert acts(one, heard(59.9, species=1))
    assert acts(one, heard(60))


def test_it_rests_altogether() -> None:
    one = restraint(overall_cooldown_seconds=60)
    assert acts(one, heard(0))
    assert one.refusal(heard(30, species=1)) == "overall_cooldown_seconds: it acted less than 60 s ago"
    assert acts(one, heard(60, species=1))


def test_so_many_in_an_hour() -> None:
    one = restraint(when={"at_most_per_hour": 2})
    assert acts(one, heard(0))
    assert acts(one, heard(600))
    assert one.refusal(heard(3599)) == "when.at_most_per_hour: it acted 2 times within an hour"
    assert acts(one, heard(3600))
    assert not acts(one, heard(4100))


def test_without_limits_it_always_acts_and_remembers_nothing() -> None:
    one = restraint()
    assert all(acts(one, heard(0, species=0, id=str(number))) for number in range(5))
    assert one.memory == timedelta()


def test_what_was_not_committed_never_happened() -> None:
    one = restraint(cooldown_seconds=60)
    assert acts(one, heard(0), kept=False)
    assert acts(one, heard(1))


def test_what_is_not_committed_yet_counts_already() -> None:
    one = restraint(cooldown_seconds=60)
    one.acted(heard(0))
    assert one.refusal(heard(1))


def test_who_was_told_of_a_start_is_told_of_its_end() -> None:
    one = restraint(cooldown_seconds=60, when={"at_most_per_hour": 1})
    assert acts(one, heard(0))
    assert acts(one, heard(0, state="ended"))
    assert not acts(one, heard(5, state="ended"))


def test_a_source_that_runs_a_little_behind_is_held_back_too() -> None:
    one = restraint(cooldown_seconds=60)
    assert acts(one, heard(10))
    assert not acts(one, heard(9, source="pond"))
    assert acts(one, heard(-3600))  # an older recording


ACTED = st.lists(st.tuples(st.floats(0, 20_000), st.integers(0, 2)), max_size=60).map(sorted)


@given(acted=ACTED, cooldown=st.floats(1, 3000), most=st.integers(1, 5), restart=st.integers(0, 60))
def test_the_limits_hold_whatever_comes_and_through_a_restart(
    acted: list[tuple[float, int]], cooldown: float, most: int, restart: int
) -> None:
    settings = {"cooldown_seconds": cooldown, "when": {"at_most_per_hour": most}}
    one = restraint(**settings)
    times: list[tuple[datetime, int]] = []
    kept: list[Detection] = []
    for number, (second, species) in enumerate(acted):
        if number == restart:
            one = restraint(**settings)
            for detection in kept:
                one.acted(detection)
            one.settle(kept=True)
        detection = heard(second, species, id=str(number))
        if acts(one, detection):
            times.append((detection.start, species))
            kept.append(detection)
    for index, (when, species) in enumerate(times):
        same = [before for before, other in times[:index] if other == species]
        assert not same or when - same[-1] >= timedelta(seconds=cooldown)
        assert sum(when - before < timedelta(hours=1) for before, _ in times[: index + 1]) <= most


@pytest.mark.parametrize("count", [5000])
def test_many_species_do_not_pile_up(count: int) -> None:
    one = restraint(cooldown_seconds=60)
    for number in range(count):
        label = Label(number, f"Species {number}", f"Bird {number}")
        assert acts(one, sample_detection(start=DAWN + timedelta(seconds=number), label=label))
    assert len(one._by_species) < 1100
    assert len(one._told) <= 1000

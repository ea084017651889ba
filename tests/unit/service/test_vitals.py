"""What the node says of itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from birdwatchd.audio.clock import FileClock
from birdwatchd.audio.ring import Ring
from birdwatchd.service.vitals import FLOOR_DBFS, Vitals, level_dbfs
from tests.rows import entry

if TYPE_CHECKING:
    from birdwatchd.audio.source import Source


class Tape:
    """A source that a test writes by hand."""

    def __init__(self, name: str = "garden") -> None:
        self.name = name
        self.ring = Ring(4000, 1000)
        self.clock = FileClock(1000)
        self.fault = ""


class Live(Tape):
    """The same with a clock of today, whose newest sample is of that moment."""

    def __init__(self, moment: datetime) -> None:
        super().__init__()
        self.clock = cast("FileClock", self)
        self._moment = moment

    def at(self, _: int) -> datetime:
        return self._moment


def vitals() -> Vitals:
    return Vitals(node="wood", version="1", model="tiny-1", device="cpu")


def as_source(tape: Tape) -> Source:
    return cast("Source", tape)


def test_the_ledger_is_added_up_by_source() -> None:
    node = vitals()
    node.account(
        [entry(5.0), entry(4.0, "analysed"), entry(1.5, "lost", "overrun"), entry(9.0, source="pond")]
    )
    node.account([entry(5.0), entry(3.0, "lost", "not heard"), entry(-3.0, "lost", "not heard")])
    health = node.health([as_source(Tape()), as_source(Tape("pond"))], 7)
    garden, pond = health.sources
    assert (garden.captured_seconds, garden.analysed_seconds, garden.lost_seconds) == (
        10.0,
        4.0,
        {"overrun": 1.5},
    )
    assert (pond.captured_seconds, pond.lost_seconds) == (9.0, {})
    assert (health.node, health.model, health.deliveries_waiting) == ("wood", "tiny-1", 7)
    assert health.uptime_seconds >= 0


def test_the_age_of_a_live_source_is_told_by_its_clock() -> None:
    asked = datetime.now(UTC)
    source = Live(asked - timedelta(seconds=12))
    source.ring.write(np.zeros(10, np.float32))
    (health,) = vitals().health([as_source(source)], 0).sources
    later = (datetime.now(UTC) - asked).total_seconds()
    assert 12 <= health.last_block_age_seconds <= 12 + later


def test_a_recording_is_as_old_as_what_came_of_it_last(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("birdwatchd.service.vitals.time.monotonic", lambda: now)
    source, node = Tape(), vitals()
    for _ in range(2):
        now += 5
        source.ring.write(np.zeros(10, np.float32))
        assert node.health([as_source(source)], 0).sources[0].last_block_age_seconds == 0
    now += 5
    assert node.health([as_source(source)], 0).sources[0].last_block_age_seconds == 5


def test_the_level_is_that_of_the_last_second() -> None:
    source = Tape()
    assert level_dbfs(as_source(source)) == FLOOR_DBFS
    source.ring.write(np.ones(2000, np.float32))
    assert level_dbfs(as_source(source)) == FLOOR_DBFS  # an offset is no sound
    square = np.where(np.arange(1000) % 2, 0.1, -0.1).astype(np.float32)
    source.ring.write(square)
    assert level_dbfs(as_source(source)) == pytest.approx(-20, abs=0.01)

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from birdwatchd.store.database import Database
from birdwatchd.store.summary import summary
from tests.rows import BLACKBIRD, GREAT_TIT, detection, write

if TYPE_CHECKING:
    from pathlib import Path

DAY, BERLIN = 86400, ZoneInfo("Europe/Berlin")


def test_a_day_has_its_species_most_first(tmp_path: Path) -> None:
    rows = [detection(0), detection(10, BLACKBIRD), detection(20, BLACKBIRD), detection(DAY), detection(-DAY)]
    with Database.open(write(tmp_path / "db", *rows), read_only=True) as database:
        found = summary(database, "wood", date(2026, 5, 9), BERLIN)
        assert (found.node, found.day) == ("wood", date(2026, 5, 9))
        assert found.counts == ((BLACKBIRD, 2), (GREAT_TIT, 1))
        assert summary(database, "wood", date(2026, 5, 20), BERLIN).counts == ()

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from birdwatchd.store.database import Database
from birdwatchd.store.ledger import between, newest_hour
from tests.rows import entry, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS = [
    entry(10.0),
    entry(20.0, hours=1),
    entry(2.0, "lost", "gone", hours=1),
    entry(5.0, hours=3, source="wood"),
]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    write(tmp_path / "db", *ROWS)
    with Database.open(tmp_path / "db", read_only=True) as opened:
        yield opened


def test_hours_come_back_oldest_first(database: Database) -> None:
    assert between(database) == ROWS
    assert between(database, ROWS[1].hour) == ROWS[1:]
    assert between(database, None, ROWS[1].hour) == ROWS[:1]
    assert between(database, ROWS[1].hour, ROWS[3].hour) == ROWS[1:3]


def test_the_newest_hour_is_found(database: Database) -> None:
    assert newest_hour(database) == ROWS[3].hour
    assert newest_hour(database, ROWS[3].hour) == ROWS[1].hour
    assert newest_hour(database, ROWS[0].hour - timedelta(days=1)) is None

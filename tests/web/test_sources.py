"""How the station does, and what it goes by."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from birdwatchd.service.schedule import Job
from birdwatchd.store.database import Database
from birdwatchd.web.balance import causes, last_days
from birdwatchd.web.settings_shown import sections
from tests.rows import entry
from tests.web.made_up import made_up

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_what_is_wrong_is_told_and_escaped(tmp_path: Path) -> None:
    house = made_up(tmp_path)
    house.station.tape.fault = "the <cable> is out"
    house.station.clock.now += 1
    shown = house.ask().get("/sources").text
    assert "All is well" not in shown
    assert "the &lt;cable&gt; is out" in shown
    assert "<cable>" not in shown


def test_a_job_that_failed_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = made_up(tmp_path)
    failed = Job("backup", "every hour", None, datetime.now(UTC), 1.0, "the disk is full")
    monkeypatch.setattr(house.station.schedule, "jobs", lambda: [failed])
    assert "the disk is full" in house.ask().get("/sources").text


def test_without_a_database_the_page_still_tells_how_it_does(tmp_path: Path) -> None:
    house = made_up(tmp_path)
    client = house.ask()
    house.config.store.database.unlink()
    shown = client.get("/sources")
    assert shown.status_code == 200
    assert "there is no database" in shown.text
    assert "garden" in shown.text


def test_days_are_those_of_the_station(tmp_path: Path) -> None:
    """22 h UTC is the next day in Berlin, in summer."""
    house = made_up(
        tmp_path,
        [
            entry(3600.0, "expected", hours=17),
            entry(3600.0, "captured", hours=17),
            entry(3600.0, "expected", hours=18),
            entry(900.0, "captured", hours=18),
            entry(2700.0, "lost", "unplugged", hours=18),
        ],
    )
    with Database.open(house.config.store.database, read_only=True) as database:
        found = last_days(database, ZoneInfo("Europe/Berlin"), 3, datetime(2026, 5, 10, 12, tzinfo=UTC))
    before, day, today = found["garden"]
    assert (before.verdict, before.heard) == ("none", 0.0)
    assert (str(day.day), day.verdict, day.heard) == ("2026-05-09", "well", 1.0)
    assert (str(today.day), today.verdict, today.heard) == ("2026-05-10", "wrong", 0.25)
    assert today.seconds is not None
    assert causes(today.seconds.lost) == [("unplugged", 2700.0)]


def test_settings_are_shown_without_secrets(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    pond = {"kind": "stream", "name": "pond", "url": "rtsp://me:verysecret@cam/stream?key=alsosecret"}
    house = made_up(
        tmp_path,
        web={
            "password": "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo",
            "tokens": {"home": "ab" * 32},
        },
        sources=[
            pond,
            {"kind": "microphone", "name": "garden"},
        ],
    )
    told = {
        (section.title, row.name): row.value
        for section in sections(house.config)
        for row in (*section.written, *section.defaults)
    }
    assert told["sources: pond", "url"] == "rtsp://***@cam/stream?***"
    assert told["web", "password"] == "***"
    assert told["web", "tokens"] == "home: ***"
    assert told["deciding", "threshold"] == "0.7"
    assert told["web", "port"] == "8080"
    open_house = made_up(tmp_path / "open", sources=[pond])
    shown = open_house.ask().get("/settings").text
    assert "rtsp://***@cam" in shown
    for secret in ("verysecret", "alsosecret"):
        assert secret not in shown

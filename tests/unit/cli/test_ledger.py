from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from birdwatchd.cli.ledger import ledger
from tests.rows import entry, machine_zone, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from birdwatchd.domain import LedgerEntry


def hour(number: int, lost: float = 0.0, skipped: float = 0.0, **changes: str) -> list[LedgerEntry]:
    entries = [
        entry(3600, "expected", hours=number, **changes),
        entry(3600 - lost, "captured", hours=number, **changes),
        entry(3600 - lost - skipped, "analysed", hours=number, **changes),
    ]
    if lost:
        entries.append(entry(lost, "lost", "device gone", hours=number, **changes))
    if skipped:
        entries.append(entry(skipped, "skipped", "silence", hours=number, **changes))
    return entries


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """From 04:00 UTC on 9 May; nothing from 06:00 to 08:00; the next day again."""
    rows = [*hour(0), *hour(1, lost=1.0, skipped=90), *hour(4, lost=700), *hour(4, source="wood"), *hour(24)]
    return write(tmp_path / "db", *rows)


def ask(database: Path, *arguments: str) -> Result:
    return CliRunner().invoke(ledger, ["--database", str(database), *arguments], catch_exceptions=False)


@pytest.fixture(autouse=True)
def in_utc() -> Iterator[None]:
    with machine_zone("UTC"):
        yield


def rows(result: Result) -> list[str]:
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


def test_every_hour_has_its_line_and_every_hole_its_cause(database: Path) -> None:
    assert rows(ask(database, "--since", "2026-05-09", "--until", "2026-05-09")) == [
        "Hour Source Heard Expected Captured Analysed Lost or skipped",
        "2026-05-09 04:00 garden 100 % 1:00:00 1:00:00 1:00:00",
        "2026-05-09 05:00 garden 99.9 % 1:00:00 59:59 58:29 lost 1.0 s device gone",
        "skipped 1:30 silence",
        "2026-05-09 06:00 garden not running for 2:00:00",
        "2026-05-09 08:00 garden 80.5 % 1:00:00 48:20 48:20 lost 11:40 device gone",
        "2026-05-09 08:00 wood 100 % 1:00:00 1:00:00 1:00:00",
        "Total 95.1 % 4:00:00 3:48:19 3:46:49 lost 11:41 device gone",
        "skipped 1:30 silence",
    ]


def test_without_a_time_it_shows_the_last_day_that_there_is(database: Path) -> None:
    hours = [line[:16] for line in rows(ask(database))[1:-1] if line.startswith("2026")]
    assert hours[0] == "2026-05-09 05:00"
    assert hours[-1] == "2026-05-10 04:00"


def test_by_day(database: Path) -> None:
    lines = rows(ask(database, "--by", "day"))
    assert lines[1] == "2026-05-09 garden 93.5 % 3:00:00 2:48:19 2:46:49 lost 11:41 device gone"
    assert lines[3] == "2026-05-09 wood 100 % 1:00:00 1:00:00 1:00:00"
    assert lines[4] == "2026-05-10 garden 100 % 1:00:00 1:00:00 1:00:00"


def test_one_source(database: Path) -> None:
    assert len(rows(ask(database, "--source", "wood", "--since", "2026-05-09"))) == 3


def test_the_time_between_two_runs_is_not_loss(tmp_path: Path) -> None:
    """An hour that was off as a whole is part of the hole."""
    away = [entry(600, "off", "died"), *(entry(3600, "off", "died", hours=n) for n in (1, 2))]
    heard = [*(entry(3000, kind) for kind in ("expected", "captured", "analysed")), *away, *hour(3)]
    database = write(tmp_path / "db", *heard)
    assert rows(ask(database))[1:3] == [
        "2026-05-09 04:00 garden 100 % 50:00 50:00 50:00 not running 10:00 (died)",
        "2026-05-09 05:00 garden not running for 2:00:00",
    ]
    found = list(csv.DictReader(io.StringIO(ask(database, "--csv").stdout)))
    assert [line["off_seconds: died"] for line in found] == ["600.0", "3600.0", "3600.0", "0.0"]


def test_json(database: Path) -> None:
    found = json.loads(ask(database, "--json", "--since", "2026-05-09").stdout)
    assert found[1] == {
        "hour": "2026-05-09T05:00:00+00:00",
        "source": "garden",
        "heard": 0.99972,
        "expected_seconds": 3600.0,
        "captured_seconds": 3599.0,
        "analysed_seconds": 3509.0,
        "lost_seconds": {"device gone": 1.0},
        "skipped_seconds": {"silence": 90.0},
        "off_seconds": {},
    }
    assert json.loads(ask(database, "--json", "--by", "day").stdout)[-1]["day"] == "2026-05-10"


def test_csv_has_a_column_for_each_cause(database: Path) -> None:
    found = list(csv.DictReader(io.StringIO(ask(database, "--csv", "--since", "2026-05-09").stdout)))
    assert found[1]["lost_seconds: device gone"] == "1.0"
    assert found[1]["skipped_seconds: silence"] == "90.0"
    assert found[0]["lost_seconds: device gone"] == "0.0"


@pytest.mark.parametrize(("form", "empty"), [([], ""), (["--json"], "[]\n")])
def test_an_empty_answer_says_what_to_do(database: Path, form: list[str], empty: str) -> None:
    answer = ask(database, "--since", "2026-06-01", *form)
    assert answer.stdout == empty
    assert "was not listening then" in answer.stderr


def test_a_ledger_without_an_entry(tmp_path: Path) -> None:
    assert "was not listening then" in ask(write(tmp_path / "db")).stderr

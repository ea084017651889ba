"""What became of deliveries: as a table, as JSON, and revived."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from birdwatchd.cli.deliveries import deliveries
from birdwatchd.errors import StoreError, UserError
from birdwatchd.store.database import Database
from birdwatchd.store.deliveries import Choice, Order, Outcome, add, find
from birdwatchd.store.outbox import Outbox
from tests.doubles import sample_tally
from tests.rows import BLACKBIRD, DAWN, detection

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WEEK = timedelta(days=7)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Two actions, four detections, and all that can become of a delivery."""
    orders = [Order("mqtt", "durable", WEEK), Order("porch", "ephemeral", timedelta(minutes=1))]
    path = tmp_path / "db"
    with Database.open(path) as opened:
        with opened.transaction() as connection:
            for minute in range(4):
                found = detection(60 * minute, BLACKBIRD if minute == 3 else detection(0).label)
                add(connection, found, sample_tally(), orders, now=found.start)
        outbox = Outbox(opened)
        outbox.settle(
            [
                Outcome(1, "done", 1),
                Outcome(2, "expired", 2, "not done within 60 seconds"),
                Outcome(3, "dead", 1, "they say 410"),
                Outcome(4, "done", 1, notes={"latency_seconds": 0.4}),
                Outcome(5, "waiting", 3, "no network", DAWN + timedelta(hours=1)),
                Outcome(7, "dead", 9, "they say 404"),
            ],
            DAWN,
        )
        outbox.close()
    return path


@pytest.fixture
def ask(database: Path) -> Callable[..., Result]:
    def ask(*arguments: str) -> Result:
        result = CliRunner().invoke(deliveries, ["--database", str(database), *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return ask


def statuses(path: Path) -> list[str]:
    with Database.open(path, read_only=True) as opened:
        return [entry.delivery.status for entry in find(opened, Choice())]


def test_the_table_tells_what_is_known(ask: Callable[..., Result]) -> None:
    shown = ask()
    lines = shown.stdout.splitlines()
    assert len(lines) == 9
    assert "no network; again at " in lines[5]
    assert lines[4].split()[-2:] == ["latency_seconds", "0.4"]
    assert "Common Blackbird" in lines[7]
    assert shown.stderr == "3 waiting, 2 done, 2 dead, 1 expired\n"


def test_the_newest_are_shown_and_the_rest_is_counted(ask: Callable[..., Result]) -> None:
    shown = ask("--limit", "2")
    assert len(shown.stdout.splitlines()) == 3
    assert shown.stderr.endswith("; 6 older ones are not shown, see --limit\n")


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--action", "mqtt"], 4),
        (["--status", "dead", "--status", "waiting"], 5),
        (["--action", "porch", "--status", "done"], 1),
        (["--since", "2026-05-09T04:44:00Z"], 4),
        ([detection(0).id], 2),
        ([f"{detection(0).id}/ended/mqtt", f"{detection(60).id}/ended/mqtt"], 2),
    ],
)
def test_choices(ask: Callable[..., Result], arguments: list[str], count: int) -> None:
    assert len(json.loads(ask("--json", *arguments).stdout)) == count


def test_json_tells_all_of_one(ask: Callable[..., Result]) -> None:
    (row,) = json.loads(ask("--json", "--status", "waiting", "--action", "mqtt").stdout)
    found = detection(120)
    assert row["key"] == f"{found.id}/ended/mqtt"
    assert (row["attempts"], row["error"], row["durability"], row["settled"]) == (
        3,
        "no network",
        "durable",
        None,
    )
    assert row["next"] > row["created"]
    assert row["tally"]["count_today"] == 3
    assert row["detection"]["id"] == found.id
    assert json.loads(ask("--json", "--action", "nobody").stdout) == []


def test_nothing_is_said_to_be_nothing(ask: Callable[..., Result]) -> None:
    shown = ask("--action", "nobody")
    assert (shown.stdout, shown.stderr.startswith("No delivery fits.")) == ("", True)


def test_the_dead_are_revived_also_beside_a_daemon(ask: Callable[..., Result], database: Path) -> None:
    with Database.open(database):  # the lock is taken
        assert ask("--retry", detection(60).id).stdout.startswith("1 delivery waits again; ")
        assert statuses(database)[2] == "waiting"
        assert ask("--retry", "--action", "mqtt").stdout.startswith("1 delivery waits again; ")
    assert statuses(database) == ["done", "expired", "waiting", "done"] + ["waiting"] * 4


def test_all_that_are_dead_are_revived_when_none_is_named(ask: Callable[..., Result]) -> None:
    assert ask("--retry").stdout.startswith("2 deliveries wait again; ")


def test_what_cannot_be_revived_is_said(ask: Callable[..., Result], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no dead delivery fits, so nothing was revived"):
        ask("--retry", detection(0).id)
    with pytest.raises(UserError, match="--retry is for dead deliveries"):
        ask("--retry", "--status", "expired")
    with pytest.raises(StoreError, match="there is no database"):
        ask("--retry", "--database", str(tmp_path / "nowhere"))

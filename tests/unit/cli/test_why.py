from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from birdwatchd.cli.why import why
from birdwatchd.errors import UserError
from birdwatchd.listening_hours import RESTING
from tests.rows import BLACKBIRD, DAWN, candidate, detection, entry, machine_zone, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RANGE = "not expected here this week (0.001 below 0.03)"


@pytest.fixture(autouse=True)
def in_utc() -> Iterator[None]:
    with machine_zone("UTC"):
        yield


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Dawn is 04:42:10 on 9 May 2026."""
    stopped = [
        candidate(at, score=0.4 + at / 100, reason=f"score {0.4 + at / 100:.2f} below 0.7")
        for at in (0, 1.5, 3)
    ]
    return write(
        tmp_path / "db",
        *stopped,
        candidate(4.5, score=0.8, gate="detection", reason=""),
        *(
            candidate(at, BLACKBIRD, score=0.9, gate="species_range", reason=RANGE, source="wood")
            for at in (0, 1.5)
        ),
        candidate(600, BLACKBIRD),
        detection(4.5, seconds=9),
        detection(4.5, BLACKBIRD, seconds=9, source="wood", voice=True),
        entry(3600, "expected"),
        entry(3000, "captured"),
        entry(600, "lost", "device gone"),
        entry(3600, "expected", source="wood"),
        entry(3600, source="wood"),
        entry(60, "skipped", "silence", source="wood"),
    )


def ask(database: Path, *arguments: str) -> str:
    answer: Result = CliRunner().invoke(
        why, ["--database", str(database), *arguments], catch_exceptions=False
    )
    assert answer.stderr == ""
    return "\n".join(" ".join(line.split()) for line in answer.stdout.splitlines())


def test_every_candidate_is_there_with_what_stopped_it(database: Path) -> None:
    assert ask(database, "2026-05-09 04:42:10").splitlines() == [
        "2026-05-09 04:42:10, 1:00 before and after",
        "",
        "Time Source Species Windows Score Needs What became of it",
        "04:42:10-04:42:13 garden Great Tit 3 0.43 0.70 threshold: score 0.43 below 0.7",
        f"04:42:10-04:42:11 wood Common Blackbird 2 0.90 0.70 species_range: {RANGE}",
        "04:42:14 garden Great Tit 1 0.80 0.70 reported",
        "",
        "Reported: Great Tit in garden, 04:42:14 to 04:42:23, score 0.93.",
        "Reported: Common Blackbird in wood, 04:42:14 to 04:42:23, score 0.93, while a person spoke.",
        "garden, the hour from 2026-05-09 04:00:00: heard 83.3 % of 1:00:00, lost 10:00 (device gone).",
        "wood, the hour from 2026-05-09 04:00:00: heard 100 % of 1:00:00, skipped 1:00 (silence).",
    ]


def test_each_window_by_itself(database: Path) -> None:
    answer = ask(database, "2026-05-09 04:42:10", "--each", "--source", "garden")
    assert [line.split()[-1] for line in answer.splitlines() if " garden Great Tit 1 " in line] == [
        "0.7"
    ] * 3 + ["reported"]


def test_species_and_source_and_reach(database: Path) -> None:
    answer = ask(database, "2026-05-09 04:42:10", "--species", "turdus *")
    assert "Blackbird" in answer
    assert "Great Tit" not in answer
    answer = ask(database, "2026-05-09 04:42:10", "--source", "garden")
    assert "wood" not in answer
    answer = ask(database, "2026-05-09 04:42:10", "--within", "1s")
    assert "garden Great Tit 1 0.40" in answer
    assert "Reported" not in answer
    assert "04:52:10" in ask(database, "2026-05-09 04:42:10", "--within", "11m")


def test_a_detection_that_began_earlier_and_still_goes_on_counts(database: Path) -> None:
    assert "Reported: Great Tit" in ask(database, "2026-05-09 04:42:23", "--within", "0.5s")


def test_a_detection_that_was_over_by_then_does_not(database: Path) -> None:
    assert "Reported" not in ask(database, "2026-05-09 04:42:40", "--within", "1s")


def test_a_species_that_was_not_among_the_best_is_said_with_those_that_were(database: Path) -> None:
    answer = ask(database, "2026-05-09 04:42:10", "--species", "tawny owl")
    assert "tawny owl was among the five best of no window; these were: " in answer
    assert "Great Tit, Common Blackbird" in answer or "Common Blackbird, Great Tit" in answer


def test_silence_is_no_deafness(database: Path) -> None:
    answer = ask(database, "2026-05-09 04:50")
    assert "wood, the hour from 2026-05-09 04:00:00: heard 100 %" in answer
    assert "There was no candidate: nothing there resembled any species" in answer


def test_deafness_is_no_silence(database: Path) -> None:
    answer = ask(database, "2026-05-09 02:00")
    assert "birdwatchd was not listening then: the next run began at 2026-05-09 04:42:10." in answer
    assert "nothing there resembled" not in answer
    answer = ask(database, "2026-05-09 06:00")
    assert "birdwatchd was not listening then: the run before ended at 2026-05-09 04:42:10." in answer


def test_a_run_that_died_is_said(tmp_path: Path) -> None:
    from birdwatchd.store.database import Database
    from birdwatchd.store.recorder import Recorder

    with Database.open(tmp_path / "db") as opened:
        Recorder(opened, run_id="run-1", wall=lambda: DAWN)
    assert "the run before died, last seen at 2026-05-09 04:42:10." in ask(
        tmp_path / "db", "2026-05-09 06:00"
    )


def test_a_moment_from_which_no_candidate_is_kept(database: Path) -> None:
    # The ledger outlives the candidates: it has the hour, and the oldest candidate is of 04:42:10.
    answer = ask(database, "2026-05-09 04:20")
    assert "No candidate is kept from then; store.trace_days in the config says how long they are." in answer


def test_what_is_still_to_come_and_what_is_too_fresh(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    path = write(
        tmp_path / "db", entry(60, "expected", hour=now.replace(minute=0, second=0, microsecond=0)), wall=now
    )
    assert "ask again soon" in ask(path, "now")
    later = (now + timedelta(days=2)).isoformat()
    assert "That moment is still to come." in ask(path, later)


def test_a_run_whose_sources_are_of_another_time(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    path = write(tmp_path / "db", entry(60, "expected"), wall=now - timedelta(minutes=10))
    answer = ask(path, "10m")
    assert "birdwatchd ran then, but none of its sources was of that time" in answer


def test_what_is_no_time_or_length_is_refused(database: Path) -> None:
    with pytest.raises(UserError, match="is no time"):
        ask(database, "noonish")
    with pytest.raises(UserError, match="is no length of time"):
        ask(database, "07:42", "--within", "soon")


def test_outside_of_listening_hours_is_neither_deaf_nor_silent(tmp_path: Path) -> None:
    hour = (entry(3600, "expected"), entry(3600))
    whole = write(tmp_path / "whole", *hour, entry(3599, "skipped", RESTING))
    answer = ask(whole, "2026-05-09 04:20")
    assert "skipped 59:59 (not listening hours)" in answer
    assert answer.endswith("that was outside of the listening hours (`listening` in the config).")
    half = write(tmp_path / "half", *hour, entry(1800, "skipped", RESTING), entry(1800, "analysed"))
    assert "listening hours (`" not in ask(half, "2026-05-09 04:20")

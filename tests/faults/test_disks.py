"""The whole daemon on disks that fill up, break or are broken from the start: it listens on, and says so once."""

from __future__ import annotations

import random
import re
import resource
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from birdwatchd.store.database import Database
from birdwatchd.store.deliveries import Choice as Anything
from birdwatchd.store.deliveries import find as find_deliveries
from birdwatchd.store.detections import Choice, find
from tests.faults.disks import fail, fill, needs_root, real_disk, small_disk
from tests.faults.station import BYSTANDER, Station
from tests.faults.test_damage import DAMAGES
from tests.shelves import keep

if TYPE_CHECKING:
    from birdwatchd.store.deliveries import Entry

NOT_WRITTEN = "database cannot be written, detections are kept in memory"
WRITTEN = "database is written again"
SETTINGS = """\
deciding:
  max_detection_seconds: 3
  species_range: {enabled: false}
actions:
  - {name: tell, kind: log}
"""


def station(folder: Path, bundle: Path, disk: Path) -> Station:
    """It hears a new detection every few seconds, and has its database on that disk."""
    made = Station(folder, bundle, BYSTANDER)
    made.config.write_text(
        re.sub(r"database: .*", f"database: {disk / 'birds.sqlite'}", made.config.read_text()) + SETTINGS
    )
    made.database = disk / "birds.sqlite"
    return made


def heard(it: Station) -> list[str]:
    return [event["id"] for event in it.events("detection")]


def written(path: Path) -> list[str]:
    with Database.open(path, read_only=True) as database:
        assert database.rows("PRAGMA integrity_check")[0][0] == "ok"
        return [one.id for one in find(database, Choice())]


def deliveries(path: Path) -> list[Entry]:
    with Database.open(path, read_only=True) as database:
        return list(find_deliveries(database, Anything()))


@pytest.mark.long
@needs_root
def test_a_disk_that_fills_up_while_it_listens_costs_nothing(tmp_path: Path, tiny_bundle: Path) -> None:
    with small_disk(tmp_path / "disk", 2048) as disk, station(tmp_path, tiny_bundle, disk) as it:
        it.start()
        it.wait_for("acted", times=2)
        ballast = fill(disk)
        it.wait_for(NOT_WRITTEN)
        before = len(heard(it))
        it.wait_for("detection", times=before + 3)
        waiting = len(it.events("acted"))
        it.wait_for("detection", times=before + 5)
        assert len(it.events("acted")) == waiting  # what is not written down is not acted on either
        ballast.unlink()
        it.wait_for(WRITTEN)
        it.wait_for("acted", times=len(heard(it)))
        it.stop()
        assert written(it.database) == heard(it)
        assert {entry.delivery.status for entry in deliveries(it.database)} == {"done"}
        assert len(it.events(NOT_WRITTEN)) == len(it.events(WRITTEN)) == 1
        assert "is full; free some space" in it.events(NOT_WRITTEN)[0]["reason"]
        balance = it.ledger()["bystander"]
        assert balance.expected == pytest.approx(balance.captured + sum(balance.lost.values()))
        assert sum(balance.lost.values()) < 1
        assert balance.analysed == pytest.approx(balance.captured, abs=3.1)


@pytest.mark.long
def test_a_card_that_takes_no_more_is_survived_and_made_up_for(tmp_path: Path, tiny_bundle: Path) -> None:
    """Every write to a file fails, for whoever has it open, too."""
    with station(tmp_path, tiny_bundle, tmp_path) as it:
        it.start()
        it.wait_for("acted", times=2)
        before = resource.prlimit(it.pid, resource.RLIMIT_FSIZE)
        log = (tmp_path / "log").stat().st_size
        resource.prlimit(it.pid, resource.RLIMIT_FSIZE, (0, before[1]))
        time.sleep(8)
        resource.prlimit(it.pid, resource.RLIMIT_FSIZE, before)
        assert (tmp_path / "log").stat().st_size == log
        it.wait_for(WRITTEN)
        it.wait_for("acted", times=8)
        it.stop()
        kept = set(written(it.database))
        assert kept >= set(heard(it))
        assert len(kept) > len(heard(it))  # of what was heard meanwhile the log knows nothing


@pytest.mark.long
@needs_root
def test_a_card_that_can_only_be_read_from_now_on_ends_nothing_but_writing(
    tmp_path: Path, tiny_bundle: Path
) -> None:
    with real_disk(tmp_path / "disk") as disk, station(tmp_path, tiny_bundle, disk) as it:
        it.start()
        it.wait_for("acted", times=2)
        fail(disk)
        safe = set(written(it.database))
        it.wait_for(NOT_WRITTEN)
        it.wait_for("detection", times=len(heard(it)) + 3)
        it.send(signal.SIGTERM)
        assert it.ended() == 1
        assert not any("exception" in event for event in it.events())
        assert len(it.events(NOT_WRITTEN)) == 1
        # What could not be written at the end is in the log as a whole, row by row, and nothing else is missing.
        lost = {event["id"] for event in it.events("detection lost")}
        assert safe
        assert safe | lost == set(heard(it))
        assert all(event["start_utc"] and event["score"] for event in it.events("detection lost"))
        # Nor does it begin again on a disk like this; systemd asks it to, later and later.
        it.start(wait=False)
        assert it.ended() == 2
        subprocess.run(["umount", disk], check=True)
        # A copy of it: whoever has copied the table of mounts meanwhile keeps the first one as it is.
        again = disk.with_suffix(".again")
        again.write_bytes(disk.with_suffix(".img").read_bytes())
        subprocess.run(["mount", "-o", "loop", again, disk], check=True)
        assert safe <= set(written(it.database))
        it.start(wait=False)
        it.wait_for("acted", times=len(it.events("acted")) + 1)
        it.stop()


@needs_root
def test_on_a_full_disk_it_does_not_start_and_says_so_in_a_sentence(
    tmp_path: Path, tiny_bundle: Path
) -> None:
    with small_disk(tmp_path / "disk", 2048) as disk, station(tmp_path, tiny_bundle, disk) as it:
        fill(disk)
        it.start(wait=False)
        assert it.ended() == 2
        (said,) = [line for line in (tmp_path / "log").read_text().splitlines() if not line.startswith("{")]
        assert re.fullmatch(r"birdwatchd: .* is full; free some space", said)
        # Clips give way, where it may delete some.
        clips = tmp_path / "disk" / "clips"
        (disk / "ballast").unlink()
        for number in range(12):
            keep(clips, f"{number}", size=100_000)
        fill(disk)
        it.config.write_text(
            it.config.read_text().replace(
                f"clips_folder: {tmp_path / 'clips'}",
                f"clips_folder: {clips}\n  retention: {{free_gigabytes: 0.0008}}",
            )
        )
        it.start()
        it.wait_for("acted")
        it.stop()
        assert len(list(clips.glob("*.flac"))) < 12


@needs_root
def test_on_a_read_only_disk_it_does_not_start_and_says_so_in_a_sentence(
    tmp_path: Path, tiny_bundle: Path
) -> None:
    with small_disk(tmp_path / "disk") as disk, station(tmp_path, tiny_bundle, disk) as it:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        it.start(wait=False)
        assert it.ended() == 2
        (said,) = [line for line in (tmp_path / "log").read_text().splitlines() if not line.startswith("{")]
        assert "Read-only file system); check that you may write" in said


@pytest.mark.long
@pytest.mark.parametrize("kind", ["random pages", "no database"])
def test_a_database_that_breaks_while_it_listens_is_begun_anew_and_nothing_after_is_missing(
    tmp_path: Path, tiny_bundle: Path, kind: str
) -> None:
    with station(tmp_path, tiny_bundle, tmp_path) as it:
        it.start()
        it.wait_for("acted", times=2)
        it.wait_for("backup made")
        early = heard(it)
        # All pages lie in the file itself then, none in the log.
        with sqlite3.connect(it.database) as other:
            assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        other.close()
        DAMAGES[kind][0](it.database, random.Random(1))
        it.wait_for("the database is damaged, a new one is begun")
        it.wait_for("acted", times=len(it.events("acted")) + 2)
        it.stop()
        (said,) = it.events("the database is damaged, a new one is begun")
        assert said["backup"]
        assert Path(said["moved_to"]).exists()
        found = written(it.database)
        late = [one for one in heard(it) if one not in early]
        assert len(late) >= 2
        assert set(found) >= set(late)
        assert set(found) <= set(heard(it))
        balance = it.ledger()["bystander"]
        assert balance.skipped == {}

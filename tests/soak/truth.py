"""The books against the truth: what the daemon wrote down, beside what sounded and what arrived."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.soak.accounts import judge_ledger
from tests.soak.clips import judge_clips
from tests.soak.sound import RATE, SLOT_SECONDS
from tests.soak.trial import Verdict

if TYPE_CHECKING:
    from tests.soak.trial import Trial
    from tests.soak.world import World

MARGIN_SECONDS = 15.0
"""Before and after a bird: what has to be undisturbed so that it must be heard."""
CONFIRMED_SECONDS = 1.0
"""Of ours: so long a broker may take from its confirmation to its disk."""
SHORT_SECONDS = 1800.0
"""So short a soak may have no undisturbed moment at all."""
DURABLE = {"tell-home": "mqtt", "server": "webhook"}


def judge(trial: Trial) -> Verdict:
    """Once the daemon has ended: compare."""
    world = trial.world
    verdict = Verdict()
    connection = sqlite3.connect(f"file:{world.database}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    (state,) = connection.execute("PRAGMA integrity_check").fetchone()
    verdict.find("The database is whole", f"`PRAGMA integrity_check`: {state}", holds=state == "ok")
    detections = {row["id"]: row for row in connection.execute("SELECT * FROM detections")}
    deliveries = connection.execute("SELECT * FROM deliveries").fetchall()
    connection.close()
    _judge_detections(verdict, world, detections)
    _judge_deliveries(verdict, world, detections, deliveries)
    judge_ledger(verdict, trial)
    _judge_birds(verdict, trial, detections)
    judge_clips(verdict, trial, detections)
    return verdict


def _judge_detections(verdict: Verdict, world: World, detections: dict[str, Any]) -> None:
    logged, given_up = set(), set()
    with (world.folder / "daemon.log").open(encoding="utf-8", errors="replace") as log:
        for line in log:
            if '"detection' in line:
                try:
                    said = json.loads(line)
                except ValueError:
                    continue
                if said.get("event") in ("detection", "detection ended") and "id" in said:
                    logged.add(said["id"])
                elif said.get("event") == "detection lost":
                    given_up.add(said["id"])
    taken = (
        set(world.folder.joinpath("web.taken").read_text().split())
        if (world.folder / "web.taken").exists()
        else set()
    )
    acknowledged = {identity for identity, _ in world.subscriber.heard} | {key[:20] for key in taken}
    # What the disk did not take until the end stands in the log whole, and only there: it was acknowledged to nobody.
    only_logged = (logged & given_up) - set(detections) - acknowledged
    witnessed = (logged | acknowledged) - only_logged
    lost = witnessed - set(detections)
    verdict.find(
        "Every detection that anybody was told of is in the database",
        f"{len(witnessed)} told (log, MQTT, webhook), {len(lost)} of them missing"
        + (f"; {len(only_logged)} more of a disk that failed stand in the log, whole" if only_logged else "")
        + (f": {sorted(lost)[:5]}" if lost else ""),
        holds=not lost and bool(witnessed),
    )
    open_ones = sum(row["state"] == "started" for row in detections.values())
    verdict.find(
        "Every detection has ended",
        f"{len(detections)} in the database, {open_ones} left open",
        holds=not open_ones,
    )


def _judge_deliveries(
    verdict: Verdict, world: World, detections: dict[str, Any], deliveries: list[Any]
) -> None:
    by_action: dict[str, Counter[str]] = {}
    missing: Counter[str] = Counter()
    made = {(row["action"], row["detection_id"], row["state"]) for row in deliveries}
    for row in deliveries:
        action = "log" if row["action"].startswith("log-") else row["action"]
        status = row["status"]
        if status in ("dead", "expired", "lost"):
            status += f": {row['error']}" if row["error"] else ": no reason"
        by_action.setdefault(action, Counter())[status] += 1
    verdict.deliveries = by_action
    for identity in detections:
        for action, states in (
            ("tell-home", ("started", "ended")),
            ("server", ("ended",)),
            ("keep", ("ended",)),
            ("program", ("started",)),
        ):
            for state in states:
                missing[action] += (action, identity, state) not in made
    verdict.find(
        "Every detection has all its deliveries",
        f"{len(deliveries)} made, missing: {dict(+missing) or 'none'}",
        holds=not sum(missing.values()),
    )
    for row in deliveries:
        if row["action"] in DURABLE and row["settled_utc"]:
            created, settled = (datetime.fromisoformat(row[name]) for name in ("created_utc", "settled_utc"))
            late = (settled - created).total_seconds()
            verdict.delays.append((created.timestamp() - world.clock.epoch, late))
    for action, name in DURABLE.items():
        counts = by_action.get(action, Counter())
        verdict.find(
            f"Every {name} delivery is done",
            ", ".join(f"{status} {count}" for status, count in counts.most_common()),
            holds=set(counts) == {"done"},
        )
    unexplained = [
        row for row in deliveries if row["status"] in ("dead", "expired", "lost") and not row["error"]
    ]
    waiting = [row for row in deliveries if row["status"] == "waiting"]
    verdict.find(
        "What was not delivered has a reason, and nothing waits at the end",
        f"{len(unexplained)} without a reason, {len(waiting)} waiting",
        holds=not unexplained and not waiting,
    )
    done = {
        (row["detection_id"], row["state"]): datetime.fromisoformat(row["settled_utc"]).timestamp()
        - world.clock.epoch
        for row in deliveries
        if row["action"] == "tell-home" and row["status"] == "done"
    }
    heard = world.subscriber.heard
    unheard = {key: at for key, at in done.items() if key not in heard}
    # A broker confirms a message before it has written it down. What it had for a subscriber that was away dies with it.
    patience = CONFIRMED_SECONDS * world.clock.speed
    died = [
        key for key, at in unheard.items() if any(0 <= kill - at < patience for kill in world.broker_kills)
    ]
    verdict.find(
        "The subscriber heard every MQTT message that counts as delivered",
        f"{len(done)} done, {len(unheard) - len(died)} of them not heard, {len(died)} lost by the broker itself, which was killed"
        f" within a second of confirming; {sum(heard.values()) - len(heard)} heard more than once",
        holds=len(died) == len(unheard),
    )
    taken = (world.folder / "web.taken").read_text().split() if (world.folder / "web.taken").exists() else []
    keys = {
        f"{row['detection_id']}/{row['state']}/server"
        for row in deliveries
        if row["action"] == "server" and row["status"] == "done"
    }
    took = set(taken)
    verdict.find(
        "The web server took every message that counts as delivered",
        f"{len(keys)} done, {len(keys - took)} of them not taken; {len(taken) - len(took)} taken more than once",
        holds=keys <= took,
    )


def _judge_birds(verdict: Verdict, trial: Trial, detections: dict[str, Any]) -> None:
    world = trial.world
    spans: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in detections.values():
        start, end = (
            datetime.fromisoformat(row[name]).timestamp() - world.clock.epoch
            for name in ("start_utc", "end_utc")
        )
        spans.setdefault((row["source"], row["scientific_name"]), []).append((start, end))
    due, missed, all_of_them, heard_of_all = 0, [], 0, 0
    for source in world.sources:
        for slot in range(int(trial.began // SLOT_SECONDS) + 1, int(trial.ended // SLOT_SECONDS) - 1):
            visit = world.scenes[source].visit(slot)
            start, stop = visit.start / RATE, visit.stop / RATE
            found = any(
                first < stop + 3 and start - 3 < last
                for first, last in spans.get((source, visit.song.scientific_name), ())
            )
            all_of_them += 1
            heard_of_all += found
            if trial.is_disturbed(start - MARGIN_SECONDS, stop + MARGIN_SECONDS):
                continue
            due += 1
            if not found:
                missed.append(f"{source} {world.clock.date(start):%H:%M:%S}")
    verdict.find(
        "Every bird that sang undisturbed is in the database, at its time",
        f"{due} sang undisturbed, {len(missed)} missed{': ' + ', '.join(missed[:5]) if missed else ''}; of all "
        f"{all_of_them}, also those that sang into a fault, {heard_of_all} were heard",
        holds=not missed and (due > 0 or trial.ended - trial.began < SHORT_SECONDS),
    )

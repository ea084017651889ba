"""The books against the truth: what the daemon wrote down, beside what sounded and what arrived."""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from tests.soak.sound import RATE, SLOT_SECONDS
from tests.soak.world import RECORDING, RECORDING_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.soak.keeper import Keeper
    from tests.soak.world import World

PER_LIFE_SECONDS = 5.0
"""So far may the account of a source be off for each time that the daemon started: what a stream's server sends late."""
MARGIN_SECONDS = 15.0
"""Before and after a bird: what has to be undisturbed so that it must be heard."""
AFTERMATH_SECONDS = 60.0
"""So long after a fault that makes deaf, or after a start, streams connect and clocks find their pace."""
STARTING_SECONDS = 90.0
COMPARED_CLIPS = 300
CONFIRMED_SECONDS = 1.0
"""Of ours: so long a broker may take from its confirmation to its disk."""
SHORT_SECONDS = 1800.0
"""So short a soak may have no undisturbed moment at all."""
WORST_DATING_SECONDS = 2.0
"""What nothing delayed is dated better than so: a network's stream is not said to be late before."""
PIECE_SECONDS = 2
"""So much of a clip is looked for at once."""
UNKNOWN = math.inf
"""Nobody can say what sounded."""
REACH_SECONDS = 30.0
"""So far around its time a clip's sound is looked for."""
DURABLE = {"tell-home": "mqtt", "server": "webhook"}


@dataclass(frozen=True)
class Disturbance:
    """A fault that was made: from when until when it lasted, until when it was felt, in seconds since the beginning."""

    name: str
    start: float
    end: float
    deaf: bool
    before: Ledger


Ledger = dict[tuple[str, str, str], float]
"""Seconds by source, kind and cause."""


@dataclass
class Finding:
    """One sentence that has to be true."""

    claim: str
    holds: bool
    told: str


@dataclass
class Verdict:
    """All of them, and what else the report tells."""

    findings: list[Finding] = field(default_factory=list)
    balance: dict[str, dict[str, float]] = field(default_factory=dict)
    deliveries: dict[str, Counter[str]] = field(default_factory=dict)
    delays: list[tuple[float, float]] = field(default_factory=list)
    """Of each durable delivery: when it was made, since the beginning, and how much later it was done, in seconds."""

    def find(self, claim: str, told: str, *, holds: bool) -> None:
        """Write one down."""
        self.findings.append(Finding(claim, holds, told))


def read_ledger(database: Path) -> Ledger:
    """As it stands now."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30) as connection:
        rows = connection.execute(
            "SELECT source, kind, cause, sum(seconds) FROM ledger GROUP BY 1, 2, 3"
        ).fetchall()
    connection.close()
    return {(source, kind, cause): seconds for source, kind, cause, seconds in rows}


@dataclass(frozen=True)
class Trial:
    """What is judged: the daemon listened from `began` to `ended`, seconds since the beginning."""

    world: World
    keeper: Keeper
    disturbances: Sequence[Disturbance]
    began: float
    ended: float

    def is_disturbed(self, start: float, stop: float) -> bool:
        """May something that sounded then have been missed?"""
        for one in self.disturbances:
            # What a fault leaves behind: reconnecting streams, clocks that find their pace again.
            if one.deaf and one.start < stop and start < one.end + AFTERMATH_SECONDS:
                return True
        births = [born for born, _, _ in self.keeper.lives]
        return any(born < stop and start < born + STARTING_SECONDS for born in births)


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
    _judge_ledger(verdict, trial)
    _judge_birds(verdict, trial, detections)
    _judge_clips(verdict, trial, detections)
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


def _judge_ledger(verdict: Verdict, trial: Trial) -> None:
    world, keeper, seconds = trial.world, trial.keeper, trial.ended - trial.began
    ledger = read_ledger(world.database)
    tolerance = PER_LIFE_SECONDS * max(1, len(keeper.lives))
    _judge_recording(verdict, trial, _sums(ledger, RECORDING))
    for source in world.sources:
        balance = _sums(ledger, source)
        balance["sent"] = _sent(world, source)
        verdict.balance[source] = balance
        accounted = balance.get("expected", 0.0) + balance.get("off", 0.0)
        verdict.find(
            f"{source}: heard + lost + not running = the time that went by",
            f"{accounted:.1f} s of {seconds:.1f} s accounted for, a difference of {accounted - seconds:+.1f} s in {len(keeper.lives)} runs",
            holds=abs(accounted - seconds) < tolerance,
        )
        apart = balance.get("expected", 0.0) - balance.get("captured", 0.0) - balance.get("lost", 0.0)
        verdict.find(
            f"{source}: expected = captured + lost", f"apart by {apart:+.2f} s", holds=abs(apart) < 1.0
        )
        waiting = balance.get("captured", 0.0) - balance.get("analysed", 0.0) - balance.get("skipped", 0.0)
        verdict.find(
            f"{source}: captured = analysed + skipped",
            f"apart by {waiting:+.1f} s: captured in the last seconds of runs that died",
            holds=abs(waiting) < tolerance + 10.0 * len(keeper.lives),
        )
        if balance["sent"]:
            verdict.find(
                f"{source}: nothing was counted as captured that had not been sent",
                f"{balance['sent']:.1f} s sent, {balance.get('captured', 0.0):.1f} s captured",
                holds=balance.get("captured", 0.0) <= balance["sent"] + 1.0,
            )


def _sums(ledger: Ledger, source: str) -> dict[str, float]:
    """Seconds by kind."""
    sums: dict[str, float] = {}
    for (its_source, kind, _), amount in ledger.items():
        if its_source == source:
            sums[kind] = sums.get(kind, 0.0) + amount
    return sums


def _judge_recording(verdict: Verdict, trial: Trial, sums: dict[str, float]) -> None:
    """It is heard once in each run, by those that lived long enough to its end."""
    enough = RECORDING_SECONDS + STARTING_SECONDS + AFTERMATH_SECONDS  # it is written down a while later
    failures = [one.start for one in trial.disturbances if one.name == "disk read-only"]
    lasting = sum(
        end - born > enough and not any(born < failed < born + enough for failed in failures)
        for born, end, _ in trial.keeper.lives
    )
    least, most = lasting * RECORDING_SECONDS, len(trial.keeper.lives) * RECORDING_SECONDS
    captured = sums.get("captured", 0.0)
    waiting = captured - sums.get("analysed", 0.0) - sums.get("skipped", 0.0)
    verdict.find(
        f"{RECORDING}, a recording of {RECORDING_SECONDS / 60:.0f} minutes, is heard whole in each run that lasts",
        f"{captured:.1f} s captured in {len(trial.keeper.lives)} runs, {lasting} of which lasted; {waiting:.1f} s of that neither "
        f"analysed nor skipped; {sums.get('lost', 0.0):.1f} s lost",
        holds=least - 1.0 <= captured <= most + 1.0
        and abs(waiting) < 10.0 * len(trial.keeper.lives)
        and not round(sums.get("lost", 0.0)),
    )


def _sent(world: World, source: str) -> float:
    path = world.folder / f"{source}.sent"
    if not path.exists():
        return 0.0
    return sum(int(stop) - int(start) for start, stop in map(str.split, path.read_text().splitlines())) / RATE


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


def _judge_clips(verdict: Verdict, trial: Trial, detections: dict[str, Any]) -> None:
    world = trial.world
    files = [path for path in world.clips.rglob("*") if path.is_file()] if world.clips.exists() else []
    paths = {row["clip_path"] for row in detections.values()}
    orphans = [path for path in files if str(path.relative_to(world.clips)).rsplit(".", 1)[0] not in paths]
    verdict.find(
        "No clip without a detection, no half clip",
        f"{len(files)} files, {len(orphans)} orphans{': ' + str(orphans[0].name) if orphans else ''}",
        holds=not orphans,
    )
    # A clip that was begun while the clock was wrong says so in its name: by when it was written, then.
    stepped = [(one.start - 5, one.end + 180) for one in trial.disturbances if one.name.startswith("clock")]
    quiet: list[float] = []
    disturbed: list[float] = []
    strange: list[str] = []
    for path in sorted(files):
        if path.suffix != ".flac" or len(quiet) + len(disturbed) + len(strange) == COMPARED_CLIPS:
            continue
        said = json.loads(path.with_suffix(".json").read_text())
        written = (path.stat().st_mtime - world.clock.epoch) * world.clock.speed
        if said["clip"]["gaps"] or any(first < written < last for first, last in stepped):
            continue
        source = said["detection"]["source"]
        if source not in world.sources:
            continue
        start = datetime.fromisoformat(said["clip"]["start"]).timestamp() - world.clock.epoch
        offset = clip_offset(world, source, path, start)
        if offset == UNKNOWN:
            continue
        if offset is None:
            strange.append(f"{source} at {start:.0f} s")
        elif source in world.streams and trial.is_disturbed(written - 60, written):
            disturbed.append(offset)
        else:
            quiet.append(offset)
    if quiet or disturbed or strange:
        verdict.find(
            "A clip holds the sound of the time that it names",
            f"{len(quiet)} clips of sound that nothing had delayed, dated {_spread(quiet)}; {len(disturbed)} of a stream that a "
            f"fault had delayed, {_spread(disturbed)}{'; not that sound: ' + ', '.join(strange[:10]) if strange else ''}",
            holds=not strange and all(abs(offset) < WORST_DATING_SECONDS for offset in quiet),
        )


def _spread(offsets: list[float]) -> str:
    if not offsets:
        return "-"
    return f"{np.median(offsets):+.2f} s from its true time at the median, {max(offsets, key=abs):+.2f} s at the worst"


def clip_offset(world: World, source: str, path: Path, start: float) -> float | None:
    """How much later than it was the clip says that it was, in seconds.

    None when it is not that sound at all, UNKNOWN when nobody can say what sounded then.
    """
    clip, _ = soundfile.read(path, dtype="int16")
    if source in world.streams:
        return _offset_of(world, source, clip, start)
    assert world.player is not None
    steady = [
        second
        for second in range(len(clip) // RATE - PIECE_SECONDS + 1)
        if world.player.was_steady(start + second, start + second + PIECE_SECONDS)
    ]
    offsets = [
        _offset_of(world, source, clip[second * RATE :], start + second)
        for second in sorted({steady[0], steady[len(steady) // 2], steady[-1]} if steady else ())
    ]
    if not offsets:
        return UNKNOWN
    return max((offset for offset in offsets if offset is not None), key=abs, default=None)


def _offset_of(world: World, source: str, clip: NDArray[np.int16], start: float) -> float | None:
    """The same for its first seconds alone."""
    reach = round(REACH_SECONDS * RATE)
    piece = clip[: PIECE_SECONDS * RATE].astype(np.float32)
    first = max(0, round(start * RATE) - reach)
    played = world.scenes[source].sound(first, first + 2 * reach + len(piece)).astype(np.float32)
    size = 1 << (len(played) + len(piece)).bit_length()
    match = np.fft.irfft(np.fft.rfft(played, size) * np.conj(np.fft.rfft(piece, size)), size)[
        : len(played) - len(piece)
    ]
    energy = np.concatenate([[0.0], np.cumsum(played.astype(np.float64) ** 2)])
    at = int((match / np.sqrt(energy[len(piece) : -1] - energy[: len(match)])).argmax())
    likeness = np.corrcoef(played[at : at + len(piece)], piece)[0, 1]
    return float(start - (first + at) / RATE) if likeness > 0.99 else None

"""The recorder: what the pipeline's findings are given to, and how they get to the disk, whole or not at all."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

import structlog

from birdwatchd.errors import StoreError
from birdwatchd.store import dating, detections, ledger, runs, traces
from birdwatchd.store.cells import to_real
from birdwatchd.store.faults import is_damage, is_passing, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from birdwatchd.domain import Candidate, Detection, LedgerEntry
    from birdwatchd.store.database import Database
    from birdwatchd.store.posting import Posting
    from birdwatchd.trust import ClockChange

logger = structlog.get_logger()

_CHUNK = 1000
"""Rows in one transaction when there is much to make up for, or to delete."""
_RENEWING_SECONDS = 600.0
"""A database is not begun anew more often: where that does not help, the card or the memory is broken."""
_CHANGES = 100
"""Settings of the clock that are kept in mind: what was heard before them may be told of after them, for a minute."""


def _now() -> datetime:
    return datetime.now(UTC)


def _posting_nothing(_now: datetime) -> AbstractContextManager[Callable[..., None]]:
    return nullcontext(lambda *_: None)


def _moving_nothing(_before: datetime, _seconds: float) -> None:
    pass


class Recorder:
    """Writes detections at once, and everything else now and then, for the memory card's sake.

    A disk that is full or does not work loses nothing at first: detections wait in memory, in their order, and are tried
    again every `flush_seconds`. Both the trouble and its end are said once. A database that turns out to be damaged is
    replaced by a new one, and goes on there.

    Made for one thread, the pipeline's; `flush` and `close` may come from another.
    """

    def __init__(
        self,
        database: Database,
        *,
        run_id: str,
        version: str = "",
        model: str = "",
        node: str = "",
        config_hash: str = "",
        boot: tuple[str, float | None] = ("", None),
        trace_days: float = 7.0,
        posting: Posting | None = None,
        flush_seconds: float = 30.0,
        flush_rows: int = 1000,
        keep: int = 100_000,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = _now,
    ) -> None:
        """Begin the run `run_id` in an open database; `boot` is the machine's, and the offset of its clock.

        Traces and ledger are written every `flush_seconds`, when
        there are `flush_rows` traces, or along with a detection. While the disk is in trouble, `keep` detections, and as
        many traces, wait in memory. `posting` makes the deliveries of what is recorded, if there is anything to set off.

        Detections that an earlier run left going on when it died are ended where they were last heard.

        Raises:
            StoreError: not even the run can be written down.
        """
        self._database = database
        self._run_id = run_id
        self.trace_days = trace_days
        """Traces are deleted when they are so old."""
        self._flush_seconds = flush_seconds
        self._flush_rows = flush_rows
        self._keep = keep
        self._monotonic = monotonic
        self._wall = wall
        self._lock = threading.Lock()
        self._posting = posting.making if posting is not None else _posting_nothing
        self._move = posting.move if posting is not None else _moving_nothing
        self._detections: deque[Detection] = deque()
        self._traces: deque[traces.Row] = deque()
        self._ledger: dict[ledger.Key, float] = {}
        self._accounted: dict[str, datetime] = {}
        self._changes: deque[ClockChange] = deque(maxlen=_CHANGES)
        self._uncorrected: deque[ClockChange] = deque()  # the disk does not know of them yet
        self._fault = ""
        self._dropped = self._dropped_traces = 0
        self._began = self._tried = monotonic()
        self._renewed = float("-inf")
        now = wall()
        self._run = runs.Run(run_id, now, now, None, version, model, node, config_hash, *boot)
        try:
            with self._posting(now) as post, database.transaction() as connection:
                dating.renew_deliveries(connection, now)
                left = detections.end_all(connection)
                post(connection, left)
                (self._traces_after,) = connection.execute(
                    "SELECT coalesce(max(rowid), 0) FROM traces"
                ).fetchone()
                runs.begin(connection, self._run)
        except sqlite3.Error as error:
            raise StoreError(sentence(error, database.path)) from error
        if left:
            logger.warning("detections ended that an earlier run left going on", detections=len(left))

    @property
    def pending(self) -> int:
        """How many detections (each start and each end counts) are in memory only. More than 0 means trouble."""
        return len(self._detections)

    @property
    def fault(self) -> str:
        """Why nothing can be written just now, in a sentence; empty when all is well."""
        return self._fault

    def record(self, *found: Detection) -> None:
        """Write detections that have started or ended, together; on the disk on return, unless `pending` says otherwise."""
        for detection in found:
            if detection.run_id != self._run_id:
                raise ValueError(
                    f"a detection of run {detection.run_id} for the recorder of run {self._run_id}"
                )
            detections.to_row(detection)  # what cannot be written is refused here, where it comes from
        with self._lock:
            self._detections.extend(dating.dated(detection, self._changes) for detection in found)
            while len(self._detections) > self._keep:
                self._drop()
            if not self._fault or self._is_due():
                self._write()

    def trace(self, candidates: Iterable[Candidate]) -> None:
        """Keep what became of candidates; written within `flush_seconds`."""
        with self._lock:
            self._traces.extend(traces.to_row(self._dated(candidate)) for candidate in candidates)
            while len(self._traces) > self._keep:
                self._traces.popleft()
                self._dropped_traces += 1
            if self._is_due() or (not self._fault and len(self._traces) >= self._flush_rows):
                self._write()

    def account(self, entries: Iterable[LedgerEntry]) -> None:
        """Add seconds to the ledger; written within `flush_seconds`."""
        with self._lock:
            for entry in entries:
                key = ledger.to_key(entry)
                self._ledger[key] = self._ledger.get(key, 0.0) + to_real(entry.seconds)
                if entry.until is not None:
                    self._accounted[entry.source] = entry.until
            if self._is_due():
                self._write()

    def change_clock(self, change: ClockChange) -> None:
        """The system clock was set: what it shows to have been dated wrongly is put right, here and on the disk."""
        with self._lock:
            self._write()  # so that the rows of traces are there to be corrected
            if change.wrong_from is not None:
                # A source that was opened anew does not know what was settled before.
                settled = [
                    one.step.index
                    for one in self._changes
                    if one.source == change.source and one.wrong_from is None
                ]
                change = replace(change, wrong_from=max([change.wrong_from, *settled]))
            self._changes.append(change)
            self._uncorrected.append(change)
            self._detections = deque(dating.dated(one, [change]) for one in self._detections)
            self._write()

    def move_deliveries(self, before: datetime, seconds: float, adopt: Callable[[], None]) -> None:
        """The system clock was set, when it said `before`: what waits keeps its age. Then `adopt` is called.

        Nothing is recorded meanwhile.

        Raises:
            sqlite3.Error: nothing was moved.
        """
        with self._lock:
            with self._database.transaction() as connection:
                dating.move_deliveries(connection, before, seconds)
                dating.renew_deliveries(connection, before + timedelta(seconds=seconds))
            self._move(before, seconds)
            adopt()

    def flush(self) -> bool:
        """Write all there is.

        Returns:
            False when it could not be: it waits on.
        """
        with self._lock:
            return self._write()

    def close(self, *, in_order: bool = True) -> bool:
        """Write all there is, and that the run has ended, if it ends in order. The database stays open.

        Returns:
            False when something could not be written; the detections among it are in the log then.
        """
        with self._lock:
            if self._write() and (not in_order or self._end()):
                return True
            for detection in self._detections:
                row = detections.to_row(detection)
                logger.error("detection lost", **dict(zip(detections.COLUMNS, row, strict=True)))
            return False

    def _is_due(self) -> bool:
        return self._monotonic() - self._tried >= self._flush_seconds

    def _write(self) -> bool:
        self._tried = self._monotonic()
        made_up = len(self._detections)
        try:
            if self._database.damage:
                self._renew()
            try:
                self._write_all()
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise
                self._renew()
                self._write_all()
        except (sqlite3.Error, StoreError) as error:
            if isinstance(error, sqlite3.Error) and not is_passing(error):
                raise
            self._trouble(error)
            return False
        if self._fault:
            logger.warning(
                "database is written again",
                detections=made_up,
                dropped=self._dropped,
                dropped_candidates=self._dropped_traces,
            )
            self._fault, self._dropped, self._dropped_traces = "", 0, 0
        return True

    def _write_all(self) -> None:
        while self._write_chunk():
            pass

    def _renew(self) -> None:
        """Go on with a new database.

        Raises:
            StoreError: not now.
        """
        if self._monotonic() - self._renewed < _RENEWING_SECONDS:
            raise StoreError(
                f"{self._database.damage}; it was begun anew a moment ago, so the disk or card is broken"
            )
        self._database.renew()
        self._renewed = self._monotonic()
        self._traces_after = 0
        with self._database.transaction() as connection:
            runs.resume(connection, self._run)

    def _write_chunk(self) -> bool:
        """One transaction: as a rule the one detection, and what has gathered since the last.

        Returns:
            True when there is more.
        """
        chunk = tuple(islice(self._detections, _CHUNK))
        is_last = len(chunk) == len(self._detections)
        now = self._wall()
        with self._posting(now) as post, self._database.transaction() as connection:
            corrected = sum(self._correct(connection, change) for change in self._uncorrected)
            detections.write(connection, map(detections.to_row, chunk))
            post(connection, chunk)
            if is_last:
                traces.write(connection, self._traces, now)
                # A little every time: no night with a long pause, and a card that wears evenly.
                if runs.is_seasoned(self._database, now):
                    traces.prune(connection, now - timedelta(days=self.trace_days), at_most=_CHUNK)
                ledger.add(connection, self._ledger)
                if self._accounted:
                    ledger.reach(connection, self._accounted)
                runs.seen(connection, self._run_id, now)
        if corrected:
            logger.warning("detections dated anew, the clock was wrong", detections=corrected)
        self._uncorrected.clear()
        for _ in chunk:
            self._detections.popleft()
        if is_last:
            self._traces.clear()
            self._ledger.clear()
            self._accounted.clear()
        return not is_last

    def _correct(self, connection: sqlite3.Connection, change: ClockChange) -> int:
        step, corrected = change.step, 0
        if change.wrong_from == 0:
            corrected = dating.correct_runs(
                connection, self._run.boot, step.offset, step.seconds, but=self._run_id
            )
            # By the source's own account of the step: the recorder's wall clock may still be the old one.
            lived = timedelta(seconds=self._monotonic() - self._began)
            runs.move(connection, self._run_id, step.before + timedelta(seconds=step.seconds) - lived)
        dating.note(connection, self._run_id, change)
        return corrected + dating.correct(connection, self._run_id, change, self._traces_after)

    def _dated(self, candidate: Candidate) -> Candidate:
        for change in self._changes:
            if change.source == candidate.source:
                start = change.put_right(candidate.start_sample, candidate.start)
                candidate = replace(candidate, start=start)
        return candidate

    def _end(self) -> bool:
        try:
            with self._database.transaction() as connection:
                runs.end(connection, self._run_id, self._wall())
        except sqlite3.Error as error:
            if not is_passing(error):
                raise
            self._trouble(error)
            return False
        return True

    def _trouble(self, error: sqlite3.Error | StoreError) -> None:
        reason = str(error) if isinstance(error, StoreError) else sentence(error, self._database.path)
        if not self._fault:
            logger.error(
                "database cannot be written, detections are kept in memory",
                reason=reason,
                detections=len(self._detections),
            )
        self._fault = reason

    def _drop(self) -> None:
        self._detections.popleft()
        if not self._dropped:
            logger.error("memory for unwritten detections is full, the oldest are dropped", kept=self._keep)
        self._dropped += 1

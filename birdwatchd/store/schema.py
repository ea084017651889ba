"""The tables, as the steps that lead from an empty file to the present form.

A step that was released is never changed: a new one is added behind it. Times are ISO text in UTC (cells.py); a label's
names stand in every row, so that a row says what was heard even when the model or the language has changed since.
"""

from __future__ import annotations

from birdwatchd.store.triggers import COUNTED, REJECTED

APPLICATION_ID = 0x62697264
"""What the file says it is: `bird`, where SQLite keeps four bytes for it."""

_FIRST = (
    """
    CREATE TABLE runs (
        run_id TEXT PRIMARY KEY,
        started_utc TEXT NOT NULL,
        seen_utc TEXT NOT NULL,      -- the last time it wrote: a run that died has no end, but has this
        ended_utc TEXT,
        version TEXT NOT NULL,
        model TEXT NOT NULL,
        node TEXT NOT NULL,
        config_hash TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX runs_by_start ON runs (started_utc)",
    """
    CREATE TABLE detections (
        id TEXT PRIMARY KEY,
        run_id TEXT NOT NULL REFERENCES runs (run_id),
        source TEXT NOT NULL,
        site TEXT NOT NULL,
        label_index INTEGER NOT NULL,
        scientific_name TEXT NOT NULL,
        common_name TEXT NOT NULL,
        species_code TEXT NOT NULL,
        start_sample INTEGER NOT NULL,
        end_sample INTEGER NOT NULL,
        start_utc TEXT NOT NULL,
        end_utc TEXT NOT NULL,
        score REAL NOT NULL,
        windows INTEGER NOT NULL,
        model TEXT NOT NULL,
        threshold REAL NOT NULL,
        occurrence REAL,             -- empty when the species range is off
        processing_ns INTEGER NOT NULL,
        clip_path TEXT NOT NULL,
        voice INTEGER NOT NULL CHECK (voice IN (0, 1)),
        state TEXT NOT NULL CHECK (state IN ('started', 'ended'))
    ) STRICT
    """,
    "CREATE INDEX detections_by_start ON detections (start_utc)",
    "CREATE INDEX detections_by_species ON detections (scientific_name, start_utc)",
    "CREATE INDEX detections_by_source ON detections (source, start_utc)",
    "CREATE INDEX detections_going_on ON detections (state) WHERE state = 'started'",
    # Rows are in the order of their writing, so that the pruning takes them from the front: by when they were written,
    # since a recording that is heard today may be years old.
    """
    CREATE TABLE traces (
        written_utc TEXT NOT NULL,
        start_utc TEXT NOT NULL,
        source TEXT NOT NULL,
        scientific_name TEXT NOT NULL,
        common_name TEXT NOT NULL,
        species_code TEXT NOT NULL,
        label_index INTEGER NOT NULL,
        site TEXT NOT NULL,
        start_sample INTEGER NOT NULL,
        score REAL NOT NULL,
        threshold REAL NOT NULL,
        gate TEXT NOT NULL,
        reason TEXT NOT NULL,
        UNIQUE (start_utc, source, scientific_name)
    ) STRICT
    """,
    """
    CREATE TABLE ledger (
        hour_utc TEXT NOT NULL,
        source TEXT NOT NULL,
        kind TEXT NOT NULL,
        cause TEXT NOT NULL,
        seconds REAL NOT NULL,
        PRIMARY KEY (hour_utc, source, kind, cause)
    ) STRICT, WITHOUT ROWID
    """,
)

_DELIVERIES = (
    # In the order of their making. Each carries the detection as it was then, so that it can go out years of schema later.
    """
    CREATE TABLE deliveries (
        number INTEGER PRIMARY KEY,
        detection_id TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('started', 'ended')),
        action TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('durable', 'ephemeral', 'bounded')),
        status TEXT NOT NULL CHECK (status IN ('waiting', 'done', 'dead', 'expired', 'lost')),
        attempts INTEGER NOT NULL,
        next_utc TEXT NOT NULL,      -- not to be tried before
        created_utc TEXT NOT NULL,
        expires_utc TEXT NOT NULL,   -- worth nothing from then on
        ready_source TEXT NOT NULL,
        ready_sample INTEGER,        -- a bounded one has to wait until this was analysed; empty while that is not known
        after_samples INTEGER NOT NULL,
        run_id TEXT NOT NULL,
        detection TEXT NOT NULL,     -- JSON
        tally TEXT NOT NULL,         -- JSON
        error TEXT NOT NULL,         -- what the last attempt came to, empty when all went well
        notes TEXT NOT NULL,         -- JSON
        settled_utc TEXT,
        UNIQUE (detection_id, state, action)
    ) STRICT
    """,
    "CREATE INDEX deliveries_waiting ON deliveries (action, number, next_utc) WHERE status = 'waiting'",
)

_ACCOUNTED = (
    # Written with the ledger: what goes by from then until the next run's first sample, the daemon was not there.
    """
    CREATE TABLE accounted (
        source TEXT PRIMARY KEY,
        until_utc TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)

_CLOCK = (
    # What is to be said of its times: nothing as a rule; `unset`, `corrected`, `repeated` (birdwatchd.domain.Dating).
    "ALTER TABLE detections ADD COLUMN dating TEXT NOT NULL DEFAULT ''",
    """
    CREATE TABLE clock_steps (
        run_id TEXT NOT NULL REFERENCES runs (run_id),
        source TEXT NOT NULL,
        sample INTEGER NOT NULL,     -- the first that the new clock dates
        before_utc TEXT NOT NULL,    -- what the old clock said of it
        seconds REAL NOT NULL,       -- how far it was set
        corrected_from INTEGER       -- the samples from here on were dated anew; empty when their dates stayed
    ) STRICT
    """,
    # What has to be known at the next start, by name.
    "CREATE TABLE memory (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
)

_BOOTS = (
    # Runs of one boot of the machine have one clock: when it is set, it was wrong in all of them.
    "ALTER TABLE runs ADD COLUMN boot TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE runs ADD COLUMN boot_offset REAL DEFAULT NULL",  # the system clock, less the seconds since the boot
    # In which hours the daemon was there, by the clock of then, in the order of their coming.
    "CREATE TABLE hours (hour_utc TEXT NOT NULL UNIQUE) STRICT",
)

_REVIEWS = (
    # What people said of detections. Nothing of it is ever changed: who thinks otherwise says so in a row of its own. The
    # detection is not required to be there, as it may be what a damaged file has lost.
    """
    CREATE TABLE reviews (
        detection_id TEXT NOT NULL,
        said_utc TEXT NOT NULL,         -- later than all that was said of this detection before
        verdict TEXT NOT NULL CHECK (verdict IN ('right', 'wrong', 'other', 'unsure', 'withdrawn')),
        scientific_name TEXT NOT NULL,  -- what it was, where it was another species
        common_name TEXT NOT NULL,
        reviewer TEXT NOT NULL,
        queue TEXT NOT NULL,            -- why it was looked at: `sample` when chance had drawn it
        PRIMARY KEY (detection_id, said_utc)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE TRIGGER reviews_stay BEFORE UPDATE ON reviews BEGIN SELECT RAISE (ABORT, 'a verdict is never changed'); END",
    "CREATE TRIGGER reviews_remain BEFORE DELETE ON reviews BEGIN SELECT RAISE (ABORT, 'a verdict is never deleted'); END",
    "CREATE INDEX detections_by_doubt ON detections (score - threshold)",
)


STEPS: tuple[tuple[str, ...], ...] = (
    _FIRST,
    _DELIVERIES,
    _ACCOUNTED,
    _CLOCK,
    _BOOTS,
    _REVIEWS,
    COUNTED,
    REJECTED,
)
"""Step n leads from version n to n + 1; SQLite's `user_version` counts them."""

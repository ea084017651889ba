"""What clips are still to be made of: a recording waits for them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from birdwatchd.store.database import Database
from birdwatchd.store.deliveries import Order, Outcome
from birdwatchd.store.outbox import Outbox
from birdwatchd.store.posting import Posting
from birdwatchd.store.recorder import Recorder
from tests.rows import DAWN, detection

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from birdwatchd.domain import Detection, Tally

HOUR = timedelta(hours=1)


class ToBoth:
    """A clip and a message of everything."""

    def route(self, detection: Detection, tally: Tally) -> Sequence[Order]:
        return [Order("keep", "bounded", HOUR, after_samples=1000), Order("tell", "durable", HOUR)]

    def settle(self, *, kept: bool) -> None:
        """No matter."""


def test_the_first_sample_that_an_untried_clip_waits_for(tmp_path: Path) -> None:
    with Database.open(tmp_path / "db") as database:
        posting = Posting(ToBoth(), DAWN.tzinfo, lambda _: None)  # type: ignore[arg-type] # it is UTC
        recorder = Recorder(database, run_id="run-1", posting=posting)
        outbox = Outbox(database)

        def first(source: str = "garden", run: str = "run-1") -> int | None:
            return outbox.first_ready(["keep", "another"], source, run)

        try:
            assert first() is None
            recorder.record(detection(20, state="started"))
            assert first() is None  # nobody knows yet when it ends
            recorder.record(detection(20, seconds=5))
            recorder.record(detection(10, seconds=5))
            assert first() == 15 * 48000 + 1000
            assert first(source="pond") is None
            assert first(run="another") is None
            by_number = {entry.ready_sample: entry.number for entry in outbox.waiting("keep", 10)}
            outbox.settle([Outcome(by_number[15 * 48000 + 1000], "waiting", attempts=1)], DAWN)
            assert first() == 25 * 48000 + 1000  # one that was tried is not waited for
            outbox.settle([Outcome(entry.number, "done", 1) for entry in outbox.waiting("keep", 10)], DAWN)
            assert first() is None
        finally:
            outbox.close()

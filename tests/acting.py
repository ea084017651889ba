"""A database, a recorder and a desk, joined as the daemon joins them, and actions that do as they are told."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from birdwatchd.actions import Action, ActionConfig
from birdwatchd.dispatch.context import Surroundings
from birdwatchd.dispatch.desk import Desk
from birdwatchd.dispatch.links import Links
from birdwatchd.store.database import Database
from birdwatchd.store.deliveries import Choice, Entry, find
from birdwatchd.store.recorder import Recorder
from tests.rows import detection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from birdwatchd.actions import Context, Item
    from birdwatchd.domain import DailySummary, Detection, Health


def config(name: str = "one", **settings: Any) -> ActionConfig:
    return ActionConfig.model_validate({"name": name, "kind": "test", "on": "ended", **settings})


class Notebook(Action):
    """Remembers what it did. `plan` may raise, or hang, each time it is asked."""

    def __init__(self, settings: ActionConfig, plan: Callable[[Detection, int], None] | None = None) -> None:
        super().__init__(settings)
        self.plan = plan
        self.done: list[str] = []
        self.asked: dict[str, int] = defaultdict(int)
        self.health: list[Health] = []
        self.summaries: list[DailySummary] = []
        self.threads: set[int] = set()
        self.entered, self.left = 0, 0

    def __enter__(self) -> Self:
        self.threads.add(threading.get_ident())
        self.entered += 1
        return self

    def __exit__(self, *exception: object) -> None:
        self.threads.add(threading.get_ident())
        self.left += 1

    def run(self, detection: Detection, context: Context) -> None:
        self.threads.add(threading.get_ident())
        self.asked[detection.id] += 1
        if self.plan is not None:
            self.plan(detection, self.asked[detection.id])
        self.done.append(detection.id)

    def on_health(self, health: Health) -> None:
        self.threads.add(threading.get_ident())
        self.health.append(health)

    def on_daily(self, summary: DailySummary) -> None:
        self.summaries.append(summary)


class Ordered(Notebook):
    ordered = True


class Fleeting(Notebook):
    durability = "ephemeral"


class Bounded(Notebook):
    durability = "bounded"


class Batches(Notebook):
    """Takes up to five at once."""

    batch_size = 5

    def __init__(self, settings: ActionConfig, plan: Callable[[Detection, int], None] | None = None) -> None:
        super().__init__(settings, plan)
        self.batches: list[int] = []

    def run_batch(self, items: Sequence[Item]) -> list[Exception | None]:
        self.batches.append(len(items))
        return super().run_batch(items)


def surroundings(run_id: str = "run-1", **changes: Any) -> Surroundings:
    fields: dict[str, Any] = {
        "node": "wood",
        "location": None,
        "zone": UTC,
        "clips_folder": Path("clips"),
        "sound": lambda *_: "the sound is no longer in memory",
        "is_ready": lambda *_: True,
        "make_room": lambda _: "",
        "links": Links(),
    }
    return Surroundings(run_id=run_id, **{**fields, **changes})


class Post:
    """What the daemon has of it."""

    def __init__(self, database: Database, desk: Desk, recorder: Recorder, run_id: str) -> None:
        self.database, self.desk, self.recorder = database, desk, recorder
        self._run_id = run_id

    def hear(self, *seconds: float, **changes: Any) -> list[str]:
        """Record detections that began so long after dawn; their ids."""
        found = [detection(second, run_id=self._run_id, **changes) for second in seconds]
        for one in found:
            self.recorder.record(one)
        return [one.id for one in found]

    def entries(self, action: str = "", *statuses: str) -> list[Entry]:
        return list(find(self.database, Choice((action,) if action else (), statuses)))

    def statuses(self, action: str = "") -> list[str]:
        return [entry.delivery.status for entry in self.entries(action)]

    def wait_for(self, statuses: Sequence[str], action: str = "", seconds: float = 60) -> None:
        wait_until(lambda: self.statuses(action) == list(statuses), seconds, lambda: self.statuses(action))


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def post(
    path: Path,
    *actions: Action,
    run_id: str = "run-1",
    wall: Callable[[], datetime] = _now,
    **changes: Any,
) -> Iterator[Post]:
    """The workers run until the block is left; then they drain. `wall` tells them the time."""
    with Database.open(path) as database:
        desk = Desk(actions, database, surroundings(run_id, **changes), wall=wall)
        recorder = Recorder(database, run_id=run_id, posting=desk.posting)
        desk.start()
        try:
            yield Post(database, desk, recorder, run_id)
        finally:
            desk.stop(60)


def wait_until(
    condition: Callable[[], bool], seconds: float = 60, said: Callable[[], object] = lambda: ""
) -> None:
    """Until it is true; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {said()}"
        time.sleep(0.005)


def failing(times: int, error: Exception) -> Any:
    """A plan that fails so often for each detection."""

    def plan(_: Detection, attempt: int) -> None:
        if attempt <= times:
            raise error

    return plan


def opened_entries(path: Path) -> Any:
    """The deliveries of the database at `path`, as a later run finds them."""
    with post(path, run_id="run-later") as opened:
        return opened.entries()

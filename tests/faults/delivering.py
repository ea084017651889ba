"""A process that delivers, and may kill itself between any two steps of a delivery.

    python delivering.py DATABASE WORLD RUN COUNT [STEP NTH]

It records COUNT detections, each as it starts and as it ends, waits until all is delivered, and ends. WORLD is a file that
has a line for each thing that was really done. With a STEP it dies, as by a power cut, the NTH time that it comes there.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from birdwatchd.actions import Action, ActionConfig
from birdwatchd.dispatch.desk import Desk
from birdwatchd.store import deliveries
from birdwatchd.store.database import Database
from birdwatchd.store.outbox import Outbox
from birdwatchd.store.recorder import Recorder
from tests.acting import surroundings
from tests.rows import detection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from birdwatchd.actions import Context, Item
    from birdwatchd.domain import Detection

STEPS = (
    "detection written",
    "delivery written",
    "committed",
    "worker woken",
    "taken",
    "about to do it",
    "done in the world",
    "said to be done",
    "note written",
    "note committed",
    "ended in order",
)


class Hook:
    """Kills this process at its step."""

    def __init__(self, step: str = "", nth: int = 1) -> None:
        assert not step or step in STEPS
        self._step, self._nth = step, nth
        self._times = itertools.count(1)

    def __call__(self, step: str) -> None:
        if step and step == self._step and next(self._times) == self._nth:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)  # a signal to oneself may take a moment

    def around(self, owner: Any, name: str, *, before: str = "", after: str = "") -> None:
        """Pass these steps whenever that function is called."""
        original: Callable[..., Any] = getattr(owner, name)

        def hooked(*arguments: Any, **named: Any) -> Any:
            self(before)
            result = original(*arguments, **named)
            self(after)
            return result

        setattr(owner, name, hooked)

    def around_commit(self, owner: Any, *, before: str, after: str) -> None:
        """The same for the end of a database's transactions."""
        original = owner.transaction

        @contextmanager
        def hooked() -> Iterator[Any]:
            with original() as connection:
                yield connection
                self(before)
            self(after)

        owner.transaction = hooked


class Messenger(Action):
    """Leaves a line in the world."""

    def __init__(self, config: ActionConfig, world: Path, hook: Hook) -> None:
        super().__init__(config)
        self._file = os.open(world, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._hook = hook

    def run(self, detection: Detection, context: Context) -> None:
        self._hook("about to do it")
        os.write(self._file, f"{self.config.name} {context.delivery.key}\n".encode())
        self._hook("done in the world")


class Letters(Messenger):
    """Several at once, in order."""

    batch_size = 3
    ordered = True

    def run_batch(self, items: Sequence[Item]) -> list[Exception | None]:
        said = super().run_batch(items)
        self._hook("said to be done")
        return said


def deliver(path: Path, world: Path, run: str, count: int, hook: Hook) -> None:
    """What the daemon does with detections, but for hearing them."""
    actions = [
        kind(ActionConfig.model_validate({"name": name, "kind": "test", "on": on}), world, hook)
        for name, kind, on in (
            ("one", Messenger, "started"),
            ("two", Letters, "ended"),
            ("three", Letters, "started"),
        )
    ]
    hook.around(deliveries, "add", before="detection written", after="delivery written")
    hook.around(Outbox, "waiting", after="taken")
    with Database.open(path) as database:
        hook.around(Desk, "wake", after="worker woken")
        desk = Desk(actions, database, surroundings(run))
        hook.around_commit(desk._outbox._database, before="note written", after="note committed")
        recorder = Recorder(database, run_id=run, posting=desk.posting)
        hook.around_commit(database, before="", after="committed")
        desk.start()
        for number in range(count):
            at = int(run) * 1000 + number * 10
            recorder.record(detection(at, seconds=3, run_id=run, state="started"))
            _acknowledge(detection(at).id, "started")
            recorder.record(detection(at, seconds=9, run_id=run, state="ended"))
            _acknowledge(detection(at).id, "ended")
        while desk.count_waiting():
            time.sleep(0.01)
        recorder.close()
        desk.stop()
        hook("ended in order")


def _acknowledge(identity: str, state: str) -> None:
    sys.stdout.write(f"recorded {identity}/{state}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    path, world, run, count, *killing = sys.argv[1:]
    hook = Hook(killing[0], int(killing[1])) if killing else Hook()
    deliver(Path(path), Path(world), run, int(count), hook)

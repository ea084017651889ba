"""Workers of what needs sound that is only in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from birdwatchd.actions import GiveUp
from birdwatchd.dispatch import line
from birdwatchd.domain import Clip
from tests.acting import Bounded, config, opened_entries, post, wait_until
from tests.rows import detection

if TYPE_CHECKING:
    from pathlib import Path

    from birdwatchd.actions import Context
    from birdwatchd.domain import Detection


pytestmark = pytest.mark.usefixtures("quick")


class TestBounded:
    """Actions that need sound which is only in memory."""

    def test_it_waits_until_the_sound_was_analysed(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(line, "READY_SECONDS", 0.01)
        analysed = {"garden": 0, "pond": 10**9}
        asked: list[tuple[str, int]] = []

        def is_ready(source: str, sample: int) -> bool:
            asked.append((source, sample))
            return analysed[source] >= sample

        class Tape(Bounded):
            def after_seconds(self) -> float:
                return 2.0

        action = Tape(config())
        with post(path, action, is_ready=is_ready) as opened:
            opened.hear(0)
            (pond,) = opened.hear(10, source="pond")
            opened.wait_for(["waiting", "done"])
            assert action.done == [pond]
            end = detection(0).end_sample + 2 * 48000
            assert ("garden", end) in asked
            analysed["garden"] = end - 1
            wait_until(lambda: len(asked) > 50)
            assert opened.statuses() == ["waiting", "done"]
            analysed["garden"] = end
            opened.wait_for(["done", "done"])

    def test_one_of_a_start_waits_for_its_end(self, path: Path) -> None:
        action = Bounded(config(on="started"))
        with post(path, action) as opened:
            opened.hear(0, state="started")
            opened.hear(10)  # another, so that the worker has looked
            assert opened.statuses() == ["waiting"]
            opened.hear(0)
            opened.wait_for(["done"])

    def test_after_a_restart_it_is_lost_and_said(self, path: Path) -> None:
        with post(path, Bounded(config()), is_ready=lambda *_: False) as opened:
            opened.hear(0)
        later = Bounded(config())
        with post(path, later, run_id="run-2") as opened:
            opened.wait_for(["lost"])
            (entry,) = opened.entries()
        assert entry.delivery.error == "audio gone: it was in the memory of a run that has ended"
        assert later.done == []

    @pytest.mark.parametrize(("died_later", "status"), [(True, "done"), (False, "lost")])
    def test_what_a_run_did_before_it_was_killed_is_not_told_as_lost(
        self, path: Path, died_later: bool, status: str
    ) -> None:
        class Keeper(Bounded):
            def was_done(self, found: Detection, context: Context) -> bool:
                context.note(file=found.id)
                if not died_later:
                    raise OSError("the disk does not say")
                return True

        with post(path, Bounded(config()), is_ready=lambda *_: False) as opened:
            opened.hear(0)
        later = Keeper(config())
        with post(path, later, run_id="run-2") as opened:
            opened.wait_for([status])
            (entry,) = opened.entries()
        assert later.done == []
        assert bool(entry.notes.get("file")) is died_later
        assert bool(entry.delivery.error) is not died_later

    def test_when_the_ring_has_moved_on_it_is_lost(self, path: Path) -> None:
        class Tape(Bounded):
            def run(self, found: Detection, context: Context) -> None:
                clip = context.clip(1.0, 1.0)
                if not isinstance(clip, Clip):
                    raise GiveUp(clip)

        with post(path, Tape(config())) as opened:
            opened.hear(0)
            opened.wait_for(["lost"])
        said = opened_entries(path)[0].delivery.error
        assert said == "audio gone: the sound is no longer in memory"

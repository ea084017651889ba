"""The pipeline's thread, and how it ends: what was heard is analysed, and what was found is on the disk."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from birdwatchd.pipeline import Pipeline
    from birdwatchd.store.recorder import Recorder

STOP_SECONDS = 30.0
"""How long the pipeline may take to finish what was heard."""

logger = structlog.get_logger()


class Listening(threading.Thread):
    """Turns the pipeline until every source is finished, or `finish` is called."""

    def __init__(self, pipeline: Pipeline, recorder: Recorder) -> None:
        super().__init__(name="pipeline", daemon=True)
        self.pipeline = pipeline
        self.failed = False
        """Something was lost or broke."""
        self._broke = False
        self._recorder = recorder

    def start(self) -> None:
        """Sources are opened once it turns: for want of them it ends only when no more are expected."""
        self.pipeline.expects_more = True
        super().start()

    def run(self) -> None:
        try:
            self.pipeline.run()
        except Exception:
            # The one place of this thread. Nothing is analysed any more: the daemon has to end, and says why.
            self.failed = self._broke = True
            logger.exception("the pipeline failed")

    def finish(self) -> None:
        """Once no source writes any more."""
        self.pipeline.stop()
        if self.ident is not None:
            self.join(STOP_SECONDS)
            if self.is_alive():
                self.failed = True
                logger.error("the pipeline did not end in time", seconds=STOP_SECONDS)
            elif self._broke:
                self._give_up()
        # Of a run that failed the ledger says that it died: nobody wanted it to be off.
        if not self._recorder.close(in_order=not self.failed):
            self.failed = True

    def _give_up(self) -> None:
        """All that was captured has its entry, and what goes on its end, so that actions get it whole."""
        try:
            self.pipeline.give_up()
        except Exception:
            # What made it fail may be in the way of this, too: it is ending, and the database and the actions have their turn.
            logger.exception("what goes on could not be ended")

"""A classifier that fails: asked again, then left out and accounted for, and only what goes on ends the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from birdwatchd.config.schema import Deciding
from birdwatchd.detection.decider import Decider, Rules
from birdwatchd.detection.detector import Naming
from birdwatchd.detection.species_range import Nowhere
from birdwatchd.listening import Listening
from birdwatchd.pipeline import Pipeline
from birdwatchd.scoring import FAILED, MOST_FAILURES
from tests.looping import LABELS, PLAN, Loudness, Notebook, Tape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from birdwatchd.store.recorder import Recorder


class Failing(Loudness):
    """A made-up model: no real one fails when it is told to."""

    def __init__(self, *failures: range) -> None:
        super().__init__()
        self.asked = 0
        self._failures = failures

    def classify(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        self.asked += 1
        if any(self.asked in failures for failures in self._failures):
            raise RuntimeError("can't allocate memory")
        return super().classify(segments)


class Closable(Notebook):
    """A recorder that a run ends with."""

    in_order: bool | None = None

    def close(self, *, in_order: bool) -> bool:
        self.in_order = in_order
        return True


def pipeline_with(classifier: Failing, notebook: Notebook, tape: Tape, *, patient: bool = False) -> Pipeline:
    pipeline = Pipeline(classifier, notebook, PLAN, labels=len(LABELS), patient=patient)
    pipeline.add(tape, Decider(Rules(Deciding(), LABELS), Nowhere(), Naming("run", "garden", "home", "m")))
    return pipeline


def song(seconds: float = 60) -> Tape:
    tape = Tape()
    tape.play(seconds, 0.9)
    return tape


def test_a_batch_that_fails_once_is_scored_all_the_same() -> None:
    tape, notebook, model = song(), Notebook(), Failing(range(2, 3))
    tape.finished = True
    pipeline_with(model, notebook, tape).run()
    assert model.asked == len(model.batches) + 1
    assert notebook.seconds["garden", "analysed", ""] == pytest.approx(60)
    assert notebook.seconds["garden", "skipped", FAILED] == 0


def test_a_batch_that_fails_twice_is_left_out_and_accounted_for() -> None:
    tape, notebook = song(), Notebook()
    tape.finished = True
    pipeline = pipeline_with(Failing(range(2, 4)), notebook, tape)
    pipeline.run()
    # Eight segments with a hop of 1.5 s; what they share with the last one before was analysed with that.
    assert notebook.seconds["garden", "skipped", FAILED] == pytest.approx(12)
    assert notebook.seconds["garden", "analysed", ""] == pytest.approx(48)
    assert notebook.detections[-1].end_sample == 60_000  # it went on
    # Nobody listened for voices there.
    (track,) = pipeline._tracks
    assert track.decider.voices.unheard == ((13_500, 25_500),)


def test_that_it_is_left_out_now_and_then_adds_up_to_no_end() -> None:
    tape, notebook = song(900), Notebook()
    tape.finished = True
    pipeline_with(Failing(*(range(n, n + 2) for n in range(2, 200, 3))), notebook, tape).run()
    assert notebook.seconds["garden", "skipped", FAILED] > 12 * MOST_FAILURES


def test_a_recording_is_analysed_whole_or_not_at_all() -> None:
    tape = song()
    tape.finished = True
    with pytest.raises(RuntimeError, match="allocate"):
        pipeline_with(Failing(range(2, 4)), Notebook(), tape, patient=True).run()


def test_one_that_goes_on_failing_ends_the_run_with_every_second_accounted_for() -> None:
    tape, notebook, model = song(300), Closable(), Failing(range(2, 10_000))
    listening = Listening(pipeline_with(model, notebook, tape), cast("Recorder", notebook))
    listening.start()
    listening.join(60)
    assert not listening.is_alive()
    tape.play(3, 0.05)  # it is captured until it is stopped
    tape.stop()
    listening.finish()
    assert model.asked == 1 + 2 * MOST_FAILURES
    assert (listening.failed, notebook.in_order) == (True, False)
    seconds = notebook.seconds
    assert seconds["garden", "captured", ""] == pytest.approx(303)
    assert seconds["garden", "analysed", ""] == pytest.approx(13.5)
    assert seconds["garden", "skipped", FAILED] == pytest.approx(303 - 13.5)
    started, ended = notebook.detections
    assert (started.state, ended.state) == ("started", "ended")
    assert listening.pipeline.is_ready("garden", 304_000)  # no clip waits for more

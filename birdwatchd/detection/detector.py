"""One source's detections: windows that fire, merged from the first sound of a species to its last."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from birdwatchd.domain import Detection, detection_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from birdwatchd.domain import Label, Window

ROUNDING = timedelta(milliseconds=50)
"""Sample clocks drift by parts of a millisecond an hour; a hold of two hops means two hops."""


@dataclass(frozen=True, slots=True)
class Firing:
    """A label that passed every gate in a window."""

    label: Label
    pooled: float
    threshold: float
    """That of a detection's start, whatever it had to reach now."""
    first_sample: int
    """Where the first segment that hit begins."""
    last_sample: int
    """One past the last segment that hit."""
    occurrence: float | None
    voice: bool


@dataclass(frozen=True, slots=True)
class Naming:
    """What every detection of a source carries."""

    run_id: str
    source: str
    site: str
    model: str
    clock_is_set: Callable[[datetime], bool] | None = None
    """Can it be that time, now? None where the times are not the system clock's."""
    clip_path: Callable[[Label, datetime, str], str] | None = None
    """Where its sound and pictures go, by label, start and id: below the clips folder, without a suffix. None: none are kept."""


class Detector:
    """Follows each species of one source. Feed it every window, also those in which nothing fired."""

    def __init__(
        self, naming: Naming, *, hold_seconds: float, max_detection_seconds: float, refractory_seconds: float
    ) -> None:
        self._naming = naming
        self._hold = timedelta(seconds=hold_seconds)
        self._longest = max_detection_seconds
        self._refractory = timedelta(seconds=refractory_seconds)
        self._open: dict[int, tuple[Detection, datetime]] = {}  # with the start of the last window that fired
        self._ended: dict[int, tuple[int, datetime]] = {}  # last sample and time of the latest one

    def go_on_from(self, before: Detector) -> None:
        """Take the place of one with other settings: what goes on there goes on here."""
        self._open, self._ended = before._open, before._ended

    def take_over_from(self, before: Detector, known: Mapping[int, int]) -> None:
        """Take the place of one for another model; `known` gives this one's index of a label for that of the other.

        What the other one has ended is not told twice, and its species rest on.
        """
        self._ended = {known[index]: end for index, end in before._ended.items() if index in known}

    def is_open(self, label: Label) -> bool:
        """Does a detection of it go on?"""
        return label.index in self._open

    @property
    def open_labels(self) -> list[Label]:
        """The species whose detections go on."""
        return [detection.label for detection, _ in self._open.values()]

    def resting_seconds(self, label: Label, at: datetime) -> float:
        """What is left at `at` of the silence enforced after its last detection."""
        if not self._refractory or label.index not in self._ended or self.is_open(label):
            return 0.0
        left = self._ended[label.index][1] + self._refractory - at
        # More than it ever was: the clock was set back.
        return left.total_seconds() if left <= self._refractory else 0.0

    def advance(self, window: Window, firings: list[Firing], processing_ns: int) -> list[Detection]:
        """What changed with this window: detections that ended, and then those that started."""
        changed: list[Detection] = []
        started: list[Detection] = []
        fired = {firing.label.index for firing in firings}
        for index, (_, last_fired) in list(self._open.items()):
            pause = window.start - last_fired
            # A pause that runs backwards: the clock was set, or the next file is an older one.
            if index not in fired and (pause >= self._hold - ROUNDING or pause < timedelta(0)):
                changed.append(self._end(index))
        for firing in firings:
            current = self._open.get(firing.label.index)
            if current is not None and self._apart(current[0], window, firing):
                changed.append(self._end(firing.label.index))
                current = None
            if current is None:
                started.append(self._start(window, firing, processing_ns))
                continue
            longer = self._extended(current[0], window, firing)
            if longer is None:
                changed.append(self._end(firing.label.index))
                started.append(self._start(window, firing, processing_ns))
            else:
                self._open[firing.label.index] = longer, window.start
        return changed + started

    def finish(self) -> list[Detection]:
        """End everything that goes on: no window will follow."""
        return [self._end(index) for index in list(self._open)]

    def _apart(self, detection: Detection, window: Window, firing: Firing) -> bool:
        """A gap longer than the hold lies between, or the clock ran backwards: not the same call any more."""
        pause = _time(window, firing.first_sample) - detection.end
        return pause > self._hold + ROUNDING or _time(window, firing.last_sample) <= detection.start

    def _extended(self, detection: Detection, window: Window, firing: Firing) -> Detection | None:
        """The detection with this window added, or None if that would make it too long."""
        end_sample = max(detection.end_sample, firing.last_sample)
        if end_sample > detection.end_sample:
            length = (end_sample - detection.start_sample) / window.sample_rate
            if length > self._longest:
                return None
        return replace(
            detection,
            end_sample=end_sample,
            end=max(detection.end, _time(window, end_sample)),
            score=max(detection.score, firing.pooled),
            windows=detection.windows + 1,
            voice=detection.voice or firing.voice,
        )

    def _start(self, window: Window, firing: Firing, processing_ns: int) -> Detection:
        # What the one before has taken is not told twice.
        first_sample = max(firing.first_sample, self._ended.get(firing.label.index, (0,))[0])
        start = _time(window, first_sample)
        naming = self._naming
        identity = detection_id(naming.source, firing.label.scientific_name, start, naming.model)
        detection = Detection(
            id=identity,
            run_id=naming.run_id,
            source=naming.source,
            site=naming.site,
            label=firing.label,
            start_sample=first_sample,
            end_sample=firing.last_sample,
            start=start,
            end=_time(window, firing.last_sample),
            score=firing.pooled,
            windows=1,
            model=naming.model,
            threshold=firing.threshold,
            occurrence=firing.occurrence,
            processing_ns=processing_ns,
            clip_path=naming.clip_path(firing.label, start, identity) if naming.clip_path else "",
            voice=firing.voice,
            state="started",
            dating="unset" if naming.clock_is_set is not None and not naming.clock_is_set(start) else "",
        )
        self._open[firing.label.index] = detection, window.start
        return detection

    def _end(self, index: int) -> Detection:
        detection, _ = self._open.pop(index)
        self._ended[index] = detection.end_sample, detection.end
        return replace(detection, state="ended")


def _time(window: Window, sample: int) -> datetime:
    return window.start + timedelta(seconds=(sample - window.start_sample) / window.sample_rate)

"""What a label has to pass to become a detection: the gates, in the order in which they stand here.

Each one answers with the reason why it stops the label, in words that `birdwatchd why` shows, or with nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from birdwatchd.domain import Label


Spans = tuple[tuple[int, int], ...]
"""Stretches of a source: first sample and one past the last."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A label that a window offers, with all that the gates look at."""

    label: Label
    pooled: float
    values: NDArray[np.float32]
    """The label's score in each segment of the window: float32 (segments,)."""
    threshold: float
    """What it has to reach now: lower while its detection goes on."""
    min_hits: int
    silent: bool
    """The whole window is silent, so that nothing in it was classified."""
    occurrence: float | None
    """None where nobody can say: no location, or a frog."""
    named: bool
    """`include` names it."""
    wanted: bool
    """`only` names it or is empty, and `exclude` does not name it."""
    is_species: bool
    """Not an engine, a dog, or the like."""
    minimum_occurrence: float
    voice: bool
    """A person speaks in this window, and that rules detections out."""
    resting_seconds: float
    """What is left of the silence that is enforced after its last detection."""


def pool(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of the best two segments, float32 (segments, labels) to (labels,); of one segment, that one."""
    if len(values) == 1:
        only: NDArray[np.float32] = values[0]
        return only
    # Sorting thousands of labels for the sake of two rows would be the dearest thing that is done with a window.
    best, second = np.maximum(values[0], values[1]), np.minimum(values[0], values[1])
    for row in values[2:]:
        second = np.maximum(second, np.minimum(best, row))
        best = np.maximum(best, row)
    pooled: NDArray[np.float32] = (best + second) / 2
    return pooled


def level(offer: Offer) -> str:
    """Silence is reported, not classified."""
    return "silence: nothing reaches the microphone" if offer.silent else ""


def species_range(offer: Offer) -> str:
    """Does it live here at this time of the year, and did the user ask for it or against it?"""
    if not offer.wanted:
        return "excluded by the config (deciding.only or deciding.exclude)"
    if offer.named:
        return ""
    if not offer.is_species:
        return "not a species; name it in deciding.include to be told of it"
    if offer.occurrence is not None and offer.occurrence < offer.minimum_occurrence:
        return f"not expected here this week ({offer.occurrence:.3f} below {offer.minimum_occurrence:g})"
    return ""


def voice(offer: Offer) -> str:
    """People are private."""
    return "a person speaks" if offer.voice else ""


def threshold(offer: Offer) -> str:
    """Is the model sure enough, in enough of the segments?"""
    if offer.pooled < offer.threshold:
        return f"score {offer.pooled:.2f} below {offer.threshold:g}"
    hits = int(np.count_nonzero(offer.values >= offer.threshold))
    needed = min(offer.min_hits, len(offer.values))
    if hits < needed:
        return f"{hits} of {len(offer.values)} segments reach {offer.threshold:g}, {needed} have to"
    return ""


def refractory(offer: Offer) -> str:
    """Has it been silent for long enough since its last detection?"""
    return (
        f"heard just now; silent for another {offer.resting_seconds:.0f} s"
        if offer.resting_seconds > 0
        else ""
    )


GATES = (level, species_range, voice, threshold, refractory)


def judge(offer: Offer) -> tuple[str, str]:
    """The first gate that stops the offer, and its reason; `detection` when none does."""
    for gate in GATES:
        reason = gate(offer)
        if reason:
            return gate.__name__, reason
    return "detection", ""


class VoiceSpans:
    """Where people spoke in one source, in samples. One thread writes, any thread reads."""

    def __init__(self, human: Sequence[int], threshold: float) -> None:
        """`human` are the indices of the labels that mean people."""
        self._human = list(human)
        self._threshold = threshold
        # Replaced, never changed: a reader may be walking them.
        self.spans: Spans = ()
        self.unheard: Spans = ()

    def go_on_from(self, before: VoiceSpans, heard_to: int, *, judged: bool) -> None:
        """Keep what is known below the sample `heard_to`: all of it, or else nobody knows who spoke there."""
        self.spans, self.unheard = before.spans, before.unheard
        if not judged:
            self.miss(0, heard_to)

    def mark(self, start: int, stop: int, values: NDArray[np.float32]) -> None:
        """Note the segment, `values` float32 (labels,), if any of the human labels is high enough in it."""
        if self._human and float(values[self._human].max()) >= self._threshold:
            self.spans = (*self.spans, (start, stop))

    def miss(self, start: int, stop: int) -> None:
        """Nobody listened there, so anybody may have spoken."""
        if self._human and stop > start:
            *before, last = self.unheard or ((start, start),)
            joins = last[1] == start
            self.unheard = (*before, (last[0], stop)) if joins else (*before, last, (start, stop))

    def overlap(self, start: int, stop: int) -> bool:
        """Did anyone speak between these samples?"""
        return any(first < stop and last > start for first, last in self.spans)

    def forget(self, before: int) -> None:
        """Drop what nobody will ask for any more."""
        if self.spans and self.spans[0][1] <= before:
            self.spans = tuple(span for span in self.spans if span[1] > before)
        if self.unheard and self.unheard[0][1] <= before:
            self.unheard = tuple(span for span in self.unheard if span[1] > before)

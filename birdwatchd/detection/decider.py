"""The rules of one station, joined: a window's scores go in, changed detections and the fate of candidates come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from birdwatchd.config.species import matches
from birdwatchd.detection.detector import Detector, Firing, Naming
from birdwatchd.detection.gates import Offer, VoiceSpans, judge, pool
from birdwatchd.domain import Candidate

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from birdwatchd.config.schema import Deciding
    from birdwatchd.detection.species_range import Occurrence
    from birdwatchd.domain import Detection, Label, Scores, Window

CANDIDATE_SCORE = 0.1
CANDIDATES = 5
"""The five best labels of a window are kept for `birdwatchd why`, if they pool to 0.1 or more."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What one window led to."""

    detections: list[Detection]
    candidates: list[Candidate]


class Rules:
    """What the config says of each label, looked up once."""

    def __init__(
        self,
        deciding: Deciding,
        labels: Sequence[Label],
        *,
        card_thresholds: dict[str, float] | None = None,
        unranged: Collection[str] = (),
        sounds: Collection[str] = (),
    ) -> None:
        """What the model's card says of its labels, by scientific name.

        `unranged` are labels that no range model can judge, `sounds` those that are no species.
        """
        self.deciding = deciding
        self.labels = labels
        card = (card_thresholds or {}) if deciding.use_card_thresholds else {}
        self.threshold_of = [card.get(label.scientific_name, deciding.threshold) for label in labels]
        for pattern, value in deciding.thresholds.items():
            for label in labels:
                if matches(pattern, label):
                    self.threshold_of[label.index] = value
        self.thresholds: NDArray[np.float32] = np.array(self.threshold_of, dtype=np.float32)
        self.named = self._indices(deciding.include)
        self.wanted = self._indices(deciding.only or ("*",)) - self._indices(deciding.exclude)
        self.ranged = {label.index for label in labels if label.scientific_name not in unranged}
        self.species = {label.index for label in labels if label.scientific_name not in sounds}
        self.human = sorted(self._indices(deciding.voice.labels)) if deciding.voice.mode != "off" else []

    def _indices(self, patterns: Sequence[str]) -> set[int]:
        return {label.index for label in self.labels for pattern in patterns if matches(pattern, label)}


class Decider:
    """Decides for one source. Windows have to come in order."""

    def __init__(self, rules: Rules, occurrence: Occurrence, naming: Naming) -> None:
        self._rules = rules
        self._occurrence = occurrence
        self.naming = naming
        deciding = rules.deciding
        self.voices = VoiceSpans(rules.human, deciding.voice.threshold)
        self._detector = Detector(
            naming,
            hold_seconds=deciding.hold_seconds,
            max_detection_seconds=deciding.max_detection_seconds,
            refractory_seconds=deciding.refractory_seconds,
        )

    def go_on_from(self, before: Decider, heard_to: int) -> None:
        """Take the place of one with other rules for the same model, from the sample `heard_to` on: detections go on."""
        self._detector.go_on_from(before._detector)
        old, new = before._rules, self._rules
        stricter = new.deciding.voice.threshold < old.deciding.voice.threshold
        self.voices.go_on_from(before.voices, heard_to, judged=not stricter and {*new.human} <= {*old.human})

    def take_over_from(self, before: Decider, heard_to: int) -> None:
        """Take the place of one with another model, from the sample `heard_to` on. It has ended its detections."""
        old = before._rules
        index_of = {label.scientific_name: label.index for label in self._rules.labels}
        known = {
            label.index: index_of[label.scientific_name]
            for label in old.labels
            if label.scientific_name in index_of
        }
        self._detector.take_over_from(before._detector, known)
        self.voices.go_on_from(before.voices, heard_to, judged=bool(old.human))

    def listen(self, start: int, stop: int, values: NDArray[np.float32]) -> None:
        """Look for voices in a segment, `values` float32 (labels,). Before the windows that hold it.

        What is found is kept until `voices.forget`: clips ask for it long after the windows have passed.
        """
        self.voices.mark(start, stop, values)

    def decide(self, window: Window, scores: Scores, *, silent: bool, processing_ns: int) -> Decision:
        """Judge every label that the window offers, and follow those that pass."""
        pooled = pool(scores.values)
        # Nobody knows which week it is on a clock that was not set.
        clock_is_set = self.naming.clock_is_set
        is_dated = clock_is_set is None or clock_is_set(window.start)
        occurrence = self._occurrence.on(window.start.date()) if is_dated else None
        voice = self.voices.overlap(window.start_sample, window.stop_sample)
        firings: list[Firing] = []
        candidates: list[Candidate] = []
        for index in self._offered(pooled):
            offer = self._offer(index, window, scores, pooled, occurrence, silent=silent, voice=voice)
            gate, reason = judge(offer)
            if gate == "detection":
                firings.append(self._firing(offer, scores, voice=voice))
            if not silent:
                candidates.append(self._candidate(window, offer, gate, reason))
        return Decision(self._detector.advance(window, firings, processing_ns), candidates)

    @property
    def is_following(self) -> bool:
        """Does a detection go on?"""
        return bool(self._detector.open_labels)

    def finish(self) -> list[Detection]:
        """End the detections that go on: no window will follow."""
        return self._detector.finish()

    def _offered(self, pooled: NDArray[np.float32]) -> list[int]:
        """The labels worth a look: the five best, whoever reaches its threshold, whoever is being followed."""
        count = min(CANDIDATES, len(pooled))
        best = np.argpartition(pooled, -count)[-count:]
        offered = {int(index) for index in best if pooled[index] >= CANDIDATE_SCORE}
        offered.update(int(index) for index in np.flatnonzero(pooled >= self._rules.thresholds))
        offered.update(label.index for label in self._detector.open_labels)
        return sorted(offered, key=lambda index: -float(pooled[index]))

    def _offer(
        self,
        index: int,
        window: Window,
        scores: Scores,
        pooled: NDArray[np.float32],
        occurrence: NDArray[np.float32] | None,
        *,
        silent: bool,
        voice: bool,
    ) -> Offer:
        rules, deciding = self._rules, self._rules.deciding
        label = rules.labels[index]
        threshold = rules.threshold_of[index]
        if self._detector.is_open(label):
            threshold = max(0.0, threshold - deciding.hysteresis)
        return Offer(
            label=label,
            pooled=float(pooled[index]),
            values=scores.values[:, index],
            threshold=threshold,
            min_hits=deciding.min_hits,
            silent=silent,
            occurrence=None if occurrence is None or index not in rules.ranged else float(occurrence[index]),
            named=index in rules.named,
            wanted=index in rules.wanted,
            is_species=index in rules.species,
            minimum_occurrence=deciding.species_range.minimum,
            voice=voice and deciding.voice.mode == "drop",
            resting_seconds=self._detector.resting_seconds(label, window.start),
        )

    def _firing(self, offer: Offer, scores: Scores, *, voice: bool) -> Firing:
        hits = np.flatnonzero(offer.values >= offer.threshold)
        return Firing(
            label=offer.label,
            pooled=offer.pooled,
            threshold=self._rules.threshold_of[offer.label.index],
            first_sample=scores.segment_starts[hits[0]],
            last_sample=max(scores.segment_stops[hit] for hit in hits),
            occurrence=offer.occurrence,
            voice=voice,
        )

    def _candidate(self, window: Window, offer: Offer, gate: str, reason: str) -> Candidate:
        return Candidate(
            source=self.naming.source,
            site=self.naming.site,
            start=window.start,
            start_sample=window.start_sample,
            label=offer.label,
            score=offer.pooled,
            threshold=offer.threshold,
            gate=gate,
            reason=reason,
        )

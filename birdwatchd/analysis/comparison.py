"""Two models on the clips that people have judged: which one is right more often."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from birdwatchd.analysis.ranking import average_precision
from birdwatchd.audio.decoding import open_sound
from birdwatchd.audio.mix import mix
from birdwatchd.audio.windows import segments_per_window
from birdwatchd.detection.decider import Rules
from birdwatchd.detection.gates import pool
from birdwatchd.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from birdwatchd.config.schema import Deciding
    from birdwatchd.model.classifier import Classifier
    from birdwatchd.store.judged import Judged

SILENCE = 1e-5
"""Root mean square below which the daemon classifies nothing, -100 dBFS."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is known of one clip, and what each model said of it."""

    clip: int
    """Its number; a clip of another species is two cases: what it was, and what it was not."""
    scientific_name: str
    common_name: str
    is_there: bool
    scores: tuple[float | None, ...]
    """The highest pooled score of each model; None where it has no such label."""
    claims: tuple[bool, ...]
    """Whether each would have reported it, at its own threshold."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How one model did in some cases."""

    found: int
    """Of what is there."""
    false: int
    """Claims of what is not."""
    is_known: bool
    """It has the labels, or some of them."""
    average_precision: float
    """NaN where nothing is known to be there, or nothing not to be."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of it."""

    names: tuple[str, ...]
    cases: tuple[Case, ...]
    clips: int
    beyond: tuple[int, ...]
    """Clips in which each model claims something of which nobody has said whether it is there."""
    faults: tuple[str, ...] = field(default=())
    """Why clips were left out, a sentence each."""

    @property
    def species(self) -> list[tuple[str, str, list[Case]]]:
        """Scientific name, common name and cases of each species, by common name."""
        found: dict[str, list[Case]] = {}
        for case in self.cases:
            found.setdefault(case.scientific_name, []).append(case)
        named = [(name, cases[-1].common_name, cases) for name, cases in found.items()]
        return sorted(named, key=lambda one: (one[1].casefold(), one[0]))

    def tally(self, model: int, cases: Sequence[Case]) -> Tally:
        """How that model did. For average precision only cases count whose label every model has."""
        shared = [case for case in cases if None not in case.scores]
        truth = np.array([case.is_there for case in shared], dtype=bool)
        scores = np.array([case.scores[model] for case in shared], dtype=np.float64)
        return Tally(
            found=sum(case.is_there and case.claims[model] for case in cases),
            false=sum(not case.is_there and case.claims[model] for case in cases),
            is_known=any(case.scores[model] is not None for case in cases),
            average_precision=average_precision(truth, scores)
            if truth.any() and not truth.all()
            else float("nan"),
        )


class Ear:
    """A model, and how the daemon would decide with it. Any sample rate and input length will do."""

    def __init__(
        self,
        name: str,
        classifier: Classifier,
        deciding: Deciding,
        *,
        window_seconds: float,
        hop_seconds: float,
    ) -> None:
        card = classifier.card
        self.name = name
        self._classifier = classifier
        self.labels = card.labels
        self.index_of = {label.scientific_name: label.index for label in card.labels}
        self._thresholds = Rules(deciding, card.labels, card_thresholds=card.thresholds).thresholds
        self._min_hits = deciding.min_hits
        self._hop = min(hop_seconds, card.input_seconds)
        self._window_seconds = window_seconds
        self._per_window = segments_per_window(window_seconds, card.input_seconds, self._hop)

    def hear(
        self, samples: NDArray[np.float32], rate: int, start: float, end: float
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Highest pooled scores and claims, each (labels,), of what is heard from `start` to `end` seconds.

        `samples` is float32 (n,). What is shorter than a window is heard with as much around it as there is.
        """
        card = self._classifier.card
        length = len(samples) / rate
        wanted = max(end - start, self._window_seconds, card.input_seconds)
        start = max(0.0, min(start - (wanted - (end - start)) / 2, length - wanted))
        end = min(length, start + wanted)
        values = self._scores(
            _resampled(samples[round(start * rate) : round(end * rate)], rate, card.sample_rate)
        )
        last = max(1, len(values) - self._per_window + 1)
        pooled = np.zeros(len(self.labels), dtype=np.float32)
        claims = np.zeros(len(self.labels), dtype=bool)
        for first in range(last):
            window = values[first : first + self._per_window]
            scores = pool(window)
            hits = np.count_nonzero(window >= self._thresholds, axis=0)
            claims |= (scores >= self._thresholds) & (hits >= min(self._min_hits, len(window)))
            pooled = np.maximum(pooled, scores)
        return pooled, claims

    def _scores(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of each segment, (segments, labels); a silent one has none."""
        card = self._classifier.card
        hop = round(self._hop * card.sample_rate)
        # The last one may be short, as at the end of a file: half of it has to be real.
        starts = range(0, max(1, len(samples) - card.input_samples // 2 + 1), hop)
        segments = np.zeros((len(starts), card.input_samples), dtype=np.float32)
        for segment, first in zip(segments, starts, strict=True):
            real = samples[first : first + card.input_samples]
            segment[: len(real)] = real
        scores = np.zeros((len(segments), len(self.labels)), dtype=np.float32)
        heard = np.sqrt(np.square(segments, dtype=np.float64).mean(axis=1)) > SILENCE
        if heard.any():
            scores[heard] = self._classifier.classify(segments[heard])
        return scores


def compare(
    ears: Sequence[Ear], clips: Iterable[Judged], *, progress: Callable[[], object] = lambda: None
) -> Comparison:
    """Let all models hear all clips of which somebody knows what they hold.

    Of a clip that was judged right one thing is known: the species is there. Of one that was judged wrong, that it is
    not; of another species both, of one each. What else may sing in it nobody has said, and is not held against anybody.
    """
    cases: list[Case] = []
    faults: list[str] = []
    beyond = [0] * len(ears)
    number = 0
    for clip in clips:
        known = _known(clip)
        if known:
            try:
                samples, rate = _read(clip)
            except RecordingError as error:
                faults.append(str(error))
            else:
                end = len(samples) / rate if clip.end is None else min(clip.end, len(samples) / rate)
                heard = [ear.hear(samples, rate, clip.start, end) for ear in ears]
                cases += [_case(number, fact, ears, heard) for fact in known]
                said = {fact.scientific_name for fact in known}
                for at, (ear, (_, claims)) in enumerate(zip(ears, heard, strict=True)):
                    claimed = {ear.labels[int(index)].scientific_name for index in np.flatnonzero(claims)}
                    beyond[at] += bool(claimed - said)
                number += 1
        progress()
    return Comparison(tuple(ear.name for ear in ears), tuple(cases), number, tuple(beyond), tuple(faults))


class _Fact(NamedTuple):
    scientific_name: str
    common_name: str
    is_there: bool


def _known(clip: Judged) -> list[_Fact]:
    claimed = clip.detection.label
    if clip.opinion == "right":
        return [_Fact(claimed.scientific_name, claimed.common_name, is_there=True)]
    if clip.opinion not in ("wrong", "other"):
        return []
    facts = [_Fact(claimed.scientific_name, claimed.common_name, is_there=False)]
    if clip.heard is not None:
        facts.append(_Fact(clip.heard.scientific_name, clip.heard.common_name, is_there=True))
    return facts


def _case(
    number: int,
    fact: _Fact,
    ears: Sequence[Ear],
    heard: Sequence[tuple[NDArray[np.float32], NDArray[np.bool_]]],
) -> Case:
    places = [ear.index_of.get(fact.scientific_name) for ear in ears]
    both = list(zip(places, heard, strict=True))
    return Case(
        number,
        *fact,
        scores=tuple(None if at is None else float(scores[at]) for at, (scores, _) in both),
        claims=tuple(at is not None and bool(claims[at]) for at, (_, claims) in both),
    )


def _read(clip: Judged) -> tuple[NDArray[np.float32], int]:
    """All of it, mixed to mono, float32 (n,), and its rate.

    Raises:
        RecordingError: it cannot be read, or holds no sound.
    """
    with open_sound(clip.file) as sound:
        blocks = [mix(block) for block in sound.blocks(60.0)]
        samples = np.concatenate(blocks) if blocks else np.empty(0, dtype=np.float32)
        if len(samples) <= clip.start * sound.sample_rate:
            raise RecordingError(f"{clip.file} has no sound from {clip.start:g} s on: mend its JSON file")
        return samples.astype(np.float32), sound.sample_rate


def _resampled(samples: NDArray[np.float32], rate: int, to: int) -> NDArray[np.float32]:
    if rate == to:
        return samples
    import soxr

    resampled: NDArray[np.float32] = soxr.resample(samples, rate, to, quality="HQ")
    return resampled

"""Detections in annotated recordings, matched to what people heard there."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from train.cache import damage
from train.manifest import to_label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from train.manifest import Row


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one recording that one species is in, or is said to be in. Seconds of the file."""

    path: str
    name: str
    """Scientific."""
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Matches:
    """What became of the events and the detections of one label, or of all."""

    events: int
    found: int
    """Events that a detection of the same label overlaps."""
    detections: int
    right: int
    """Detections that overlap an event of the same label."""

    @property
    def recall(self) -> float:
        """Share of the events that were found; NaN without any."""
        return self.found / self.events if self.events else float("nan")

    @property
    def precision(self) -> float:
        """Share of the detections that are right; NaN without any."""
        return self.right / self.detections if self.detections else float("nan")

    @property
    def false_detections(self) -> int:
        """Detections where nobody heard that label."""
        return self.detections - self.right


def events_of(rows: Iterable[Row]) -> list[Span]:
    """The events that the rows of a manifest annotate. A row without labels says only that its file was listened to."""
    return [
        Span(
            str(row.path),
            to_label(0, name).scientific_name,
            row.start,
            float("inf") if row.end is None else row.end,
        )
        for row in rows
        for name in row.labels
    ]


def match(events: Sequence[Span], detections: Sequence[Span]) -> dict[str, Matches]:
    """What became of each label that occurs or was detected, by scientific name in alphabetical order.

    A detection and an event match if they are of one label in one file and share some time. One detection may find
    several events, as a bird that sings on is one detection, and several may be right about one event.
    """
    heard, said = _by_place(events), _by_place(detections)
    found = {}
    for name in sorted({span.name for span in (*events, *detections)}):
        mine = [span for span in events if span.name == name]
        claimed = [span for span in detections if span.name == name]
        found[name] = Matches(
            events=len(mine),
            found=sum(_overlaps(span, said) for span in mine),
            detections=len(claimed),
            right=sum(_overlaps(span, heard) for span in claimed),
        )
    return found


def total(matches: Mapping[str, Matches]) -> Matches:
    """All labels together."""
    every = matches.values()
    return Matches(
        sum(one.events for one in every),
        sum(one.found for one in every),
        sum(one.detections for one in every),
        sum(one.right for one in every),
    )


def detections_in(
    paths: Iterable[Path], bundle: Path, progress: Callable[[int, float], object] = lambda *_: None
) -> tuple[list[Span], float, dict[Path, str]]:
    """What the daemon would report of these recordings with the bundle: detections, seconds heard, and what was left out.

    Of each recording that was left out, as it cannot be read or is damaged, a sentence says why.

    `progress` is told now and then how many recordings are done, and how many seconds were heard so far.

    Every recording runs through the pipeline of `birdwatchd analyze`, with the default settings and the card's
    thresholds, and without a place, so that every label may be reported.

    Raises:
        BundleError: the bundle is not usable here.
    """
    from birdwatchd.analysis.settings import refuse_unfit, settle
    from birdwatchd.analysis.sites import Site
    from birdwatchd.analysis.worker import Settings, Task, Worker
    from birdwatchd.model.bundle import read_card

    config = settle(None, {})
    refuse_unfit(config, {}, read_card(bundle))
    spans: list[Span] = []
    seconds = read = 0.0
    faults: dict[Path, str] = {}
    done = 0

    def heard(more: float) -> None:
        nonlocal read
        read += more
        progress(done, read)

    with Worker(Settings(config, bundle)) as worker:
        for path in paths:
            findings = worker.analyse(Task(path, Site()), heard)
            done += 1
            progress(done, read)
            if fault := findings.failure or damage(path, findings.complaint):
                faults[path] = fault
                continue
            seconds += findings.seconds
            spans.extend(
                Span(str(path), row.scientific_name, row.start_seconds, row.end_seconds)
                for row in findings.rows
            )
    return spans, seconds, faults


def _by_place(spans: Iterable[Span]) -> dict[tuple[str, str], list[Span]]:
    places: dict[tuple[str, str], list[Span]] = defaultdict(list)
    for span in spans:
        places[span.path, span.name].append(span)
    return places


def _overlaps(span: Span, others: Mapping[tuple[str, str], list[Span]]) -> bool:
    there = others.get((span.path, span.name), ())
    return any(span.start < other.end and other.start < span.end for other in there)

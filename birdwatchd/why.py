"""It was listening, so why was that not reported? The answer that `birdwatchd why` and the page give."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from birdwatchd.balance import balance_of, show_share
from birdwatchd.config.species import matches
from birdwatchd.listening_hours import RESTING
from birdwatchd.store import detections, ledger, runs, traces
from birdwatchd.times import show_clock, show_length, show_time

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, tzinfo

    from birdwatchd.domain import Candidate, Detection, Label
    from birdwatchd.store.database import Database

_FRESH = timedelta(seconds=60)
"""Candidates are written every half minute: what is younger may still be on its way."""
_LONGEST = timedelta(hours=1)
"""No detection is longer."""
_REST_SECONDS = 10.0
_SLACK_SECONDS = 0.5
_USUAL_TRACE_DAYS = 7.0
_NOT_YET = "Nothing is written down yet of that moment; it comes half a minute late, so ask again soon."


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about: a stretch of time, perhaps of some species and sources only."""

    start: datetime
    end: datetime
    zone: tzinfo | None
    """In which the answer tells times; None is the machine's own."""
    species: tuple[str, ...] = ()
    """Patterns for scientific or common names, as in the config; empty means all, as it does for the sources."""
    sources: tuple[str, ...] = ()
    trace_days: float | None = None
    """How long candidates are kept; None when no config says so."""


@dataclass(frozen=True, slots=True)
class Group:
    """Candidates of one species and source that one gate stopped, oldest first."""

    candidates: tuple[Candidate, ...]

    @property
    def first(self) -> Candidate:
        """The oldest."""
        return self.candidates[0]

    @property
    def last(self) -> Candidate:
        """The newest."""
        return self.candidates[-1]

    @property
    def best(self) -> Candidate:
        """The one with the highest score."""
        return max(self.candidates, key=lambda one: one.score)

    @property
    def label(self) -> Label:
        """The species."""
        return self.first.label

    @property
    def is_reported(self) -> bool:
        """No gate stopped them."""
        return self.first.gate == "detection"

    @property
    def fate(self) -> str:
        """What became of the best, in words."""
        return "reported" if self.is_reported else f"{self.first.gate}: {self.best.reason}"

    def when(self, zone: tzinfo | None) -> str:
        """From the first window's start to the last one's."""
        first = show_clock(self.first.start, zone)
        return first if self.first is self.last else f"{first}-{show_clock(self.last.start, zone)}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of it."""

    groups: tuple[Group, ...]
    reported: tuple[Detection, ...]
    """Detections that went on then."""
    listening: tuple[str, ...]
    """What the ledger says of the hours around, a sentence for each source and hour."""
    nothing: str
    """Why there is no candidate, in a sentence; empty where there are some."""


def answer(database: Database, question: Question, now: datetime, *, each: bool = False) -> Answer:
    """Look it up; with `each` every window is a group of its own.

    Raises:
        StoreError: the database cannot be read.
    """
    near = traces.between(database, question.start, question.end, question.sources)
    meant = {
        label
        for label in {one.label for one in near}
        if any(matches(pattern, label) for pattern in question.species)
    }
    asked = [one for one in near if one.label in meant] if question.species else near
    listening = _listening(database, question)
    nothing = ""
    if not asked:
        nothing = (
            _nothing(database, question, near, now)
            if listening or near
            else _absence(database, question, now)
        )
    return Answer(grouped(asked, each=each), _reported(database, question), listening, nothing)


def sentence(one: Detection, zone: tzinfo | None) -> str:
    """A detection, as the answer tells of it."""
    when = f"{show_clock(one.start, zone)} to {show_clock(one.end, zone)}"
    voice = ", while a person spoke" if one.voice else ""
    return f"Reported: {one.label.common_name} in {one.source}, {when}, score {one.score:.2f}{voice}."


def grouped(candidates: Iterable[Candidate], *, each: bool = False) -> tuple[Group, ...]:
    """Candidates by source, species and gate; with `each` every window is a group of its own."""
    groups: dict[tuple[object, ...], list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        key = (candidate.source, candidate.label.scientific_name, candidate.gate)
        groups[(*key, candidate.start) if each else key].append(candidate)
    return tuple(Group(tuple(group)) for group in groups.values())


def _reported(database: Database, question: Question) -> tuple[Detection, ...]:
    choice = detections.Choice(
        species=question.species,
        since=question.start - _LONGEST,
        until=question.end,
        sources=question.sources,
    )
    return tuple(one for one in detections.find(database, choice) if one.end >= question.start)


def _listening(database: Database, question: Question) -> tuple[str, ...]:
    """What the ledger says of the hours around."""
    first_hour = question.start.replace(minute=0, second=0, microsecond=0)
    entries = [
        entry
        for entry in ledger.between(database, first_hour, question.end)
        if not question.sources or entry.source in question.sources
    ]
    lines = []
    for (hour, source), balance in balance_of(entries, "hour", question.zone).items():
        parts = [f"heard {show_share(balance)} of {show_length(balance.expected)}"]
        for verb, causes in (("lost", balance.lost), ("skipped", balance.skipped)):
            parts += [
                f"{verb} {show_length(s)} ({cause})" for cause, s in causes.items() if s > _SLACK_SECONDS
            ]
        lines.append(f"{source}, the hour from {show_time(hour, question.zone)}: {', '.join(parts)}.")
    return tuple(lines)


def _absence(database: Database, question: Question, now: datetime) -> str:
    """The ledger has nothing for that hour: was there a run at all?"""
    if question.start > now:
        return "That moment is still to come."
    last, following = runs.before(database, question.end), runs.after(database, question.end)
    if last is not None and last.seen >= question.start:
        if question.end > now - _FRESH:
            return _NOT_YET
        return "birdwatchd ran then, but none of its sources was of that time; `birdwatchd ledger` shows which it has."
    parts = []
    if last is not None:
        how = "ended" if last.ended else "died, last seen"
        parts.append(f"the run before {how} at {show_time(last.seen, question.zone)}")
    if following is not None:
        parts.append(f"the next run began at {show_time(following.started, question.zone)}")
    return f"birdwatchd was not listening then{': ' + ', '.join(parts) if parts else ''}."


def _nothing(database: Database, question: Question, near: list[Candidate], now: datetime) -> str:
    """What it may mean that there is no candidate."""
    if near:
        names = ", ".join(dict.fromkeys(candidate.label.common_name for candidate in near))
        return f"{' and '.join(question.species)} was among the five best of no window; these were: {names}."
    if question.end > now - _FRESH:
        return _NOT_YET
    rested = _rested(database, question)
    if rested == 1.0:
        return "It was not listened to: that was outside of the listening hours (`listening` in the config)."
    days = question.trace_days
    kept_since = traces.oldest(database)
    is_old = question.end < now - timedelta(days=_USUAL_TRACE_DAYS if days is None else days)
    if is_old and (kept_since is None or question.end < kept_since):
        kept = "" if days is None else f" of {days:g} days"
        return f"No candidate is kept from then; store.trace_days{kept} in the config says how long they are."
    perhaps = ", or it was outside of the listening hours" if rested else ""
    return f"There was no candidate: nothing there resembled any species (a score of 0.1 or more){perhaps}."


def _rested(database: Database, question: Question) -> float:
    """The share of what was captured in the hours around that lay outside of the listening hours, 0 to 1."""
    first_hour = question.start.replace(minute=0, second=0, microsecond=0)
    captured = rested = 0.0
    for entry in ledger.between(database, first_hour, question.end):
        if not question.sources or entry.source in question.sources:
            captured += entry.seconds if entry.kind == "captured" else 0.0
            rested += entry.seconds if (entry.kind, entry.cause) == ("skipped", RESTING) else 0.0
    # A few seconds are captured and not skipped yet.
    return 1.0 if rested and captured - rested < _REST_SECONDS else rested / captured if captured else 0.0

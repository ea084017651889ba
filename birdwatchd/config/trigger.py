"""What every action has in the config: when it acts, how often, and how long it may take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from birdwatchd.config.kinds import Name, Numeric, Score, SomeText, TimeSpan
from birdwatchd.config.strict import Strict

if TYPE_CHECKING:
    from collections.abc import Iterator


class When(Strict):
    """All of what is written here has to be true of a detection for the action to act."""

    species: tuple[SomeText, ...] = ()
    """Any of these; scientific or common names, `*` stands for anything. Every species when empty."""
    not_species: tuple[SomeText, ...] = ()
    """None of these."""
    min_score: Score = 0.0
    """Pooled score."""
    sources: tuple[Name, ...] = ()
    """Heard by one of these. Any source when empty."""
    times: tuple[TimeSpan, ...] = ()
    """Begun in one of these spans, in the station's zone: clock times, or dawn, sunrise, noon, sunset and dusk with an offset. Sun times need a `location`."""
    quiet: tuple[TimeSpan, ...] = ()
    """Begun in none of these spans, written like `times`: quiet hours."""
    first: Literal["of_day", "of_season", "ever"] | None = None
    """Only the first of its species: today, since the season began (March, June, September, December), or at all."""
    at_most_per_hour: Annotated[int, Field(ge=1), Numeric] | None = None
    """So many deliveries in any 60 minutes, all species together."""


class ActionConfig(Strict):
    """What all actions have."""

    name: Name
    """Names it in rows and commands; once chosen, keep it."""
    kind: str
    """Which plugin (`birdwatchd actions list`)."""
    enabled: bool = True
    """Off keeps its settings and does nothing."""
    on: Literal["started", "ended"] = "started"
    """Act as soon as a species is heard, or when its detection has ended, with its true end and final score."""
    when: When = When.as_it_is()
    """Which detections it acts on."""
    cooldown_seconds: Annotated[float, Field(ge=0), Numeric] = 0.0
    """After it acted on a species, it leaves that species alone for so long."""
    overall_cooldown_seconds: Annotated[float, Field(ge=0), Numeric] = 0.0
    """After it acted at all, it rests for so long."""
    timeout_seconds: Annotated[float, Field(gt=0, le=3600), Numeric] = 30.0
    """So long one delivery may take; then it is left behind and counts as failed."""
    max_age_seconds: Annotated[float, Field(gt=0), Numeric] | None = None
    """A delivery older than this is worth nothing any more. Each kind of action has its own default."""
    max_waiting: Annotated[int, Field(ge=1), Numeric] = 100_000
    """So many deliveries may wait for it; the oldest give way."""

    @property
    def states(self) -> frozenset[str]:
        """The states of a detection that it acts on. One that also tells of the end says so here."""
        return frozenset({self.on})

    def warnings(self) -> Iterator[str]:
        """What `birdwatchd check` should tell: a sentence for each thing on this machine that would keep it from acting."""
        yield from ()

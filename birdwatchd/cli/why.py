"""`birdwatchd why`: it was listening, so why was that not reported?"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from birdwatchd.cli.balance import balance_of, show_share
from birdwatchd.cli.screen import open_screen, show_length
from birdwatchd.cli.station import Station, find_station, station_options
from birdwatchd.cli.times import parse_moment, parse_seconds, show_clock, show_time

if TYPE_CHECKING:
    from pathlib import Path

    from birdwatchd.domain import Candidate, Detection
    from birdwatchd.store.database import Database

_FRESH = timedelta(seconds=60)
"""Candidates are written every half minute: what is younger may still be on its way."""
_LONGEST = timedelta(hours=1)
"""No detection is longer."""
_HOUR = timedelta(hours=1)
_REST_SECONDS = 10.0
_SLACK_SECONDS = 0.5
_USUAL_TRACE_DAYS = 7.0
_NOT_YET = "Nothing is written down yet of that moment; it comes half a minute late, so ask again soon."


@dataclass(frozen=True, slots=True)
class _Question:
    station: Station
    start: datetime
    end: datetime
    species: tuple[str, ...]
    sources: tuple[str, ...]


@click.command(short_help="Why was it not reported? What stopped each candidate.")
@click.argument("moment", metavar="TIME")
@station_options
@click.option(
    "--species", multiple=True, metavar="NAME", help="Common or scientific name, * for anything; repeatable."
)
@click.option("--source", multiple=True, metavar="NAME", help="This source only; repeatable.")
@click.option(
    "--within", default="60s", show_default=True, metavar="LENGTH", help="So far before and after: 60s, 5m."
)
@click.option("--each", is_flag=True, help="Every window by itself, not summed up.")
def why(
    *,
    moment: str,
    config: Path | None,
    database: Path | None,
    species: tuple[str, ...],
    source: tuple[str, ...],
    within: str,
    each: bool,
) -> None:
    """Every candidate near that moment, and the gate that stopped it.

    A candidate is one of the five best labels of a window with a score of 0.1 or more. They are kept for a week
    (store.trace_days). Where there is none it says whether it was silent or not listening.

    \b
    Examples:
      birdwatchd why 07:42
      birdwatchd why "yesterday 21:15" --species "tawny owl" --within 5m
      birdwatchd why 2026-05-09T07:42:10 --source garden --each
    """
    station = find_station(config, database)
    now = datetime.now(UTC)
    at = parse_moment(moment, now, station.zone)
    reach = timedelta(seconds=parse_seconds(within))
    question = _Question(station, at - reach, at + reach, species, source)
    with station.open() as opened:
        click.echo(f"{show_time(at, station.zone)}, {show_length(reach.total_seconds())} before and after\n")
        near, asked = _candidates(opened, question)
        if asked:
            _show(asked, station, each=each)
            click.echo()
        heard = _listening(opened, question)
        lines = _reported(opened, question) + heard
        if not asked:
            lines.append(
                _nothing(opened, question, near, now) if heard or near else _absence(opened, question, now)
            )
        click.echo("\n".join(lines))


def _candidates(database: Database, question: _Question) -> tuple[list[Candidate], list[Candidate]]:
    """All candidates of the sources asked for, and those of the species asked for."""
    from birdwatchd.config.species import matches
    from birdwatchd.store.traces import between

    near = [
        candidate
        for candidate in between(database, question.start, question.end)
        if not question.sources or candidate.source in question.sources
    ]
    patterns = question.species or ("*",)
    return near, [one for one in near if any(matches(pattern, one.label) for pattern in patterns)]


def _show(candidates: list[Candidate], station: Station, *, each: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    groups: dict[tuple[object, ...], list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        key = (candidate.source, candidate.label.scientific_name, candidate.gate)
        groups[(*key, candidate.start) if each else key].append(candidate)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("Time", "Source"):
        table.add_column(name, no_wrap=True)
    table.add_column("Species")
    for name in ("Windows", "Score", "Needs"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("What became of it")
    for group in groups.values():
        first, last, best = group[0], group[-1], max(group, key=lambda one: one.score)
        when = show_clock(first.start, station.zone)
        if last is not first:
            when += f"-{show_clock(last.start, station.zone)}"
        table.add_row(
            when,
            first.source,
            best.label.common_name or best.label.scientific_name,
            str(len(group)),
            f"{best.score:.2f}",
            f"{best.threshold:.2f}",
            Text("reported", "green")
            if best.gate == "detection"
            else Text(f"{best.gate}: {best.reason}", "yellow"),
        )
    open_screen().print(table)


def _reported(database: Database, question: _Question) -> list[str]:
    from birdwatchd.store.detections import Choice, find

    choice = Choice(
        species=question.species,
        since=question.start - _LONGEST,
        until=question.end,
        sources=question.sources,
    )
    return [_sentence(one, question.station) for one in find(database, choice) if one.end >= question.start]


def _sentence(one: Detection, station: Station) -> str:
    when = f"{show_clock(one.start, station.zone)} to {show_clock(one.end, station.zone)}"
    voice = ", while a person spoke" if one.voice else ""
    return f"Reported: {one.label.common_name} in {one.source}, {when}, score {one.score:.2f}{voice}."


def _listening(database: Database, question: _Question) -> list[str]:
    """What the ledger says of the hours around."""
    from birdwatchd.store.ledger import between

    zone = question.station.zone
    first_hour = question.start.replace(minute=0, second=0, microsecond=0)
    entries = [
        entry
        for entry in between(database, first_hour, question.end)
        if not question.sources or entry.source in question.sources
    ]
    lines = []
    for (hour, source), balance in balance_of(entries, "hour", zone).items():
        parts = [f"heard {show_share(balance)} of {show_length(balance.expected)}"]
        for verb, causes in (("lost", balance.lost), ("skipped", balance.skipped)):
            parts += [
                f"{verb} {show_length(s)} ({cause})" for cause, s in causes.items() if s > _SLACK_SECONDS
            ]
        lines.append(f"{source}, the hour from {show_time(hour, zone)}: {', '.join(parts)}.")
    return lines


def _absence(database: Database, question: _Question, now: datetime) -> str:
    """The ledger has nothing for that hour: was there a run at all?"""
    from birdwatchd.store.runs import after, before

    if question.start > now:
        return "That moment is still to come."
    last, following = before(database, question.end), after(database, question.end)
    if last is not None and last.seen >= question.start:
        if question.end > now - _FRESH:
            return _NOT_YET
        return "birdwatchd ran then, but none of its sources was of that time; `birdwatchd ledger` shows which it has."
    parts = []
    if last is not None:
        how = "ended" if last.ended else "died, last seen"
        parts.append(f"the run before {how} at {show_time(last.seen, question.station.zone)}")
    if following is not None:
        parts.append(f"the next began at {show_time(following.started, question.station.zone)}")
    return f"birdwatchd was not listening then{': ' + ', '.join(parts) if parts else ''}."


def _nothing(database: Database, question: _Question, near: list[Candidate], now: datetime) -> str:
    """What it may mean that there is no candidate."""
    from birdwatchd.store.traces import oldest

    if near:
        names = ", ".join(dict.fromkeys(candidate.label.common_name for candidate in near))
        return f"{' and '.join(question.species)} was among the five best of no window; these were: {names}."
    if question.end > now - _FRESH:
        return _NOT_YET
    rested = _rested(database, question)
    if rested == 1.0:
        return "It was not listened to: that was outside of the listening hours (`listening` in the config)."
    days = question.station.trace_days
    kept_since = oldest(database)
    is_old = question.end < now - timedelta(days=_USUAL_TRACE_DAYS if days is None else days)
    if is_old and (kept_since is None or question.end < kept_since):
        kept = "" if days is None else f" of {days:g} days"
        return f"No candidate is kept from then; store.trace_days{kept} in the config says how long they are."
    perhaps = ", or it was outside of the listening hours" if rested else ""
    return f"There was no candidate: nothing there resembled any species (a score of 0.1 or more){perhaps}."


def _rested(database: Database, question: _Question) -> float:
    """The share of what was captured in the hours around that lay outside of the listening hours, 0 to 1."""
    from birdwatchd.listening_hours import RESTING
    from birdwatchd.store.ledger import between

    first_hour = question.start.replace(minute=0, second=0, microsecond=0)
    captured = rested = 0.0
    for entry in between(database, first_hour, question.end):
        if not question.sources or entry.source in question.sources:
            captured += entry.seconds if entry.kind == "captured" else 0.0
            rested += entry.seconds if (entry.kind, entry.cause) == ("skipped", RESTING) else 0.0
    # A few seconds are captured and not skipped yet.
    return 1.0 if rested and captured - rested < _REST_SECONDS else rested / captured if captured else 0.0

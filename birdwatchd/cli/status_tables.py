"""What `birdwatchd status` shows: a word on how it is, then a table for each part."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from birdwatchd.times import show_length

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import tzinfo

    from rich.console import RenderableType

_COLOURS = {"listening": "green", "resting": "cyan", "finished": "dim", "away": "red"}
_DAY_SECONDS = 86400
_HOUR_SECONDS = 3600
_LATE_SECONDS = 10.0
_SLACK_SECONDS = 0.5
_QUIET_DBFS = -150.0


def draw(said: Mapping[str, Any], zone: tzinfo | None) -> RenderableType:
    """The whole of it. Times are shown in `zone`; the machine's own when None."""
    parts = [_head(said, zone), _sources(said, zone)]
    if said["actions"]:
        parts.append(_actions(said))
    return Group(*(part for one in [*parts, _schedule(said, zone), _rest(said)] for part in (one, "")))


def _head(said: Mapping[str, Any], zone: tzinfo | None) -> RenderableType:
    wrong = [Text(f"  {one}", "red") for one in said["faults"]]
    wrong += [Text(f"  {one}", "yellow") for one in said["warnings"]]
    node = said["node"]
    well = (
        Text(f"{node}: something is wrong", "bold red")
        if wrong
        else Text(f"{node}: all is well", "bold green")
    )
    model, process = said["model"], said["process"]
    up = _span(said["uptime_seconds"])
    return Group(
        well,
        *wrong,
        Text(
            f"birdwatchd {said['version']}, process {process['pid']}, up {up} (since {_time(said['started'], zone)}), "
            f"with {said['config']}",
            "dim",
        ),
        Text(f"{model['name']} on {model['device']}{_pace(said)}", "dim"),
    )


def _pace(said: Mapping[str, Any]) -> str:
    model = said["model"]
    if not model["segments"]:
        return ""
    each = model["seconds"] / model["segments"] * 1000
    share = model["seconds"] / max(1.0, said["uptime_seconds"])
    return f", {each:.0f} ms for each segment, at work {share:.0%} of the time"


def _table(title: str, *columns: str, right: str = "-") -> Table:
    table = Table(
        box=None, pad_edge=False, header_style="bold", title=title, title_justify="left", title_style="bold"
    )
    for column in columns:
        table.add_column(column, justify="right" if column in right.split(",") else "left", overflow="fold")
    return table


def _sources(said: Mapping[str, Any], zone: tzinfo | None) -> Table:
    table = _table(
        "Sources",
        "",
        "State",
        "dBFS",
        "Behind",
        "Detections",
        "Heard today",
        "Analysed",
        "Lost or skipped today",
        right="dBFS,Behind,Detections,Heard today,Analysed",
    )
    for source in said["sources"]:
        level, age = source["level_dbfs"], source["last_block_age_seconds"]
        late = age > _LATE_SECONDS and source["state"] != "finished"
        today = source["today"]
        table.add_row(
            source["name"],
            _state(source, zone),
            "silence" if level < _QUIET_DBFS else f"{level:.0f}",
            Text(f"{_span(age)} old", "red") if late else f"{source['behind_seconds']:.1f} s",
            str(source["detections"]),
            "-" if today is None else _share(today),
            "-" if today is None else show_length(today["analysed"]),
            "unknown, as the database cannot be read" if today is None else _causes(today),
        )
    return table


def _state(source: Mapping[str, Any], zone: tzinfo | None) -> Text:
    state, hours = source["state"], source["hours"]
    words: str = state
    if hours is not None and hours["until"] is not None and state in ("listening", "resting"):
        words = f"{state} until {_time(hours['until'], zone, seconds=False)}"
    return Text(f"away: {source['fault']}" if state == "away" else words, _COLOURS[state])


def _share(today: Mapping[str, Any]) -> Text:
    expected = today["expected"]
    if expected <= 0:
        return Text("-", "dim")
    missing = expected - today["captured"]
    if missing <= _SLACK_SECONDS:
        return Text("100 %", "green")
    # Rounded down: 100 % is said of nothing that has a hole.
    return Text(f"{math.floor(today['captured'] / expected * 1000) / 10:.1f} %", "yellow")


def _causes(today: Mapping[str, Any]) -> Text:
    lines = [
        Text(f"{kind} {show_length(seconds)} {cause}", colour)
        for kind, colour in (("lost", "red"), ("skipped", "dim"))
        for cause, seconds in today[kind].items()
        if seconds > _SLACK_SECONDS
    ]
    return Text("\n").join(lines)


def _actions(said: Mapping[str, Any]) -> Table:
    table = _table(
        "Actions", "", "Kind", "Waiting", "Done", "Given up", "State", right="Waiting,Done,Given up"
    )
    for action in said["actions"]:
        settled = action["settled"]
        gave_up = sum(count for status, count in settled.items() if status != "done")
        waiting = action["waiting"]
        table.add_row(
            action["name"],
            action["kind"],
            "-" if waiting is None else Text(str(waiting), "yellow" if action["trouble"] else ""),
            str(settled.get("done", 0)),
            Text(str(gave_up), "red" if gave_up else ""),
            Text(action["trouble"], "yellow") if action["trouble"] else Text("well", "green"),
        )
    return table


def _schedule(said: Mapping[str, Any], zone: tzinfo | None) -> Table:
    table = _table("Schedule", "", "How often", "Next", "Last", "Came to")
    for job in said["schedule"]:
        outcome = job["outcome"]
        took = f" in {job['seconds']:.1f} s" if job["seconds"] >= _SLACK_SECONDS else ""
        table.add_row(
            job["name"],
            job["how_often"],
            _time(job["next"], zone),
            _time(job["last"], zone),
            Text(f"{outcome}{took}", "red" if outcome not in ("", "done", "at work") else ""),
        )
    return table


def _rest(said: Mapping[str, Any]) -> Table:
    table = _table("Machine", "", "")
    table.show_header = False
    for name, words in _facts(said):
        table.add_row(name, words)
    return table


def _facts(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    store, clock, process = said["store"], said["clock"], said["process"]
    yield "database", f"{store['database']}, {_bytes(store['database_bytes'])}"
    if store["pending"]:
        yield "", f"{store['pending']} detections wait in memory until it can be written"
    yield "disk", f"{_bytes(store['free_bytes'])} free, clips take {_bytes(store['clips_bytes'])}"
    written, up = store["written_bytes"], said["uptime_seconds"]
    if written is not None:
        daily = f", {_bytes(written / up * _DAY_SECONDS)} a day" if up >= _HOUR_SECONDS else ""
        yield "written", f"{_bytes(written)} in this run{daily}"
    synchronised = {
        True: "synchronised",
        False: "not synchronised",
        None: "nobody says whether it is synchronised",
    }
    steps = f", set {clock['steps']} times in this run" if clock["steps"] else ""
    yield "clock", f"{synchronised[clock['synchronised']]}{steps}, zone {clock['zone']}"
    busy = process["cpu_seconds"] / max(1.0, up)
    held = f"{process['threads']} threads, {process['descriptors'] or '?'} files"
    yield "process", f"{_bytes(process['memory_bytes'])} of memory, {held}, {busy:.0%} of a processor"


def _time(moment: str | None, zone: tzinfo | None, *, seconds: bool = True) -> str:
    """Today only the clock, else the day too."""
    if moment is None:
        return ""
    local = datetime.fromisoformat(moment).astimezone(zone)
    clock = f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
    is_today = local.date() == datetime.now(UTC).astimezone(zone).date()
    return clock if is_today else f"{local:%Y-%m-%d} {clock}"


def _span(seconds: float) -> str:
    days = int(seconds // _DAY_SECONDS)
    rest = show_length(seconds - days * _DAY_SECONDS)
    return f"{days} day{'s' * (days > 1)} {rest}" if days else rest


def _bytes(count: float | None) -> str:
    if count is None:
        return "?"
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} bytes"

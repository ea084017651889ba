"""Where one can go: the entries of the navigation, in their order."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A link of the navigation; `icon` is a symbol of static/icons.svg."""

    path: str
    title: str
    icon: str
    first: bool = True
    """On a phone: in the bar itself, and not behind `More`."""


ENTRIES = (
    Entry("/", "Now", "now"),
    Entry("/today", "Today", "today"),
    Entry("/season", "Season", "season"),
    Entry("/review", "Review", "review"),
    Entry("/why", "Why not?", "why", first=False),
    Entry("/sources", "Sources", "sources", first=False),
    Entry("/settings", "Settings", "settings", first=False),
    Entry("/api", "API", "api", first=False),
)

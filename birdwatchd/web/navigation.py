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
    within: tuple[str, ...] = ()
    """Where the addresses begin of the pages that belong to it."""

    def current(self, here: str) -> str:
        """What `aria-current` says of it on the page at `here`: `page`, `true` on one that belongs to it, or nothing."""
        if here == self.path:
            return "page"
        return "true" if here.startswith(self.within) else ""


ENTRIES = (
    Entry("/", "Now", "now"),
    Entry("/today", "Today", "today", within=("/day/",)),
    Entry("/season", "Season", "season", within=("/season/", "/calendar", "/firsts", "/species")),
    Entry("/review", "Review", "review"),
    Entry("/figures", "Figures", "figures", first=False),
    Entry("/why", "Why not?", "why", first=False),
    Entry("/sources", "Sources", "sources", first=False),
    Entry("/settings", "Settings", "settings", first=False),
    Entry("/api", "API", "api", first=False),
)

"""One thing that is wrong in a config file, and how many of them become one error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from birdwatchd.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

KeyPath = tuple[str | int, ...]
"""Where a setting stands: `("sources", 0, "name")`."""

MOST_SHOWN = 50


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """A line of the file, counted from 1 (0: no line of it), the setting there, and what is wrong with it."""

    line: int
    setting: str
    sentence: str


def spelt(path: KeyPath) -> str:
    """The key path as people write it: `sources[0].name`."""
    words = ""
    for step in path:
        words += f"[{step}]" if isinstance(step, int) else f"{'.' if words else ''}{printable(step)}"
    return words


def printable(text: str) -> str:
    """The text as it may go to a terminal: one line, no control characters, at most 60 characters."""
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= 60 else text[:57] + "…"  # noqa: PLR2004 - the docstring says it


def config_error(path: Path, mistakes: Iterable[Mistake]) -> ConfigError:
    """The error whose message has a line for each mistake, in the order of the file."""
    ordered = sorted(set(mistakes))
    lines = []
    for mistake in ordered[:MOST_SHOWN]:
        place = f"{path}:{mistake.line}" if mistake.line else f"{path}"
        lines.append(": ".join(filter(None, (place, mistake.setting, mistake.sentence))))
    if len(ordered) > 1:
        lines.insert(0, f"{path} has {len(ordered)} mistakes:")
    if len(ordered) > MOST_SHOWN:
        lines.append(f"… and {len(ordered) - MOST_SHOWN} more")
    return ConfigError("\n".join(lines))

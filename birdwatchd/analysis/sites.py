"""Where each recorder stood: `sites.csv`, or one place for all."""

from __future__ import annotations

import csv
import difflib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, available_timezones

from birdwatchd.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

REQUIRED = ("folder", "latitude", "longitude", "timezone")
OPTIONAL = ("site",)


@dataclass(frozen=True, slots=True)
class Site:
    """A place. Degrees north and east; None where it is not known."""

    name: str = ""
    latitude: float | None = None
    longitude: float | None = None
    timezone: str | None = None
    """IANA name; the machine's own zone when None."""

    @property
    def zone(self) -> ZoneInfo | None:
        """What local times mean here."""
        return None if self.timezone is None else ZoneInfo(self.timezone)


class Sites:
    """Finds the site of a file: that of the innermost folder that is listed."""

    def __init__(self, folders: Mapping[Path, Site], elsewhere: Site) -> None:
        """`folders` are resolved paths; files in none of them belong to `elsewhere`."""
        self._folders = folders
        self._elsewhere = elsewhere

    def of(self, path: Path) -> Site:
        """Where the recording `path` was made."""
        for folder in path.resolve().parents:
            if folder in self._folders:
                return self._folders[folder]
        return self._elsewhere


def check_timezone(name: str) -> str:
    """What is wrong with the name of a zone, and what may be meant; empty when it is right."""
    if name in available_timezones():
        return ""
    close = difflib.get_close_matches(name, available_timezones(), n=1)
    hint = f"did you mean {close[0]}?" if close else "use an IANA name such as Europe/Berlin"
    return f"no timezone {name!r} ({hint})"


def read_sites(path: Path, roots: Sequence[Path], elsewhere: Site) -> Sites:
    """Read `sites.csv`: folder, latitude, longitude, timezone, and if you like site (else the folder is its name).

    A folder is looked for beside the file, and in the `roots` that are analysed.

    Raises:
        ConfigError: the file cannot be read, or has mistakes: all of them, a line each.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            f"{path} cannot be read ({reason}): give a CSV file with {', '.join(REQUIRED)}"
        ) from error
    # Spreadsheets write the separator of their country.
    head = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=max(",;\t", key=head.count))
    try:
        mistakes = _columns(reader.fieldnames or (), path)
    except csv.Error as error:
        mistakes = [f"{path}:1: {error} (the first line names the columns: {', '.join(REQUIRED)})"]
    folders: dict[Path, Site] = {}
    if not mistakes:
        try:
            for row in reader:
                where = f"{path}:{reader.line_num}"
                mistakes += [
                    f"{where}: {what}" for what in _add(row, [path.parent, *roots], elsewhere, folders)
                ]
        except csv.Error as error:
            mistakes.append(
                f"{path}:{reader.line_num + 1}: {error} (a quote that opens there is not closed?)"
            )
        if not folders and not mistakes:
            mistakes = [f"{path}:1: no sites (add a line for each recorder)"]
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return Sites(folders, elsewhere)


def _columns(names: Iterable[str | None], path: Path) -> list[str]:
    known = {(name or "").strip() for name in names}
    absent = [name for name in REQUIRED if name not in known]
    strange = sorted(known - {*REQUIRED, *OPTIONAL, ""})
    if not absent:
        return []
    hint = f"; it has {', '.join(strange)}" if strange else ""
    return [
        f"{path}:1: no column {', '.join(absent)} (the first line names the columns: {', '.join(REQUIRED)}{hint})"
    ]


def _add(
    row: Mapping[str, Any], parents: Sequence[Path], elsewhere: Site, folders: dict[Path, Site]
) -> list[str]:
    """Add the site of one line to `folders`, or tell what is wrong with the line."""
    words = {key.strip(): value.strip() for key, value in row.items() if key and isinstance(value, str)}
    mistakes: list[str] = []
    name = words.get("folder", "")
    folder = next((found for parent in parents if (found := _folder(parent / name))), None)
    if not name or folder is None:
        mistakes.append(_no_folder(name, parents))
    elif folder in folders:
        mistakes.append(f"folder {name!r} is listed twice (keep one of the lines)")
    latitude = _degrees(words, "latitude", 90, mistakes)
    longitude = _degrees(words, "longitude", 180, mistakes)
    timezone = words.get("timezone") or elsewhere.timezone
    if timezone and (wrong := check_timezone(timezone)):
        mistakes.append(wrong)
    if folder is not None and not mistakes:
        folders[folder] = Site(words.get("site") or name, latitude, longitude, timezone)
    return mistakes


def _folder(path: Path) -> Path | None:
    try:
        return path.resolve() if path.is_dir() else None
    except (OSError, ValueError):  # no name that any file system takes
        return None


def _no_folder(name: str, parents: Sequence[Path]) -> str:
    if not name:
        return "no folder (name the folder of one recorder)"
    known = [
        child.name for parent in parents if parent.is_dir() for child in parent.iterdir() if child.is_dir()
    ]
    close = difflib.get_close_matches(name, known, n=1)
    hint = (
        f"did you mean {close[0]}?" if close else "it is looked for beside this file and in what is analysed"
    )
    return f"no folder {name!r} ({hint})"


def _degrees(words: Mapping[str, str], column: str, most: float, mistakes: list[str]) -> float | None:
    try:
        degrees = float(words.get(column, ""))
    except ValueError:
        mistakes.append(f"{column} {words.get(column, '')!r} is not a number (degrees, such as 52.52)")
        return None
    if not abs(degrees) <= most:
        mistakes.append(f"{column} {degrees:g} is not on Earth (-{most:g} to {most:g})")
    return degrees

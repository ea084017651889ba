"""How a detection's files are named: a template, checked when the config is loaded, filled in at a detection's birth.

Whatever a label is called, the name stays below the folder, fits every common file system, and differs from all others.
"""

from __future__ import annotations

import re
import string
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from birdwatchd.domain import Label

DEFAULT = "{start:%Y/%m/%d}/{common}_{start:%H-%M-%S}_{source}_{id:.8}"
FIELDS = ("common", "scientific", "code", "source", "start", "id")
START_SIGNS = "YmdHMSfjybBaAupIVGz"
"""What may follow a % in the format of `start`: parts of a date or a time."""
LONGEST = "x" * 12
"""Nothing that strftime puts there is longer."""
MOST_BYTES = 200
"""Of one folder or file name; file systems take 255, and suffixes come behind."""
MOST_FOLDERS = 8
BOUNDS = (120, 60, 30, 12)
"""Bytes that a value is cut to, one after the other until the name is short enough."""
LEAST_ID = 6
"""Digits of the id that still tell two detections of one second apart."""
RESERVED = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{number}" for port in ("com", "lpt") for number in range(10)),
}
"""What Windows takes for a device, whatever suffix follows: clips are copied to sticks and shares."""


@dataclass(frozen=True, slots=True)
class ClipName:
    """A template of the config, taken apart.

    `{common}`, `{scientific}` and `{code}` are the label's, `{source}` says where, `{start:…}` when (a format of
    strftime, in the station's zone), and `{id}` (or its first digits, `{id:.8}`) makes it one of a kind.
    """

    parts: tuple[tuple[str, str, str], ...]
    """(text, field, format), each text going before its field."""

    @classmethod
    def parse(cls, template: str) -> ClipName:
        """Take a template apart.

        Raises:
            ValueError: it names no file, or not always one of its own; the message says why.
        """
        try:
            parsed = list(string.Formatter().parse(template))
        except ValueError:
            raise ValueError("a { or } is left alone; write {{ or }} for the sign itself") from None
        parts = tuple(
            (text, _field(name, form or "", conversion), form or "")
            for text, name, form, conversion in parsed
        )
        if not any(name == "id" for _, name, _ in parts):
            raise ValueError(
                "it must hold {id}, or {id:.8} for its first digits, so that no two names are the same"
            )
        _check_path(
            "".join(
                text + (_literal(form) if name == "start" else "x" * bool(name)) for text, name, form in parts
            )
        )
        name = cls(parts)
        if name._rendered(dict.fromkeys(FIELDS, "x" * BOUNDS[-1]), None, BOUNDS[-1]) is None:
            raise ValueError(f"a part of it is longer than {MOST_BYTES} bytes")
        return name

    def render(
        self, *, label: Label, source: str, start: datetime, identity: str, zone: tzinfo | None
    ) -> str:
        """The path below the clips folder, without a suffix. `zone` is the station's, None the machine's own."""
        values = {
            "common": label.common_name,
            "scientific": label.scientific_name,
            "code": label.code or "unknown",
            "source": source,
            "id": identity,
        }
        local = start.astimezone(zone)
        for bound in BOUNDS:
            path = self._rendered(values, local, bound)
            if path is not None:
                return path
        raise AssertionError("parse has seen to it that the shortest fits")

    def _rendered(self, values: dict[str, str], start: datetime | None, bound: int) -> str | None:
        """The path with values of at most `bound` bytes; None when a part of it is still too long."""
        said = []
        for text, name, form in self.parts:
            said.append(text)
            if name == "start":
                said.append(start.strftime(form) if start is not None else _literal(form))
            elif name:
                value = format(values[name], form) if form else values[name]
                said.append(_cut(_plain(value), bound) or "unknown")
        names = [_safe(part) for part in "".join(said).split("/")]
        return None if any(len(name.encode()) > MOST_BYTES for name in names) else "/".join(names)


def _field(name: str | None, form: str, conversion: str | None) -> str:
    """The name of a field that may stand in a template; empty where there is none."""
    if name is None:
        return ""
    if name not in FIELDS:
        from birdwatchd.config.place import choice

        raise ValueError(f"it knows no {{{name}}}; there are {choice([f'{{{one}}}' for one in FIELDS])}")
    if conversion:
        raise ValueError(f"write {{{name}}} without !{conversion}")
    if name == "start":
        signs = form.replace("%%", "").split("%")[1:]
        if not signs or not all(sign[:1] and sign[0] in START_SIGNS for sign in signs):
            raise ValueError("a {start} needs a format such as {start:%Y-%m-%d_%H-%M-%S}")
    elif form and not (
        name == "id" and form[:1] == "." and form[1:].isdecimal() and int(form[1:]) >= LEAST_ID
    ):
        raise ValueError(f"{{{name}:{form}}} is not known; only {{start:…}} and {{id:.8}} have a format")
    return name


def _literal(form: str) -> str:
    """A format of `start` with its longest values."""
    return "".join(LONGEST if sign.startswith("%") else sign for sign in re.findall("%.|[^%]", form))


def _check_path(path: str) -> None:
    names = path.split("/")
    if "\\" in path or any(unicodedata.category(sign)[0] == "C" for sign in path):
        raise ValueError("it holds a sign that no file name should")
    if any(name.strip(" .") == "" for name in names):
        raise ValueError("it is a path below the clips folder: no / at its ends, no //, no . or ..")
    if len(names) > MOST_FOLDERS:
        raise ValueError(f"it has more than {MOST_FOLDERS} folders")


def _plain(value: str) -> str:
    """Letters, digits, `.`, `-` and `_` of every language; anything else is `_`."""
    composed = unicodedata.normalize("NFC", value)
    return "".join(sign if _is_plain(sign) else "_" for sign in composed).strip("._-")


def _is_plain(sign: str) -> bool:
    return sign in "._-" or unicodedata.category(sign)[0] in "LMN"


def _cut(value: str, most: int) -> str:
    return value.encode()[:most].decode(errors="ignore")


def _safe(name: str) -> str:
    """One folder or file name that every file system takes."""
    clean = "".join(sign if _is_plain(sign) or sign in " +=,()[]@#" else "_" for sign in name)
    clean = unicodedata.normalize("NFC", clean).strip(" .") or "_"
    return f"_{clean}" if clean.partition(".")[0].casefold() in RESERVED else clean

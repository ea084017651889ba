"""What pydantic finds wrong with a config, said for the person who wrote it.

No sentence holds a value from the environment: values are shown as they stand in the file.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from birdwatchd.config.address import shown
from birdwatchd.config.kinds import SAID
from birdwatchd.config.mistake import KeyPath, printable, spelt
from birdwatchd.config.place import Kind, Place, choice, place
from birdwatchd.config.schema import Config

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic import BaseModel, ValidationError

    from birdwatchd.config.document import Document, Part

SAID_BY_PLUGIN = {"value_error", "assertion_error"}
"""What a third party's validators raise."""
OUT_OF_RANGE = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}


@dataclass(frozen=True, slots=True)
class Fault:
    """One of pydantic's errors: where, its type, and what a refusal of `kinds.py` says."""

    place: Place
    type: str
    takes: str
    hint: str


def complaints(
    error: ValidationError, document: Document, root: type[BaseModel] = Config, above: KeyPath = ()
) -> dict[KeyPath, str]:
    """One sentence for each setting that is wrong. `root` is the section that was validated, `above` where it stands."""
    grouped: dict[KeyPath, list[Fault]] = {}
    for found in error.errors(include_url=False, include_input=False):
        spot, context = place(found["loc"], root), found.get("ctx", {})
        spot = replace(spot, path=(*above, *spot.path))
        if found["type"].startswith("union_tag") and spot.kind is not None:
            # The section is there, and its discriminator is wrong, one step further down.
            spot = replace(spot, path=(*spot.path, str(spot.kind.discriminator)))
        takes = str(context.get("error" if found["type"] in SAID_BY_PLUGIN else "takes", ""))
        fault = Fault(spot, found["type"], takes, str(context.get("hint", "")))
        grouped.setdefault(spot.path, []).append(fault)
    return {
        path: _sentence(faults, document, root)
        for path, faults in grouped.items()
        if not _follows(faults, document.find(path)[1])
    }


def near(word: str, words: Iterable[str]) -> str:
    """The one of the words that is most like this one, empty when none is."""
    from difflib import get_close_matches

    by_case = {one.casefold(): one for one in words}
    begun = [one for one in by_case if len(word) > 1 and one.startswith(word.casefold())]
    found = get_close_matches(word.casefold(), by_case, n=1) or begun
    return by_case[found[0]] if found else ""


def _follows(faults: list[Fault], part: Part | None) -> bool:
    """Whether it only follows from other mistakes: to pydantic a list is too short when its items are wrong."""
    return part is not None and bool(part.children) and {fault.type for fault in faults} == {"too_short"}


def _sentence(faults: list[Fault], document: Document, root: type[BaseModel]) -> str:
    spot, types = faults[0].place, {fault.type for fault in faults}
    _, part = document.find(spot.path)
    kind = spot.kind
    if kind is None:
        return _unknown(spot, root)
    if part is None or "missing" in types:
        return f"is missing; it takes {choice(list(kind.models)) if kind.models else kind.words}"
    if "too_short" in types:
        return "is empty; it takes one or more"
    if "union_tag_invalid" in types:
        kinds = list(kind.models)
        return f"must be {choice(kinds)}{_given(kind, part)}{_meant(part, kinds)}"
    if types & SAID_BY_PLUGIN:
        return next(fault.takes for fault in faults if fault.type in SAID_BY_PLUGIN)
    said = next((fault for fault in faults if fault.type == SAID), None)
    if said is not None and len(kind.members) == 1:
        return f"must be {said.takes}{_given(kind, part)}{'; ' * bool(said.hint)}{said.hint}"
    takes = kind.bounds if types <= OUT_OF_RANGE and kind.bounds else kind.words
    meant = _meant(part, kind.choices) or _meant_number(kind, part, spot.path)
    return f"must be {takes}{_given(kind, part)}{meant}{_read_otherwise(kind, part)}"


def _unknown(spot: Place, root: type[BaseModel]) -> str:
    word = str(spot.path[-1])
    close = near(word, spot.section.model_fields)
    if close:
        return f"unknown setting; did you mean {close}?"
    elsewhere = [spelt(path) for path in _settings(root) if path[-1] == word]
    if elsewhere:
        return f"unknown setting here; did you mean {choice(elsewhere)}?"
    return f"unknown setting; there are {', '.join(spot.section.model_fields)}"


def _settings(section: type[BaseModel], above: KeyPath = ()) -> Iterator[KeyPath]:
    """Every setting outside lists."""
    for name, field in section.model_fields.items():
        yield (*above, name)
        inner = Kind.of_field(field).model
        if inner is not None:
            yield from _settings(inner, (*above, name))


def _meant(part: Part, choices: Iterable[str]) -> str:
    close = near(part.written, choices) if isinstance(part.value, str) and part.value else ""
    return f"; did you mean {close}?" if close else ""


def _meant_number(kind: Kind, part: Part, path: KeyPath) -> str:
    """`65`, `65 %` and `0,65` for 0.65; degrees east where those north belong."""
    found = re.fullmatch(r"(-?\d+)(?:([.,])(\d+))?\s*(%?)", part.written) if kind.takes_number else None
    if found is None or part.children is not None:
        return ""
    whole, separator, decimals, percent = found.groups()
    number = float(f"{whole}.{decimals or 0}")
    if kind.bounds.endswith(" 1") and (percent or separator != ",") and 10 <= number <= 100:  # noqa: PLR2004 - per cent
        return f"; did you mean {number / 100:g}?"
    if path == ("location", "latitude") and 90 < abs(number) <= 180:  # noqa: PLR2004 - degrees
        return "; is it the longitude?"
    return f"; did you mean {number:g}?" if separator == "," else ""


def _given(kind: Kind, part: Part) -> str:
    """`, is …`: the value as it stands in the file, with `${NAME}` and not what the variable holds; of an address, what may be shown."""
    if part.children is not None:
        return ", is a list" if isinstance(part.children, list) else ", is a section of settings"
    if part.written == "" or part.value is None:
        return ", is empty"
    if kind.holds_secrets:
        return ""  # what stands where a secret belongs may be one
    text = printable(shown(part.written))
    return f", is {json.dumps(text, ensure_ascii=False) if part.quoted or ' ' in text else text}"


def _read_otherwise(kind: Kind, part: Part) -> str:
    """What to do where YAML takes a bare word for something else than what was meant."""
    value: Any = part.value
    text = printable(part.written)
    hidden = kind.holds_secrets or shown(part.written) != part.written
    if isinstance(part.children, dict) and kind.item is not None:
        return "; begin each item with `- `"
    if part.children is not None or value is None:
        return ""
    if isinstance(value, str):
        if kind.item is None:
            return ""
        return "; put it in [ ]" if hidden else f"; write [{text}]"
    if isinstance(value, bool):
        read_as = str(value).lower()
    elif isinstance(value, dt.date):
        read_as = "a date"
    elif ":" in text:
        read_as = f"the number {value}"
    else:
        read_as = "" if kind.takes_number else "a number"
    if not read_as or not (kind.takes_text or ":" in text):
        return ""
    if hidden:
        return "; put it in quotes, as YAML does not read it as text" if kind.takes_text else ""
    quotes = f'; put it in quotes: "{text}"' if kind.takes_text else ""
    return f", which YAML reads as {read_as}{quotes}"

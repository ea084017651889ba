"""`{species}` and its like: what a command's arguments, its environment and a message's text may say of a detection."""

from __future__ import annotations

from string import Formatter
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from birdwatchd.config.kinds import Takes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from birdwatchd.actions import Context
    from birdwatchd.domain import Detection

MEANINGS = {
    "species": "common name, in the language of the config",
    "scientific": "scientific name",
    "code": "eBird's species code, empty when unknown",
    "score": "pooled score, 0 to 1, such as 0.93",
    "percent": "the same in percent, such as 93",
    "start": "when it began, such as 2026-05-09T06:42:10.250+02:00",
    "end": "when it ended, or the end of what was heard so far",
    "date": "the day it began, such as 2026-05-09",
    "time": "when it began, such as 06:42:10",
    "state": "`started` or `ended`",
    "source": "name of the source that heard it",
    "site": "where that source listens, empty when the config does not say",
    "node": "the station's name",
    "id": "the detection's id, the same in the database and in all messages",
    "clip": "path of its files without their suffix; the sound is at `{clip}.flac`, pictures at `{clip}_1.jpg` …",
    "page_url": "address of the detection's page, empty when there is none that others can reach (docs/web.md)",
    "clip_url": "address of its sound there, which may be written only later; empty unless it will be kept",
    "count_today": "how often this species was heard today, this one included",
}
"""Every placeholder, and what it stands for. Times are the station's own."""


def meanings_of(detection: Detection, context: Context) -> dict[str, str]:
    """What each placeholder stands for, for this detection. No value holds a NUL: no program could be given one."""
    start = detection.start.astimezone(context.zone)
    end = detection.end.astimezone(context.zone)
    values = {
        "species": detection.label.common_name,
        "scientific": detection.label.scientific_name,
        "code": detection.label.code,
        "score": f"{detection.score:.2f}",
        "percent": f"{100 * detection.score:.0f}",
        "start": start.isoformat(timespec="milliseconds"),
        "end": end.isoformat(timespec="milliseconds"),
        "date": f"{start:%Y-%m-%d}",
        "time": f"{start:%H:%M:%S}",
        "state": detection.state,
        "source": detection.source,
        "site": detection.site,
        "node": context.node,
        "id": detection.id,
        "clip": str((context.clips_folder / detection.clip_path).absolute()) if detection.clip_path else "",
        "page_url": context.page_url,
        "clip_url": context.clip_url,
        "count_today": str(context.delivery.tally.count_today),
    }
    return {name: value.replace("\0", "") for name, value in values.items()}


def fill(template: str, values: Mapping[str, str]) -> str:
    """The text with its placeholders replaced; `{{` and `}}` stand for single braces."""
    return template.format_map(values)


def fill_argument(template: str, values: Mapping[str, str]) -> str:
    """The same for one argument of a program: a value cannot turn it into an option.

    Where the template does not begin with `-` itself, dashes that a value would bring to the front are left out.
    """
    filled = fill(template, values)
    return filled if template.startswith("-") else filled.lstrip("-")


def refuse_unknown(template: str, known: Mapping[str, str]) -> None:
    """Check a template.

    Raises:
        ValueError: it is not one, or asks for something that is not in `known`; the message is a sentence.
    """
    try:
        parts = list(Formatter().parse(template))
    except ValueError:
        raise ValueError(
            "has a `{` or `}` that belongs to no placeholder; write `{{` or `}}` for the character"
        ) from None
    for _, name, spec, conversion in parts:
        if name is not None and (name not in known or spec or conversion):
            raise ValueError(
                f"has a placeholder that is none; there are {', '.join(f'{{{one}}}' for one in known)}, "
                "and `{{` stands for the character `{`"
            )


def _template(text: str) -> str:
    refuse_unknown(text, MEANINGS)
    return text


Template = Annotated[
    str, Field(min_length=1, max_length=10_000), AfterValidator(_template), Takes("text with placeholders")
]
"""Text in which `{species}` and the other names in MEANINGS are replaced."""

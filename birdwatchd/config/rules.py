"""What settings owe to each other and to the model: a setting that can never have an effect is refused."""

from __future__ import annotations

import ipaddress
import math
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from birdwatchd.config.address import fault
from birdwatchd.config.span import parse_span
from birdwatchd.config.species import matches

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from birdwatchd.config.mistake import KeyPath
    from birdwatchd.config.schema import Config
    from birdwatchd.config.trigger import ActionConfig
    from birdwatchd.domain import Label


class Objection(NamedTuple):
    """A setting and what is wrong with it."""

    path: KeyPath
    sentence: str


def same_names(section: str, items: Any) -> Iterator[Objection]:
    """Sources (or actions) that have the name of one above them; `items` as the file has them, right or wrong."""
    seen: dict[str, int] = {}
    for index, item in enumerate(items if isinstance(items, list) else ()):
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str):
            continue
        first = seen.setdefault(name.casefold(), index)
        if first != index:
            yield Objection(
                (section, index, "name"), f"{section}[{first}] has this name already; each needs its own"
            )


def within(config: Config, wrote: Callable[[KeyPath], bool]) -> Iterator[Objection]:
    """What is wrong whatever the model."""
    window, hop = config.window_seconds, config.hop_seconds
    if hop > window:
        name = "hop_seconds" if wrote(("hop_seconds",)) else "window_seconds"
        yield Objection(
            (name,),
            f"windows of {window:g} s, one every {hop:g} s, would leave sound between them unheard; "
            f"hop_seconds may be at most window_seconds",
        )
    if config.model.precision == "half" and config.model.device == "cpu":
        yield Objection(("model", "precision"), "half is for CUDA, and model.device is cpu; write full")
    for index, source in enumerate(config.sources):
        if source.kind == "stream" and (wrong := fault(source.url.get_secret_value())):
            yield Objection(("sources", index, "url"), wrong)
    web = config.web
    if web is not None and not is_local(web.address) and web.password is None and not web.tokens:
        yield Objection(
            ("web", "address"),
            "everybody who can reach this address could see and hear the station: add web.password "
            "(`birdwatchd web password` makes it), or web.tokens for programs alone",
        )
    if web is not None and web.public_url is not None:
        path = urlsplit(web.public_url).path.rstrip("/")
        if path != web.prefix:
            yield Objection(
                ("web", "public_url"),
                f"its path has to be that of web.prefix, which is {web.prefix or 'left out'}: "
                f"links between the pages begin with it",
            )


def is_local(address: str) -> bool:
    """Whether only this machine can be meant."""
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address.casefold() == "localhost"


def triggers(
    actions: Iterable[tuple[int, ActionConfig]], sources: Collection[str] | None, *, has_location: bool
) -> Iterator[Objection]:
    """What can never come true in the `when` of actions, given with their places in the file.

    `sources` are the names of all sources, None when they are not known.
    """
    from birdwatchd.config.complaint import near

    for index, action in actions:
        when: KeyPath = ("actions", index, "when")
        for key in ("times", "quiet"):
            spans: Sequence[str] = getattr(action.when, key)
            yield from _sunless((*when, key), spans, has_location=has_location)
        for number, source in enumerate(action.when.sources):
            if sources is not None and source not in sources:
                close = near(source, sources)
                hint = f"; did you mean {close}?" if close else f"; there are {', '.join(sorted(sources))}"
                yield Objection((*when, "sources", number), f"there is no such source{hint}")


def listening(config: Config, *, has_location: bool) -> Iterator[Objection]:
    """Listening hours that cannot be told."""
    yield from _sunless(("listening",), config.listening, has_location=has_location)
    for index, source in enumerate(config.sources):
        yield from _sunless(
            ("sources", index, "listening"), source.listening or (), has_location=has_location
        )


def _sunless(path: KeyPath, spans: Sequence[str], *, has_location: bool) -> Iterator[Objection]:
    for number, span in enumerate(spans):
        if parse_span(span).needs_sun and not has_location:
            yield Objection((*path, number), "needs to know where the station stands; give a location")


def against_model(
    config: Config, wrote: Callable[[KeyPath], bool], segment_seconds: float, labels: Sequence[Label]
) -> Iterator[Objection]:
    """What can never fire with a model that takes `segment_seconds` of sound and knows these labels."""
    window, hop, min_hits = config.window_seconds, config.hop_seconds, config.deciding.min_hits
    if hop > segment_seconds:
        unsaid = "" if wrote(("hop_seconds",)) else " (the default)"
        yield Objection(
            ("hop_seconds",),
            f"{hop:g}{unsaid} is longer than the {segment_seconds:g} s that the model takes at once, "
            f"so sound between would go unheard; write at most {segment_seconds:g}",
        )
    if window < segment_seconds:
        unsaid = "" if wrote(("window_seconds",)) else " (the default)"
        yield Objection(
            ("window_seconds",),
            f"{window:g}{unsaid} is shorter than the {segment_seconds:g} s that the model takes at once; "
            f"write at least {segment_seconds:g}",
        )
    elif hop <= segment_seconds:
        # The sliver keeps 6 s in hops of 0.1 s from losing a segment to binary fractions.
        segments = math.floor((window - segment_seconds) / hop + 1e-6) + 1
        if min_hits > segments and wrote(("deciding", "min_hits")):
            yield Objection(
                ("deciding", "min_hits"),
                f"{min_hits} can never be reached, as a window of {window:g} s holds {segments} segment"
                f"{'s' * (segments > 1)} of {segment_seconds:g} s (one every {hop:g} s); write at most {segments}",
            )
    yield from _species(config, wrote, labels)


def _species(
    config: Config, wrote: Callable[[KeyPath], bool], labels: Sequence[Label]
) -> Iterator[Objection]:
    """Names that the model does not know, and wishes that other wishes undo."""
    deciding = config.deciding
    excluded = _named(deciding.exclude, labels)
    wanted = (
        _named(deciding.only, labels) if deciding.only else {label.index for label in labels}
    ) - excluded
    lists = {"only": deciding.only, "include": deciding.include, "exclude": deciding.exclude}
    patterns: list[tuple[KeyPath, str]] = [
        *((("deciding", "thresholds", name), name) for name in deciding.thresholds),
        *(
            (("deciding", key, index), name)
            for key, names in lists.items()
            for index, name in enumerate(names)
        ),
        *(
            (("actions", action, "when", key, index), name)
            for action, one in enumerate(config.actions)
            for key, names in (("species", one.when.species), ("not_species", one.when.not_species))
            for index, name in enumerate(names)
        ),
    ]
    if wrote(("deciding", "voice", "labels")):
        voices = deciding.voice.labels
        patterns += [(("deciding", "voice", "labels", index), name) for index, name in enumerate(voices)]
    for path, pattern in patterns:
        named = _named([pattern], labels)
        if not named:
            yield Objection(path, f"the model knows no such species{_meant(pattern, labels)}")
        elif path[-2] in ("only", "include", "species") and not named & wanted:
            undone = "deciding.exclude names it" if named & excluded else "deciding.only does not"
            yield Objection(path, f"can never be reported, as {undone}")
    if not wanted and not deciding.only:
        yield Objection(("deciding", "exclude"), "leaves no species of the model to be reported")


def _named(patterns: Sequence[str], labels: Sequence[Label]) -> set[int]:
    return {label.index for pattern in patterns for label in labels if matches(pattern, label)}


def _meant(pattern: str, labels: Sequence[Label]) -> str:
    from birdwatchd.config.complaint import near

    if "*" in pattern:
        return ""
    close = near(pattern, [name for label in labels for name in (label.scientific_name, label.common_name)])
    return f"; did you mean {close}?" if close else " (`birdwatchd model info --labels` lists them)"

"""What differs between two configs, setting by setting; never the values: they may be secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from birdwatchd.config.schema import Config

Place = tuple[str, ...]
"""Where a setting stands, with the names of sources and actions instead of their numbers: `("sources", "pond", "url")`."""


def changes(before: Config, after: Config) -> dict[Place, str]:
    """Each setting that differs, and how: `changed`, or for what has a name of its own, `new` or `gone`."""
    return dict(_between(before, after, ()))


def spelt(place: Place) -> str:
    """As people write it: `sources.pond.url`."""
    return ".".join(place)


def _between(before: Any, after: Any, place: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(before, BaseModel) and type(before) is type(after):
        for name in type(after).model_fields:
            yield from _between(getattr(before, name), getattr(after, name), (*place, name))
    elif _are_named(before) and _are_named(after):
        yield from _between_lists({one.name: one for one in before}, {one.name: one for one in after}, place)
    elif before != after:
        yield place, "changed"


def _between_lists(
    before: dict[str, Any], after: dict[str, Any], place: Place
) -> Iterator[tuple[Place, str]]:
    for name, one in after.items():
        if name not in before:
            yield (*place, name), "new"
        elif getattr(before[name], "kind", None) != getattr(one, "kind", None):
            yield (*place, name, "kind"), "changed"
        else:
            yield from _between(before[name], one, (*place, name))
    for name in before:
        if name not in after:
            yield (*place, name), "gone"


def _are_named(value: Any) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(one, BaseModel) and "name" in type(one).model_fields for one in value
    )

"""Where in the schema a setting stands, and what it takes there, in words."""

from __future__ import annotations

import datetime as dt
import types
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from birdwatchd.config.kinds import Takes
from birdwatchd.config.schema import Config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from birdwatchd.config.mistake import KeyPath


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of the schema with what restricts it."""

    annotation: Any
    metadata: tuple[Any, ...] = ()
    discriminator: str | None = None

    @classmethod
    def of(cls, annotation: Any) -> Kind:
        """Of a type that stands inside another one."""
        found = FieldInfo.from_annotation(annotation)
        return cls.of_field(found)

    @classmethod
    def of_field(cls, found: FieldInfo) -> Kind:
        """Of a model's field."""
        discriminator = found.discriminator if isinstance(found.discriminator, str) else None
        return cls(found.annotation, tuple(found.metadata), discriminator)

    @property
    def members(self) -> list[Kind]:
        """What a union offers, without None; of anything else, itself alone."""
        if get_origin(self.annotation) not in (Union, types.UnionType):
            return [self]
        found = [Kind.of(one) for one in get_args(self.annotation) if one is not type(None)]
        if len(found) == 1:
            return [Kind(found[0].annotation, (*found[0].metadata, *self.metadata), self.discriminator)]
        return found

    @property
    def model(self) -> type[BaseModel] | None:
        """The section of settings that it is, if it is one."""
        kind = self.members[0] if len(self.members) == 1 else self
        return kind.annotation if _is_model(kind.annotation) else None

    @property
    def models(self) -> dict[str, type[BaseModel]]:
        """By the value of the discriminator (`kind`), where there is one."""
        if self.discriminator is None:
            return {}
        found = [member.annotation for member in self.members]
        return {get_args(one.model_fields[self.discriminator].annotation)[0]: one for one in found}

    @property
    def words(self) -> str:
        """What it takes: `a number between 0 and 1`."""
        if self.discriminator is not None:
            return f"settings with `{self.discriminator}:` ({choice(list(self.models))})"
        words: list[str] = []
        for member in self.members:
            words += Kind(member.annotation).choices if _is_literal(member) else [_words(member)]
        return choice(words)

    @property
    def bounds(self) -> str:
        """How far a number may go: `between 0 and 1`; empty without limits."""
        limits = {
            name: getattr(limit, name)
            for kind in self.members
            for limit in kind.metadata
            for name in ("ge", "gt", "le")
            if getattr(limit, name, None) is not None
        }
        match limits:
            case {"ge": low, "le": high}:
                return f"between {low} and {high}"
            case {"gt": low, "le": high}:
                return f"above {low} and at most {high}"
            case {"ge": low}:
                return f"{low} or more"
            case {"gt": low}:
                return f"above {low}"
            case _:
                return ""

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that may be given, where there are only some."""
        chosen = [member for member in self.members if _is_literal(member)]
        return tuple(str(one) for member in chosen for one in get_args(member.annotation))

    @property
    def takes_text(self) -> bool:
        """Whether text stands here: a `no` or `12:30` without quotes is probably meant as text."""
        return bool(self.choices) or any(
            member.annotation in (str, SecretStr, Path) for member in self.members
        )

    @property
    def item(self) -> Kind | None:
        """What each item of the list is, where it is a list."""
        return Kind.of(get_args(self.annotation)[0]) if get_origin(self.annotation) is tuple else None

    @property
    def holds_secrets(self) -> bool:
        """Whether a secret stands here, or in the list or mapping that stands here."""
        return any(
            member.annotation is SecretStr or any(one.holds_secrets for one in _inside(member))
            for member in self.members
        )

    @property
    def takes_number(self) -> bool:
        """Whether a number may stand here."""
        return any(member.annotation in (int, float) for member in self.members)


@dataclass(frozen=True, slots=True)
class Place:
    """A setting's place: its path in the file, the section it belongs to, and what it takes (None: it is unknown)."""

    path: KeyPath
    section: type[BaseModel]
    kind: Kind | None


def place(location: Sequence[str | int], root: type[BaseModel] = Config) -> Place:
    """Where pydantic's location of an error in `root` lies: it also names the members of unions, which no file knows."""
    path: KeyPath = ()
    kind = Kind(root)
    section: type[BaseModel] = root
    for step in location:
        model = kind.model
        if model is not None:
            section, path = model, (*path, step)
            if step not in model.model_fields:
                return Place(path, section, None)
            kind = Kind.of_field(model.model_fields[str(step)])
        elif kind.discriminator is not None:
            kind = Kind(kind.models[str(step)])
        elif kind.item is not None and isinstance(step, int):
            path, kind = (*path, step), kind.item
        elif get_origin(kind.annotation) is dict:
            path, kind = (*path, step), Kind.of(get_args(kind.annotation)[1])
        else:
            break
    return Place(path, section, kind)


def choice(words: Sequence[str]) -> str:
    """`a, b or c`."""
    *first, last = words
    if first and any(" or " in word or "," in word for word in words):
        return f"{', '.join(first)}, or {last}"
    return f"{', '.join(first)} or {last}" if first else last


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _is_literal(kind: Kind) -> bool:
    return get_origin(kind.annotation) is Literal


def _inside(kind: Kind) -> list[Kind]:
    """What the items of a list, or the values of a mapping, are."""
    if get_origin(kind.annotation) is dict:
        return [Kind.of(get_args(kind.annotation)[1])]
    return [] if kind.item is None else [kind.item]


def _words(kind: Kind) -> str:
    for restriction in kind.metadata:
        if isinstance(restriction, Takes):
            return str(restriction)
    simple = {bool: "true or false", str: "text", SecretStr: "text", Path: "a path", dt.datetime: "a time"}
    annotation, origin = kind.annotation, get_origin(kind.annotation)
    if annotation in (int, float):
        number = "a whole number" if annotation is int else "a number"
        # `between` and `above` follow on by themselves, `1 or more` does not.
        return f"{number}{' of' if kind.bounds[:1].isdigit() else ''} {kind.bounds}".strip()
    if annotation in simple:
        return simple[annotation]
    if kind.item is not None:
        return f"a list, each item {kind.item.words}"
    if origin is dict:
        return f"a mapping of names, each to {Kind.of(get_args(annotation)[1]).words}"
    return "settings"

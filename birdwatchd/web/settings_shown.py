"""The config in force, for people: section by section, with what each setting means, and without secrets."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, SecretStr

from birdwatchd.config.address import shown
from birdwatchd.config.reference import meanings
from birdwatchd.config.secrets import HIDDEN, Secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from birdwatchd.config.schema import Config


@dataclass(frozen=True, slots=True)
class Row:
    """One setting; a `value` of None was left out."""

    name: str
    value: str | None
    meaning: str


@dataclass(slots=True)
class Section:
    """Settings that stand together in the file."""

    title: str
    written: list[Row] = field(default_factory=list)
    """What the file says."""
    defaults: list[Row] = field(default_factory=list)
    """What it does not, and what counts therefore."""

    @property
    def anchor(self) -> str:
        """For links."""
        return self.title.replace(": ", "-").replace(" ", "-")


def sections(config: Config) -> list[Section]:
    """All of them, the top level first; one that is not there is left out."""
    secrets = Secrets(config)
    found = list(_sections("Station", config, secrets, is_written=True))
    return [section for section in found if section.written or section.defaults]


def _sections(title: str, model: BaseModel, secrets: Secrets, *, is_written: bool) -> Iterator[Section]:
    told, own = meanings(type(model)), Section(title)
    yield own
    prefix = "" if title == "Station" else f"{title}."
    for name in type(model).model_fields:
        value, there = getattr(model, name), is_written and name in model.model_fields_set
        if isinstance(value, BaseModel):
            yield from _sections(f"{prefix}{name}", value, secrets, is_written=there)
        elif isinstance(value, tuple) and value and all(isinstance(one, BaseModel) for one in value):
            for number, one in enumerate(value):
                called = getattr(one, "name", number)
                yield from _sections(f"{prefix}{name}: {called}", one, secrets, is_written=there)
        elif name == "name" and prefix:
            continue  # it is in the title
        else:
            row = Row(name, _said(value, secrets), " ".join(told.get(name, "").split()))
            (own.written if there else own.defaults).append(row)


def _said(value: Any, secrets: Secrets) -> str | None:
    match value:
        case None | () | "":
            return None
        case bool():
            return "yes" if value else "no"
        case SecretStr():
            text = value.get_secret_value()
            # Of an address it may be seen where it leads.
            return secrets.fit(shown(text)) if text.startswith(("rtsp", "http")) else HIDDEN
        case dict():
            return ", ".join(f"{name}: {_said(one, secrets)}" for name, one in value.items()) or None
        case tuple():
            return ", ".join(str(_said(one, secrets)) for one in value)
        case float():
            return f"{value:g}"
        case BaseModel():
            pairs = ((name, _said(one, secrets)) for name, one in value)
            return ", ".join(f"{name}: {said}" for name, said in pairs if said is not None)
        case Path() | str() | int():
            return secrets.fit(str(value))
        case _:
            return secrets.fit(str(value))

"""What in a config is nobody's business, and text without it."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, SecretStr

from birdwatchd.config.opening import SECRET_OPTIONS
from birdwatchd.config.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from birdwatchd.config.mistake import KeyPath

HIDDEN = "***"
SHORTEST, SHORTEST_PIECE = 4, 6
"""Characters. What is shorter would take pieces out of words, and is no secret."""
PATHS_MEAN_NOTHING = 16
"""So long a part of a web address's path is a token rather than a word."""
WEB = ("http", "https", "rtsp", "rtsps", "rtmp", "rtmps")


Value = TypeVar("Value")


class Secrets:
    """Takes the secrets of one or more configs out of whatever is to be written somewhere."""

    def __init__(self, *models: BaseModel) -> None:
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        for model in models:
            self.learn(model)

    def learn(self, model: BaseModel) -> None:
        """Know those of `model` too. What was known stays: its threads may still speak of it."""
        for _, secret in secrets_of(model):
            for form in _forms(secret):
                # As JSON writes it, too.
                self._known |= {form, json.dumps(form, ensure_ascii=False)[1:-1]}
        ordered = sorted(self._known, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def without(self, text: str) -> str:
        """The text, with `***` for each secret in it."""
        return self._pattern.sub(HIDDEN, text) if self._pattern is not None else text

    def fit(self, text: str) -> str:
        """The text as it may be written down and shown: without secrets, and with nothing that acts on a terminal."""
        return plain(self.without(text))

    def fit_notes(self, notes: Mapping[str, str | Value]) -> dict[str, str | Value]:
        """The same for texts among the values."""
        return {name: self.fit(value) if isinstance(value, str) else value for name, value in notes.items()}


def secrets_of(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Every secret below a config or a part of it, and its place."""
    if isinstance(value, SecretStr):
        yield path, value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name, inner in value:
            if name.endswith("_options"):
                yield from _of_options(inner, (*path, name))
            else:
                yield from secrets_of(inner, (*path, name))
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from secrets_of(inner, (*path, name))
    elif isinstance(value, tuple):
        for index, inner in enumerate(value):
            yield from secrets_of(inner, (*path, index))


def _of_options(options: Iterable[Any], path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    before = ""
    for index, word in enumerate(options):
        if before in SECRET_OPTIONS:
            yield (*path, index), str(word)
        before = str(word)


def _forms(secret: str) -> Iterator[str]:
    """How it may turn up: whole, and, of an address, its parts."""
    if "://" not in secret:
        # A header is told by servers without its first word (`Bearer`, `Basic`).
        yield from (form for form in {secret, secret.rpartition(" ")[2]} if len(form) >= SHORTEST)
        return
    with contextlib.suppress(ValueError):
        parts = urlsplit(secret)
        if parts.password and len(parts.password) >= SHORTEST:
            user, password = unquote(parts.username or ""), unquote(parts.password)
            yield from (parts.password, password)
            yield base64.b64encode(f"{user}:{password}".encode()).decode()
        queried = [value for _, value in parse_qsl(parts.query)]
        queried += [pair.partition("=")[2] for pair in parts.query.split("&")]
        yield from (value for value in queried if len(value) >= SHORTEST_PIECE)
        shortest = PATHS_MEAN_NOTHING if parts.scheme in WEB else SHORTEST_PIECE
        pieces = parts.path.split("/")
        if parts.scheme not in WEB:
            # Apprise's addresses have tokens where others have a user and a host.
            pieces += [piece for piece in re.split("[@:]", parts.netloc) if "." not in piece]
        for piece in pieces:
            if len(piece) >= shortest:
                yield from (piece, unquote(piece))

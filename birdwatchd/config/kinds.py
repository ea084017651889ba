"""What kinds of settings there are: the types that the schema is made of, and what they refuse.

A refusal never repeats the value that was given: it may have come from the environment, and be a secret.
"""

from __future__ import annotations

import re
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    SecretStr,
    StringConstraints,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

from birdwatchd.config.clip_name import DEFAULT as CLIP_NAME
from birdwatchd.config.clip_name import ClipName
from birdwatchd.config.plain import is_plain_line
from birdwatchd.config.span import parse_span

CLIP_NAME_WORDS = f"a template such as {CLIP_NAME}"
SPAN_WORDS = "a span such as 06:00..09:30 or sunset-30m..sunrise+1h"
PASSWORD_WORDS = "the line that `birdwatchd web password` makes"  # noqa: S105 - nor is it one
TOKEN_WORDS = "the 64 hex digits that `birdwatchd web token` makes"  # noqa: S105 - as above
PAGE_WORDS = "an address such as https://birds.example.org/garden"
SAID = "said"
"""The type of an error that says what the setting must be, in words of its own, and perhaps a hint."""


class Takes(str):
    """What a setting takes, in words, where its type alone does not say it."""

    __slots__ = ()


def refusal(takes: str, hint: str = "") -> PydanticCustomError:
    """The error that tells the user `must be {takes}, is …; {hint}`."""
    return PydanticCustomError(SAID, "must be {takes}", {"takes": takes, "hint": hint})


def _number(value: object) -> object:
    # To pydantic true is 1, and so YAML's `yes` and `on` would be.
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "must be a number")
    return value


def _moment(value: object) -> object:
    # pydantic would take 20240501 for seconds since 1970.
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, datetime):
        raise refusal("a time with its zone")
    if value.tzinfo is None:
        raise refusal("a time with its zone")
    return value


def _zone(name: str) -> str:
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        from difflib import get_close_matches

        near = get_close_matches(name, available_timezones(), n=1)
        hint = f"did you mean {near[0]}?" if near else ""
        raise refusal("the IANA name of a time zone, such as Europe/Berlin", hint) from None
    return name


def _path_text(value: object) -> object:
    if isinstance(value, str) and (not value or "\0" in value):
        raise refusal("a path")
    return value


def _path(path: Path, info: ValidationInfo) -> Path:
    try:
        path = path.expanduser()
    except RuntimeError:
        raise refusal("a path", "there is no user of the name after its ~") from None
    folder = (info.context or {}).get("folder")
    return path if folder is None else Path(folder) / path


def _bundle(bundle: str, info: ValidationInfo) -> str:
    if "/" in bundle or bundle.startswith("~") or bundle.endswith(".pt"):
        return str(_path(Path(str(_path_text(bundle))), info))
    return bundle


def _clip_name(template: str) -> str:
    try:
        ClipName.parse(template)
    except ValueError as error:
        raise refusal(CLIP_NAME_WORDS, str(error)) from None
    return template


def _span(text: str) -> str:
    try:
        parse_span(text)
    except ValueError as error:
        raise refusal(SPAN_WORDS, str(error)) from None
    return text


def _option(option: str) -> str:
    if option.startswith("-") and " " in option:
        raise refusal("one word", "write an option and its value as two items of the list")
    return option


def _off(value: Any) -> Any:
    # YAML reads an unquoted off as false.
    return "off" if value is False else value


def _password_hash(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(
        r"\$argon2id\$v=\d+\$[mtp=,\d]+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+", secret.get_secret_value()
    ):
        raise refusal(PASSWORD_WORDS, "never write the password itself here")
    return secret


def _token_hash(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[0-9a-f]{64}", secret.get_secret_value()):
        raise refusal(TOKEN_WORDS, "the token itself belongs to the program that asks")
    return secret


def _network(address: str) -> str:
    try:
        ip_network(address)
    except ValueError:
        raise refusal("an IP address, or a network such as 192.168.1.0/24") from None
    return address


def _public_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole or not re.fullmatch(r"[\x21-\x7e]+", text):
        raise refusal(PAGE_WORDS)
    if "?" in text or "#" in text:
        raise refusal(PAGE_WORDS, "without what begins with ? or #")
    if "@" in parts.netloc:
        raise refusal(PAGE_WORDS, "without user and password, as it goes out with messages")
    return text


def _plain_text(text: str) -> str:
    if not is_plain_line(text):
        raise refusal("text", "in one line, and without control characters")
    return text


T = TypeVar("T")

Numeric = BeforeValidator(_number)
"""Stands behind the limits of a number."""
Score = Annotated[float, Field(ge=0, le=1), Numeric]
Threshold = Annotated[float, Field(gt=0, le=1), Numeric]
"""A score from which on something happens: at 0 it would happen always."""
Seconds = Annotated[float, Field(gt=0), Numeric]
SomeText = Annotated[str, StringConstraints(min_length=1)]
PlainText = Annotated[str, AfterValidator(_plain_text), Takes("text")]
"""One line without control characters, for what is shown and sent around."""
Name = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"),
    Takes("at most 64 letters (a to z), digits, `_`, `.` and `-`, the first a letter or digit"),
]
"""Names end up in file names and topics."""
Language = Annotated[
    str, Field(pattern=r"^[a-z]{2,3}(_[A-Za-z]{2,4})?$"), Takes("a language's code, such as de or pt_BR")
]
TimeZone = Annotated[str, AfterValidator(_zone), Takes("the IANA name of a time zone, such as Europe/Berlin")]
Moment = Annotated[
    AwareDatetime, BeforeValidator(_moment), Takes("a time with its zone, such as 2024-05-01T05:30:00+02:00")
]
FilePath = Annotated[Path, BeforeValidator(_path_text), AfterValidator(_path)]
"""A path; `~` is the home folder, and a relative one counts from the folder of the config file."""
BundleName = Annotated[str, StringConstraints(min_length=1), AfterValidator(_bundle)]
Sha256 = Annotated[
    str, Field(pattern=r"^[0-9a-fA-F]{64}$"), Takes("a SHA-256 in hex, as `birdwatchd model info` tells it")
]
Option = Annotated[str, StringConstraints(min_length=1), AfterValidator(_option)]
ClipTemplate = Annotated[str, AfterValidator(_clip_name), Takes(CLIP_NAME_WORDS)]
"""What names the files of a detection; see clip_name.py."""
TimeSpan = Annotated[str, AfterValidator(_span), Takes(SPAN_WORDS)]
"""`06:00..09:30`, `sunset-30m..sunrise+1h`; may run over midnight."""
PasswordHash = Annotated[SecretStr, AfterValidator(_password_hash), Takes(PASSWORD_WORDS)]
"""An argon2id hash."""
TokenHash = Annotated[SecretStr, AfterValidator(_token_hash), Takes(TOKEN_WORDS)]
"""SHA-256 of a random token, which cannot be guessed from it."""
Prefix = Annotated[
    str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)*$"), Takes("a path such as /birds, without a slash at its end")
]
PublicUrl = Annotated[str, AfterValidator(_public_url), Takes(PAGE_WORDS)]
"""Where people find the page: its origin, and the path below which it is shown."""
Network = Annotated[str, AfterValidator(_network), Takes("an IP address or network")]
OffOr = Annotated[T, BeforeValidator(_off)]

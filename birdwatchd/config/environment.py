"""`${NAME}` in a text of the config is replaced from around the daemon, so that no secret need stand in the file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from birdwatchd.config.mistake import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

TEMPLATE = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<wrong>\{[^}]*\}?))"
)


def around(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What `${NAME}` may stand for: variables, and the credentials that systemd gives (`LoadCredential=NAME:…`).

    A variable comes first. Line ends at the end of a credential are those of an editor; one that is no text is none.
    """
    credentials = {}
    for path in _files(environment.get("CREDENTIALS_DIRECTORY")):
        try:
            credentials[path.name] = path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            continue  # a key in binary, say: it is told as missing where the config asks for it
    return {**credentials, **environment}


def _files(folder: str | None) -> list[Path]:
    try:
        return sorted(Path(folder).iterdir()) if folder else []
    except OSError:
        return []  # as above


def expand(text: str, environment: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Replace `${NAME}` (see `around`) and `${NAME:-default}`; `$$` stands for a single `$`.

    Returns:
        The text, and a sentence for each thing that is wrong. The sentences never hold a value of the environment.
    """
    mistakes: list[str] = []

    def replace(found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$"
        if found["wrong"]:
            mistakes.append(
                f"${printable(found['wrong'])} is not a variable; write ${{NAME}}, or $${{ for the characters ${{"
            )
            return found[0]
        value = environment.get(found["name"], "")
        if found["default"] is not None:
            return value or found["default"]
        if found["name"] not in environment:
            mistakes.append(
                f"the environment variable {found['name']} is not set; "
                f"set it, or write ${{{found['name']}:-default}}"
            )
        return value

    return TEMPLATE.sub(replace, text), tuple(mistakes)

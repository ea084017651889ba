"""A program as the config names it, and what it finds around itself when it is started."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from pydantic import ValidationInfo


def program_path(program: str, info: ValidationInfo) -> str:
    """A program as the config names it: `~` is the home folder, and a relative path counts from the config's folder."""
    if "/" not in program:
        return program
    folder = (info.context or {}).get("folder", Path())
    return str(Path(folder) / Path(program).expanduser())


SCRIPTS = {
    **dict.fromkeys(("sh", "ash", "bash", "dash", "fish", "ksh", "zsh", "python", "python3"), "c"),
    **dict.fromkeys(("lua", "node", "perl", "ruby"), "e"),
}
"""Programs that take a script as an argument, and the letter of the option that it follows."""


def refuse_in_script(words: Sequence[str]) -> None:
    """Refuse a placeholder in a script that a shell or its like gets as an argument.

    Raises:
        ValueError: what a label is called would be read as a part of the program.
    """
    for place, word in enumerate(words):
        letter = SCRIPTS.get(word.rpartition("/")[2], "")
        for number in range(place + 1, len(words) - 1) if letter else ():
            option = words[number]
            if not option.startswith("-"):
                break
            if letter in option and not option.startswith("--") and _has_placeholder(words[number + 1]):
                raise ValueError(
                    "must not have a placeholder in a script: a name with a quote in it would change what it does; "
                    'write "$BIRDWATCHD_SPECIES" there, or give the placeholder as an argument of its own'
                )


def _has_placeholder(text: str) -> bool:
    return any(name is not None for _, name, _, _ in Formatter().parse(text))


def missing_program(program: str) -> str:
    """Why it could not be started, in a sentence; empty when it could."""
    return "" if shutil.which(program) else f"there is no program {program}; install it, or give its path"


def clean_environment(zone: tzinfo) -> dict[str, str]:
    """What programs need, and nothing of the daemon's secrets."""
    clean = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home())}
    clean["LANG"] = os.environ.get("LANG", "C.UTF-8")
    if isinstance(zone, ZoneInfo) and zone.key:
        clean["TZ"] = zone.key
    elif "TZ" in os.environ:
        clean["TZ"] = os.environ["TZ"]
    return clean


def home() -> Path:
    """The home folder; the root for users without one, as services have."""
    try:
        folder = Path.home()
    except RuntimeError:
        return Path("/")
    return folder if folder.is_dir() else Path("/")

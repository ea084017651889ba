"""A program as the config names it, and what it finds around itself when it is started."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from datetime import tzinfo

    from pydantic import ValidationInfo


def program_path(program: str, info: ValidationInfo) -> str:
    """A program as the config names it: `~` is the home folder, and a relative path counts from the config's folder."""
    if "/" not in program:
        return program
    folder = (info.context or {}).get("folder", Path())
    return str(Path(folder) / Path(program).expanduser())


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

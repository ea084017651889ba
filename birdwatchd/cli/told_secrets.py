"""Where secrets of a config can be read by others: its file, and the list of processes."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from birdwatchd.config.load import Loaded


def told_secrets(loaded: Loaded) -> Iterator[str]:
    """A sentence for each."""
    from birdwatchd.config.address import shown
    from birdwatchd.config.mistake import spelt
    from birdwatchd.config.opening import EXPOSED, opening
    from birdwatchd.config.secrets import secrets_of

    for source in loaded.config.sources:
        if source.kind == "stream":
            why = opening(source.url.get_secret_value(), (), source.ffmpeg_options).exposed
            if why:
                yield f"{source.name}: {EXPOSED}: {why}"
    for index, action in enumerate(loaded.config.actions):
        for number in range(len(getattr(action, "argv", None) or ())):
            if "${" in _written(loaded, ("actions", index, "argv", number)).replace("$${", ""):
                yield (
                    f"{action.name}: every user of this machine can read the words of its argv, with `ps`; "
                    "give secrets to the program in `environment`"
                )
                break
    if not loaded.path.stat().st_mode & stat.S_IROTH:
        return
    for path, secret in secrets_of(loaded.config):
        is_address = path[-1] == "url"
        if "${" not in _written(loaded, path) and not (is_address and shown(secret) == secret):
            yield (
                f"{spelt(path)} stands in {loaded.path}, which every user of this machine can read: "
                f"`chmod o-r {loaded.path}`, or write ${{NAME}} there"
            )
            return


def _written(loaded: Loaded, path: tuple[str | int, ...]) -> str:
    _, part = loaded.document.find(path)
    return "" if part is None else part.written

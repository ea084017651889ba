"""`notify`: a detection becomes a message on phones and desktops, in mails and chats, through Apprise.

https://github.com/caronc/apprise/wiki lists more than a hundred services and how their addresses are written.
"""

from __future__ import annotations

import glob
import importlib.util
import logging
import re
import time
from collections import OrderedDict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote

from pydantic import Field, SecretStr

from birdwatchd.actions import Action, ActionConfig, Context, Postpone
from birdwatchd.actions.clip_files import stem_of
from birdwatchd.actions.http import is_web_address, reach
from birdwatchd.actions.placeholders import Template, fill, meanings_of
from birdwatchd.config.kinds import Numeric, Takes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from birdwatchd.domain import Detection

MISSING = "Apprise is not installed; run: pip install 'birdwatchd[notify]'"
CLIP_SUFFIXES = (".flac", ".wav", ".ogg", ".opus", ".mp3", ".m4a", ".aac")
MOST_PICTURES = 5
LOOK_AGAIN_SECONDS = 2.0
SHARE = 0.9
"""Of `timeout_seconds`: what is not sent by then has to wait."""
REMEMBERED = 1000
"""So many deliveries that some of their addresses had already got are kept in mind, for the next attempt."""

Attachment = Literal["clip", "spectrogram", "picture"]
NotifyUrl = Annotated[SecretStr, Takes("an address as Apprise writes them, such as ntfy://my-birds")]


class Notify(Action):
    """Send a message to phones, desktops, mails and chats, through Apprise.

    It needs Apprise: `pip install 'birdwatchd[notify]'`. Its wiki, https://github.com/caronc/apprise/wiki, lists the services
    and how their addresses are written. An address that fails is tried again, without bothering the others a second time.
    """

    class Config(ActionConfig):
        """Send a message to phones, desktops, mails and chats, through Apprise."""

        urls: Annotated[tuple[NotifyUrl, ...], Field(min_length=1)]
        """Whom to tell; `${NAME}` is replaced from the environment, so that secrets need not stand here."""
        title: Template = "{species}"
        """Title of the message; `{species}` and the other placeholders of `command` are replaced."""
        text: Template = "{species} ({scientific}), {percent} % at {time}, heard by {source} at {node}."
        """Text of the message; the same placeholders."""
        attach: tuple[Attachment, ...] = ()
        """Files of the detection to send along, where they are there: its sound, the picture of its sound, or a camera's pictures."""
        attach_wait_seconds: Annotated[float, Field(ge=0, le=3600), Numeric] = 30.0
        """So long after the delivery was made it waits for files that are not there yet, before it goes without them."""

        def warnings(self) -> Iterator[str]:
            """What `birdwatchd check` should tell."""
            if importlib.util.find_spec("apprise") is None:
                yield f"{self.name}: {MISSING}"
                return
            for number in _not_understood(self.urls):
                yield f"{self.name}: Apprise does not understand urls[{number}]; its wiki shows how addresses are written"

    config: Config
    durability = "durable"

    def __init__(self, config: Config, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`now` tells how old a delivery is."""
        super().__init__(config)
        self._now = now
        self._told: OrderedDict[str, set[int]] = OrderedDict()

    def run(self, detection: Detection, context: Context) -> None:
        """Tell everybody who has not been told yet."""
        if importlib.util.find_spec("apprise") is None:
            raise Postpone(MISSING)
        files = self._files(detection, context)
        values = meanings_of(detection, context)
        title, text = fill(self.config.title, values), fill(self.config.text, values)
        until = time.monotonic() + SHARE * self.config.timeout_seconds
        told = self._told.setdefault(context.delivery.key, set())
        faults = []
        for number, url in enumerate(self.config.urls):
            if number in told:
                continue
            left = until - time.monotonic()
            fault = _send(url.get_secret_value(), title, text, files, left) if left > 0 else "it has to wait"
            if fault:
                faults.append(f"urls[{number}]: {fault}")
            else:
                told.add(number)
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        if faults:
            raise Postpone("; ".join(faults))
        del self._told[context.delivery.key]
        context.note(told=len(self.config.urls), attached=len(files))

    def probe(self, detection: Detection, context: Context) -> str:
        """Connect to the services whose servers are known."""
        if importlib.util.find_spec("apprise") is None:
            raise Postpone(MISSING)
        found, faults = [], []
        for number, url in enumerate(self.config.urls):
            try:
                found.append(_reach(url.get_secret_value(), SHARE * self.config.timeout_seconds))
            except Postpone as fault:
                faults.append(f"urls[{number}]: {fault}")
        if faults:
            raise Postpone("; ".join(faults))
        return "; ".join(dict.fromkeys(found))

    def _files(self, detection: Detection, context: Context) -> list[Path]:
        """What is to be attached.

        Raises:
            Postpone: something is not there yet, and may still come.
        """
        found: list[Path] = []
        stem = stem_of(context.clips_folder, detection)
        for what in self.config.attach:
            files = _pictures(stem) if what == "picture" else _sound(stem, what)
            found += files
            may_come = what == "picture" or not detection.voice
            waited = (self._now() - context.delivery.created).total_seconds()
            if not files and may_come and 0 <= waited < self.config.attach_wait_seconds:
                raise Postpone(f"waiting for the {what}", LOOK_AGAIN_SECONDS)
        return found


def _send(url: str, title: str, text: str, files: list[Path], seconds: float) -> str:
    """Why it could not be sent within so long; empty when it was."""
    import apprise

    # What it logs may hold addresses; what we need of it comes with the result.
    logging.getLogger("apprise").propagate = False
    sender = apprise.Apprise(asset=apprise.AppriseAsset(app_id="birdwatchd"))
    if not sender.add(url):
        return "Apprise does not understand it; its wiki shows how addresses are written"
    attached = apprise.AppriseAttachment()
    for file in files:
        attached.add(f"file://{quote(str(file.absolute()))}")
    with sender.notify(
        title=title,
        body=text,
        body_format="text",
        attach=attached if files else None,
        timeout=seconds,
        log_level=logging.WARNING,
    ) as sent:
        if sent:
            return ""
        said = [" ".join(entry.message.split()) for entry in sent.logs()]
        if sent.timeout_count:
            return "it takes too long"
    return _without_secrets(said[-1] if said else "it failed, and Apprise does not say why", url)[:200]


def _reach(url: str, seconds: float) -> str:
    """Connect to the server that would be asked, where Apprise says which; nothing is sent.

    Raises:
        Postpone: it cannot be reached.
    """
    import apprise

    logging.getLogger("apprise").propagate = False
    service = apprise.Apprise.instantiate(url)
    if service is None:
        raise Postpone("Apprise does not understand it; its wiki shows how addresses are written")
    known = next(
        (
            address
            for name in ("notify_url", "cloud_notify_url")
            if isinstance(address := getattr(service, name, None), str) and is_web_address(address)
        ),
        None,
    )
    if known is None:
        return f"{service.service_name} is understood; `birdwatchd actions test` sends something"
    return f"{service.service_name}: {reach(SecretStr(known), seconds)}"


def _without_secrets(text: str, url: str) -> str:
    """Tokens stand anywhere in these addresses: whatever is long enough to be one goes, but for the host's name."""
    host = re.match(r"\w+://(?:[^@/]*@)?([^:/?]*)", url)
    for piece in sorted(re.split(r"[/:@?&=,]+", url), key=len, reverse=True)[:-1]:
        if len(piece) >= 6 and (host is None or piece != host[1] or "." not in piece):  # noqa: PLR2004 - words are shorter
            text = text.replace(piece, "***")
    return text.replace(url, "***")


def _not_understood(urls: tuple[SecretStr, ...]) -> Iterator[int]:
    import apprise

    logging.getLogger("apprise").propagate = False
    for number, url in enumerate(urls):
        if apprise.Apprise.instantiate(url.get_secret_value()) is None:
            yield number


def _sound(stem: Path, what: str) -> list[Path]:
    suffixes = CLIP_SUFFIXES if what == "clip" else (".png",)
    return [path for suffix in suffixes if (path := stem.with_name(stem.name + suffix)).is_file()][:1]


def _pictures(stem: Path) -> list[Path]:
    found = stem.parent.glob(f"{glob.escape(stem.name)}_[0-9]*.[jpw][pne][gb]*")
    return sorted(path for path in found if path.is_file())[:MOST_PICTURES]

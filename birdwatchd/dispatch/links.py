"""Where others find a detection's page and the sound of its clip, for messages that link to them. docs/web.md explains."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from birdwatchd.config.rules import is_local
from birdwatchd.config.zone import station_zone
from birdwatchd.dispatch.rules import Rules
from birdwatchd.sun import Sky

if TYPE_CHECKING:
    from collections.abc import Sequence

    from birdwatchd.config.schema import Config, Web
    from birdwatchd.config.trigger import ActionConfig
    from birdwatchd.domain import Detection, Tally


class Links:
    """The addresses of a station. Each is empty where there is none, or nobody can know it. For any thread."""

    def __init__(self, web: Web | None = None, keepers: Sequence[Rules] = ()) -> None:
        """`keepers` are the rules of the actions that keep clips."""
        self._base = "" if web is None else base_of(web)
        self._has_pages = web is not None and (web.password is not None or not web.tokens)
        self._keepers = keepers

    @classmethod
    def of(cls, config: Config) -> Self:
        """Those that a config makes."""
        zone, place = station_zone(config.location), config.location
        sky = Sky(place, zone) if place else None
        keepers = [action for action in config.actions if action.kind == "save_clip" and not is_paced(action)]
        return cls(config.web, [Rules(action, zone, sky) for action in keepers])

    def page(self, detection: Detection) -> str:
        """Of a detection."""
        return f"{self._base}/detection/{detection.id}" if self._base and self._has_pages else ""

    def clip(self, detection: Detection, tally: Tally) -> str:
        """Of its sound, which need not be there yet: a clip is written when what follows the detection was heard."""
        if not self._base or not detection.clip_path or detection.voice:
            return ""
        if not any(keeps(rules, detection, tally) for rules in self._keepers):
            return ""
        return f"{self._base}/api/v1/clips/{detection.id}/sound"


def base_of(web: Web) -> str:
    """Where others find the page, without a slash at its end; empty where the config does not tell."""
    if web.public_url is not None:
        return web.public_url.rstrip("/")
    if is_local(web.address) or _is_every_address(web.address):
        return ""
    return web.url.rstrip("/")


def keeps(rules: Rules, detection: Detection, tally: Tally) -> bool:
    """Whether an action acts on it, or will when it has ended, as far as it is known now."""
    return any(not rules.refusal(replace(detection, state=state), tally) for state in ("started", "ended"))


def is_paced(action: ActionConfig) -> bool:
    """Whether it leaves out detections that fit its rules, for those before them: nobody knows of the next whether it is kept."""
    return bool(
        action.cooldown_seconds or action.overall_cooldown_seconds or action.when.at_most_per_hour is not None
    )


def _is_every_address(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return False

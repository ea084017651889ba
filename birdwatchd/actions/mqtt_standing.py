"""What stands at the broker for whoever comes later: status, health, the daily summary, and the announcements.

Said again at every connect, and the announcements also whenever Home Assistant comes online.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

import structlog

from birdwatchd.actions.mqtt_discovery import Station, announced_by, announcements, is_ours
from birdwatchd.actions.mqtt_link import Message
from birdwatchd.actions.mqtt_payload import ONLINE, Topics, daily_payload, encode, health_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from birdwatchd.actions.mqtt_settings import Discovery
    from birdwatchd.domain import DailySummary, Health

HOME_ASSISTANT = "homeassistant/status"
BIRTH_SECONDS = 5.0
"""What is announced is retained: a birth that follows the last one so soon needs no answer."""
MOST_STRANGERS = 10_000
"""Announcements of sources that may be gone, kept until it is known which there are. Anybody at the broker can make one."""

logger = structlog.get_logger()


class Outlet(Protocol):
    """What messages go out through: a `Link`."""

    def post(self, message: Message) -> None: ...
    def subscribe(self, topics: Iterable[str]) -> None: ...


class Standing:
    """The retained messages of one station."""

    def __init__(
        self,
        node: str,
        topics: Topics,
        discovery: Discovery,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node = node
        self._topics = topics
        self._discovery = discovery
        self._births = {HOME_ASSISTANT, f"{discovery.prefix}/status"}
        self._lock = threading.Lock()  # never held while the outlet is called
        self._said: dict[str, bytes] = {topics.status: ONLINE}
        self._station: Station | None = None
        self._announced: dict[str, bytes] = {}
        self._strangers: set[str] = set()
        self._monotonic = monotonic
        self._answered: dict[str, float] = {}

    def greet(self, outlet: Outlet) -> None:
        """At each connect. What was announced in an earlier life comes back through `hear`."""
        outlet.subscribe([*sorted(self._births), announced_by(self._node, self._discovery.prefix)])
        with self._lock:
            standing = {**self._said, **self._announced}
        _post(outlet, standing)

    def hear(self, outlet: Outlet, topic: str, payload: bytes, *, retained: bool) -> None:
        """Home Assistant's birth, or an announcement that stands at the broker."""
        if topic in self._births:
            if payload == ONLINE and not retained and self._is_first(topic):
                _post(outlet, self._announced)
        elif payload and is_ours(payload, self._node):
            with self._lock:
                if len(self._strangers) < MOST_STRANGERS:
                    self._strangers.add(topic)
            self._remove_strangers(outlet)

    def _is_first(self, birth: str) -> bool:
        """Whether this birth was not answered a moment ago: who repeats it does not make us repeat everything."""
        now = self._monotonic()
        if now - self._answered.get(birth, float("-inf")) < BIRTH_SECONDS:
            return False
        self._answered[birth] = now
        return True

    def tell_health(self, outlet: Outlet, health: Health) -> None:
        """Publish it, and announce the sources that it names where they are not the ones already announced."""
        station = Station(
            self._node, self._topics, health.version, tuple(source.name for source in health.sources)
        )
        news = {self._topics.health: encode(health_payload(health))}
        with self._lock:
            self._said |= news
            if station != self._station:
                fresh = announcements(station, self._discovery.prefix) if self._discovery.enabled else {}
                self._strangers |= self._announced.keys()
                self._station, self._announced = station, fresh
                news = {**fresh, **news}
        _post(outlet, news)
        self._remove_strangers(outlet)

    def tell_daily(self, outlet: Outlet, summary: DailySummary) -> None:
        """Publish it."""
        news = {self._topics.daily: encode(daily_payload(summary))}
        with self._lock:
            self._said |= news
        _post(outlet, news)

    def _remove_strangers(self, outlet: Outlet) -> None:
        """Take back what stands for a source that the config does not have any more."""
        with self._lock:
            if self._station is None:  # nobody has said yet which sources there are
                return
            gone = self._strangers - self._announced.keys()
            self._strangers.clear()
        for topic in sorted(gone):
            logger.info("no longer announced", topic=topic)
            outlet.post(Message(topic, b"", retain=True))


def _post(outlet: Outlet, standing: dict[str, bytes]) -> None:
    for topic, payload in standing.items():
        outlet.post(Message(topic, payload, retain=True))

"""`mqtt`: publish detections to a broker. docs/mqtt.md is what subscribers read.

This file says which messages a detection becomes, how fast they go, and what counts as done. Beside it:

    mqtt_settings     what the config has for it
    mqtt_payload      topics and JSON
    mqtt_discovery    what Home Assistant is told
    mqtt_standing     the retained messages
    mqtt_link         the connection
    mqtt_credentials  what the station shows the broker
    mqtt_absence      the times without a connection
    mqtt_faults       why there is none, in sentences
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from birdwatchd.actions import Action, Context, Postpone
from birdwatchd.actions.mqtt_faults import address
from birdwatchd.actions.mqtt_link import Link, Message
from birdwatchd.actions.mqtt_payload import OFFLINE, Topics, detection_payload, encode, is_late
from birdwatchd.actions.mqtt_settings import MqttConfig
from birdwatchd.actions.mqtt_standing import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from birdwatchd.actions import Item
    from birdwatchd.domain import DailySummary, Detection, Health

SENDING_SHARE, CONFIRMED_SHARE = 0.4, 0.8
"""Of `timeout_seconds`: until then a batch is handed over, until then it has to be confirmed."""
BURST_SECONDS = 0.02
"""How far the pace of catching up may be ahead of itself: pauses shorter than that are not worth taking."""


@dataclass(slots=True)
class _Single:
    detection: Detection
    context: Context


class Mqtt(Action):
    """Publish each detection to an MQTT broker, in the shape that birdnet-go's subscribers know."""

    class Config(MqttConfig):
        """Its settings."""

    config: MqttConfig
    durability = "durable"
    batch_size = 200
    ordered = True

    def __init__(
        self, config: MqttConfig, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """`now` tells the time that a message goes out."""
        super().__init__(config)
        self._now = now
        self._line: tuple[Link, Standing, Topics] | None = None
        self._free_at = 0.0

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Say `offline`, and hang up."""
        if self._line is not None:
            link, _, topics = self._line
            self._line = None
            link.stop(Message(topics.status, OFFLINE, retain=True))

    def run(self, detection: Detection, context: Context) -> None:
        """Publish one."""
        (outcome,) = self.run_batch([_Single(detection, context)])
        if outcome is not None:
            raise outcome

    def run_batch(self, items: Sequence[Item]) -> list[Exception | None]:
        """Publish several, pipelined; each is done when every one of its topics has its PUBACK."""
        began = time.monotonic()
        link, _, topics = self._open(items[0].context.node)
        if not link.wait_connected():
            return [link.absence.postponement for _ in items]
        timeout = self.config.timeout_seconds
        bundles = self._bundles(items, topics, until=began + SENDING_SHARE * timeout)
        outcomes = link.send(bundles, began + CONFIRMED_SHARE * timeout)
        rest = (
            link.absence.postponement if link.absence.reason else Postpone("catching up: its turn comes", 0.0)
        )
        return [*outcomes, *(rest for _ in items[len(outcomes) :])]

    def probe(self, detection: Detection, context: Context) -> str:
        """Connect to the broker and log in, under a name of one's own: the daemon's connection stays."""
        link = Link(
            self.config,
            context.node,
            will=None,
            client_id=f"birdwatchd-check-{secrets.token_hex(4)}",
            on_connected=lambda: None,
            on_message=lambda *_: None,
        )
        link.start()
        try:
            if not link.wait_answered(0.8 * self.config.timeout_seconds):
                raise Postpone(link.absence.reason)
        finally:
            link.stop()
        who = f" as {self.config.username}" if self.config.username else ""
        return f"the broker at {address(self.config)} lets it in{who}"

    @property
    def trouble(self) -> str:
        """Why there is no connection."""
        line = self._line
        return "" if line is None else line[0].absence.reason

    def on_health(self, health: Health) -> None:
        """Publish it. The first one says which sources there are."""
        link, standing, _ = self._open(health.node)
        standing.tell_health(link, health)

    def on_daily(self, summary: DailySummary) -> None:
        """Publish it."""
        link, standing, _ = self._open(summary.node)
        standing.tell_daily(link, summary)

    def _open(self, node: str) -> tuple[Link, Standing, Topics]:
        """The connection; made when the first call says which node this is."""
        if self._line is None:
            topics = Topics(self.config.base_for(node))
            standing = Standing(node, topics, self.config.discovery)
            link = Link(
                self.config,
                node,
                will=Message(topics.status, OFFLINE, retain=True),
                on_connected=lambda: standing.greet(link),
                on_message=lambda topic, payload, retained: standing.hear(
                    link, topic, payload, retained=retained
                ),
            )
            self._line = link, standing, topics
            link.start()
        return self._line

    def _bundles(self, items: Sequence[Item], topics: Topics, *, until: float) -> Iterator[list[Message]]:
        """The messages of each item, made when they are sent; ends early where the pace would go on past `until`."""
        for item in items:
            late = is_late(item.detection, self._now(), self.config.late_seconds)
            if late:
                if not self._take_turn(until):
                    return
                item.context.note(late=True)
            yield self._messages(item, topics, late=late)

    def _messages(self, item: Item, topics: Topics, *, late: bool) -> list[Message]:
        detection, context = item.detection, item.context
        payload = encode(
            detection_payload(
                detection,
                context.delivery.tally,
                node=context.node,
                location=context.location,
                zone=context.zone,
                late=late,
                page_url=context.page_url,
                clip_url=context.clip_url,
            )
        )
        if detection.state == "ended":
            return [Message(topics.ended, payload)]
        messages = [Message(topics.detection, payload)]
        if not late:
            # A broker may keep it for a subscriber that is away: not for longer than it is news.
            expiry = max(1, round(self.config.late_seconds))
            messages.append(Message(topics.source(detection.source), payload, expiry_seconds=expiry))
        if self.config.species_topics:
            messages.append(Message(topics.species(detection.label), payload))
        return messages

    def _take_turn(self, until: float) -> bool:
        """Wait as `catch_up_per_second` asks. False when it would last past `until`."""
        now = time.monotonic()
        self._free_at = max(self._free_at, now - BURST_SECONDS)
        if self._free_at > until:
            return False
        if self._free_at > now + BURST_SECONDS:
            time.sleep(self._free_at - now)
        self._free_at += 1.0 / self.config.catch_up_per_second
        return True

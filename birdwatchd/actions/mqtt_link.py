"""One connection to a broker: kept up by paho's own thread, with PUBACK as the proof that a message arrived.

paho would send again, after a reconnect, what had no PUBACK. Here nothing outlives its connection: a message says how
late it is, and that is true only at the moment it is made. What was not confirmed is the caller's to make anew.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from birdwatchd.actions import GiveUp, Postpone, mqtt_credentials, mqtt_faults
from birdwatchd.actions.mqtt_absence import Absence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from paho.mqtt.client import Client
    from paho.mqtt.properties import Properties

    from birdwatchd.actions.mqtt_settings import MqttConfig

INFLIGHT = 10
"""Messages under way without their PUBACK. Every broker takes so many (HiveMQ no more, by default)."""
FIRST_SECONDS = 3.0
"""So long after the start a sender waits for the first connection, instead of being told that there is none."""
STEADY_SECONDS = 30.0
"""A connection that stood for so long was a good one: the next pause is short again, and faults are news."""
FAREWELL_SECONDS = 3.0
PASSING = frozenset({0x80, 0x83, 0x97})
"""MQTT 5's reasons for refusing a message that may be gone the next time: unspecified, its own, quota."""

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to publish, at QoS 1."""

    topic: str
    payload: bytes
    retain: bool = False
    expiry_seconds: int = 0
    """With MQTT 5 a broker forgets it after so long; 0 means never."""


class Link:
    """A connection that comes back by itself. `absence` says why there is none."""

    def __init__(
        self,
        settings: MqttConfig,
        node: str,
        *,
        will: Message | None,
        client_id: str | None = None,
        on_connected: Callable[[], None],
        on_message: Callable[[str, bytes, bool], None],
    ) -> None:
        """`on_connected()` and `on_message(topic, payload, retained)` are called on paho's thread.

        `client_id` is that of the settings when left out: a broker throws out the one who had it before.
        """
        self.absence = Absence(settings)
        self._settings = settings
        self._on_connected = on_connected
        self._on_message = on_message
        self._up = threading.Event()
        self._steady_from = 0.0
        self._transport_said = ""
        self._was_refused = False
        # Never held while paho is called: paho calls back under its own locks.
        self._settled = threading.Condition()
        self._life = 0
        self._acks: dict[int, Exception | None] = {}
        self._awaited: set[int] = set()
        self._properties: dict[int, Properties | None] = {}
        self._tls = None if settings.tls is None else mqtt_credentials.tls_context(settings.tls)
        self._client = self._make_client(client_id or settings.client_id_for(node), will)
        self._started = 0.0

    def start(self) -> None:
        """Begin to connect. Returns at once."""
        settings = self._settings
        fresh: dict[str, Any] = {"clean_start": True} if settings.protocol == "5" else {}
        self._started = time.monotonic()
        self._client.connect_async(settings.host, settings.port_number, settings.keepalive_seconds, **fresh)
        self._client.loop_start()

    def stop(self, farewell: Message | None = None) -> None:
        """Say farewell, if anybody is there, and hang up."""
        self.absence.is_quiet = True
        if farewell is not None and self._up.is_set():
            self.send([[farewell]], time.monotonic() + FAREWELL_SECONDS)
        self._client.disconnect()
        # loop_stop() waits for as long as a name server or a handshake may take.
        ending = threading.Thread(target=self._client.loop_stop, name="mqtt-stop", daemon=True)
        ending.start()
        ending.join(FAREWELL_SECONDS)

    def wait_connected(self) -> bool:
        """Whether there is a connection. Waits for one only just after the start."""
        return self._up.wait(max(0.0, self._started + FIRST_SECONDS - time.monotonic()))

    def wait_answered(self, seconds: float) -> bool:
        """Whether the first attempt led to a connection. Waits for its outcome, so long at most."""
        until = time.monotonic() + seconds
        while not self._up.wait(0.05) and not self.absence.attempts and time.monotonic() < until:
            pass
        return self._up.is_set()

    def subscribe(self, topics: Iterable[str]) -> None:
        """Ask for messages; lost with the connection."""
        self._client.subscribe([(topic, 1) for topic in topics])

    def post(self, message: Message) -> None:
        """Publish without waiting. Does nothing while there is no connection."""
        if self._up.is_set():
            self._publish(message)

    def send(self, bundles: Iterable[Sequence[Message]], deadline: float) -> list[Exception | None]:
        """Publish bundles of messages in their order, and wait for all their PUBACKs until `deadline` (monotonic).

        Returns:
            For each bundle None when all of its messages were confirmed, else why not: `GiveUp` where the broker will
            not have it. Ends early where the connection did: bundles that were not asked for have no entry.
        """
        began = time.monotonic()
        with self._settled:
            self._acks.clear()
            life = self._life
        sent = []
        for bundle in bundles:
            if self._life != life or not self._up.is_set():
                break
            sent.append([self._publish(message) for message in bundle])
        with self._settled:
            self._awaited = {mid for mids in sent for mid in mids if mid} - self._acks.keys()
            self._settled.wait_for(
                lambda: not self._awaited or self._life != life, max(0.0, deadline - time.monotonic())
            )
            acks = dict(self._acks)
            silent = self._life == life and bool(self._awaited)
        if silent:
            self.absence.reason = mqtt_faults.unconfirmed(time.monotonic() - began, self._settings)
            self._hang_up()
        missing = self.absence.postponement
        return [next((said for mid in mids if (said := acks.get(mid, missing))), None) for mids in sent]

    def _publish(self, message: Message) -> int:
        """The message's id; 0, which is nobody's, when it could not be handed over."""
        published = self._client.publish(
            message.topic,
            message.payload,
            qos=1,
            retain=message.retain,
            properties=self._properties_for(message.expiry_seconds),
        )
        return published.mid if published.rc == 0 else 0

    def _hang_up(self) -> None:
        """A broker that does not confirm gets no more: what it still has in hand must not go out hours later."""
        transport = self._client.socket()
        if isinstance(transport, socket.socket):
            with contextlib.suppress(OSError):
                transport.shutdown(socket.SHUT_RDWR)

    def _make_client(self, client_id: str, will: Message | None) -> Client:
        from paho.mqtt import client as paho
        from paho.mqtt.enums import CallbackAPIVersion

        version = paho.MQTTv5 if self._settings.protocol == "5" else paho.MQTTv311
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=version)
        client.max_inflight_messages_set(INFLIGHT)
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=will.retain)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.on_pre_connect = lambda *_: self._prepare()
        client.on_connect_fail = lambda *_: self._connect_failed()
        client.on_connect = lambda _client, _data, _flags, reason, _properties: self._answered(reason)
        client.on_disconnect = lambda _client, _data, flags, reason, _properties: self._ended(
            str(reason), told_by_broker=flags.is_disconnect_packet_from_server
        )
        client.on_publish = lambda _client, _data, mid, reason, _properties: self._confirmed(mid, reason)
        client.on_message = lambda _client, _data, message: self._arrived(message)
        client.on_log = lambda _client, _data, level, said: self._overheard(level, said)
        return client

    def _properties_for(self, expiry_seconds: int) -> Properties | None:
        if self._settings.protocol != "5":
            return None
        if expiry_seconds not in self._properties:
            from paho.mqtt.packettypes import PacketTypes
            from paho.mqtt.properties import Properties

            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho's own gap
            if expiry_seconds:
                properties.MessageExpiryInterval = expiry_seconds
            self._properties[expiry_seconds] = properties
        return self._properties[expiry_seconds]

    # What follows runs on paho's thread.

    def _prepare(self) -> None:
        """Before each attempt: nothing old is sent, and renewed certificates and passwords count."""
        self._client.drop_out_messages()
        self._transport_said, self._was_refused = "", False
        if self._tls is not None and self._settings.tls is not None:
            mqtt_credentials.load_certificates(self._tls, self._settings.tls)
        self._client.username_pw_set(self._settings.username, mqtt_credentials.password(self._settings))

    def _connect_failed(self) -> None:
        # paho calls this from its `except`, and does not say what it caught.
        self._away(mqtt_faults.unreachable(sys.exception(), self._settings))

    def _answered(self, reason: Any) -> None:
        if reason.is_failure:
            self._was_refused = True
            self._away(mqtt_faults.refused(str(reason), self._settings))
            return
        if self.absence.is_quiet:
            return
        self.absence.ends()
        self._steady_from = time.monotonic() + STEADY_SECONDS
        self._up.set()
        try:
            self._on_connected()
        except Exception:
            # The one place of this thread: paho's would end, and never connect again.
            logger.exception("mqtt greeting failed", action=self._settings.name)

    def _ended(self, reason: str, *, told_by_broker: bool) -> None:
        was_up = self._up.is_set()
        self._up.clear()
        self._client.drop_out_messages()
        if was_up:
            steady = time.monotonic() > self._steady_from
            if steady:
                self.absence.forget()
            said = reason if told_by_broker else ""
            self._away(self.absence.reason or mqtt_faults.lost(said, self._settings, steady=steady))
        elif not self._was_refused:  # else paho tells of it a second time
            self._away(mqtt_faults.silent(f"{reason} {self._transport_said}", self._settings))
        with self._settled:
            self._life += 1
            self._settled.notify_all()

    def _away(self, reason: str) -> None:
        pause = self.absence.goes_on(reason)
        # Each pause is drawn anew; paho must not stretch it.
        self._client.reconnect_delay_set(pause, pause)  # type: ignore[arg-type] # it adds it to a time, no more

    def _confirmed(self, mid: int, reason: Any) -> None:
        refusal = _refusal(reason) if reason.is_failure else None
        with self._settled:
            self._acks[mid] = refusal
            self._awaited.discard(mid)
            if not self._awaited:
                self._settled.notify_all()
        if refusal is not None:
            self.absence.tell("mqtt message refused", str(refusal))

    def _arrived(self, message: Any) -> None:
        try:
            self._on_message(message.topic, bytes(message.payload), message.retain)
        except Exception:
            logger.exception("mqtt message not understood", action=self._settings.name)

    def _overheard(self, level: int, said: str) -> None:
        from paho.mqtt.enums import LogLevel

        if level == LogLevel.MQTT_LOG_ERR:
            self._transport_said = said


def _refusal(reason: Any) -> Exception:
    said = f"the broker refused it: {reason}"
    if reason.value in PASSING:
        return Postpone(said)
    return GiveUp(f"{said}; may this user publish below base_topic?")

"""Why there is no connection, in a sentence for the person who can mend it. None of them holds a password."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from birdwatchd.actions.mqtt_settings import MqttConfig

HINTS = {
    "certificate has expired": "renew the broker's certificate",
    "certificate is not yet valid": "is this machine's clock right?",
    "self-signed certificate": "name its authority in tls.ca",
    "unable to get local issuer certificate": "name its authority in tls.ca",
    "Hostname mismatch": "host has to be a name that the certificate holds",
    "IP address mismatch": "host has to be a name that the certificate holds",
}
"""What to do about the broker's certificate, by a part of OpenSSL's words."""

ALERTS = {
    "alert certificate expired": "the broker says that the station's certificate has expired; renew tls.certificate",
    "alert unknown ca": "the broker does not trust who signed the station's certificate; see tls.certificate",
    "alert bad certificate": "the broker does not accept the station's certificate; see tls.certificate",
    "certificate required": "the broker asks for a certificate of the station; set tls.certificate and tls.key",
    "handshake failure": "the broker speaks no TLS that the station takes; see tls.minimum_version and tls.certificate",
    "protocol version": "the broker speaks no TLS that is new enough; see tls.minimum_version",
}
"""What the broker's TLS alerts mean, by a part of OpenSSL's words."""


class Unready(OSError):  # noqa: N818 - it names what happened
    """A file that the connection needs cannot be used. The message is the whole sentence."""


def address(settings: MqttConfig) -> str:
    """How sentences name the broker."""
    return f"{settings.host}:{settings.port_number}"


def unreachable(error: BaseException | None, settings: MqttConfig) -> str:
    """Why no connection came about."""
    import socket

    broker = address(settings)
    if isinstance(error, Unready):
        return str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        said = error.verify_message or str(error)
        hint = next((hint for part, hint in HINTS.items() if part in said), "see tls.ca")
        return f"the certificate of the broker at {broker} is not accepted: {said}; {hint}"
    if isinstance(error, ssl.SSLError):
        return (
            _alert(str(error))
            or f"the broker at {broker} does not answer as TLS does ({error.reason}); is it the right port?"
        )
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens at {broker}; is the broker running, are host and port right?"
    if isinstance(error, socket.gaierror):
        return f"the broker's host {settings.host!r} is not found; is its name right, does the network work?"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return silent("", settings)
    if isinstance(error, TimeoutError):
        return f"the broker at {broker} does not answer; is it running, does a firewall stand between?"
    return f"the broker at {broker} cannot be reached: {error}"


def refused(reason: str, settings: MqttConfig) -> str:
    """The broker answered, and said no."""
    broker = address(settings)
    if "authori" in reason or "user name" in reason:
        who = f"user {settings.username!r}" if settings.username else "a station without username"
        return f"the broker at {broker} refuses {who}: {reason}; see username and password"
    if "protocol version" in reason:
        other = "3.1.1" if settings.protocol == "5" else "5"
        return f"the broker at {broker} does not speak MQTT {settings.protocol}; try protocol: {other}"
    if "dentifier" in reason:
        return f"the broker at {broker} refuses the client_id: {reason}; choose another"
    return f"the broker at {broker} refuses the connection: {reason}"


def silent(said: str, settings: MqttConfig) -> str:
    """The connection ended before the broker had answered. `said` is the transport's own last error, if any."""
    broker = address(settings)
    if alert := _alert(said):
        return alert
    if "keep alive" in said.lower():
        return f"the broker at {broker} takes connections and does not answer; is it hung?"
    hint = (
        "is that a port for TLS, and does it ask for a certificate?"
        if settings.tls
        else "is that a port for TLS?"
    )
    return f"the broker at {broker} hangs up without an answer; {hint}"


def lost(reason: str, settings: MqttConfig, *, steady: bool) -> str:
    """A connection that had stood has ended. `reason` is what the broker gave as a reason, if it did."""
    broker = address(settings)
    if "taken over" in reason:
        return f"another client took over the connection to {broker}; every client needs its own client_id"
    if reason:
        return f"the broker at {broker} ended the connection: {reason}"
    # Not every broker says that a client of the same name took over.
    hint = "" if steady else " soon after it stood; does another client have the same client_id?"
    return f"the connection to the broker at {broker} was lost{hint}"


def unconfirmed(seconds: float, settings: MqttConfig) -> str:
    """The broker takes messages and confirms none."""
    return f"the broker at {address(settings)} did not confirm within {seconds:.0f} s"


def _alert(said: str) -> str:
    # OpenSSL's words, and its symbols (TLSV1_ALERT_UNKNOWN_CA) where a version of it has no words.
    plain = said.lower().replace("_", " ")
    return next((sentence for part, sentence in ALERTS.items() if part in plain), "")

"""What the station shows the broker: certificates and a password, read anew before each attempt to connect.

A renewed certificate or a password that was put right counts without a restart.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from birdwatchd.actions.mqtt_faults import Unready

if TYPE_CHECKING:
    from birdwatchd.actions.mqtt_settings import MqttConfig, Tls


def tls_context(tls: Tls) -> ssl.SSLContext:
    """One that has no certificates yet, but for the system's authorities where the config names no other."""
    context = ssl.create_default_context() if tls.ca is None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = (
        ssl.TLSVersion.TLSv1_3 if tls.minimum_version == "1.3" else ssl.TLSVersion.TLSv1_2
    )
    return context


def load_certificates(context: ssl.SSLContext, tls: Tls) -> None:
    """Read the files.

    Raises:
        Unready: one of them cannot be used.
    """
    if tls.ca is not None:
        try:
            context.load_verify_locations(tls.ca)
        except OSError as error:
            raise _unusable("tls.ca", tls.ca, error) from error
    if tls.certificate is not None:
        try:
            # An empty password: OpenSSL would ask for one on the terminal.
            context.load_cert_chain(tls.certificate, tls.key, password="")
        except OSError as error:
            files = " with ".join(str(path) for path in (tls.certificate, tls.key) if path is not None)
            raise _unusable("tls.certificate", files, error) from error


def password(settings: MqttConfig) -> str | None:
    """The password; None when there is none.

    Raises:
        Unready: systemd's credential is not there.
    """
    name = settings.password_credential
    if name is None:
        return settings.password.get_secret_value() if settings.password else None
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise Unready(
            f"there is no credential {name}: systemd gave none; add LoadCredential={name}:/path to the unit"
        )
    path = Path(folder) / name
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable("the credential", path, error) from error


def _unusable(what: str, path: object, error: Exception) -> Unready:
    said = getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
    return Unready(f"{what} {path} cannot be used: {said}")

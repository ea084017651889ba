"""Sessions: who has given the password, and until when that counts. They outlive the daemon in a small file beside its database."""

from __future__ import annotations

import hmac
import json
import os
import secrets
import threading
import time
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LIFE_SECONDS = 30 * 86400.0
"""After the last look."""
FRESH_SECONDS = 86400.0
"""How often a look is written down: the card is not to be worn out by it."""
MOST = 200

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Session:
    """One browser that has given the password."""

    digest: str
    """Of its cookie: what lies in the file opens nothing."""
    name: str
    """As the person wished to be called."""
    password: str
    """Digest of the password's hash: with another password the session is over."""
    seen: float
    """Seconds since 1970."""


class Sessions:
    """From any thread."""

    def __init__(self, path: Path, *, wall: Callable[[], float] = time.time) -> None:
        self._path = path
        self._wall = wall
        self._lock = threading.Lock()
        self._key = secrets.token_bytes(32)
        self._sessions: dict[str, Session] = {}
        self._read()

    def begin(self, name: str, password_hash: str) -> str:
        """A new session; returns its cookie."""
        cookie = secrets.token_urlsafe(32)
        session = Session(_digest(cookie), name, _digest(password_hash), self._wall())
        with self._lock:
            self._sessions[session.digest] = session
            while len(self._sessions) > MOST:
                del self._sessions[min(self._sessions.values(), key=lambda one: one.seen).digest]
            self._write()
        return cookie

    def find(self, cookie: str, password_hash: str) -> Session | None:
        """The session of a cookie, while it counts."""
        session, now = self._sessions.get(_digest(cookie)), self._wall()
        if session is None or session.password != _digest(password_hash):
            return None
        if now - session.seen > LIFE_SECONDS:
            return None
        if now - session.seen > FRESH_SECONDS:
            with self._lock:
                if session.digest in self._sessions:
                    self._sessions[session.digest] = replace(session, seen=now)
                    self._write()
        return session

    def end(self, cookie: str) -> None:
        """Over; one that is not known is no fault."""
        with self._lock:
            if self._sessions.pop(_digest(cookie), None) is not None:
                self._write()

    def csrf(self, cookie: str) -> str:
        """What a form of this session has to bring back: no other site can read it. Without a cookie, that of all others."""
        return hmac.new(self._key, cookie.encode(), sha256).hexdigest()

    def _read(self) -> None:
        try:
            kept = json.loads(self._path.read_text())
            self._key = bytes.fromhex(kept["key"])
            found = [Session(**one) for one in kept["sessions"]]
        except FileNotFoundError:
            self._write()
        except (OSError, ValueError, TypeError, KeyError) as error:
            logger.warning("sessions cannot be read; everybody has to log in again", reason=str(error))
            self._write()
        else:
            self._sessions = {one.digest: one for one in found if self._wall() - one.seen <= LIFE_SECONDS}

    def _write(self) -> None:
        text = json.dumps(
            {"key": self._key.hex(), "sessions": [asdict(one) for one in self._sessions.values()]}
        )
        beside = self._path.with_name(f"{self._path.name}.new")
        try:
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123 - with a mode
                file.write(text)
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            logger.warning("sessions cannot be written; they end with this run", reason=str(error))


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()

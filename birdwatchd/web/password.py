"""The password: kept as an argon2id hash, and hard to guess at."""

from __future__ import annotations

import ipaddress
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MEMORY_KIB, ROUNDS = 19 * 1024, 2
"""As OWASP's Password Storage Cheat Sheet has it: also a small computer can do it beside its other work."""
LONGEST = 1024
FREE = 5
"""Wrong ones in a row that cost nothing: everybody mistypes."""
LONGEST_WAIT_SECONDS = 300.0
PATIENCE_SECONDS = 2.0
"""How long one waits for its turn: one password is looked at at a time."""
MOST_PLACES = 1000


def hash_of(password: str) -> str:
    """What goes into the config."""
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=ROUNDS, memory_cost=MEMORY_KIB, parallelism=1).hash(password)


def fits(password: str, password_hash: str) -> bool:
    """Whether the hash is the password's."""
    from argon2 import PasswordHasher
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        return PasswordHasher().verify(password_hash, password)
    except (Argon2Error, InvalidHashError):
        return False


class Busy(Exception):  # noqa: N818 - it says what is the matter
    """Not now: so many seconds from now."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Doorkeeper:
    """Asks for the password, of each place on the network the slower, the oftener it was wrong. From any thread."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._one_at_a_time = threading.Lock()
        self._lock = threading.Lock()
        self._wrong: dict[str, tuple[int, float]] = {}
        """By place: how often in a row, and until when it has to wait."""

    def lets_in(self, client: str, password: str, password_hash: str) -> bool:
        """Whether the password is right.

        Raises:
            Busy: this client has to wait, and the password was not looked at.
        """
        place = _place(client)
        with self._lock:
            times, until = self._wrong.get(place, (0, 0.0))
            wait = until - self._monotonic()
            if wait > 0:
                raise Busy(wait)
            # Counted before it is looked at: many at once gain nothing.
            pause = min(2.0 ** (times + 1 - FREE), LONGEST_WAIT_SECONDS) if times + 1 >= FREE else 0.0
            self._wrong.pop(place, None)
            self._wrong[place] = times + 1, self._monotonic() + pause
            while len(self._wrong) > MOST_PLACES:
                del self._wrong[next(iter(self._wrong))]
        if not self._one_at_a_time.acquire(timeout=PATIENCE_SECONDS):
            raise Busy(PATIENCE_SECONDS)
        try:
            is_right = fits(password[:LONGEST], password_hash)
        finally:
            self._one_at_a_time.release()
        if is_right:
            with self._lock:
                self._wrong.pop(place, None)
        return is_right


def _place(client: str) -> str:
    """An IPv6 host may take any address of its network."""
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)

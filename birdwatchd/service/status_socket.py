"""The socket that a running daemon says its status on: whoever connects gets one JSON object, and is asked nothing.

Nothing is read from a client, and one that does not read is left after a moment: it can hold up others who ask, for that
long, and nobody else. The socket is found by the database, which only one daemon can have.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SYSTEM = Path("/run/birdwatchd")
"""The runtime folder of the system service (RuntimeDirectory=birdwatchd)."""
ASK_SECONDS = 10.0
"""How long a daemon may take for its answer."""
SEND_SECONDS = 2.0
"""How long one that asked may take for reading it."""
MOST_BYTES = 16_000_000
WAITING = 8
"""So many may wait for their turn."""

logger = structlog.get_logger()


class Unanswered(Exception):  # noqa: N818 - it says what happened
    """Somebody is there, and does not answer, or may not be asked."""


class StatusSocket:
    """Answers while it is entered, on a thread of its own."""

    def __init__(
        self, database: Path, status: Callable[[], bytes], environment: Mapping[str, str] = os.environ
    ) -> None:
        """`status` gives what is said, on that thread. Held by the daemon that has the lock of `database`."""
        self._database = database
        self._status = status
        self._environment = environment
        self._path: Path | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._thread = threading.Thread(target=self._answer_all, name="status", daemon=True)

    def __enter__(self) -> Self:
        for folder, mode in folders(self._database, self._environment):
            path = folder / name(self._database)
            try:
                if folder.name == SYSTEM.name:
                    folder.mkdir(mode=0o700, exist_ok=True)  # in the user's own runtime folder
                # What is left there is of a daemon that died: only we have the database.
                path.unlink(missing_ok=True)
                with _reachable(path) as address:
                    self._socket.bind(address)
                path.chmod(mode)
                self._socket.listen(WAITING)
            except OSError as error:
                logger.debug("status cannot be told here", path=str(path), reason=str(error))
                continue
            self._path = path
            self._thread.start()
            return self
        logger.warning("`birdwatchd status` will not work: there is no folder for its socket")
        return self

    def __exit__(self, *exception: object) -> None:
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # ends accept()
            self._thread.join(SEND_SECONDS + 1)
        self._socket.close()

    def _answer_all(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with client:
                try:
                    client.settimeout(SEND_SECONDS)
                    client.sendall(self._status())
                except OSError as error:
                    logger.debug("status was not read", reason=str(error))
                except Exception:
                    # The one place of this thread.
                    logger.exception("status cannot be told")


def ask(database: Path, environment: Mapping[str, str] = os.environ) -> dict[str, Any] | None:
    """What the daemon that has `database` says of itself; None when there is none.

    Raises:
        Unanswered: there is one, and it does not answer, or this user may not ask.
    """
    denied = False
    for folder, _ in folders(database, environment, asking=True):
        path = folder / name(database)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(ASK_SECONDS)
            try:
                with _reachable(path) as address:
                    _connect(asking, address)
            except PermissionError:
                denied = True
            except TimeoutError:
                raise Unanswered(f"it has not answered for {ASK_SECONDS:g} s") from None
            except OSError:
                continue  # nothing there, or left by one that died
            else:
                return _read(asking)
    if denied:
        raise Unanswered(
            "this user may not ask it: try `sudo -u birdwatchd birdwatchd status`, or join the group birdwatchd"
        )
    return None


def folders(
    database: Path, environment: Mapping[str, str], *, asking: bool = False
) -> Iterator[tuple[Path, int]]:
    """Where the socket may be, best first, and the mode that it has there."""
    ours = environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if ours:
        yield Path(ours), 0o660  # those of the service's group may ask
    elif asking:
        yield SYSTEM, 0o660
    personal = environment.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}" if asking else "")
    if personal:
        yield Path(personal) / SYSTEM.name, 0o600
    yield database.absolute().parent, 0o600


def name(database: Path) -> str:
    """What the socket for a database is called."""
    key = blake2b(os.fsencode(database.absolute().resolve()), digest_size=4).hexdigest()
    return f"status-{key}.sock"


@contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """An address for a socket, however long its path: a socket's own may have about a hundred characters."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _connect(asking: socket.socket, address: str) -> None:
    """Wait for one's turn: a socket with a deadline says at once that too many are before it."""
    until = time.monotonic() + ASK_SECONDS
    while True:
        try:
            asking.connect(address)
        except BlockingIOError:
            if time.monotonic() > until:
                raise TimeoutError from None
            time.sleep(0.05)
        else:
            return


def _read(asking: socket.socket) -> dict[str, Any]:
    said = bytearray()
    try:
        while piece := asking.recv(65536):
            said += piece
            if len(said) > MOST_BYTES:
                break
        answer = json.loads(said)
    except TimeoutError:
        raise Unanswered(f"it has not answered for {ASK_SECONDS:g} s") from None
    except (OSError, ValueError):
        raise Unanswered("it was interrupted in its answer; it may be ending") from None
    if not isinstance(answer, dict):
        raise Unanswered("what answers is no birdwatchd")
    return answer

"""A program that is run once, to its end: with a limit on its time and on what is kept of its output.

It leads a process group of its own, and the group ends with it: what it started and left behind is ended as well,
unless that went into a session of its own (`setsid`).
"""

from __future__ import annotations

import errno
import math
import os
import selectors
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from birdwatchd.actions import GiveUp, Postpone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

LINGER_SECONDS = 0.05
"""For the last words of those that the program leaves behind with its output still open."""
REAPING_SECONDS = 1.0
"""A killed program that waits for a dead disk or device goes when that lets it; nobody waits with it."""
ENDING_SECONDS = 1.0
"""So long before the daemon is gone a program is told to end."""
LOOK_SECONDS = 0.25
"""How often it is looked at whether the daemon ends."""
PASSING = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY}
"""Why a program cannot be started now, and may be later."""


class Overdue(Postpone):
    """It did not end in time, and was ended."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


@dataclass(frozen=True, slots=True)
class Ended:
    """How it went."""

    status: int
    """Exit status; the negative number of the signal that ended it."""
    output: str
    """The end of what it wrote to stdout and stderr."""

    @property
    def last_line(self) -> str:
        """What programs say when they fail is mostly in their last line."""
        lines = self.output.split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def told(self, program: str) -> str:
        """In a sentence."""
        how = (
            f"ended with status {self.status}" if self.status >= 0 else f"was ended by {_signal(self.status)}"
        )
        return f"{program} {how}{': ' if self.last_line else ''}{self.last_line[:200]}"


def run_child(
    arguments: Sequence[str],
    *,
    seconds: float,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    given: bytes = b"",
    keep_bytes: int = 4000,
    ends_at: Callable[[], float] = lambda: math.inf,
) -> Ended:
    """Run a program to its end.

    After nine tenths of `seconds` its whole group is told to end (SIGTERM), and at the end of them killed; and likewise a
    second before the daemon is gone.

    Args:
        arguments: The program and its arguments; never a shell's.
        seconds: How long it may take in all.
        environment: The whole of it; ours when left out.
        folder: Where it is started.
        given: What it can read on its standard input.
        keep_bytes: How much of its output is kept, from the end.
        ends_at: Monotonic time at which the daemon is gone; asked again and again.

    Raises:
        GiveUp: there is no such program, or it cannot be started.
        Overdue: it did not end in time, or was not begun as the daemon ends.
        OSError: it cannot be started now.
    """
    began = time.monotonic()
    until = began + seconds
    if began >= ends_at() - ENDING_SECONDS:
        raise Overdue(f"{arguments[0]} was not begun, as birdwatchd was ending", "")
    with _readable(given) as given_file:
        try:
            child = subprocess.Popen(
                list(arguments),
                stdin=given_file,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                env=None if environment is None else dict(environment),
                cwd=folder,
                start_new_session=True,
            )
        except OSError as error:
            if error.errno in PASSING:
                raise
            raise GiveUp(_why_not_started(arguments[0], folder, error)) from None
    with _Watch(child, keep_bytes) as watch:
        in_time = watch.wait(lambda: min(until - seconds / 10, ends_at() - ENDING_SECONDS), for_silence=False)
        is_overtaken = time.monotonic() < until - seconds / 10
        linger = time.monotonic() + LINGER_SECONDS
        if not (in_time and watch.wait(lambda: linger, for_silence=True)):
            watch.signal(signal.SIGTERM)
            linger = time.monotonic() + LINGER_SECONDS
            watch.wait(lambda: linger if in_time else min(until, ends_at()), for_silence=True)
        # Until it is reaped its id is nobody else's, so this cannot hit a stranger.
        watch.signal(signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            child.wait(REAPING_SECONDS)
    if not in_time and is_overtaken:
        raise Overdue(f"{arguments[0]} was ended, as birdwatchd was ending", watch.output)
    if not in_time:
        raise Overdue(f"{arguments[0]} took longer than {seconds:g} s and was ended", watch.output)
    return Ended(child.returncode, watch.output)


class _Watch:
    """Reads what a child writes, and sees it exit."""

    def __init__(self, child: subprocess.Popen[bytes], keep_bytes: int) -> None:
        assert child.stdout is not None  # noqa: S101 - it is a pipe
        self._child, self._pipe, self._keep = child, child.stdout, keep_bytes
        self._exit = os.pidfd_open(child.pid)
        self._kept, self._is_cut = b"", False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipe, selectors.EVENT_READ)
        self._selector.register(self._exit, selectors.EVENT_READ)

    def wait(self, until: Callable[[], float], *, for_silence: bool) -> bool:
        """True once it has exited, and (`for_silence`) all who could write have closed the pipe; False at `until`."""
        while self._exit in (waited := self._waited()) or (for_silence and self._pipe in waited):
            left = until() - time.monotonic()
            # Where it is us who are late, one that has ended meanwhile has ended in time.
            for key, _ in self._selector.select(min(max(0.0, left), LOOK_SECONDS)):
                if key.fileobj is self._pipe:
                    self._read()
                else:
                    self._selector.unregister(self._exit)
            if left < 0:
                waited = self._waited()
                return self._exit not in waited and not (for_silence and self._pipe in waited)
        return True

    def signal(self, number: signal.Signals) -> None:
        """To all of its group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)

    @property
    def output(self) -> str:
        text = self._kept.decode(errors="replace").replace("\0", "").strip()
        return f"…{text}" if self._is_cut else text

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        self._pipe.close()
        os.close(self._exit)

    def _waited(self) -> list[object]:
        return [key.fileobj for key in self._selector.get_map().values()]

    def _read(self) -> None:
        piece = os.read(self._pipe.fileno(), 1 << 16)
        if not piece:
            self._selector.unregister(self._pipe)
        kept = self._kept + piece
        self._is_cut |= len(kept) > self._keep
        self._kept = kept[max(0, len(kept) - self._keep) :]


@contextmanager
def _readable(given: bytes) -> Iterator[int]:
    """A file with these bytes: unlike a pipe it takes them all at once, whether somebody reads them or not."""
    if not given:
        yield subprocess.DEVNULL
        return
    with os.fdopen(os.memfd_create("given"), "r+b", buffering=0) as file:
        file.write(given)
        file.seek(0)
        yield file.fileno()


def _why_not_started(program: str, folder: Path | None, error: OSError) -> str:
    if folder is not None and not folder.is_dir():
        return f"the working folder {folder} is not there; make it, or change working_folder"
    match error.errno:
        case errno.ENOENT if os.path.exists(program):  # noqa: PTH110 - it is a word of an argv
            return f"{program} cannot be started: its first line names an interpreter that is not there"
        case errno.ENOENT:
            return f"there is no program {program}; install it, or give its path"
        case errno.EACCES:
            return f"{program} may not be executed; `chmod +x` makes it a program"
        case errno.ENOEXEC:
            return f"{program} is no program; a script needs a first line such as #!/bin/sh"
        case _:
            return f"{program} cannot be started: {error.strerror}"


def _signal(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"

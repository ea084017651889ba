"""What Ctrl-C does to a command. Python would have a traceback wherever it is met, and loses it where nobody can raise.

It imports next to nothing, as it is what a command does first.
"""

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

STATUS = 130
"""What a shell calls the end of a command that was interrupted."""
_LATER_SECONDS = 0.02


def end_at_once() -> None:
    """From now on it ends the process, quietly: while nothing is begun yet, or all is done.

    Where it is ignored, as in what a script starts in the background, it stays so; as with `raise_it`.
    """
    if signal.getsignal(signal.SIGINT) in {signal.default_int_handler, _raise}:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if signal.getsignal(signal.SIGALRM) is _raise:
        signal.setitimer(signal.ITIMER_REAL, 0)


def raise_it() -> None:
    """From now on it raises KeyboardInterrupt, for whoever has something to put in order first."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, _raise)
        sys.unraisablehook = _lost


def die() -> "NoReturn":
    """End of it, once all is in order: a loop of a shell then ends too, which would go on after a mere status.

    Python itself is not taken down. Threads that are within a library (torch, PortAudio) would have that fall from under
    them.
    """
    from contextlib import suppress

    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # nobody reads it any more
            stream.flush()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    os._exit(STATUS)  # where it is blocked


def _raise(_number: int, frame: "FrameType | None") -> None:
    """Not while a compiled module is imported: some (soxr) take the process with them where anything is raised then."""
    while frame is not None:
        if frame.f_code.co_qualname.startswith("ExtensionFileLoader."):
            signal.signal(signal.SIGALRM, _raise)
            signal.setitimer(signal.ITIMER_REAL, _LATER_SECONDS)
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def _lost(lost: "sys.UnraisableHookArgs") -> None:
    """What was raised in a callback of a library that cannot pass it on, such as pydantic's, would be no end at all."""
    if not issubclass(lost.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
        return
    die()

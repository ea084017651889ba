"""How ffmpeg is told what to open: on its command line, or on its standard input where a secret is part of it.

Everybody on a machine can read every command line (`ps`). What holds a password goes to ffmpeg as a list of one item, for
its concat demuxer, on standard input: https://ffmpeg.org/ffmpeg-formats.html#concat-1
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from birdwatchd.config.address import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SECRET_OPTIONS = frozenset({"-headers", "-cookies", "-http_proxy", "-passphrase", "-decryption_key", "-key"})
"""Options whose values are passwords, or may hold one."""
# fmt: off
FLAGS = frozenset((
    "-accurate_seek", "-an", "-dn", "-hide_banner", "-nostats", "-nostdin", "-re", "-sn", "-vn", "-xerror",
))
"""Options of ffmpeg itself that have no value."""
OF_FFMPEG = frozenset((
    "-ac", "-acodec", "-c", "-codec", "-hwaccel", "-hwaccel_device", "-itsoffset", "-itsscale", "-loglevel", "-readrate",
    "-ss", "-sseof", "-stream_loop", "-t", "-thread_queue_size", "-threads", "-to", "-v", "-vcodec",
))
"""Options of ffmpeg itself; all others belong to whatever opens the address, and go into the list with it."""
# fmt: on
UNLISTABLE = frozenset({"-f", "-protocol_whitelist", "-i"})
"""What a list has no way to say."""
PROTOCOLS = ("pipe", "fd", "crypto", "data", "http", "https", "httpproxy", "tls", "tcp", "udp", "rtp", "srtp")
"""What a list on a pipe may open besides the address itself: nothing that is a file of this machine."""
FIRST_WITH_OPTIONS = 59
"""The libavformat, of ffmpeg 5.0, whose lists may hold options."""
EXPOSED = "every user of this machine can read what is secret in its address, with `ps`"
"""Followed by the reason."""
PASSED_ON = re.compile(
    r"PATH|HOME|USER|LANG(UAGE)?|LC_\w+|TZ|TMPDIR|LD_LIBRARY_PATH|XDG_RUNTIME_DIR|SSL_CERT_(FILE|DIR)|FFREPORT"
    r"|(PULSE|PIPEWIRE|JACK|ALSA|LIBVA|VDPAU)_\w+|(?i:(https?|all|no)_proxy)"
)
"""What of the daemon's environment an ffmpeg gets: it reads what strangers send, and needs nobody's password."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What ffmpeg is given to open one address."""

    words: tuple[str, ...]
    """On its command line: the options before `-i`, and `-i`."""
    given: bytes = b""
    """On its standard input; nothing when empty."""
    exposed: str = ""
    """Why a secret stands on its command line all the same; empty when none does."""


def opening(url: str, usual: Sequence[str], own: Sequence[str]) -> Opening:
    """How ffmpeg opens `url` with our `usual` options, and the user's `own`, which come last and win."""
    plain = (*usual, *own, "-i", url)
    if not is_secret(url, own):
        return Opening(plain)
    lines = ["ffconcat version 1.0", f"file {_quoted(url)}"]
    outside: list[str] = []
    words = iter((*usual, *own))
    for word in words:
        name = word.partition(":")[0]
        if name in FLAGS:
            outside.append(word)
            continue
        value = next(words, "")
        if name in UNLISTABLE:
            return Opening(plain, exposed=f"a list cannot hold the option {name}")
        if name in OF_FFMPEG:
            outside += [word, value]
        else:
            lines.append(f"option {word.removeprefix('-')} {_quoted(value)}")
    if any(set("\r\n\0") & set(line) for line in lines):
        return Opening(plain, exposed="a list cannot hold a line break")
    if not _lists_take_options():
        return Opening(plain, exposed="ffmpeg is older than 5.0")
    scheme = url.partition("://")[0].lower()
    allowed = [
        *PROTOCOLS,
        scheme,
        *(("rtmp", "ffrtmphttp", "ffrtmpcrypt") if scheme.startswith("rtmp") else ()),
    ]
    inside = ("-f", "concat", "-safe", "0", "-protocol_whitelist", ",".join(allowed), "-i", "pipe:0")
    return Opening((*outside, *inside), "".join(f"{line}\n" for line in lines).encode())


def is_secret(url: str, options: Sequence[str]) -> bool:
    """Whether the address, or an option of it, has something in it that is nobody's business."""
    # What follows the `?` of these says how they are read, and no more.
    tells_how = url.lower().startswith(("udp://", "rtp://")) and "@" not in url
    return (shown(url) != url and not tells_how) or bool(SECRET_OPTIONS.intersection(options))


def environment(ours: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What an ffmpeg finds around itself."""
    return {name: value for name, value in ours.items() if PASSED_ON.fullmatch(name)}


def _quoted(text: str) -> str:
    return "'" + text.replace("'", r"'\''") + "'"


@functools.cache
def _lists_take_options() -> bool:
    try:
        told = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return True  # whoever starts it says what is wrong
    version = re.search(r"libavformat\s+(\d+)", told.stdout)
    return version is None or int(version[1]) >= FIRST_WITH_OPTIONS

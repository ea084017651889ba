"""Addresses: how they may be shown, without user, password and query, and what is wrong with one, said without them too."""

from __future__ import annotations

import contextlib
import re
from difflib import get_close_matches
from urllib.parse import unquote, urlsplit

SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt", "rtp", "udp", "tcp")
"""What streams are usually heard by. ffmpeg knows more, so only what is nearly one of these is taken for a slip."""
KNOWN = frozenset(("librtmps", "rtmpe", "rtmpt", "rtmpte", "rtmpts", "srtp"))
"""Others that are nearly one, and are none."""
NEARLY = 0.75


def redacted(text: str, url: str) -> str:
    """`text` without what is secret in `url`: user, password and query."""
    secrets = {url: shown(url)}
    with contextlib.suppress(ValueError):
        password = urlsplit(url).password or ""
        for form in (password, unquote(password)):
            if len(form) >= 4:  # noqa: PLR2004 - a shorter one would take pieces out of words
                secrets[form] = "***"
    for secret, instead in secrets.items():
        text = text.replace(secret, instead)
    return shown(text)


def shown(text: str) -> str:
    """The text with what is secret in all the addresses that it holds left out."""
    text = re.sub(r"(\w+://)[^/\s]+@", r"\1***@", text)
    return re.sub(r"(\w+://[^?\s]*\?)[^\s:,]+", r"\1***", text)


def fault(url: str) -> str:
    """Why no stream can be at an address, whatever there is in the world; empty where one may be."""
    scheme, is_address, _ = url.partition("://")
    scheme = scheme.lower()
    if not is_address:
        return ""
    if scheme not in SCHEMES:
        jumbled = [one for one in SCHEMES if sorted(one) == sorted(scheme)]
        close = jumbled or get_close_matches(scheme, SCHEMES, n=1, cutoff=NEARLY)
        return (
            f"there is no {scheme}://; did you mean {close[0]}://?" if close and scheme not in KNOWN else ""
        )
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"the host in [ ] is no IPv6 address; write {scheme}://[::1]/PATH"
    try:
        port, is_port = parts.port, True
    except ValueError:
        port, is_port = None, False
    if "@" in parts.fragment or ("@" in f"{parts.path}{parts.query}" and not is_port):
        return (
            "its user or password has a `/`, `?` or `#` in it, which ends it; write %2F, %3F or %23 instead"
        )
    if not is_port:
        return "its port must be a number of at most 65535"
    if not parts.hostname and port is None:
        return f"has no host; write {scheme}://HOST/PATH"
    return ""

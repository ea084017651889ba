"""Addresses as they may be shown: without user, password and query."""

from __future__ import annotations

import contextlib
import re
from urllib.parse import unquote, urlsplit


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

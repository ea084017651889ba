"""Addresses as they may be shown: without user, password and query."""

from __future__ import annotations

import contextlib
import re
from urllib.parse import unquote, urlsplit


def redacted(text: str, url: str) -> str:
    """`text` without what is secret in `url`: user, password and query."""
    secrets = {url: _shown(url)}
    with contextlib.suppress(ValueError):
        password = urlsplit(url).password or ""
        for form in (password, unquote(password)):
            if len(form) >= 4:  # noqa: PLR2004 - a shorter one would take pieces out of words
                secrets[form] = "***"
    for secret, shown in secrets.items():
        text = text.replace(secret, shown)
    return _shown(text)


def _shown(text: str) -> str:
    text = re.sub(r"(\w+://)[^/\s]+@", r"\1***@", text)
    return re.sub(r"(\w+://[^?\s]*\?)[^\s:,]+", r"\1***", text)

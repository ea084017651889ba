"""Is it a picture? A camera's login page, an empty file and half a picture are none."""

from __future__ import annotations

from io import BytesIO

SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}
MOST_PIXELS = 80_000_000
MOST_BYTES = 64 << 20
TOO_LARGE = f"it has more than {MOST_PIXELS:,} pixels"


class NoPicture(Exception):  # noqa: N818 - it says what it is
    """These bytes are no picture; the message says what they are."""


def suffix_of(content: bytes) -> str:
    """The suffix that its file should have, once it has been read to its end.

    Raises:
        NoPicture: it is none, or not a whole one, or too large.
    """
    if not content:
        raise NoPicture("it is empty")
    try:
        kind, (width, height) = _looked_at(content)
        if width * height <= MOST_PIXELS:
            _read_through(content)
            return SUFFIXES[kind]
    except Exception as error:  # noqa: BLE001 - what a broken picture makes Pillow raise is not to be listed
        raise NoPicture(_what(content, error)) from None
    raise NoPicture(TOO_LARGE)


def _looked_at(content: bytes) -> tuple[str, tuple[int, int]]:
    """Format, width and height, after the checks that need no memory."""
    from PIL import Image

    with Image.open(BytesIO(content), formats=list(SUFFIXES)) as picture:
        found = str(picture.format), picture.size
        picture.verify()
        return found


def _read_through(content: bytes) -> None:
    from PIL import Image

    with Image.open(BytesIO(content), formats=list(SUFFIXES)) as picture:
        # A JPEG is decoded at an eighth of its size, to its end all the same: small computers have little memory.
        picture.draft("RGB", (picture.width // 8, picture.height // 8))
        picture.load()


def _what(content: bytes, error: Exception) -> str:
    begun = content[:512].lstrip().lower()
    if begun.startswith((b"<!doctype html", b"<html")):
        return "it is a web page; is the address right, and does the camera want a password?"
    if begun.startswith((b"<", b"{")):
        return "it is text"
    if "Bomb" in type(error).__name__:
        return TOO_LARGE
    if "truncated" in str(error) or "broken" in str(error):
        return "it is cut off before its end"
    return "it is no JPEG, PNG or WebP that can be read"

"""Text from elsewhere, made fit for a terminal or a log."""

from __future__ import annotations

import re

UNFIT = re.compile(
    # Control characters but for tab and line feed; what separates lines or turns the direction of writing; halves of a
    # character, which are also how Python shows bytes of a file name that are no UTF-8.
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def plain(text: str) -> str:
    """The text with whatever would act on a terminal, or hide there, spelt out: an escape character becomes `\\x1b`."""
    return UNFIT.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def plain_line(text: str) -> str:
    """The same as one line."""
    return plain(text).replace("\n", "\\n").replace("\t", "\\t")


def is_plain_line(text: str) -> bool:
    """Whether it is one line with nothing in it to be spelt out."""
    return UNFIT.search(text) is None and not set("\n\t") & set(text)

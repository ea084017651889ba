"""What is written for people: names of files and labels come from elsewhere, and must not act on their terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

from birdwatchd.config.plain import plain

if TYPE_CHECKING:
    from rich.text import Text


class Terminal(Console):
    """rich's, but that whatever it is given as a string is spelt out where it would act."""

    def render_str(self, text: str, **options: Any) -> Text:
        """The text as rich draws it."""
        return super().render_str(plain(text), **options)

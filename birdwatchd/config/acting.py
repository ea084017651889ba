"""The `actions:` of a config file: each one is checked by the settings of its own kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from birdwatchd.config.place import choice

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from birdwatchd.config.document import Document
    from birdwatchd.config.mistake import KeyPath
    from birdwatchd.config.trigger import ActionConfig


class Acting:
    """What was read: the actions that are right, with their places in the file, and a sentence for what is wrong."""

    def __init__(self, path: Path, document: Document, kinds: Mapping[str, type[ActionConfig]]) -> None:
        self.right: list[tuple[int, ActionConfig]] = []
        self.wrong: dict[KeyPath, str] = {}
        self._document = document
        self._kinds = kinds
        self._context = {"folder": path.absolute().parent}

    def read(self, written: Any) -> Self:
        """Take in what stands under `actions`."""
        if written is None:
            return self
        if not isinstance(written, list):
            _, part = self._document.find(("actions",))
            is_section = part is not None and part.children is not None
            hint = "; write a `-` before each one" if is_section else ""
            self.wrong["actions",] = f"must be a list, each item settings with `kind:`{hint}"
            return self
        for index, settings in enumerate(written):
            self._read_one(index, settings)
        return self

    def _read_one(self, index: int, settings: Any) -> None:
        place: KeyPath = ("actions", index)
        if not isinstance(settings, dict):
            self.wrong[place] = "must be settings with `kind:` and `name:`"
            return
        kind = settings.get("kind")
        if not isinstance(kind, str) or kind not in self._kinds:
            self.wrong[*place, "kind"] = self._unknown(kind)
            return
        schema = self._kinds[kind]
        try:
            self.right.append((index, schema.model_validate(settings, context=self._context)))
        except ValidationError as error:
            from birdwatchd.config.complaint import complaints

            self.wrong |= complaints(error, self._document, schema, place)

    def _unknown(self, kind: Any) -> str:
        from birdwatchd.config.complaint import near

        kinds = sorted(self._kinds)
        if kind is None:
            return f"is missing; it takes {choice(kinds)}"
        close = near(kind, kinds) if isinstance(kind, str) else ""
        hint = f"did you mean {close}?" if close else "`birdwatchd actions list` shows what is installed"
        return f"there is no such kind of action; {hint}"

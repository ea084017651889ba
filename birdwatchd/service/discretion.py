"""What no line of the log may hold: secrets, whoever tells of them, and signs that would act on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structlog.typing import EventDict

    from birdwatchd.config.secrets import Secrets


class Discretion:
    """A processor of structlog; it comes after exceptions have become text."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def __call__(self, _logger: Any, _method: str, event: EventDict) -> EventDict:
        return {name: self._fit(value) for name, value in event.items()}

    def _fit(self, value: Any) -> Any:
        match value:
            case bool() | int() | float() | None:
                return value
            case dict():
                return {str(name): self._fit(inner) for name, inner in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self._fit(inner) for inner in value]
            case _:
                return self._secrets.fit(str(value))

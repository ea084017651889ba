"""What every section of the config is made of."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator


class Strict(BaseModel):
    """What every part of the config is: frozen, and without room for a misspelt key."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        defer_build=True,  # a section is built with the whole: half the time of `birdwatchd check`
        validate_default=False,
        allow_inf_nan=False,
    )

    @classmethod
    def as_it_is(cls) -> Self:
        """The section with nothing written in it: all defaults, and no validator built only for that."""
        return cls.model_construct()

    @model_validator(mode="before")
    @classmethod
    def _leave_out_what_is_empty(cls, settings: Any) -> Any:
        """In YAML a section whose lines are all commented out has the value null: it means the defaults."""
        if not isinstance(settings, dict):
            return settings
        return {
            key: value for key, value in settings.items() if value is not None or key not in cls.model_fields
        }

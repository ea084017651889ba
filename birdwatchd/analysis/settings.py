"""What the options of the command and a config file, if there is one, make together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from birdwatchd.config import rules
from birdwatchd.config.load import load
from birdwatchd.config.schema import Config
from birdwatchd.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from birdwatchd.config.mistake import KeyPath
    from birdwatchd.model.bundle import Card

OPTIONS: dict[KeyPath, str] = {
    ("hop_seconds",): "hop",
    ("language",): "language",
    ("model", "bundle"): "model",
    ("deciding", "threshold"): "threshold",
    ("deciding", "min_hits"): "min_hits",
    ("deciding", "only"): "only",
    ("deciding", "include"): "include",
    ("deciding", "exclude"): "exclude",
}
"""The settings that have an option, which wins over the file."""

_NO_SOURCE = {"name": "none", "kind": "recording", "path": "none"}


def option_paths(options: Mapping[str, Any]) -> dict[KeyPath, Any]:
    """Those of the options that are settings and were given, by the settings' paths."""
    return {path: options[name] for path, name in OPTIONS.items() if options[name] not in (None, ())}


def settle(path: Path | None, given: Mapping[KeyPath, Any]) -> Config:
    """The config at `path`, or the defaults, with the options that were `given`.

    Raises:
        ConfigError: the file is wrong.
    """
    tree: dict[str, Any] = {"sources": [_NO_SOURCE]} if path is None else load(path).config.model_dump()
    for (*sections, name), value in given.items():
        section = tree
        for step in sections:
            section = section.setdefault(str(step), {})
        section[str(name)] = value
    return Config.model_validate(tree)


def refuse_unfit(config: Config, given: Mapping[KeyPath, Any], card: Card) -> None:
    """Refuse settings that can never fire with this model.

    Raises:
        ConfigError: with every such setting, a line each.
    """

    def wrote(path: KeyPath) -> bool:
        return any(path[: len(one)] == one for one in given)

    objections = [
        *rules.within(config, wrote),
        *rules.against_model(config, wrote, card.input_seconds, card.labels),
    ]
    lines = []
    for path, sentence in objections:
        option = next((OPTIONS[one] for one in given if path[: len(one)] == one), None)
        name = f"--{option.replace('_', '-')}" if option else ".".join(str(step) for step in path)
        lines.append(f"{name}: {sentence}")
    if lines:
        raise ConfigError("\n".join(lines))

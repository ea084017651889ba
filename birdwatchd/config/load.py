"""Reads the config file: every mistake of it at once, each with file, line, and what to do."""

from __future__ import annotations

import copy
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
from pydantic import ValidationError

from birdwatchd.config import rules
from birdwatchd.config.acting import Acting
from birdwatchd.config.document import Document, read_document
from birdwatchd.config.environment import around
from birdwatchd.config.mistake import KeyPath, config_error
from birdwatchd.config.schema import Config
from birdwatchd.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from birdwatchd.config.trigger import ActionConfig
    from birdwatchd.domain import Label


@dataclass(frozen=True, slots=True)
class Loaded:
    """A config that is right in itself, and the file it came from."""

    config: Config
    path: Path
    document: Document

    def refuse_unfit(self, segment_seconds: float, labels: Sequence[Label]) -> None:
        """Refuse what can never fire with this model.

        Settings that the user did not write are refused only where nothing could work at all.

        Raises:
            ConfigError: with every such setting.
        """
        self.refuse(rules.against_model(self.config, self.document.has, segment_seconds, labels))

    def refuse(self, objections: Iterable[rules.Objection]) -> None:
        """Refuse settings by their path.

        Raises:
            ConfigError: with every objection at its line, if there is any.
        """
        mistakes = [self.document.mistake(path, sentence) for path, sentence in objections]
        if mistakes:
            raise config_error(self.path, mistakes)


def load(
    path: Path,
    environment: Mapping[str, str] | None = None,
    actions: Mapping[str, type[ActionConfig]] | None = None,
) -> Loaded:
    """Read and check a config file.

    Args:
        path: the file.
        environment: where `${NAME}` is looked up; the process's own, with systemd's credentials, when left out.
        actions: what each kind of action takes. Without it actions are not looked at, and the config has none.

    Raises:
        ConfigError: with every mistake in it.
    """
    document = read_document(path, around() if environment is None else environment)
    tree = document.root.plain()
    written = tree.pop("actions", None)
    acting = (
        Acting(path, document, actions).read(written) if actions is not None else Acting(path, document, {})
    )
    config, found = _validate(tree, path, document)
    wrong = acting.wrong | found
    rest = tree
    for _ in range(3):
        if config is not None:
            break
        # What is right is held against the rules all the same, so that all mistakes show in one run.
        rest = _without(rest, found)
        config, found = _validate(rest, path, document)
    objections = list(rules.same_names("sources", tree.get("sources")))
    if config is not None:
        objections += rules.within(config, document.has)
        known = None if any(key[0] == "sources" for key in found) else {one.name for one in config.sources}
        located = config.location is not None or document.has(("location",))
        objections += rules.listening(config, has_location=located)
        objections += rules.triggers(acting.right, known, has_location=located)
    if actions is not None:
        objections += rules.same_names("actions", written)
    for objection in objections:
        if not any(objection.path[: len(key)] == key for key in wrong):
            wrong[objection.path] = objection.sentence
    mistakes = [document.mistake(*one) for one in wrong.items() if one[0] not in document.unjudged]
    if mistakes or document.mistakes or config is None:
        raise config_error(path, [*document.mistakes, *mistakes])
    config = config.model_copy(update={"actions": tuple(action for _, action in acting.right)})
    return Loaded(config, path, document)


def find_config() -> Path:
    """The config file when none was named: here, the user's own, the machine's.

    Raises:
        ConfigError: there is none.
    """
    own = platformdirs.user_config_path("birdwatchd") / "config.yaml"
    places = (Path("config.yaml"), own, Path("/etc/birdwatchd/config.yaml"))
    for path in places:
        # A folder that this user may not enter (sudo keeps root's HOME at times) has none for him.
        with suppress(PermissionError):
            if path.is_file():
                return path
    raise ConfigError(
        f"no config: there is none of {', '.join(map(str, places))}; write one, or name it with -c"
    )


def _validate(tree: Any, path: Path, document: Document) -> tuple[Config | None, dict[KeyPath, str]]:
    try:
        return Config.model_validate(tree, context={"folder": path.absolute().parent}), {}
    except ValidationError as error:
        from birdwatchd.config.complaint import complaints

        return None, complaints(error, document)


def _without(tree: dict[str, Any], wrong: Iterable[KeyPath]) -> dict[str, Any]:
    """The tree without the settings that are wrong, and without the sections that lack one."""
    tree = copy.deepcopy(tree)
    for path in wrong:
        above: tuple[dict[str, Any], Any] | None = None
        section, name = tree, path[0]
        for step in path[1:]:
            inner = section.get(str(name))
            if not isinstance(inner, dict):
                break
            above, section, name = (section, name), inner, step
        if name in section:
            del section[str(name)]
        elif above is not None:
            above[0].pop(above[1], None)
    if any(path[0] == "sources" for path in wrong):
        tree["sources"] = [
            {"kind": "microphone", "name": "any"}
        ]  # no rule looks at a source's other settings
    return tree

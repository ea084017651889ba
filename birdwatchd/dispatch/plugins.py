"""Which kinds of action there are: entry points in the group `birdwatchd.actions`, our own among them.

Only those that are asked for are imported. One that cannot be is named and left out, and the daemon starts without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, ClassVar

from pydantic import ConfigDict

from birdwatchd.actions import Action, ActionConfig

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "birdwatchd.actions"


class LeftOut(ActionConfig):
    """The settings of an action whose plugin is broken: taken as they are, used for nothing."""

    model_config = ConfigDict(extra="allow")

    why: ClassVar[str] = ""
    """What is wrong with the plugin, in a sentence."""


class BrokenPlugin(Exception):  # noqa: N818 - it says what it is
    """A plugin that cannot be used; the message is a sentence that names it."""


class Plugins(Mapping[str, type[Action]]):
    """The kinds of action that are installed, by name; each is imported when it is looked up."""

    def __init__(self) -> None:
        self._found: dict[str, type[Action]] = {}

    @cached_property
    def _points(self) -> dict[str, EntryPoint]:
        # Our own come last, so that nobody replaces them by accident.
        return {point.name: point for point in sorted(entry_points(group=GROUP), key=_is_ours)}

    def __getitem__(self, kind: str) -> type[Action]:
        """The action of that kind.

        Raises:
            KeyError: there is none.
            BrokenPlugin: it cannot be used.
        """
        if kind not in self._found:
            self._found[kind] = _load(self._points[kind])
        return self._found[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._points))

    def __len__(self) -> int:
        return len(self._points)

    def __contains__(self, kind: object) -> bool:
        # Mapping's own would import it.
        return kind in self._points

    def package(self, kind: str) -> str:
        """Who brings it: the name and version of the distribution."""
        of = self._points[kind].dist
        return "" if of is None else f"{of.name} {of.version}"

    def is_built_in(self, kind: str) -> bool:
        """Whether it is one of birdwatchd's own."""
        return _is_ours(self._points[kind])


class Schemas(Mapping[str, type[ActionConfig]]):
    """What each kind of action takes in the config. A broken plugin's takes anything: see `LeftOut`."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        self._left_out: dict[str, type[LeftOut]] = {}

    def __getitem__(self, kind: str) -> type[ActionConfig]:
        if kind in self._left_out:
            return self._left_out[kind]
        try:
            return self._plugins[kind].Config
        except BrokenPlugin as error:
            self._left_out[kind] = type("LeftOut", (LeftOut,), {"why": str(error), "__module__": __name__})
            return self._left_out[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._plugins)

    def __len__(self) -> int:
        return len(self._plugins)

    def __contains__(self, kind: object) -> bool:
        return kind in self._plugins


def schemas(plugins: Plugins | None = None) -> Mapping[str, type[ActionConfig]]:
    """What each kind of action takes in the config, imported when it is looked up."""
    return Schemas(plugins or Plugins())


def _is_ours(point: EntryPoint) -> bool:
    return point.value.startswith("birdwatchd.")


def _load(point: EntryPoint) -> type[Action]:
    of = f" of {point.dist.name}" if point.dist is not None else ""
    named = f"the action plugin {point.name}{of}"
    try:
        found = point.load()
    except (Exception, SystemExit) as error:
        # Whatever a third party's module does while it is imported.
        raise BrokenPlugin(f"{named} cannot be imported: {type(error).__name__}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Action)):
        raise BrokenPlugin(f"{named} ({point.value}) is not a birdwatchd.actions.Action")
    if not issubclass(found.Config, ActionConfig):
        raise BrokenPlugin(f"{named}: its Config is not a birdwatchd.actions.ActionConfig")
    return found

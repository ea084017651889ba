"""The config file as it was written: plain values, and for each the line it stands on."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from birdwatchd.config.environment import expand
from birdwatchd.config.mistake import KeyPath, Mistake, config_error, printable, spelt
from birdwatchd.config.text import DEEPEST, MOST_VALUES, Loader, compose, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

Scalar = str | bool | int | float | dt.date | None
MERGE = "tag:yaml.org,2002:merge"
NOT_TEXT = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "timestamp")}


@dataclass(slots=True)
class Part:
    """A value in the file. `written` is a scalar as it stands there, before variables were replaced."""

    value: Scalar = None
    written: str = ""
    quoted: bool = False
    children: dict[str, tuple[int, Part]] | list[tuple[int, Part]] | None = None
    """With the line of each: of its key in a mapping, of itself in a list."""

    def plain(self) -> Any:
        """As dicts, lists and scalars."""
        if isinstance(self.children, dict):
            return {key: part.plain() for key, (_, part) in self.children.items()}
        if isinstance(self.children, list):
            return [part.plain() for _, part in self.children]
        return self.value


@dataclass(slots=True)
class Document:
    """The whole file, and the mistakes that show without knowing what the settings mean."""

    path: Path
    root: Part
    mistakes: list[Mistake] = field(default_factory=list)
    unjudged: set[KeyPath] = field(default_factory=set)
    """Settings whose value is not known, so that nothing more can be said of it."""

    def find(self, path: KeyPath) -> tuple[int, Part | None]:
        """The line of the setting, or of what encloses it where it is absent (0: the file), and its part."""
        line, part = 0, self.root
        for step in path:
            children: Any = part.children
            inside = step in children if isinstance(children, dict) else _is_index(step, children)
            if not inside:
                return line, None
            line, part = children[step]
        return line, part

    def has(self, path: KeyPath) -> bool:
        """Whether the user wrote this setting; one that was left empty is not written."""
        _, part = self.find(path)
        return part is not None and (part.children is not None or part.value is not None)

    def mistake(self, path: KeyPath, sentence: str) -> Mistake:
        """A mistake at this setting."""
        return Mistake(self.find(path)[0], spelt(path), sentence)

    def complain(self, path: KeyPath, line: int, sentence: str) -> None:
        """Keep a mistake."""
        self.mistakes.append(Mistake(line, spelt(path), sentence))


def read_document(path: Path, environment: Mapping[str, str]) -> Document:
    """Read the file.

    Raises:
        ConfigError: there is nothing in it that could be a config: absent, not YAML, empty, a list.
    """
    node = compose(path, read_text(path))
    if node is None or (isinstance(node, yaml.ScalarNode) and not node.value):
        raise config_error(path, [Mistake(0, "", "is empty; a config names at least one source")])
    if not isinstance(node, yaml.MappingNode):
        what = "a list" if isinstance(node, yaml.SequenceNode) else "a single text"
        sentence = f"is {what}, and should be settings, such as `sources:`"
        raise config_error(path, [Mistake(node.start_mark.line + 1, "", sentence)])
    _refuse_explosion(path, node)
    document = Document(path, Part())
    document.root = _Builder(document, environment).part(node, ())
    return document


def _is_index(step: str | int, children: list[tuple[int, Part]] | None) -> bool:
    return isinstance(children, list) and isinstance(step, int) and step < len(children)


def _refuse_explosion(path: Path, root: yaml.Node) -> None:
    """Refuse aliases that unfold to more than any config holds, or to themselves, before anything walks them."""
    measured: dict[int, tuple[int, int]] = {}
    open_nodes: set[int] = set()

    def measure(node: yaml.Node) -> tuple[int, int]:
        if id(node) in open_nodes:
            sentence = "an anchor (&) that contains its own alias (*)"
            raise config_error(path, [Mistake(node.start_mark.line + 1, "", sentence)])
        if id(node) not in measured:
            open_nodes.add(id(node))
            sizes = [measure(child) for child in _children(node)]
            open_nodes.remove(id(node))
            size, depth = 1 + sum(s for s, _ in sizes), 1 + max((d for _, d in sizes), default=0)
            if size > MOST_VALUES or depth > DEEPEST:
                sentence = f"its aliases (*) unfold to more than {MOST_VALUES:,} values, or too deep"
                raise config_error(path, [Mistake(node.start_mark.line + 1, "", sentence)])
            measured[id(node)] = size, depth
        return measured[id(node)]

    measure(root)


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair


class _Builder:
    """Turns YAML nodes into parts, and keeps what is wrong on the way."""

    def __init__(self, document: Document, environment: Mapping[str, str]) -> None:
        self.document = document
        self.environment = environment
        loader: Any = Loader("")
        self.resolve: Callable[[type, str, tuple[bool, bool]], str] = loader.resolve
        self.construct: Callable[[yaml.Node], Scalar] = loader.construct_object

    def part(self, node: yaml.Node, path: KeyPath) -> Part:
        if isinstance(node, yaml.MappingNode):
            return Part(children=self.mapping(node, path))
        if isinstance(node, yaml.SequenceNode):
            parts = [(_line(item), self.part(item, (*path, index))) for index, item in enumerate(node.value)]
            return Part(children=parts)
        assert isinstance(node, yaml.ScalarNode)  # noqa: S101 - there is no fourth kind
        return self.scalar(node, path)

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, tuple[int, Part]]:
        merged: dict[str, tuple[int, Part]] = {}
        own: dict[str, tuple[int, Part]] = {}
        for key, value in node.value:
            if key.tag == MERGE:
                for found, part in self.merge(value, path).items():
                    merged.setdefault(found, part)
            elif not isinstance(key, yaml.ScalarNode):
                self.document.complain(
                    path, _line(key), "a list or mapping stands where a setting's name should"
                )
            elif key.value in own:
                sentence = f"stands in line {own[key.value][0]} already; keep one of the two"
                self.document.complain((*path, key.value), _line(key), sentence)
            else:
                own[key.value] = _line(key), self.part(value, (*path, key.value))
        return merged | own

    def merge(self, node: yaml.Node, path: KeyPath) -> dict[str, tuple[int, Part]]:
        found: dict[str, tuple[int, Part]] = {}
        for one in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(one, yaml.MappingNode):
                found = self.mapping(one, path) | found
            else:
                self.document.complain(
                    path, _line(node), "`<<` takes an alias of a mapping, such as `<<: *name`"
                )
        return found

    def scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Part:
        # A tag that the user wrote (!!int) is not obeyed: what a setting takes is known better here.
        plain = not node.style
        tag = self.resolve(yaml.ScalarNode, node.value, (plain, not plain))
        if tag in NOT_TEXT:
            try:
                return Part(self.construct(yaml.ScalarNode(tag, node.value, node.start_mark)), node.value)
            except (ValueError, OverflowError):
                sentence = f"{printable(node.value)} looks like a date or a number, and is none; put a text in quotes"
                self.document.complain(path, _line(node), sentence)
                self.document.unjudged.add(path)
        value, mistakes = expand(node.value, self.environment)
        for sentence in mistakes:
            self.document.complain(path, _line(node), sentence)
            self.document.unjudged.add(path)
        return Part(value, node.value, quoted=not plain)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1

"""The config file's text: read, and taken apart as YAML. What is wrong with it is one sentence each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from birdwatchd.config.mistake import Mistake, config_error

if TYPE_CHECKING:
    from pathlib import Path

    from birdwatchd.errors import ConfigError

MOST_BYTES = 1_000_000
MOST_VALUES = 50_000
DEEPEST = 40

# libyaml, where PyYAML was built with it, is ten times as fast.
Loader: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

IN_WORDS = {
    # what PyYAML says: what it means
    "mapping values are not allowed": "a `: ` too many; put a text that has a colon in quotes, or mend the indentation",
    "cannot start any token": "a text must not begin with this character; put it in quotes",
    "could not find expected ':'": "a `: ` is missing between a setting and its value",
    "did not find expected key": "this line fits nothing above it; mend its indentation or the quotes before it",
    "did not find expected '-'": "this line fits nothing above it; mend its indentation",
    "expected ',' or ']'": "a list that was opened with [ is not closed",
    "expected ',' or '}'": "a mapping that was opened with { is not closed",
    "while scanning an alias": "put a text that begins with * in quotes",
    "found undefined alias": "this * names nothing; put a text that begins with * in quotes",
    "expected a single document": "a second `---`; a config is one document",
    "duplicate anchor": "an anchor (&) of this name stands above already",
}


GLUED = re.compile(r"\s*(?:- )?([a-z_]+:)[^\s:/]")
"""A setting and its value with nothing between them: to YAML all one word."""


def read_text(path: Path) -> str:
    """The file's text.

    Raises:
        ConfigError: absent, a folder, not readable, too long, or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise _wrong(path, 0, "there is no such file; name one with -c") from None
    except IsADirectoryError:
        raise _wrong(path, 0, "is a folder; name the file in it, such as config.yaml") from None
    except PermissionError:
        raise _wrong(path, 0, "may not be read by you; mend its permissions with chmod") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _wrong(path, 0, f"cannot be read: {reason}") from None
    if len(content) > MOST_BYTES:
        raise _wrong(path, 0, f"has more than {MOST_BYTES:,} bytes; that is not a config file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise _wrong(path, line, f"byte 0x{byte:02x} is not UTF-8; save the file as UTF-8") from None


def compose(path: Path, text: str) -> yaml.Node | None:
    """The YAML nodes of the text, None when it holds nothing but comments. Their number and depth are bounded.

    Raises:
        ConfigError: it is not YAML, or larger than any config.
    """
    try:
        _bound(path, text)
        return yaml.compose(text, Loader=Loader)
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(path, text, error) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _wrong(path, line, f"control character 0x{error.character:02x}; remove it") from None
    except RecursionError:  # PyYAML without libyaml
        raise _wrong(path, 0, "is nested too deeply") from None


def _bound(path: Path, text: str) -> None:
    # Composing is recursive, in C even without a check of the stack: so the events, which are not, are counted first.
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=Loader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            line = event.start_mark.line + 1 if event.start_mark is not None else 0
            raise _wrong(path, line, "is nested too deeply")
        if count > MOST_VALUES:
            raise _wrong(path, 0, f"has more than {MOST_VALUES:,} values; that is not a config file")


def _not_yaml(path: Path, text: str, error: yaml.MarkedYAMLError) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    said = f"{error.context or ''} {error.problem or ''}"
    if "quoted scalar" in said and "found unexpected" in said and error.context_mark is not None:
        return _wrong(path, error.context_mark.line + 1, "the quote that opens here is not closed")
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    lines = text.splitlines()
    if line < len(lines) and "\t" in lines[line][: column + 1]:
        return _wrong(path, line + 1, "a tab; YAML is indented with spaces only")
    glued = next((number for number in range(line, 0, -1) if lines[number - 1].strip()), 0)
    if "mapping values are not allowed" in said and glued:
        found = GLUED.match(lines[glued - 1])
        if found is not None:
            return _wrong(path, glued, f"a space is missing after `{found[1]}`")
    words = next((meaning for found, meaning in IN_WORDS.items() if found in said), said.strip())
    return _wrong(path, line + 1, f"not YAML at column {column + 1}: {words}")


def _wrong(path: Path, line: int, sentence: str) -> ConfigError:
    return config_error(path, [Mistake(line, "", sentence)])

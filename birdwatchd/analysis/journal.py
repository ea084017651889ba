"""The resume file: what was found in each finished file, a line each, so that nothing has to be analysed twice."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from dataclasses import asdict
from typing import IO, TYPE_CHECKING, Any

from birdwatchd.analysis.findings import Findings, Row, WindowRow
from birdwatchd.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

FORMAT = 1
_BEGINNING = b'{"format"'


class Journal:
    """An open resume file. A context manager: it closes the file, `remove` deletes it.

    Its first line holds the settings, so that what was found with others is not mixed in. Every other line is one file
    and its findings. A last line that was cut off by a crash does not count.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
        """Open `path`, or make it.

        Raises:
            UserError: it is in use, belongs to other settings, is there although nothing is to be resumed, or cannot
                be written.
        """
        self.path = path
        self._lines: dict[str, int] = {}  # offset by key
        self._file = self._open()
        try:
            self._start(settings, resume=resume)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def __contains__(self, key: str) -> bool:
        return key in self._lines

    def add(self, key: str, findings: Findings) -> None:
        """Keep what was found in a file. It is on the disk when this returns.

        `key` is all that makes the file what it is; with another key it has to be analysed anew.

        Raises:
            UserError: the disk is full.
        """
        self._file.seek(0, os.SEEK_END)
        self._lines[key] = self._file.tell()
        self._write({"key": key, "findings": asdict(findings)})

    def findings(self, keys: Iterable[str]) -> Iterator[Findings]:
        """What was found in those files that are done, in the order of the `keys`."""
        for key in keys:
            offset = self._lines.get(key)
            if offset is not None:
                self._file.seek(offset)
                try:
                    yield _findings(json.loads(self._file.readline())["findings"])
                except (KeyError, TypeError, AttributeError) as error:
                    raise UserError(
                        f"{self.path} has a line that birdwatchd did not write: delete the file to begin anew"
                    ) from error

    def take_in(self, other: Journal) -> None:
        """Keep all that another journal has and this one has not. It is on the disk when this returns.

        Raises:
            UserError: the disk is full.
        """
        with self._refusing():
            self._file.seek(0, os.SEEK_END)
            for key in [key for key in other._lines if key not in self]:
                other._file.seek(other._lines[key])
                self._lines[key] = self._file.tell()
                self._file.write(other._file.readline())
            self._file.flush()
            os.fsync(self._file.fileno())

    def remove(self) -> None:
        """The outputs are written: nothing is left to be resumed."""
        self.path.unlink(missing_ok=True)

    def _open(self) -> IO[bytes]:
        try:
            file = open(self.path, "a+b")  # noqa: SIM115, PTH123 - closed in __exit__
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be written ({error.strerror}): name another --output"
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise UserError(f"{self.path} is in use: another analysis writes to the same --output") from error
        return file

    def _start(self, settings: Mapping[str, Any], *, resume: bool) -> None:
        self._file.seek(0)
        line = self._file.readline()
        header = self._parse(line)
        if header is None or "format" not in header:
            if not line.startswith(_BEGINNING) and not _BEGINNING.startswith(line):
                raise UserError(
                    f"{self.path} is no resume file of birdwatchd: name another --output, or move it away"
                )
            self._file.truncate(0)
            self._write({"format": FORMAT, "settings": settings})
        elif resume:
            self._check(header, settings)
            self._read()
        else:
            raise UserError(
                f"{self.path} is left from an analysis that was interrupted: "
                "go on with --resume, or delete it to begin anew"
            )

    def _check(self, header: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        then, now = _flat(header.get("settings")), _flat(settings)
        differing = sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key))
        if header.get("format") != FORMAT or differing:
            what = ", ".join(differing[:5]) or "its format"
            raise UserError(
                f"{self.path} was begun with other settings ({what}): repeat them, or delete it to begin anew"
            )

    def _read(self) -> None:
        """Find the lines; cut off what a crash has left of the last one."""
        while True:
            offset = self._file.tell()
            line = self._parse(self._file.readline())
            if line is None or not isinstance(line.get("key"), str):
                self._file.truncate(offset)
                return
            self._lines[line["key"]] = offset

    def _parse(self, line: bytes) -> dict[str, Any] | None:
        """A whole line's content; None at the end, and for what is no line of ours."""
        if not line.endswith(b"\n"):
            return None
        try:
            content = json.loads(line)
        except (ValueError, RecursionError):
            return None
        return content if isinstance(content, dict) else None

    def _write(self, content: Mapping[str, Any]) -> None:
        with self._refusing():
            self._file.write(json.dumps(content).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be written ({error.strerror}): make room, and go on with --resume"
            ) from error


def _flat(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Settings by their dotted names, as JSON has them."""
    if not isinstance(settings, dict):
        return {prefix: json.dumps(settings)}
    return {
        key: value
        for name, inner in settings.items()
        for key, value in _flat(inner, f"{prefix}.{name}" if prefix else str(name)).items()
    }


def _findings(line: dict[str, Any]) -> Findings:
    line["rows"] = tuple(Row(**row) for row in line["rows"])
    line["windows"] = tuple(WindowRow(**row) for row in line["windows"])
    return Findings(**line)

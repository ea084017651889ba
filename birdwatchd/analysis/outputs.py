"""Everything that an analysis leaves behind, checked before it begins and written when it is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from birdwatchd.analysis import results, samples
from birdwatchd.analysis.beside import beside
from birdwatchd.analysis.summary import write_summary
from birdwatchd.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from birdwatchd.analysis.findings import Findings
    from birdwatchd.analysis.samples import Pick

SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


@dataclass(frozen=True, slots=True)
class Outputs:
    """Which outputs are wanted, and where. None of them is there before all of the analysis is done."""

    format: str
    output: Path | None = None
    """A file, or for `audacity` a folder; None is standard output, the caller's business."""
    summary: Path | None = None
    windows: Path | None = None
    samples: int = 0
    samples_folder: Path | None = None
    samples_pick: Pick = "random"
    seed: int = 0

    def check(self) -> None:
        """Refuse at once what could not be written after hours.

        Raises:
            UserError: with what is wrong.
        """
        if self.output is None and self.format in results.PATH_FORMATS:
            kind = "folder" if self.format == "audacity" else "file"
            raise UserError(
                f"--format {self.format} does not go to standard output: name a {kind} with --output"
            )
        if self.format == "parquet":
            results.need_pyarrow()
        if self.output is not None and self.output.is_dir() and self.format != "audacity":
            raise UserError(f"--output {self.output} is a folder: name a file")
        if self.output is not None and self.output.is_file() and self.format == "audacity":
            raise UserError(f"--output {self.output} is a file: --format audacity writes into a folder")
        places = [place for place in (self.output, self.summary, self.windows, self.samples_folder) if place]
        for place in places:
            if not place.absolute().parent.is_dir():
                raise UserError(
                    f"there is no folder {place.absolute().parent} to write {place.name} to: make it first"
                )
        if len({place.absolute() for place in places}) < len(places):
            raise UserError("two outputs have the same name: give each its own")

    def write(self, findings: Callable[[], Iterable[Findings]]) -> int:
        """Write all of them; `findings` gives those of every file, in order, as often as it is called.

        Returns:
            How many samples could not be cut, as their recordings are gone.

        Raises:
            UserError: the disk is full, or a place cannot be written to.
        """
        if self.output is not None and self.format in results.PATH_FORMATS:
            with beside(self.output) as part:
                results.PATH_FORMATS[self.format](findings(), part)
        elif self.output is not None:
            _write_text(self.output, results.TEXT_FORMATS[self.format], findings())
        if self.summary is not None:
            _write_text(self.summary, write_summary, findings())
        if self.windows is not None:
            _write_text(self.windows, results.write_windows, findings())
        if not self.samples or self.samples_folder is None:
            return 0
        chosen = samples.choose(findings(), self.samples, self.samples_pick, self.seed)
        with beside(self.samples_folder) as part:
            return samples.cut(chosen, part)


def _write_text(
    path: Path, write: Callable[[Iterable[Findings], IO[str]], None], findings: Iterable[Findings]
) -> None:
    # surrogateescape: a file name that is not UTF-8 comes out as the bytes that it is.
    with beside(path) as part, part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as out:
        write(findings, out)

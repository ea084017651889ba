"""How far an analysis is, on standard error, and its detections as a table."""

from __future__ import annotations

import shlex
import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from birdwatchd.analysis.study import resume_file
from birdwatchd.cli.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from birdwatchd.analysis.files import File
    from birdwatchd.analysis.findings import Findings
    from birdwatchd.analysis.study import Outcome, Plan


class Progress:
    """A bar with files done, sound read, and speed in times real time; below it what is wrong with files.

    The bar is drawn on a terminal only. It grows by the size of the files, as their length is not known beforehand.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._screen = Terminal(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self._bar = Bar(
            BarColumn(),
            TextColumn("{task.description}", markup=False),
            TimeRemainingColumn(),
            console=self._screen,
            transient=True,
            disable=not self._screen.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=sum(file.size for file in plan.share))
        self._began = time.monotonic()
        self._files = 0
        self._seconds = 0.0

    def __enter__(self) -> Self:
        plan, config = self._plan, self._plan.settings.config
        placed = any(plan.sites.of(file.path).latitude is not None for file in plan.files)
        if config.deciding.species_range.enabled and not (placed and plan.card.has_range):
            why = (
                f"the model {plan.card.name} has none"
                if placed
                else "give --latitude and --longitude, or --sites"
            )
            self._screen.print(f"species range is off ({why}): every species of the world may be reported")
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def resumed(self, files: Sequence[File]) -> None:
        """These were done before."""
        self._files = len(files)
        self._bar.advance(self._task, sum(file.size for file in files))
        if files:
            self._screen.print(f"{len(files)} of {len(self._plan.share)} files were analysed before")

    def done(self, file: File, findings: Findings) -> None:
        """One more is done, well or not."""
        self._files += 1
        self._bar.advance(self._task, file.size)
        if findings.failure and len(self._plan.files) > 1:
            self._screen.print(f"skipped: {findings.failure}")
        if findings.complaint:
            self._screen.print(f"{findings.file}: {findings.complaint}; analysed as far as it goes")

    def read(self, seconds: float) -> None:
        """So much sound was read so far, all files together."""
        self._seconds = seconds
        of = f"{self._files}/{len(self._plan.share)} files"
        self._bar.update(self._task, description=f"{of} · {_length(seconds)} · {self._speed()}")

    def interrupted(self, output: Path | None) -> None:
        """Ctrl-C: one line, that says how to go on."""
        done = f"interrupted: {self._files} of {len(self._plan.share)} files are done"
        if output is None:
            self._screen.print(f"{done}; with --output it could go on from here the next time")
            return
        words = sys.argv[1:] if "--resume" in sys.argv else [*sys.argv[1:], "--resume"]
        self._screen.print(f"{done}; go on with: birdwatchd {shlex.join(words)}")

    def sum_up(self, outcome: Outcome, output: Path | None) -> None:
        """What was done, in a line, and again each file that was not."""
        shard = self._plan.shard
        where = f", in {resume_file(output, shard) if shard else output}" if output else ""
        self._screen.print(
            f"{outcome.analysed} files, {_length(outcome.seconds)} of sound, {self._speed()}: "
            f"{outcome.detections} detections of {outcome.species} species{where}"
        )
        if shard:
            words = [word for word in _without_shard(sys.argv[1:]) if word != "--resume"]
            self._screen.print(
                f"part {shard.number} of {shard.count} is done; once all are, put them together with: "
                f"birdwatchd {shlex.join([*words, '--resume'])}"
            )
        for found in outcome.failed:
            self._screen.print(f"not analysed: {found.failure}")

    def _speed(self) -> str:
        times = self._seconds / max(time.monotonic() - self._began, 0.001)
        return f"{times:.0f} × real time"  # noqa: RUF001 - it is the sign for it


def show_table(findings: Iterable[Findings]) -> None:
    """Draw the detections on standard output."""
    table = Table("File", "From", "To", "Time", "Species", "Score", box=None, pad_edge=False)
    for found in findings:
        for row in found.rows:
            span = (f"{row.start_seconds:.1f} s", f"{row.end_seconds:.1f} s")
            time_of_day = row.time[:19].replace("T", " ")
            table.add_row(row.file, *span, time_of_day, row.common_name, f"{row.score:.2f}")
    Terminal(highlight=False, markup=False).print(table if table.row_count else "no detections")


def _without_shard(words: Sequence[str]) -> list[str]:
    """A command line's words, but `--shard I/N` or `--shard=I/N`."""
    return [
        word
        for before, word in pairwise(["", *words])
        if not (word == "--shard" or before == "--shard" or word.startswith("--shard="))
    ]


def _length(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"  # noqa: PLR2004 - an hour

"""Lay what was heard beside what sang.

    birdwatchd detections --json | python scripts/verdict.py demo/chorus.json

Exit status 1 when a song was missed, or something was heard that did not sing.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLE_RATE = 48_000  # the chorus's; detections count its samples


@dataclass(frozen=True)
class Heard:
    """A detection, in seconds from the start of the recording."""

    scientific_name: str
    common_name: str
    start: float
    end: float
    score: float


@dataclass(frozen=True)
class Line:
    """A song with the detections that overlap it, or a detection that overlaps no song of its species."""

    common_name: str
    sang: tuple[float, float] | None
    heard: tuple[float, float] | None
    score: float | None

    @property
    def is_right(self) -> bool:
        """It sang, and it was heard."""
        return self.sang is not None and self.heard is not None


def read_heard(records: list[dict[str, Any]]) -> list[Heard]:
    """The detections that `birdwatchd detections --json` gives."""
    return [
        Heard(
            record["scientific_name"],
            record["common_name"],
            record["start_sample"] / SAMPLE_RATE,
            record["end_sample"] / SAMPLE_RATE,
            record["score"],
        )
        for record in records
    ]


def compare(truth: list[dict[str, Any]], heard: list[Heard]) -> list[Line]:
    """One line for each song, in order, then one for each detection that fits none."""
    lines, fitting = [], set[Heard]()
    for song in truth:
        found = [
            each
            for each in heard
            if each.scientific_name == song["scientific_name"]
            and each.start < song["end"]
            and song["start"] < each.end
        ]
        fitting.update(found)
        lines.append(
            Line(
                song["common_name"],
                (song["start"], song["end"]),
                (min(each.start for each in found), max(each.end for each in found)) if found else None,
                max(each.score for each in found) if found else None,
            )
        )
    wrong = [each for each in heard if each not in fitting]
    return lines + [Line(each.common_name, None, (each.start, each.end), each.score) for each in wrong]


def show(lines: list[Line]) -> None:
    """Print them as a table, with the sum below."""
    from rich.console import Console
    from rich.table import Table

    table = Table("Species", "Sang", "Heard", "Score", "", box=None, header_style="bold", pad_edge=False)
    for line in lines:
        verdict = (
            "[green]✓[/]" if line.is_right else "[red]missed[/]" if line.sang else "[red]did not sing[/]"
        )
        score = "" if line.score is None else f"{line.score:.2f}"
        table.add_row(line.common_name, span(line.sang), span(line.heard), score, verdict)
    console = Console(highlight=False)
    console.print(table)
    songs = [line for line in lines if line.sang]
    right = sum(line.is_right for line in lines)
    console.print(
        f"\n{right} of {len(songs)} songs heard, {len(lines) - len(songs)} heard that did not sing."
    )


def span(seconds: tuple[float, float] | None) -> str:
    """`0:05 - 0:14`, or a dash."""
    if seconds is None:
        return "-"
    return " - ".join(f"{int(one) // 60}:{int(one) % 60:02}" for one in seconds)


def main() -> int:
    """Compare the truth in the file named first with the detections on standard input."""
    truth = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    lines = compare(truth, read_heard(json.load(sys.stdin)))
    show(lines)
    return 0 if all(line.is_right for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())

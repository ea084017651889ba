"""What `birdwatchd run` shows on a terminal: each detection as it begins, and a line that says that it listens."""

from __future__ import annotations

import math
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self
from zoneinfo import ZoneInfo

import structlog
from rich.live import Live
from rich.text import Text

from birdwatchd.cli.terminal import Terminal
from birdwatchd.errors import Lapped
from birdwatchd.pipeline import Listeners

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from birdwatchd.audio.source import Source
    from birdwatchd.config.schema import Config
    from birdwatchd.domain import Detection

logger = structlog.get_logger()

BLOCKS = " ▁▂▃▄▅▆▇█"
BAR_WIDTH = 10
FLOOR_DBFS = -80.0


class Screen:
    """A live display where there is a terminal, log lines where there is none."""

    def __init__(self, config: Config) -> None:
        zone = config.location.timezone if config.location else None
        self._zone = ZoneInfo(zone) if zone else None
        self._console = Terminal()
        self._database = config.store.database
        self._several = len(config.sources) > 1
        self._sources: Sequence[Source] = ()
        self._count = 0
        self._species: set[str] = set()
        on_terminal = self._console.is_terminal and sys.stderr.isatty()
        self._live = (
            Live(get_renderable=self._status, console=self._console, refresh_per_second=8, transient=True)
            if on_terminal
            else None
        )
        self.listeners = Listeners(detection=self._show if on_terminal else self._log)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is None:
            return
        with suppress(OSError):  # the terminal may be what has gone
            self._live.stop()
            if self._sources:
                self._console.print(
                    f"{self._heard()}. They are in [cyan]{self._database}[/]: see `birdwatchd detections`.",
                    highlight=False,
                    soft_wrap=True,
                )

    def listening(self, sources: Sequence[Source]) -> None:
        """Everything runs."""
        self._sources = sources
        if self._live is not None:
            self._live.start()

    def _log(self, detection: Detection) -> None:
        logger.info(
            "detection" if detection.state == "started" else "detection ended",
            species=detection.label.common_name,
            score=round(detection.score, 3),
            source=detection.source,
            start=detection.start.isoformat(timespec="milliseconds"),
            end=detection.end.isoformat(timespec="milliseconds"),
            id=detection.id,
        )

    def _show(self, detection: Detection) -> None:
        if detection.state == "ended":
            return
        self._count += 1
        is_new = detection.label.scientific_name not in self._species
        self._species.add(detection.label.scientific_name)
        line = Text.assemble(
            (f"{detection.start.astimezone(self._zone):%H:%M:%S}  ", "dim"),
            (score_bar(detection.score), "green"),
            (f" {detection.score:.2f}  ", "green"),
            (detection.label.common_name, "bold"),
            (f"  {detection.label.scientific_name}", "italic dim"),
            (f"  {detection.source}" if self._several else "", "cyan"),
            ("  new" if is_new else "", "yellow"),
        )
        with suppress(OSError):  # a terminal that was closed must not end the pipeline: it has its own end
            self._console.print(line)

    def _status(self) -> Text:
        parts: list[tuple[str, str]] = [(f"{datetime.now(UTC).astimezone(self._zone):%H:%M:%S}  ", "dim")]
        for source in tuple(self._sources):  # a reload may change them
            parts.append((f"{source.name} ", "cyan"))
            if source.finished:
                parts.append(("at its end  ", "dim"))
            elif source.fault:
                parts.append((f"{source.fault}  ", "red"))
            else:
                dbfs = level_dbfs(source)
                parts.append((f"{meter(dbfs)} {dbfs:4.0f} dBFS  ", "green"))
        parts.append((self._heard(), ""))
        parts.append(("   Ctrl-C ends it", "dim"))
        return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")

    def _heard(self) -> str:
        noun = "detection" if self._count == 1 else "detections"
        return f"{self._count} {noun}, {len(self._species)} species"


def score_bar(score: float) -> str:
    """A bar ten characters wide, in eighths."""
    eighths = round(max(0.0, min(1.0, score)) * BAR_WIDTH * 8)
    bar = BLOCKS[-1] * (eighths // 8) + ("▏▎▍▌▋▊▉"[eighths % 8 - 1] if eighths % 8 else "")
    return bar.ljust(BAR_WIDTH)


def level_dbfs(source: Source) -> float:
    """The level of the last tenth of a second, dBFS; the floor for silence, and where nothing can be read."""
    ring = source.ring
    stop = ring.written
    try:
        samples = ring.read(max(ring.oldest, stop - ring.sample_rate // 10), stop)
    except (Lapped, ValueError):
        return FLOOR_DBFS
    power = float((samples.astype("float64") ** 2).mean()) if len(samples) else 0.0
    return max(FLOOR_DBFS, 10 * math.log10(power)) if power > 0 else FLOOR_DBFS


def meter(dbfs: float) -> str:
    """The level as a short bar: empty at the floor, full at full scale."""
    return score_bar(1 - dbfs / FLOOR_DBFS)

"""The analysis of one file: the pipeline of the daemon, with one recording and a list instead of a database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from birdwatchd.analysis.catch import Catch
from birdwatchd.analysis.findings import Findings
from birdwatchd.analysis.scene import scene_of
from birdwatchd.audio.recording import Recording
from birdwatchd.audio.windows import Plan
from birdwatchd.config.schema import RecordingSource
from birdwatchd.detection.decider import Decider, Rules
from birdwatchd.detection.detector import Naming
from birdwatchd.errors import RecordingError
from birdwatchd.model.classifier import Classifier
from birdwatchd.model.range_model import load_range_model
from birdwatchd.pipeline import Listeners, Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Literal, Self

    from birdwatchd.analysis.sites import Site
    from birdwatchd.config.schema import Config

logger = structlog.get_logger(__name__)

BATCH_SIZE = 8
"""The fastest that still leaves room for other workers: about 160 MB more than a batch of one."""
RING_SECONDS = 30.0
_UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)
"""Windows need some date; nothing of it goes into an output."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a worker has to know, the same for every file."""

    config: Config
    bundle: Path
    start: datetime | None = None
    """When the recording began, whatever its name and comments say."""
    channel: int | Literal["mix"] = "mix"
    windows_minimum: float | None = None
    """Pooled score from which on a window's labels are kept; None keeps none."""


@dataclass(frozen=True, slots=True)
class Task:
    """One file."""

    path: Path
    site: Site


class Worker:
    """A loaded model, and the analysis of one file after the other with it. A context manager."""

    def __init__(self, settings: Settings, *, threads: int = 1) -> None:
        """Load the model.

        Raises:
            UserError: there is no such bundle, or it is not usable here.
        """
        config = settings.config
        self._settings = settings
        self._classifier = Classifier.load(
            settings.bundle,
            device=config.model.device,
            precision=config.model.precision,
            inference_threads=threads,
            batch_size=BATCH_SIZE,
            language=config.language,
        )
        card = self._classifier.card
        self._plan = Plan(config.window_seconds, config.hop_seconds, card.sample_rate, card.input_samples)
        self._rules = Rules(
            config.deciding,
            card.labels,
            card_thresholds=card.thresholds,
            unranged=card.unranged,
            sounds=card.sounds,
        )
        self._model = f"{card.name}-{card.version}"
        ranged = config.deciding.species_range.enabled and card.has_range
        self._range_model = load_range_model(settings.bundle, card) if ranged else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._classifier.close()

    def analyse(self, task: Task, heard: Callable[[float], None]) -> Findings:
        """Analyse one file. Whatever is wrong with it stands in the findings.

        Args:
            task: the file.
            heard: told the seconds of sound that were read since it was last told.
        """
        try:
            return self._analyse(task, heard)
        except RecordingError as error:
            return Findings(str(task.path), failure=str(error))
        except Exception as error:
            # The one place: a fault of ours with one file must not cost the other thousands.
            logger.exception("analysis failed", path=str(task.path))
            reason = f"{type(error).__name__}: {error}"
            return Findings(str(task.path), failure=f"{task.path} made the analysis fail ({reason})")

    def _analyse(self, task: Task, heard: Callable[[float], None]) -> Findings:
        scene = scene_of(task.path, task.site, self._settings.start)
        catch = Catch(scene, self._rules.labels, self._settings.windows_minimum)
        pipeline = Pipeline(
            self._classifier,
            catch,
            self._plan,
            labels=len(self._rules.labels),
            batch_limit=self._classifier.batch_limit,
            minimum_dbfs=self._settings.config.deciding.level.minimum_dbfs,
            listeners=Listeners(window=catch.window),
            patient=True,
        )
        told = 0.0

        def wake() -> None:
            nonlocal told
            pipeline.wake()
            read = recording.ring.written / recording.ring.sample_rate
            heard(read - told)
            told = read

        recording = Recording(
            RecordingSource(
                name="file",
                kind="recording",
                path=task.path,
                speed="fast",
                channel=self._settings.channel,
                start=scene.start or _UNKNOWN,
            ),
            ring_seconds=RING_SECONDS,
            wake=wake,
        )
        recording.start()
        try:
            naming = Naming("", scene.file, scene.site, self._model)
            pipeline.add(recording, Decider(self._rules, scene.occurrence(self._range_model), naming))
            pipeline.run()
        finally:
            recording.stop()
        if recording.unreadable:
            raise RecordingError(recording.unreadable[0][1])
        return Findings(
            file=scene.file,
            seconds=round(recording.ring.written / recording.ring.sample_rate, 3),
            sample_rate=recording.ring.sample_rate,
            rows=catch.rows(recording.ring.sample_rate),
            windows=tuple(catch.window_rows),
            complaint=recording.complaints[0][1] if recording.complaints else "",
        )

"""What the pipeline says of one file, kept as rows: the analysis's own recorder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from birdwatchd.analysis.findings import Row, WindowRow
from birdwatchd.detection.gates import pool
from birdwatchd.detection.species_range import week_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from birdwatchd.analysis.scene import Scene
    from birdwatchd.domain import Candidate, Detection, Label, LedgerEntry, Scores, Window
    from birdwatchd.trust import ClockChange


class Catch:
    """The pipeline's `Recorder`, and its listener to windows, for one file."""

    def __init__(self, scene: Scene, labels: Sequence[Label], windows_minimum: float | None) -> None:
        """Labels that pool to `windows_minimum` or more in a window are kept; None keeps none."""
        self.window_rows: list[WindowRow] = []
        self._scene = scene
        self._labels = labels
        self._windows_minimum = windows_minimum
        self._detections: dict[str, Detection] = {}  # by id: the end replaces the start

    def record(self, *found: Detection) -> None:
        """Keep detections."""
        self._detections |= {detection.id: detection for detection in found}

    def trace(self, candidates: Sequence[Candidate]) -> None:
        """Candidates that were stopped are the daemon's business."""

    def account(self, entries: Sequence[LedgerEntry]) -> None:
        """All of a file is analysed; what is missing is said of the file."""

    def change_clock(self, change: ClockChange) -> None:
        """No clock dates a file but its own."""

    def window(self, window: Window, scores: Scores) -> None:
        """Keep the scores of a window."""
        if self._windows_minimum is None:
            return
        pooled = pool(scores.values)  # (labels,)
        for index in np.flatnonzero(pooled >= self._windows_minimum).tolist():
            label = self._labels[index]
            self.window_rows.append(
                WindowRow(
                    file=self._scene.file,
                    start_seconds=round(window.start_sample / window.sample_rate, 3),
                    end_seconds=round(window.stop_sample / window.sample_rate, 3),
                    scientific_name=label.scientific_name,
                    common_name=label.common_name,
                    score=round(float(pooled[index]), 4),
                )
            )

    def rows(self, sample_rate: int) -> tuple[Row, ...]:
        """The detections, in the order in which they began."""
        found = sorted(self._detections.values(), key=lambda one: (one.start_sample, one.label.index))
        return tuple(self._row(detection, sample_rate) for detection in found)

    def _row(self, detection: Detection, sample_rate: int) -> Row:
        scene = self._scene
        start_seconds = round(detection.start_sample / sample_rate, 3)
        time = scene.time(start_seconds)
        return Row(
            file=scene.file,
            site=scene.site,
            start_seconds=start_seconds,
            end_seconds=round(detection.end_sample / sample_rate, 3),
            time=time.isoformat(timespec="milliseconds") if time else "",
            scientific_name=detection.label.scientific_name,
            common_name=detection.label.common_name,
            code=detection.label.code,
            score=round(detection.score, 4),
            windows=detection.windows,
            occurrence=None if detection.occurrence is None else round(detection.occurrence, 4),
            voice=detection.voice,
            model=detection.model,
            latitude=scene.position[0] if scene.position else None,
            longitude=scene.position[1] if scene.position else None,
            week=week_of(detection.start) if time else None,
            id=detection.id,
        )

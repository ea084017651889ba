"""What `calibrate` learned of a checkpoint, in a file beside it."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from birdwatchd.errors import UserError
from birdwatchd.on_disk import whole
from train.platt import Line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from birdwatchd.domain import Label


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was learned from validation data about one checkpoint. It belongs to that file alone."""

    names: tuple[str, ...]
    """Scientific names, in the order of the network's outputs."""
    line: Line
    """What makes probabilities of its scores."""
    thresholds: NDArray[np.float64]
    """For those probabilities, (labels,)."""
    said: str
    """What it was calibrated to, in words, for the card."""

    @property
    def by_name(self) -> dict[str, float]:
        """The thresholds, by scientific name, rounded up: none is to let through what it lies just above."""
        return {
            name: math.ceil(round(float(value) * 1e4, 3)) / 1e4
            for name, value in zip(self.names, self.thresholds, strict=True)
        }


def calibration_path(checkpoint: Path) -> Path:
    """Where the calibration of a checkpoint lies."""
    return checkpoint.with_name(f"{checkpoint.name}.calibration.json")


def write_calibration(checkpoint: Path, calibration: Calibration) -> Path:
    """Write it beside the checkpoint, whole or not at all, and return where.

    Raises:
        UserError: it cannot be written.
    """
    path = calibration_path(checkpoint)
    content = {
        "checkpoint_sha256": sha256(checkpoint),
        "calibrated_to": calibration.said,
        "labels": [
            {"scientific_name": name, "scale": scale, "shift": shift, "threshold": threshold}
            for name, scale, shift, threshold in zip(
                calibration.names,
                calibration.line.scale.tolist(),
                calibration.line.shift.tolist(),
                calibration.thresholds.tolist(),
                strict=True,
            )
        ],
    }
    try:
        with whole(path) as file:
            file.write(json.dumps(content, ensure_ascii=False, indent=1).encode())
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}): mend that, and calibrate again"
        ) from error
    return path


def read_calibration(checkpoint: Path, labels: Sequence[Label]) -> Calibration | None:
    """The calibration beside a checkpoint; None when there is none.

    Raises:
        UserError: it is unreadable, or was made for another checkpoint.
    """
    path = calibration_path(checkpoint)
    if not path.exists():
        return None
    names = tuple(label.scientific_name for label in labels)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        of_labels = content["labels"]
        numbers = {
            key: np.array([float(one[key]) for one in of_labels]) for key in ("scale", "shift", "threshold")
        }
        stale = content["checkpoint_sha256"] != sha256(checkpoint)
        stale = stale or tuple(one["scientific_name"] for one in of_labels) != names
        said = str(content["calibrated_to"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no calibration ({error}): delete it, or run `calibrate` again") from error
    if stale:
        raise UserError(
            f"{path} was made for another checkpoint: run `birdwatchd-train calibrate {checkpoint}` again"
        )
    return Calibration(names, Line(numbers["scale"], numbers["shift"]), numbers["threshold"], said)


def sha256(path: Path) -> str:
    """The hash of a file's content, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

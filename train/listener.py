"""A model that scores: a checkpoint as `fit` leaves it, or a bundle as the daemon loads it."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from birdwatchd.errors import UserError
from birdwatchd.model import catalog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

    from birdwatchd.domain import Label
    from train.calibration import Calibration
    from train.checkpoint import Trained

DEFAULT_THRESHOLD = 0.7
"""The daemon's, for labels that have none of their own."""


@dataclass(frozen=True, slots=True)
class Listener:
    """What is asked of a model in order to judge it."""

    name: str
    labels: tuple[Label, ...]
    sample_rate: int
    seconds: float
    """Of a segment."""
    classify: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    """Segments float32 (n, samples) in [-1, 1] to scores float32 (n, labels) in [0, 1]."""
    thresholds: dict[str, float] = field(default_factory=dict)
    """By scientific name."""

    @property
    def threshold_of(self) -> NDArray[np.float64]:
        """What each label has to reach, (labels,)."""
        return np.array(
            [self.thresholds.get(label.scientific_name, DEFAULT_THRESHOLD) for label in self.labels]
        )


def located(model: Path) -> Path:
    """The file that is meant: the one at that path or, where a mere name is none, the bundle of that name.

    Raises:
        BundleError: it is a mere name, and the models folder has none of it.
    """
    if model.is_file() or len(model.parts) != 1 or model.suffix == catalog.SUFFIX:
        return model
    return catalog.find(str(model))


def listen(model: Path) -> Listener:
    """The model at a path, or the bundle of that name, with its calibration where it has one.

    Raises:
        UserError: it is neither a checkpoint nor a bundle, or its calibration is of another checkpoint.
    """
    path = located(model)
    if is_bundle(path):
        from birdwatchd.model.classifier import Classifier

        classifier = Classifier.load(path, batch_size=8)
        card = classifier.card
        return Listener(
            card.name,
            card.labels,
            card.sample_rate,
            card.input_seconds,
            classifier.classify,
            dict(card.thresholds),
        )
    from train.calibration import read_calibration

    plain = load_trained(path)
    return of_trained(plain, path.stem, read_calibration(path, plain.labels))


def load_trained(path: Path) -> Trained:
    """The checkpoint at `path`.

    Raises:
        UserError: it is none.
    """
    from train.checkpoint import load

    if not path.is_file():
        raise UserError(
            f"there is no model at {path}: give a checkpoint of `birdwatchd-train fit`, or a bundle"
        )
    return load(path)


def of_trained(
    trained: Trained, name: str, calibration: Calibration | None = None, *, cache: Path | None = None
) -> Listener:
    """A loaded checkpoint as a listener; what a backbone that was not trained hears is kept in `cache`, if that is given."""
    network: Callable[[torch.Tensor], torch.Tensor] = trained.network
    if cache:
        from train.kept import remembering

        network = remembering(trained.network, trained.settings, cache)
    return from_network(
        network,
        name=name,
        labels=trained.labels,
        sample_rate=trained.settings.sample_rate,
        seconds=trained.settings.seconds,
        calibration=calibration,
    )


def from_network(
    network: Callable[[torch.Tensor], torch.Tensor],
    *,
    name: str,
    labels: tuple[Label, ...],
    sample_rate: int,
    seconds: float,
    calibration: Calibration | None = None,
) -> Listener:
    """A network that gives scores, on the CPU and in eval mode, as a listener."""
    import torch

    def classify(segments: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            scores: NDArray[np.float32] = network(torch.from_numpy(segments)).float().numpy()
        return calibration.line.apply(scores) if calibration else scores

    return Listener(name, labels, sample_rate, seconds, classify, calibration.by_name if calibration else {})


def is_bundle(path: Path) -> bool:
    """Whether it is TorchScript; what is wrong with it otherwise, its loader says."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())

"""Makes a bundle of a checkpoint: what `birdwatchd run` loads, proved to score as the network did."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import torch

from birdwatchd.errors import RecordingError, UserError
from birdwatchd.model.bundle import Card, read_card
from birdwatchd.model.catalog import find
from birdwatchd.model.network import open_module
from birdwatchd.model.saving import save
from birdwatchd.on_disk import whole
from train.calibration import calibration_path, read_calibration
from train.listener import load_trained
from train.manifest import read_manifest
from train.platt import EPSILON
from train.quiet import quiet_check, refuse_noisy
from train.sampling import divided
from train.segments import segments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from train.calibration import Calibration
    from train.checkpoint import Trained
    from train.manifest import Row
    from train.platt import Line
    from train.quiet import Quiet
    from train.settings import Settings

MAY_DIFFER = 1e-5
"""How far a score of the bundle may lie from the network's."""
MOST_PARITY_SEGMENTS = 64


class Calibrated(torch.nn.Module):
    """The network with its Platt scaling behind it, as it goes into the bundle."""

    scale: Tensor
    shift: Tensor

    def __init__(self, network: torch.nn.Module, line: Line) -> None:
        super().__init__()
        self.network = network
        if hasattr(network, "body"):
            self.body = network.body  # what may be halved has to have that name
        self.register_buffer("scale", torch.from_numpy(line.scale).float())
        self.register_buffer("shift", torch.from_numpy(line.shift).float())

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveform (batch, samples) to scores (batch, labels) in [0, 1]."""
        scores = self.network(waveform).clamp(EPSILON, 1 - EPSILON)  # (batch, labels)
        return torch.sigmoid(self.scale * torch.logit(scores) + self.shift)

    def embed(self, waveform: Tensor) -> Tensor:
        """What the network's head sees, (batch, dims)."""
        embedding: Tensor = self.network.embed(waveform)  # type: ignore[operator] # torch types it as a Tensor or Module
        return embedding


@dataclass(frozen=True, slots=True)
class Origin:
    """What the card tells that no file does."""

    version: str
    licence: str
    data: str
    """Name of the recordings."""
    data_licence: str
    source: str


def module_of(network: torch.nn.Module, calibration: Calibration | None) -> torch.nn.Module:
    """The network as it is to be traced, on the CPU and in eval mode."""
    return (Calibrated(network, calibration.line) if calibration else network).cpu().eval()


def trace(module: torch.nn.Module, input_samples: int) -> tuple[torch.jit.ScriptModule, int]:
    """TorchScript of the module, and the width of its embedding, 0 when it has none.

    Raises:
        UserError: torch cannot trace it.
    """
    example = torch.zeros(2, input_samples)
    methods = ["forward"]
    dims = 0
    network = getattr(module, "network", module)
    if hasattr(network, "embed"):
        with torch.inference_mode():
            dims = int(module.embed(example).shape[1])  # type: ignore[operator] # torch types it as a Tensor or Module
        methods.append("embed")
    module.requires_grad_(False)
    try:
        traced: torch.jit.ScriptModule = torch.jit.trace_module(  # type: ignore[no-untyped-call] # torch leaves it so
            module, dict.fromkeys(methods, example), check_trace=False
        )
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"the network cannot be traced ({reason}): export a checkpoint of this version"
        ) from error
    return traced, dims


def parity(module: torch.nn.Module, bundle: Path, real: NDArray[np.float32]) -> float:
    """The largest difference between the scores of the network and those of the bundle on real sound.

    Args:
        module: the network as it was traced.
        bundle: as it was written; it is loaded and frozen, as the daemon does it.
        real: segments, float32 (n, input_samples).
    """
    frozen = torch.jit.freeze(open_module(bundle).eval())
    most = 0.0
    with torch.inference_mode():
        for segment in real:
            # One at a time: the trace was made with two, and must not depend on it.
            batch = torch.from_numpy(segment[None])
            most = max(most, float((module(batch) - frozen(batch)).abs().max()))
    return most


def write_bundle(traced: torch.jit.ScriptModule, path: Path, card: Card, checkpoint: Path) -> None:
    """Write the bundle, and beside it what it can be exported from again.

    Raises:
        BundleError: the bundle cannot be written, or does not fit its card.
        UserError: the checkpoint cannot be copied.
    """
    kept = kept_checkpoint(path)
    is_new = not path.exists() and not kept.exists()
    try:
        save(traced, path, card)
        for source, target in [(checkpoint, kept), (calibration_path(checkpoint), calibration_path(kept))]:
            if source.exists() and source.resolve() != target.resolve():
                with source.open("rb") as content, whole(target) as file:
                    shutil.copyfileobj(content, file)
            elif not source.exists():
                target.unlink(missing_ok=True)
    except BaseException as error:
        if is_new:
            # A bundle without its checkpoint would be taken for somebody else's, and not be written over.
            path.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise UserError(
            f"{kept} cannot be written ({error.strerror or error}): make room, and export again"
        ) from error


def kept_checkpoint(bundle: Path) -> Path:
    """Where the state dict and the settings of a bundle's network are kept."""
    return bundle.with_suffix(".checkpoint")


def make_bundle(
    checkpoint: Path,
    path: Path,
    *,
    clips: Path,
    origin: Origin,
    limit: float | None,
    show: Callable[[Sequence[Quiet]], None],
) -> float:
    """Make the bundle at `path`, and return how far its scores lie from the network's at most.

    Args:
        checkpoint: of `fit`; its calibration lies beside it, if it has one.
        path: where the bundle goes. What was there stays there when the new one is refused, or when it is not to be replaced.
        clips: the manifest it was trained with.
        origin: for the card.
        limit: score that silence and noise must stay below, and each label's threshold; None: it is written whatever it hears.
        show: given what the model makes of silence and noise, before it is refused for it.

    Raises:
        UserError: the model hears a bird in noise, the bundle does not score as it does, or would replace what was not made by this.
    """
    trained = load_trained(checkpoint)
    refuse_to_replace(path, trained.settings)
    calibration = read_calibration(checkpoint, trained.labels)
    rows = read_manifest(clips)
    module = module_of(trained.network, calibration)
    samples = trained.settings.input_samples
    found = quiet_check(module, trained.labels, samples)
    show(found)
    if limit is not None:
        refuse_noisy(found, calibration.by_name if calibration else {}, limit)
    real = real_segments(rows, trained.settings.sample_rate, trained.settings.seconds)
    traced, dims = trace(module, samples)
    card = _card(trained, calibration=calibration, origin=origin, name=path.stem, dims=dims, rows=rows)
    draft = path.with_name(f".{path.stem}.draft{path.suffix}")
    try:
        save(traced, draft, card)
        difference = parity(module, draft, real)
    finally:
        draft.unlink(missing_ok=True)
    if not difference <= MAY_DIFFER:
        raise UserError(
            f"the bundle would score a real clip {difference:.1e} away from the network, more than {MAY_DIFFER:.0e}: "
            "it is not written"
        )
    write_bundle(traced, path, card, checkpoint)
    return difference


def refuse_to_replace(path: Path, settings: Settings) -> None:
    """Refuse to write over the backbone of the model, without which its checkpoint is worth nothing, and over what is no export.

    Raises:
        UserError: `path` is one of these.
    """
    if settings.network == "birdnet" and path.exists() and path.samefile(find(settings.bundle)):
        raise UserError(
            f"{path} is the backbone that the model is built on: give the new bundle another name"
        )
    if path.exists() and not kept_checkpoint(path).exists():
        raise UserError(
            f"{path} was not made by `export`, as no checkpoint lies beside it: give the new bundle another name, or move "
            "that one away"
        )


def real_segments(rows: Sequence[Row], sample_rate: int, seconds: float) -> NDArray[np.float32]:
    """The first segments of clips spread over the manifest, float32 (n, samples), at most 64.

    Raises:
        UserError: no clip can be read.
    """
    step = max(1, len(rows) // MOST_PARITY_SEGMENTS)
    found: list[NDArray[np.float32]] = []
    for row in rows[::step][:MOST_PARITY_SEGMENTS]:
        try:
            _, samples = next(segments(row, sample_rate=sample_rate, seconds=seconds, hop_seconds=seconds))
        except RecordingError:
            continue  # `evaluate` and `fit` have named it; one clip more or less proves the same
        found.append(samples)
    if not found:
        raise UserError("no clip of the manifest can be read: the bundle cannot be compared with the network")
    return np.stack(found)


def _card(
    trained: Trained,
    *,
    calibration: Calibration | None,
    origin: Origin,
    name: str,
    dims: int,
    rows: Sequence[Row],
) -> Card:
    backbone = read_card(find(trained.settings.bundle)) if trained.settings.network == "birdnet" else None
    return Card(
        name=name,
        version=origin.version,
        labels=trained.labels,
        sample_rate=trained.settings.sample_rate,
        input_seconds=trained.settings.seconds,
        thresholds=calibration.by_name if calibration else {},
        calibrated_to=calibration.said if calibration else "",
        licence=origin.licence,
        attribution=f"built on {backbone.name} {backbone.version} ({backbone.licence}): {backbone.attribution}"
        if backbone
        else "",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        score=trained.settings.score,
        embedding_dims=dims,
        trained_on=(
            {
                "name": origin.data or "own recordings",
                "licence": origin.data_licence,
                "clips": len(
                    trained.learnt.train if trained.learnt else divided(rows, trained.settings)["train"]
                ),
            },
        ),
        metrics={key: float(value) for key, value in trained.metrics.items() if math.isfinite(value)},
        source=origin.source,
        source_sha256=backbone.source_sha256 if backbone else "",
    )

"""A checkpoint: the weights of a network, the settings it was trained with, its labels, and how training went."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from birdwatchd.domain import Label
from birdwatchd.errors import UserError
from birdwatchd.model import catalog
from birdwatchd.model.bundle import read_card
from birdwatchd.on_disk import whole
from train.learnt import Learnt
from train.manifest import tidy
from train.networks import Network, build
from train.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from train.processes import Process

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Trained:
    """A network as training left it, in eval mode on the CPU, with all that is known of it."""

    network: Network
    labels: tuple[Label, ...]
    settings: Settings
    history: tuple[dict[str, float], ...] = ()
    """One entry for each epoch: `epoch`, `loss`, `validation_loss`, `validation_macro_ap`, …"""
    metrics: dict[str, float] = field(default_factory=dict)
    """Of the epoch that was kept."""
    progress: dict[str, Any] = field(default_factory=dict)
    """What it takes to go on: empty in a checkpoint that is only kept for its weights."""
    learnt: Learnt | None = None
    """What it learnt from; None in checkpoints of before that was kept."""


def save(
    path: Path,
    network: Network,
    labels: Sequence[Label],
    settings: Settings,
    *,
    history: Sequence[dict[str, float]] = (),
    metrics: Mapping[str, float] | None = None,
    progress: Mapping[str, Any] | None = None,
    learnt: Learnt | None = None,
) -> None:
    """Write a checkpoint to `path`, whole or not at all.

    A backbone that was not trained is not stored again: its bundle is named, by hash.

    Raises:
        UserError: it cannot be written.
    """
    content = {
        "format": FORMAT,
        "settings": settings.model_dump(mode="json"),
        "labels": [[label.scientific_name, label.common_name] for label in labels],
        "backbone": backbone(settings),
        "weights": weights(network, settings),
        "history": list(history),
        "metrics": dict(metrics or {}),
        "progress": dict(progress or {}),
        "learnt": asdict(learnt) if learnt else None,
    }
    try:
        with whole(path) as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:
        raise UserError(f"{path} cannot be written ({error}): make room or choose another folder") from error


def load(path: Path) -> Trained:
    """The checkpoint at `path`.

    Raises:
        UserError: it is none, is damaged, or is of another network than it says.
        BundleError: the bundle with its backbone is missing.
    """
    return _rebuilt(path, _read(path))


def load_everywhere(path: Path, process: Process) -> Trained:
    """As `load`, in every process of a training. Only the leader needs the file, which it has written.

    The others may be on machines without it, or here before it is whole.
    """
    return _rebuilt(path, process.told(_read(path) if process.leads else {}))


def _rebuilt(path: Path, content: dict[str, Any]) -> Trained:
    try:
        settings = Settings.model_validate(content["settings"])
        labels = tuple(Label(index, *map(tidy, names)) for index, names in enumerate(content["labels"]))
        if backbone(settings) != content["backbone"]:
            raise UserError(
                f"{path} was trained on another backbone than the bundle {settings.bundle!r} has now: "
                "build that bundle again, or train again"
            )
        network = build(settings, len(labels))
        restore(network, content["weights"], settings)
        learnt = _learnt(content)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} is a checkpoint of another network than this version of train builds ({reason}): train again"
        ) from error
    network.eval().requires_grad_(False)
    return Trained(
        network, labels, settings, tuple(content["history"]), content["metrics"], content["progress"], learnt
    )


def origin_of(path: Path) -> tuple[Settings, Learnt | None]:
    """What the checkpoint at `path` was trained with, and on; its network is not built.

    Raises:
        UserError: it is none, is damaged, or has settings that this version does not know.
    """
    content = _read(path)
    try:
        return Settings.model_validate(content["settings"]), _learnt(content)
    except (KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} was trained with settings that this version of train does not know ({reason}): train again"
        ) from error


def weights(network: Network, settings: Settings) -> dict[str, torch.Tensor]:
    """The part of the network's state that its settings alone do not give, on the CPU."""
    return {
        name: tensor.detach().cpu().clone()
        for name, tensor in network.state_dict().items()
        if not _is_given(name, settings)
    }


def restore(network: Network, state: Mapping[str, torch.Tensor], settings: Settings) -> None:
    """Put what `weights` gave back into `network`.

    Raises:
        RuntimeError: it is of another network.
    """
    missing, unexpected = network.load_state_dict(state, strict=False)
    lacking = [name for name in missing if not _is_given(name, settings)]
    if lacking or unexpected:
        raise RuntimeError(f"it lacks {lacking[:3]} and has {unexpected[:3]}")


def backbone(settings: Settings) -> str:
    """The hash of the weights that the backbone was imported from; empty without one.

    Raises:
        BundleError: the bundle with it is missing.
    """
    if settings.network != "birdnet":
        return ""
    card = read_card(catalog.find(settings.bundle))
    return card.source_sha256 or f"{card.name} {card.version}"


def _learnt(content: Mapping[str, Any]) -> Learnt | None:
    kept = content.get("learnt")
    return Learnt(**kept) if kept else None


def _is_given(name: str, settings: Settings) -> bool:
    if settings.network != "birdnet":
        return False
    return name.startswith("front_end.") or (name.startswith("body.") and not settings.fine_tune)


def _read(path: Path) -> dict[str, Any]:
    try:
        # Weights only: a checkpoint from somewhere else must not be able to run anything.
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(
            f"there is no checkpoint {path}: name one that `birdwatchd-train fit` has written"
        ) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from error
    except Exception as error:  # what a file that is none makes the unpickler raise is not to be listed
        raise UserError(
            f"{path} is no checkpoint of train, or is damaged: name one that `birdwatchd-train fit` has written"
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise UserError(f"{path} is no checkpoint of train: name one that `birdwatchd-train fit` has written")
    if content["format"] > FORMAT:
        raise UserError(f"{path} is in a newer format than this version reads ({FORMAT}): update birdwatchd")
    return content

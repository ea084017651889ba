"""What goes into the network in an epoch: augmented waveforms, or what was computed of them once and kept."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import torch

from train.augment import augment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from train.dataset import Windows
    from train.networks import Network
    from train.settings import Settings

Stage = Literal["waveform", "features", "embedding"]
"""How far along the network its inputs already are."""

COMPUTE_BATCH = 16


class Inputs(Protocol):
    """Batches of what the network takes at one stage."""

    def batches(
        self, order: Sequence[NDArray[np.int64]], seed: tuple[int, ...]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs (batch, …) and targets (batch, labels), on the training's device, for each row of window numbers."""


def stage_of(settings: Settings) -> Stage:
    """The furthest stage at which nothing that is trained, or drawn anew in each epoch, lies before it."""
    if settings.network == "birdnet" and not settings.fine_tune:
        return "embedding"
    return "waveform" if settings.augment.waveform else "features"


class Waveforms:
    """Windows as they are, or augmented on the device. The next batch is read while one is worked on."""

    def __init__(
        self,
        windows: Windows,
        settings: Settings,
        device: torch.device,
        *,
        noise: Windows | None = None,
        augmented: bool,
    ) -> None:
        self._windows = windows
        self._targets = torch.from_numpy(windows.targets)
        self._settings = settings
        self._device = device
        self._noise = noise
        self._augmented = augmented

    def batches(
        self, order: Sequence[NDArray[np.int64]], seed: tuple[int, ...]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """As `Inputs`."""
        draw = np.random.default_rng(seed)
        generator = torch.Generator().manual_seed(int(draw.integers(2**62)))
        with ThreadPoolExecutor(1, "read") as reader:
            waiting = [reader.submit(self._read, numbers, draw) for numbers in order[:2]]
            for number, numbers in enumerate(order):
                waveforms, noise = waiting.pop(0).result()
                if number + 2 < len(order):
                    waiting.append(reader.submit(self._read, order[number + 2], draw))
                targets = self._targets[numbers].to(self._device)
                waveforms = waveforms.to(self._device)
                if self._augmented:
                    noise = noise.to(self._device) if noise is not None else None
                    waveforms, targets = augment(waveforms, targets, noise, self._settings.augment, generator)
                yield waveforms, targets

    def _read(self, numbers: NDArray[np.int64], draw: np.random.Generator) -> tuple[Tensor, Tensor | None]:
        """Called on one thread, in order: what is drawn follows from the seed."""
        windows = self._windows
        shifts = np.zeros(len(numbers), dtype=np.int64)
        if self._augmented and self._settings.augment.shift:
            shifts = draw.integers(-windows.hop // 2, windows.hop // 2, len(numbers), endpoint=True)
        read = [windows.read(int(number), int(shift)) for number, shift in zip(numbers, shifts, strict=True)]
        noise = None
        if self._augmented and self._noise is not None:
            chosen = draw.integers(len(self._noise), size=len(numbers))
            moved = draw.integers(-self._noise.hop, self._noise.hop, len(numbers))
            parts = [self._noise.read(int(one), int(by)) for one, by in zip(chosen, moved, strict=True)]
            noise = torch.from_numpy(np.stack(parts))
        return torch.from_numpy(np.stack(read)), noise


class Kept:
    """Features or embeddings that were computed once: of each window the plain one, and augmented copies."""

    def __init__(
        self, values: NDArray[np.floating], targets: NDArray[np.float32], device: torch.device
    ) -> None:
        """Take `values` (copies, windows, …) and `targets` (copies, windows, labels)."""
        self.values = values
        self.targets = targets
        self._device = device

    def batches(
        self, order: Sequence[NDArray[np.int64]], seed: tuple[int, ...]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """As `Inputs`; which copy, is drawn."""
        draw = np.random.default_rng(seed)
        for numbers in order:
            copies = draw.integers(len(self.values), size=len(numbers))
            values = torch.from_numpy(self.values[copies, numbers]).float()
            targets = torch.from_numpy(self.targets[copies, numbers])
            yield values.to(self._device), targets.to(self._device)


def keep(
    network: Network,
    windows: Windows,
    settings: Settings,
    device: torch.device,
    *,
    stage: Stage,
    mark: str,
    noise: Windows | None = None,
    copies: int = 0,
    folder: Path,
    advance: Callable[[int], None] = lambda _: None,
) -> Kept:
    """Compute `stage` of every window, plain and `copies` times augmented; taken from `folder` if it was done before.

    `mark` stands for all of the network that lies before the stage. `advance` is called with the windows done.
    """
    compute = network.front_end if stage == "features" else network.embed
    key = f"{stage}-{_key(windows, noise if copies else None, settings, mark, copies)}"
    values_path, targets_path = folder / f"{key}.npy", folder / f"{key}.targets.npy"
    rounds = 1 + copies
    if not (values_path.is_file() and targets_path.is_file()):
        folder.mkdir(parents=True, exist_ok=True)
        targets = np.empty((rounds, *windows.targets.shape), dtype=np.float32)
        values: NDArray[np.floating] | None = None
        part = folder / f".{key}.{os.getpid()}.part.npy"
        size = max(1, min(COMPUTE_BATCH, len(windows)))
        order = np.arange(len(windows))
        numbers = [order[start : start + size] for start in range(0, len(order), size)]
        for copy in range(rounds):
            source = Waveforms(windows, settings, device, noise=noise, augmented=copy > 0)
            seed = (settings.training.seed, copy)
            for chosen, (waveforms, wanted) in zip(numbers, source.batches(numbers, seed), strict=True):
                with torch.inference_mode():
                    computed = compute(waveforms).cpu().numpy()
                if values is None:
                    # Features are large: half precision, and not in memory.
                    kind = np.float16 if stage == "features" else np.float32
                    shape = (rounds, len(windows), *computed.shape[1:])
                    values = np.lib.format.open_memmap(part, mode="w+", dtype=kind, shape=shape)
                values[copy, chosen] = computed
                targets[copy, chosen] = wanted.cpu().numpy()
                advance(len(chosen))
        assert values is not None  # noqa: S101 - there are windows
        values.flush()  # type: ignore[attr-defined] # a memmap
        whole = folder / f".{key}.{os.getpid()}.targets.npy"
        np.save(whole, targets)
        whole.replace(targets_path)
        part.replace(values_path)
    kept = np.load(values_path, mmap_mode="r" if stage == "features" else None)
    return Kept(kept, np.load(targets_path), device)


def _key(windows: Windows, noise: Windows | None, settings: Settings, mark: str, copies: int) -> str:
    told = hashlib.blake2b(digest_size=16)
    for part in (windows, noise):
        if part is not None:
            told.update("\0".join(part.keys).encode())
            told.update(part.spans.tobytes())
            told.update(part.row_targets.tobytes())
    told.update(f"{mark} {copies} {windows.length} {windows.hop}".encode())
    if copies:
        told.update(
            f"{settings.augment.model_dump_json(exclude={'noise'})} {settings.training.seed}".encode()
        )
    return told.hexdigest()

"""What goes into the network in an epoch: augmented waveforms, or what was computed of them once and kept."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import torch

from train.augment import Noise, augment, coloured_noise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from train.dataset import Windows
    from train.networks import Network
    from train.settings import Settings

Stage = Literal["waveform", "features", "embedding"]
"""How far along the network its inputs already are."""

COMPUTE_BATCH = 16
COLOURS = 32
"""How many coloured noises are made, to cut from."""
MOST_THREADS = 4


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
    """Windows as they are, or augmented. Batches to come are made by threads while one is worked on.

    What is drawn for a batch follows from the seed and the number of the batch.
    """

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
        self._settings = settings.augment
        self._device = device
        self._noise = noise
        self._augmented = augmented
        self._colours: Tensor | None = None
        if augmented and self._settings.coloured_probability:
            made = coloured_noise(COLOURS, windows.length, torch.Generator().manual_seed(settings.training.seed))
            self._colours = made.to(device)

    def batches(
        self, order: Sequence[NDArray[np.int64]], seed: tuple[int, ...]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """As `Inputs`."""
        threads = min(MOST_THREADS, len(os.sched_getaffinity(0)))
        waiting: deque[Future[tuple[Tensor, Tensor]]] = deque()
        # One thread of torch in each of these: they share the cores with those of the network.
        with ThreadPoolExecutor(threads, "read", torch.set_num_threads, (1,)) as readers:
            try:
                for number, numbers in enumerate(order):
                    waiting.append(readers.submit(self._batch, numbers, (*seed, number)))
                    if len(waiting) > threads:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    @torch.inference_mode()
    def _batch(self, numbers: NDArray[np.int64], seed: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        draw = np.random.default_rng(seed)
        windows, settings = self._windows, self._settings
        shifts = np.zeros(len(numbers), dtype=np.int64)
        if self._augmented and settings.shift:
            shifts = draw.integers(-windows.hop // 2, windows.hop // 2, len(numbers), endpoint=True)
        waveforms, targets = windows.read_all(numbers, shifts).to(self._device), self._targets[numbers].to(self._device)
        if self._augmented:
            noise = self._draw_noise(len(numbers), draw) if self._noise is not None else None
            generator = torch.Generator().manual_seed(int(draw.integers(2**62)))
            augment(waveforms, targets, noise, settings, self._colours, generator)
        return waveforms, targets

    def _draw_noise(self, clips: int, draw: np.random.Generator) -> Noise:
        assert self._noise is not None  # noqa: S101 - asked before
        noisy = np.flatnonzero(draw.random(clips) < self._settings.noise_probability)
        chosen = draw.integers(len(self._noise), size=len(noisy))
        moved = draw.integers(-self._noise.hop, self._noise.hop, len(noisy))
        return Noise(torch.from_numpy(noisy), self._noise.read_all(chosen, moved).to(self._device))


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

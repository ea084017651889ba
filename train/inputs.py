"""What goes into the network in an epoch: waveforms, as they are or augmented. What is kept of them is in `kept`."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import torch

from train.augment import Noise, augment, coloured_noise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray
    from torch import Tensor

    from train.dataset import Windows
    from train.settings import Settings

Stage = Literal["waveform", "features", "embedding"]
"""How far along the network its inputs already are."""

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
            made = coloured_noise(
                COLOURS, windows.length, torch.Generator().manual_seed(settings.training.seed)
            )
            self._colours = made.to(device)

    def batches(
        self, order: Sequence[NDArray[np.int64]], seed: tuple[int, ...]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """As `Inputs`."""
        yield from self.drawn(order, [(*seed, number) for number in range(len(order))])

    def drawn(
        self, order: Sequence[NDArray[np.int64]], seeds: Sequence[tuple[int, ...]]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """As `batches`, each with a seed of its own."""
        threads = min(MOST_THREADS, len(os.sched_getaffinity(0)))
        waiting: deque[Future[tuple[Tensor, Tensor]]] = deque()
        # One thread of torch in each of these: they share the cores with those of the network.
        with ThreadPoolExecutor(threads, "read", torch.set_num_threads, (1,)) as readers:
            try:
                for numbers, seed in zip(order, seeds, strict=True):
                    waiting.append(readers.submit(self._batch, numbers, seed))
                    if len(waiting) > threads:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    @torch.no_grad()
    def _batch(self, numbers: NDArray[np.int64], seed: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        draw = np.random.default_rng(seed)
        windows, settings = self._windows, self._settings
        shifts = np.zeros(len(numbers), dtype=np.int64)
        if self._augmented and settings.shift:
            shifts = draw.integers(-windows.hop // 2, windows.hop // 2, len(numbers), endpoint=True)
        speeds = None
        if self._augmented and settings.speed:
            most = np.log1p(settings.speed)
            speeds = np.exp(draw.uniform(-most, most, len(numbers)))
        waveforms, targets = (
            windows.read_all(numbers, shifts, speeds).to(self._device),
            self._targets[numbers].to(self._device),
        )
        if self._augmented:
            noise = self._draw_noise(len(numbers), draw) if self._noise is not None else None
            generator = torch.Generator().manual_seed(int(draw.integers(2**62)))
            augment(waveforms, targets, settings, generator, noise=noise, colours=self._colours)
        return waveforms, targets

    def _draw_noise(self, clips: int, draw: np.random.Generator) -> Noise:
        assert self._noise is not None  # noqa: S101 - asked before
        noisy = np.flatnonzero(draw.random(clips) < self._settings.noise_probability)
        chosen = draw.integers(len(self._noise), size=len(noisy))
        moved = draw.integers(-self._noise.hop, self._noise.hop, len(noisy))
        return Noise(torch.from_numpy(noisy), self._noise.read_all(chosen, moved).to(self._device))

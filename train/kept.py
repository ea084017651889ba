"""What is computed of the windows once and kept: embeddings, or features."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np
import torch

from train import checkpoint
from train.cache import kept_at
from train.ear import Ear
from train.inputs import Waveforms, stage_of
from train.memory import in_pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from train.dataset import Windows
    from train.networks import Network
    from train.settings import Settings

COMPUTE_BATCH = 16


class Kept:
    """Features or embeddings that were computed once: of each window the plain one, and augmented copies."""

    def __init__(
        self,
        values: NDArray[np.floating],
        targets: NDArray[np.float32],
        device: torch.device,
        *,
        mixup_probability: float = 0.0,
    ) -> None:
        """Take `values` (copies, windows, …) and `targets` (windows, labels)."""
        self.values = values
        self.targets = targets
        self._device = device
        self._mixup_probability = mixup_probability

    def batches(
        self, order: Sequence[NDArray[np.int64]], seed: tuple[int, ...]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """As `Inputs`; which copy, and what is mixed, is drawn."""
        draw = np.random.default_rng(seed)
        for numbers in order:
            copies = draw.integers(len(self.values), size=len(numbers))
            values = torch.from_numpy(self.values[copies, numbers]).float()
            targets = torch.from_numpy(self.targets[numbers])
            if self._mixup_probability:
                mixed = np.flatnonzero(draw.random(len(numbers)) < self._mixup_probability)
                partners = draw.permutation(len(numbers))[mixed]
                # Of two sounds at once, what is loudest in either is what is heard.
                values[mixed] = torch.maximum(values[mixed], values[partners])
                targets[mixed] = torch.maximum(targets[mixed], targets[partners])
            yield values.to(self._device), targets.to(self._device)


class Computing(NamedTuple):
    """What it takes to compute."""

    network: Network
    settings: Settings
    device: torch.device
    mark: str
    """Stands for all of the network that lies before the stage."""
    folder: Path
    """Where it is kept."""
    advance: Callable[[int], None] = lambda _: None
    """Called with the number of windows done."""


def keep_features(windows: Windows, computing: Computing) -> Kept:
    """The features of every window, taken from the folder if these windows were there before."""
    told = hashlib.blake2b(f"{computing.mark} {windows.length}".encode(), digest_size=16)
    told.update("\0".join(windows.keys).encode())
    told.update(windows.spans.tobytes())
    path = computing.folder / f"features-{told.hexdigest()}.npy"
    values = _read(path)
    if values is None:
        _compute_features(path, windows, computing)
        values = np.load(path, mmap_mode="r")
    return Kept(values, windows.targets, computing.device)


def _compute_features(path: Path, windows: Windows, computing: Computing) -> None:
    order = [
        np.arange(start, min(start + COMPUTE_BATCH, len(windows)))
        for start in range(0, len(windows), COMPUTE_BATCH)
    ]
    source = Waveforms(windows, computing.settings, computing.device, augmented=False)
    with kept_at(path) as file:
        for numbers, (waveforms, _) in zip(order, source.batches(order, ()), strict=True):
            with torch.inference_mode():
                computed = in_pieces(computing.network.front_end, waveforms).cpu().numpy()
            # Features are large: half precision, and not in memory.
            few = np.ascontiguousarray(computed, dtype=np.float16)
            if not numbers[0]:
                _write_header(file, few.dtype, (1, len(windows), *few.shape[1:]))
            file.write(few.data)
            computing.advance(len(numbers))


def keep_embeddings(
    windows: Windows, computing: Computing, *, noise: Windows | None = None, copies: int = 0
) -> Kept:
    """The embeddings of every window, plain and `copies` times augmented.

    They are kept for each row and copy by itself, and what is drawn for it depends on it alone: other rows beside it, as
    in the next fold of a cross-validation, change nothing.
    """
    # Two clips are mixed when they are drawn.
    alone = computing.settings.augment.model_copy(update={"mixup_probability": 0.0})
    settings = computing.settings.model_copy(update={"augment": alone})
    of_copies = []
    for copy in range(1 + copies):
        source = Waveforms(windows, settings, computing.device, noise=noise, augmented=copy > 0)
        drawn = f" {alone.model_dump_json(exclude={'noise'})} {_told(noise)}" if copy else ""
        of_copies.append(_embeddings(windows, computing, source, f"{computing.mark} {copy}{drawn}"))
    mixup = computing.settings.augment.mixup_probability if copies else 0.0
    return Kept(np.stack(of_copies), windows.targets, computing.device, mixup_probability=mixup)


def _embeddings(windows: Windows, computing: Computing, source: Waveforms, mark: str) -> NDArray[np.float32]:
    """Of every window, (windows, dims)."""
    rows = [np.flatnonzero(windows.of_row == row) for row in range(len(windows.rows))]
    keys = [_key(windows, numbers, f"{mark} {computing.settings.training.seed}") for numbers in rows]
    paths = [computing.folder / f"embedding-{key}.npy" for key in keys]
    # The same recording may stand in several rows: one of them computes it.
    missing = list({path: row for row, path in enumerate(paths) if _read(path) is None}.values())
    order: list[NDArray[np.int64]] = []
    seeds: list[tuple[int, ...]] = []
    for row in missing:
        few = np.array_split(rows[row], -(-len(rows[row]) // COMPUTE_BATCH))
        order += few
        seeds += [(int(keys[row], 16), number) for number in range(len(few))]
    parts: list[NDArray[np.float32]] = []
    waiting = deque(missing)
    computing.advance(len(windows) - sum(len(rows[row]) for row in missing))
    for waveforms, _ in source.drawn(order, seeds):
        with torch.inference_mode():
            parts.append(in_pieces(computing.network.embed, waveforms).cpu().numpy())
        computing.advance(len(waveforms))
        if sum(len(part) for part in parts) == len(rows[waiting[0]]):
            _save(paths[waiting.popleft()], np.concatenate(parts))
            parts = []
    found = np.empty(0, dtype=np.float32)
    for numbers, path in zip(rows, paths, strict=True):
        if len(numbers):
            read = np.load(path)
            found = found if len(found) else np.empty((len(windows), read.shape[1]), dtype=np.float32)
            found[numbers] = read
    return found


def _key(windows: Windows, numbers: NDArray[np.int64], mark: str) -> str:
    """Stands for some windows of one row."""
    told = hashlib.blake2b(f"{mark} {windows.length} {windows.hop}".encode(), digest_size=16)
    if len(numbers):
        told.update(windows.keys[int(windows.spans[numbers[0], 0])].encode())
        told.update(windows.spans[numbers, 1:].tobytes())
    return told.hexdigest()


def remembering(network: Network, settings: Settings, folder: Path) -> Callable[[Tensor], Tensor]:
    """The network, on the CPU and in eval mode, with what its backbone makes of a batch kept: it is computed once.

    So every network of a cross-validation hears the same clips, and only its head is its own. A network whose backbone was
    trained comes back as it is.
    """
    if stage_of(settings) != "embedding":
        return network
    mark = mark_of(network, settings)

    def scores(waveforms: Tensor) -> Tensor:
        told = hashlib.blake2b(f"{mark} heard {tuple(waveforms.shape)}".encode(), digest_size=16)
        told.update(waveforms.contiguous().numpy().data)
        path = folder / f"heard-{told.hexdigest()}.npy"
        if _read(path) is None:
            _save(path, network.embed(waveforms).numpy())
        return network.scores(torch.from_numpy(np.load(path)))

    return scores


def _read(path: Path) -> NDArray[np.floating] | None:
    """What is kept at `path`, mapped; None where nothing is, or what a power cut has left of it."""
    try:
        values: NDArray[np.floating] = np.load(path, mmap_mode="r")
    except (FileNotFoundError, EOFError, ValueError):
        return None
    return values


def _save(path: Path, values: NDArray[np.floating]) -> None:
    with kept_at(path) as file:
        _write_header(file, values.dtype, values.shape)
        file.write(np.ascontiguousarray(values).data)


def _write_header(file: BinaryIO, dtype: np.dtype[np.floating], shape: tuple[int, ...]) -> None:
    """As `np.save`, which does not say why it could not write."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _told(windows: Windows | None) -> str:
    """Stands for all of some windows."""
    if windows is None:
        return ""
    told = hashlib.blake2b("\0".join(windows.keys).encode(), digest_size=16)
    told.update(windows.spans.tobytes())
    return told.hexdigest()


def mark_of(network: Network, settings: Settings) -> str:
    """What stands for all that lies before the stage: the backbone, or the front end and its scale."""
    if settings.network == "birdnet":
        octaves = "" if settings.octaves == (0,) else f" at {settings.octaves}"
        return f"{checkpoint.backbone(settings)} {Ear.end}{octaves}"
    mean = network.front_end.state_dict()["mean"]
    return f"{settings.front_end.model_dump_json()} {settings.sample_rate} {mean.flatten().tolist()}"

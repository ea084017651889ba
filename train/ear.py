"""BirdNET's ear: its front end and its body, with another end, and at other speeds where that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, conv_transpose1d, pad

from birdwatchd.errors import UserError
from birdwatchd.model import birdnet_graph, catalog
from birdwatchd.model.bundle import read_card
from birdwatchd.model.network import open_module

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from train.settings import Settings

NEARLY_NOTHING = 1e-4
"""Added before a root is taken, whose slope at 0 has no end."""
CROSSINGS = 16
"""Of zero, on either side of the middle of a resampling filter."""


class Octaves(nn.Module):
    """Waveform (batch, samples) to the spectrograms of all that is heard of it, (batch, pieces, 96, 511, 2).

    An octave up is twice as fast: half as long, and repeated. An octave down is half as fast, and two pieces.
    """

    def __init__(self, front_end: nn.Module, octaves: Sequence[int]) -> None:
        super().__init__()
        self.front_end = front_end
        self.octaves = tuple(octaves)
        for factor in {2 ** abs(octave) for octave in self.octaves if octave}:
            self.register_buffer(f"filter_{factor}", low_pass(factor), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        pieces = [piece for octave in self.octaves for piece in self._moved(waveform, octave)]
        spectrograms: Tensor = self.front_end(torch.stack(pieces, dim=1).flatten(0, 1))
        return spectrograms.reshape(-1, len(pieces), *spectrograms.shape[1:])

    def _moved(self, waveform: Tensor, octave: int) -> Sequence[Tensor]:
        """Pieces, each (batch, samples)."""
        if octave == 0:
            return [waveform]
        factor = 2 ** abs(octave)
        kernel: Tensor = getattr(self, f"filter_{factor}")  # (1, 1, taps)
        half = kernel.shape[2] // 2
        sound = waveform.unsqueeze(1)
        if octave > 0:
            quick = conv1d(pad(sound, (half, half)), kernel, stride=factor).squeeze(1)
            return [quick.repeat(1, factor)]
        slow = conv_transpose1d(sound, kernel * factor, stride=factor).squeeze(1)
        return torch.chunk(slow[:, half : half + factor * waveform.shape[1]], factor, dim=1)


def low_pass(factor: int) -> Tensor:
    """A windowed sinc that lets pass what is below 1 / factor of half the rate, with the gain 1: (1, 1, taps)."""
    half = CROSSINGS * factor
    time = torch.arange(-half, half + 1, dtype=torch.float64) / factor
    kernel = torch.sinc(time) * torch.hann_window(2 * half + 3, periodic=False, dtype=torch.float64)[1:-1]
    return (kernel / kernel.sum()).float().reshape(1, 1, -1)


class Ear(birdnet_graph.Body):
    """BirdNET's body with another end: spectrograms (batch, pieces, 96, 511, 2) to (batch, octaves * 2048).

    What was heard on the whole, and the most of it that was heard at once: a call that is short would drown in the mean.
    Roots, as these dims are small in most clips and large in a few. For each octave by itself.
    """

    end = "root of mean and most of the patches"
    """Marks embeddings that are kept."""

    def __init__(
        self, octaves: Sequence[int], scale: NDArray[np.float32], shift: NDArray[np.float32]
    ) -> None:
        super().__init__(scale, shift)
        self.pieces = [2 ** max(0, -octave) for octave in octaves]
        self.dims = 2 * birdnet_graph.EMBEDDING_DIMS * len(self.pieces)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patches(x.flatten(0, 1))  # (batch * pieces, 6, 1024)
        patches = patches.reshape(-1, sum(self.pieces), *patches.shape[1:])
        ends = []
        for heard in torch.split(patches, self.pieces, dim=1):
            ends += [heard.mean(dim=(1, 2)), heard.amax(dim=(1, 2))]
        return torch.cat(ends, dim=1).add(NEARLY_NOTHING).sqrt()


def birdnet(settings: Settings) -> tuple[Octaves, Ear]:
    """Front end and body of the imported BirdNET, from its bundle.

    Raises:
        BundleError: the bundle is missing or damaged.
        UserError: it is none of BirdNET.
    """
    path = catalog.find(settings.bundle)
    read_card(path)
    module = open_module(path)
    try:
        weights = module.body.state_dict()
        body = Ear(settings.octaves, weights["scale"].numpy(), weights["shift"].numpy())
        body.load_state_dict(weights)
    except (AttributeError, KeyError, RuntimeError) as error:
        raise UserError(
            f"{path} has not BirdNET's backbone, which the network birdnet is built on: name its bundle, or make it "
            "with `birdwatchd model build birdnet`"
        ) from error
    body.requires_grad_(settings.fine_tune)
    return Octaves(module.front_end, settings.octaves), body

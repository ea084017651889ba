"""BirdNET v2.4 as torch modules: the graph of its TFLite file, written down again for speed.

Layers are registered in the order in which the file computes them, so that weights can be handed over one by one.
Activations are (batch, height, width, channels) throughout: a 1 x 1 convolution is then one matrix product without
reordering weights (`Linear`), which is where most of the time goes.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad, relu, silu

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE_RATE = 48000
INPUT_SAMPLES = 144_000
LABELS = 6522
EMBEDDING_DIMS = 1024
FRAMES = 511
HOPS = (278, 280)
"""Samples from frame to frame, of the two spectrograms. The frames are 2048 and 1024 samples long."""

# (blocks, channels, expanded channels, squeezed channels) of each stage; 0: no squeeze-and-excite
STAGES = ((3, 36, 72, 0), (4, 72, 288, 18), (5, 108, 864, 27), (4, 192, 1536, 48))


class Thinning(nn.Module):
    """Every fourth sample of a waveform, for bands that end at 3 kHz: they hear the same, for a quarter of the arithmetic.

    What leaving out samples folds into such bands, from 9 to 15 and from 21 kHz on, a filter keeps out.
    """

    rows: Tensor

    STEP = 4
    ORDER = 24
    STOPS = ((8_900, 15_100), (20_900, 24_000))
    ROW = 16
    """Results in a row: the filter is a product with a small matrix, as that is what processors do best."""
    BEYOND = 32
    """Results past the waveform's end, so that odd frames are as many as even ones."""

    def __init__(self) -> None:
        super().__init__()
        taps = thinning_taps()
        rows = torch.zeros(self.ROW, self.STEP * self.ROW + self.ORDER)
        for number in range(self.ROW):
            rows[number, self.STEP * number : self.STEP * number + len(taps)] = taps
        self.register_buffer("rows", rows)  # (16, 88)

    def forward(self, waveform: Tensor) -> Tensor:
        """(batch, samples) to (batch, samples / 4 + 32); sample n is the filter's middle at 4 n."""
        padded = pad(waveform, (self.ORDER // 2, self.ORDER // 2 + self.STEP * self.BEYOND))
        pieces = padded.unfold(1, self.STEP * self.ROW + self.ORDER, self.STEP * self.ROW)
        return linear(pieces, self.rows).flatten(1)


def thinning_taps() -> Tensor:
    """A low-pass filter, float64 (25,): of all that leave 0 Hz as it is the one that lets through least energy of `STOPS`."""
    lags = np.subtract.outer(np.arange(Thinning.ORDER + 1), np.arange(Thinning.ORDER + 1))
    let_through = np.zeros(lags.shape)  # a quadratic form of the taps
    for low, high in Thinning.STOPS:
        for edge, sign in ((2 * high / SAMPLE_RATE, 1), (2 * low / SAMPLE_RATE, -1)):
            let_through += sign * edge * np.sinc(edge * lags)
    taps = np.linalg.solve(let_through, np.ones(len(lags)))
    taps += taps[::-1]  # what rounding has left uneven
    return torch.from_numpy(taps / taps.sum())


def thinned(kernel: Tensor, first: int) -> Tensor:
    """What gives nearly the same with thinned samples as `kernel`, float64 (96, frame), does with all: (96, frame / 4 + 1 or 2).

    Its samples begin `first` samples after the frame, 0 or less, and end as far from the frame's end.
    """
    step, order, frame = Thinning.STEP, Thinning.ORDER, kernel.shape[1]
    taps = thinning_taps()
    places = range(0, frame - 2 * first + 1, step)
    filters = torch.zeros(len(places), places[-1] + order + 1, dtype=torch.float64)
    for row, place in zip(filters, places, strict=True):
        row[place : place + order + 1] = taps
    before = order // 2 - first
    wanted = pad(kernel, (before, filters.shape[1] - before - frame))
    solved: Tensor = torch.linalg.solve(filters @ filters.T, filters @ wanted.T)  # least squares
    return solved.T


class Folded(nn.Module):
    """The product of every frame with weights that are even about its middle, where it is folded first."""

    kernel: Tensor

    def __init__(self, weights: Tensor, first: int, hop: int) -> None:
        """Take `weights` (96, frame), the first frame's first sample, and the samples from frame to frame."""
        super().__init__()
        self.first = first
        self.hop = hop
        self.frame = weights.shape[1]
        self.folds_to = (self.frame + 1) // 2
        kernel = weights[:, : self.folds_to].float().contiguous()
        if self.frame % 2:
            kernel[:, -1] /= 2  # the middle is added to itself
        self.register_buffer("kernel", kernel)  # (96, frame / 2)

    def forward(self, waveform: Tensor) -> Tensor:
        """(batch, frames, 96) of (batch, samples)."""
        frames = waveform[:, self.first :].unfold(1, self.frame, self.hop)  # (batch, frames, frame), no copy
        folded = frames[:, :, self.frame - self.folds_to :].flip(2).add_(frames[:, :, : self.folds_to])
        return linear(folded, self.kernel)


class Bands(nn.Module):
    """One spectrogram: window, real part of the FFT and the bands are one matrix, as all three are linear.

    The Hann window and the cosines are even about the middle of the frame.
    """

    kernel_sum: Tensor

    def __init__(
        self,
        window: NDArray[np.float32],
        bands: NDArray[np.float32],
        hop: int,
        *,
        power: float,
        scale: float,
        shift: float,
        thins: bool = False,
    ) -> None:
        """Take `window` (frame,) and `bands` (96, frame / 2 + 1) as the TFLite file has them."""
        super().__init__()
        self.exponent = 2 * power
        self.scale = scale
        self.shift = shift
        cosines = torch.fft.rfft(torch.eye(len(window), dtype=torch.float64)).real  # (frame, frame / 2 + 1)
        kernel = (
            torch.from_numpy(bands).double().flip(0) @ cosines.T * torch.from_numpy(window)
        )  # (96, frame)
        self.register_buffer("kernel_sum", kernel.sum(dim=1).float())  # (96,)
        # Sample 0 has weight 0 in a periodic Hann window; n and frame - n share one, but for the file's rounding.
        kernel[:, 1:] = (kernel[:, 1:] + kernel[:, 1:].flip(1)) / 2
        if thins:
            # Two hops are a multiple of the step, one is half a step more: even and odd frames have weights of their own.
            step, lag = Thinning.STEP, hop % Thinning.STEP
            self.turns = nn.ModuleList(
                Folded(thinned(kernel, first), (start + first) // step, 2 * hop // step)
                for start, first in ((0, 0), (hop, -lag))
            )
        else:
            self.turns = nn.ModuleList([Folded(kernel[:, 1:], 1, hop)])

    def forward(self, waveform: Tensor, mean: Tensor) -> Tensor:
        """(batch, 511, 96) of `waveform` (batch, samples), thinned where it thins, + `mean` (batch, 1)."""
        product = torch.stack([turn(waveform) for turn in self.turns], dim=2).flatten(1, 2)[:, :FRAMES]
        # A power, spelt so that it takes half the time; of 0 it is 0.
        raised = product.add_(self.kernel_sum * mean.unsqueeze(2)).abs_().log2_().mul_(self.exponent).exp2_()
        return raised.mul_(self.scale).add_(self.shift)


class FrontEnd(nn.Module):
    """Waveform (batch, 144000) to two spectrograms, (batch, 96, 511, 2)."""

    def __init__(self, low: Bands, high: Bands) -> None:
        super().__init__()
        self.thinning = Thinning()
        self.low = low
        self.high = high

    def forward(self, waveform: Tensor) -> Tensor:
        """Scale each waveform to fill [-1, 1], then its bands."""
        scaled = waveform - waveform.amin(dim=1, keepdim=True)
        scaled = scaled.div_(scaled.amax(dim=1, keepdim=True) + 1e-6).sub_(0.5).mul_(2)
        # A small power makes much of what rounding leaves in a band without sound, above all in silence, which is all
        # -1 here. So the mean takes no part in the long sums, and is added with an exact one.
        mean = scaled.mean(dim=1, keepdim=True)
        scaled = scaled.sub_(mean)
        low, high = self.low(self.thinning(scaled), mean), self.high(scaled, mean)
        # What `stack` gives, in a fraction of its time.
        both = torch.complex(low, high).transpose(1, 2).contiguous()  # (batch, 96, 511)
        return torch.view_as_real(both)  # (batch, 96, 511, 2)


class Block(nn.Module):
    """Expand, depthwise 3 x 3, squeeze and excite, project; with a way around where the shape stays."""

    def __init__(self, channels_in: int, channels: int, expanded: int, squeezed: int, stride: int) -> None:
        super().__init__()
        self.skips = stride == 1
        self.expand = nn.Linear(channels_in, expanded)
        self.depthwise = nn.Conv2d(expanded, expanded, 3, stride, padding=1, groups=expanded)
        self.squeeze = nn.Linear(expanded, squeezed) if squeezed else None
        self.excite = nn.Linear(squeezed, expanded) if squeezed else None
        self.project = nn.Linear(expanded, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, height, width, channels_in) to (batch, height / stride, width / stride, channels)."""
        y = silu(self.expand(x), inplace=True)
        y = silu(nhwc(self.depthwise(nchw(y))), inplace=True)
        if self.squeeze is not None and self.excite is not None:
            mean = y.mean(dim=(1, 2), keepdim=True)  # (batch, 1, 1, expanded)
            y.mul_(self.excite(silu(self.squeeze(mean))).sigmoid_())
        projected: Tensor = self.project(y)  # (batch, height, width, channels)
        return projected.add_(x) if self.skips else projected


class Body(nn.Module):
    """Spectrograms (batch, 96, 511, 2) to the embedding, (batch, 1024)."""

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: NDArray[np.float32], shift: NDArray[np.float32]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 24, (4, 8), stride=2)
        self.merge = nn.Linear(48, 24)
        blocks = []
        channels_in = 24
        for count, channels, expanded, squeezed in STAGES:
            for number in range(count):
                blocks.append(Block(channels_in, channels, expanded, squeezed, 1 if number else 2))
                channels_in = channels
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Linear(3 * 3 * channels_in, EMBEDDING_DIMS)
        self.register_buffer("scale", torch.from_numpy(scale))
        self.register_buffer("shift", torch.from_numpy(shift))

    def forward(self, x: Tensor) -> Tensor:
        """The mean of the patches."""
        return self.patches(x).mean(dim=1)

    def patches(self, x: Tensor) -> Tensor:
        """What it hears in six overlapping stretches of time, (batch, 6, 1024), none below 0.

        The stem pads unevenly, as TFLite's SAME does for an odd width.
        """
        x = self.stem(pad(nchw(x), (3, 4, 1, 1))).relu_()  # (batch, 24, 48, 256)
        one, other = nhwc(x).unfold(2, 2, 2).unbind(4)  # neighbours in time, (batch, 48, 128, 24) each
        pooled = torch.cat([torch.maximum(one, other), torch.add(one, other).mul_(0.5)], dim=3)
        x = self.blocks(self.merge(pooled))  # (batch, 3, 8, 192)
        x = relu(torch.addcmul(self.shift, x, self.scale))
        # The last 3 x 3 convolution, unpadded, as one product: its weights are 7 MB, too many to reorder in each call.
        patches = x.unfold(2, 3, 1).permute(0, 2, 1, 4, 3).flatten(2)  # (batch, 6, 3 * 3 * 192)
        return relu(self.last(patches))  # (batch, 6, 1024)


class BirdNet(nn.Module):
    """Waveform (batch, 144000) to scores (batch, 6522)."""

    def __init__(self, front_end: FrontEnd, body: Body) -> None:
        super().__init__()
        self.front_end = front_end
        self.body = body
        self.head = nn.Linear(EMBEDDING_DIMS, LABELS)

    def forward(self, waveform: Tensor) -> Tensor:
        """Scores in [0, 1]."""
        return torch.sigmoid(self.head(self.embed(waveform)))

    def embed(self, waveform: Tensor) -> Tensor:
        """What the last layer sees, (batch, 1024)."""
        # The body alone may be halved: the conversions follow its weights.
        embedding: Tensor = self.body(self.front_end(waveform).type_as(self.body.merge.weight))
        return embedding.float()


class RangeModel(nn.Module):
    """Latitude, longitude (degrees) and week (1 to 48), (batch, 3), to occurrence (batch, 6522) in [0, 1]."""

    phases: Tensor
    offset: Tensor
    cycles: Tensor

    def __init__(
        self, phases: NDArray[np.float32], *, cycles: tuple[float, ...], turn: float, gain: float
    ) -> None:
        """Take the constants of the TFLite file, rounded as they are there, so that the results are the same."""
        super().__init__()
        self.turn = turn
        self.gain = gain
        self.register_buffer("phases", torch.from_numpy(phases))  # (48,)
        self.register_buffer("offset", torch.tensor([90.0, 180.0, -1.0]))
        self.register_buffer("cycles", torch.tensor(cycles))  # (3,)
        widths = (144, 256, 512, 1024, LABELS)
        self.layers = nn.ModuleList(nn.Linear(one, next_one) for one, next_one in pairwise(widths))

    def forward(self, places: Tensor) -> Tensor:
        """Sines of each input at 48 phases, then a perceptron."""
        angles = (places + self.offset) * self.cycles * self.turn  # (batch, 3)
        x = (torch.sin(angles.unsqueeze(2) + self.phases) * self.gain).flatten(1)  # (batch, 144)
        for layer in self.layers[:-1]:
            x = relu(layer(x))
        return torch.sigmoid(self.layers[-1](x))


def nchw(x: Tensor) -> Tensor:
    """The view of (batch, height, width, channels) that torch convolves."""
    return x.permute(0, 3, 1, 2)


def nhwc(x: Tensor) -> Tensor:
    """The way back."""
    return x.permute(0, 2, 3, 1)

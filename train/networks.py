"""The networks: a front end, a body that embeds, and a head that scores."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from train.ear import birdnet
from train.frontend import LogMel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from train.settings import Settings


class Network(nn.Module):
    """Waveform float32 (batch, samples) in [-1, 1] to scores (batch, labels) in [0, 1]."""

    def __init__(
        self,
        front_end: nn.Module,
        body: nn.Module,
        head: Head | SideHead,
        score: Literal["sigmoid", "softmax"],
    ) -> None:
        super().__init__()
        self.front_end = front_end
        self.body = body
        self.head = head
        self.score = score

    def forward(self, waveform: Tensor) -> Tensor:
        return self.scores(self.embed(waveform))

    def scores(self, embedding: Tensor) -> Tensor:
        """Of what `embed` gives, (batch, labels)."""
        logits = self.head(embedding)
        return torch.sigmoid(logits) if self.score == "sigmoid" else torch.softmax(logits, dim=1)

    def embed(self, waveform: Tensor) -> Tensor:
        """What the head sees, (batch, dims)."""
        return self.embed_features(self.front_end(waveform))

    def embed_features(self, features: Tensor) -> Tensor:
        """As `embed`, from what the front end gives."""
        # The body alone may be halved: the conversions follow its weights.
        embedding: Tensor = self.body(features.type_as(next(self.body.parameters())))
        return embedding.float()


class Head(nn.Module):
    """Embedding (batch, dims), its dims brought to one scale, to logits (batch, labels)."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, dims: int, labels: int, *, hidden: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dims))
        self.register_buffer("deviation", torch.ones(dims))
        layers: list[nn.Module] = [nn.Dropout(dropout)]
        if hidden:
            layers += [nn.Linear(dims, hidden), nn.SiLU(), nn.Dropout(dropout)]
        last = nn.Linear(hidden or dims, labels)
        # It begins by knowing nothing, and by expecting one label in each clip.
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, -math.log(max(labels - 1, 1)))
        layers.append(last)
        self.layers = nn.Sequential(*layers)

    def forward(self, embedding: Tensor) -> Tensor:
        logits: Tensor = self.layers((embedding - self.mean) / self.deviation)
        return logits

    @torch.no_grad()
    def fit(self, embeddings: Tensor) -> None:
        """Take the scale of each dim from `embeddings`, (clips, dims)."""
        self.mean.copy_(embeddings.mean(dim=0))
        deviation = embeddings.std(dim=0)
        # A dim that is silent in the training clips must not shout elsewhere.
        self.deviation.copy_(deviation.clamp(min=0.1 * float(deviation.mean()) + 1e-6))


class Side(nn.Module):
    """Several bodies of one kind side by side: features to their embeddings one after another, (batch, members * dims)."""

    def __init__(self, bodies: Sequence[nn.Module]) -> None:
        super().__init__()
        self.bodies = nn.ModuleList(bodies)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([body(x) for body in self.bodies], dim=1)


class SideHead(nn.Module):
    """The heads of several bodies: their embeddings one after another to the mean of their logits, (batch, labels).

    While they are trained, to the logits of all beneath each other, (members * batch, labels): each learns by itself, as
    members that agree on everything would add nothing.
    """

    def __init__(self, heads: Sequence[Head]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)

    def forward(self, embedding: Tensor) -> Tensor:
        parts = embedding.chunk(len(self.heads), dim=1)
        logits = [head(part) for head, part in zip(self.heads, parts, strict=True)]
        return torch.cat(logits) if self.training else torch.stack(logits).mean(dim=0)

    def fit(self, embeddings: Tensor) -> None:
        """As `Head.fit`, each from its own part."""
        for head, part in zip(self.heads, embeddings.chunk(len(self.heads), dim=1), strict=True):
            head.fit(part)  # type: ignore[operator] # torch types it as a Tensor or Module


class Residual(nn.Module):
    """Two 3 x 3 convolutions with a way around them. The block of ResNet-18 and 34 (He et al. 2015)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)
        # The block begins as the identity, which trains more steadily.
        nn.init.zeros_(self.second_norm.weight)
        self.around: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.around = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True) if stride != 1 else nn.Identity(),
                nn.Conv2d(channels_in, channels, 1, bias=False),
                nn.BatchNorm2d(channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels_in, height, width) to (batch, channels, height / stride, width / stride)."""
        y = silu(self.first_norm(self.first(x)))
        return silu(self.second_norm(self.second(y)) + self.around(x))


class ResNet34(nn.Module):
    """Log-mel (batch, 1, bands, frames) to (batch, 512): ResNet-34 with one input channel and the mean over all."""

    dims = 512

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
        ]
        channels_in = 64
        for blocks, channels in ((3, 64), (4, 128), (6, 256), (3, 512)):
            for number in range(blocks):
                stride = 2 if number == 0 and channels != channels_in else 1
                layers.append(Residual(channels_in, channels, stride))
                channels_in = channels
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.layers(x).mean(dim=(2, 3))
        return pooled


class AttentionPool(nn.Module):
    """(batch, channels, frames) to (batch, channels): each channel chooses the frames that it listens to."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights = torch.softmax(self.attention(x), dim=2)  # (batch, channels, frames)
        return (weights * x).sum(dim=2)


class Cnn(nn.Module):
    """Log-mel (batch, 1, bands, frames) to (batch, 256): small residual stages, then attention over time."""

    dims = 256

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(1, 16, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(16),
            nn.SiLU(),
        ]
        channels_in = 16
        for channels, stride in ((16, 1), (32, 2), (64, 2), (128, 2), (256, 2)):
            layers.append(Residual(channels_in, channels, stride))
            channels_in = channels
        self.layers = nn.Sequential(*layers)
        self.pool = AttentionPool(channels_in)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers(x)  # (batch, 256, bands / 32, frames / 32)
        pooled: Tensor = self.pool(x.mean(dim=2))
        return pooled


def build(settings: Settings, labels: int) -> Network:
    """The network that `settings` ask for, with `labels` outputs; the weights of its backbone loaded, if it has one.

    Raises:
        BundleError: the bundle with the backbone is missing or damaged.
        UserError: the bundle is none of BirdNET.
    """
    front_end: nn.Module
    body: nn.Module
    if settings.network == "birdnet":
        front_end, ear = birdnet(settings)
        body, dims = ear, ear.dims
    else:
        front_end = LogMel(settings.front_end, settings.sample_rate)
        kind = Cnn if settings.network == "cnn" else ResNet34
        dims = kind.dims
        bodies = [kind() for _ in range(settings.members)]
        layers = bodies[0] if len(bodies) == 1 else Side(bodies)
        # Convolutions on processors are a quarter quicker so.
        body = layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch leaves it so
    heads = [
        Head(dims, labels, hidden=settings.hidden, dropout=settings.dropout) for _ in range(settings.members)
    ]
    head = heads[0] if len(heads) == 1 else SideHead(heads)
    return Network(front_end, body, head, settings.score)

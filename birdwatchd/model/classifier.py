"""The classifier: segments in, scores out, on whatever this machine has."""

from __future__ import annotations

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import structlog

from birdwatchd.errors import UserError
from birdwatchd.model.bundle import read_card
from birdwatchd.model.importing import importing_torch

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    import torch
    from numpy.typing import NDArray

    from birdwatchd.model.bundle import Card
    from birdwatchd.model.lanes import Lanes
    from birdwatchd.model.network import Device, Precision

logger = structlog.get_logger(__name__)

MOST_THREADS = 4


class Classifier:
    """A loaded bundle and the threads that run it. One caller at a time. A context manager: it ends its threads."""

    def __init__(
        self,
        path: Path,
        card: Card,
        network: torch.nn.Module,
        *,
        device: Device,
        threads: int,
        batch_size: int,
        lanes: Lanes | None = None,
    ) -> None:
        """Use `load`."""
        self.path = path
        self.card = card
        self.device: Device = device
        self._network = network
        self._threads = threads
        self._batch_size = batch_size
        self._lanes = lanes
        self._pool = self._new_pool()

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        precision: Precision = "full",
        inference_threads: int | None = None,
        batch_size: int = 2,
        language: str = "en",
    ) -> Self:
        """Load and probe the bundle at `path`.

        Raises:
            BundleError: it is no usable bundle (`read_card` and `load_network` say why).
            UserError: the device or precision that was asked for is not to be had.
        """
        card = read_card(path, language)
        with importing_torch():
            import torch

            from birdwatchd.model.lanes import LANES, Lanes
            from birdwatchd.model.network import choose_device, load_network

        torch.set_num_threads(1)
        chosen = choose_device(device)
        lanes = None
        try:
            network = load_network(path, card, device=chosen, precision=precision)
            if chosen == "cuda":
                lanes = Lanes(network, card.input_samples, batch_size)
        except RuntimeError as error:
            if chosen == "cpu":
                raise
            if device == "cuda":
                reason = str(error).strip().splitlines()[0]
                raise UserError(
                    f"the GPU failed ({reason}); mend it, or say model.device 'auto' or 'cpu'"
                ) from error
            logger.error("gpu failed, using the cpu", error=str(error).strip())  # noqa: TRY400 - the message is enough
            chosen = "cpu"
            network = load_network(path, card, device=chosen, precision="full")
        threads = LANES if lanes else inference_threads or min(cores(), MOST_THREADS)
        return cls(path, card, network, device=chosen, threads=threads, batch_size=batch_size, lanes=lanes)

    @property
    def batch_limit(self) -> int:
        """How many segments it works on at once: more in one call only wait."""
        return self._batch_size * self._threads

    def classify(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores in [0, 1], float32 (n, labels), of `segments`, float32 (n, input_samples) in [-1, 1]; n may be 0."""
        return self._run("forward", segments, len(self.card.labels))

    def embed(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embeddings, float32 (n, embedding_dims), of `segments`, float32 (n, input_samples) in [-1, 1].

        Raises:
            ValueError: the network has no embedding.
        """
        if not self.card.embedding_dims:
            raise ValueError(f"{self.card.name} has no embedding")
        return self._run("embed", segments, self.card.embedding_dims)

    def close(self) -> None:
        """End the threads, once what they do is done."""
        self._pool.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, method: str, segments: NDArray[np.float32], width: int) -> NDArray[np.float32]:
        if not len(segments):
            return np.empty((0, width), dtype=np.float32)
        try:
            return self._spread(method, segments)
        except RuntimeError as error:
            if self.device == "cpu":
                raise
            self._retreat(error)
            return self._spread(method, segments)

    def _spread(self, method: str, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        """Batches of at most `batch_size`, and no thread idle while another has two segments."""
        batches = max(-(-len(segments) // self._batch_size), min(len(segments), self._threads))
        parts = self._pool.map(lambda batch: self._call(method, batch), np.array_split(segments, batches))
        return np.concatenate(list(parts))

    def _call(self, method: str, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._lanes is not None and method == "forward":
            return self._lanes(batch)
        import torch

        with torch.inference_mode():
            output = getattr(self._network, method)(torch.from_numpy(batch).to(self.device))
            result: NDArray[np.float32] = output.float().cpu().numpy()
        return result

    def _retreat(self, error: RuntimeError) -> None:
        """Move to the CPU for good: after a CUDA fault nothing on the GPU of this process can be trusted."""
        from birdwatchd.model.network import load_network

        logger.error(
            "gpu failed, going on with the cpu until restart", error=str(error).strip(), model=str(self.path)
        )
        self._network = load_network(self.path, self.card, device="cpu", precision="full")
        self.device = "cpu"
        if self._lanes is not None:
            # Page-locked memory that is let go of after a fault takes the process with it: so it never is.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._lanes))
            self._lanes = None
        self.close()
        self._threads = min(cores(), MOST_THREADS)
        self._pool = self._new_pool()

    def _new_pool(self) -> ThreadPoolExecutor:
        # One torch thread each: two on one network give 1.4 times the segments of one on two cores.
        import torch

        return ThreadPoolExecutor(
            self._threads, "inference", initializer=torch.set_num_threads, initargs=(1,)
        )


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))

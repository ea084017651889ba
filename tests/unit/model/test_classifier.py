from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from structlog.testing import capture_logs

from birdwatchd.errors import UserError
from birdwatchd.model.classifier import Classifier
from tests.tiny import SAMPLE_RATE, build_tiny_bundle
from tests.unit.model.test_network import Bodiless, no_gpu, save_unchecked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

SECONDS = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE


def tone(hertz: float, seconds: float = 3.0) -> NDArray[np.float32]:
    return np.where(seconds > SECONDS, 0.1 * np.sin(2 * np.pi * hertz * SECONDS), 0).astype(np.float32)


@pytest.fixture
def classifier(tiny_bundle: Path) -> Iterator[Classifier]:
    with Classifier.load(tiny_bundle, device="cpu", inference_threads=2) as loaded:
        yield loaded


class BrokenGpu(Classifier):
    """Once it believes to run on a GPU, that fails at every call."""

    def believe(self) -> None:
        self.device = "cuda"

    def _call(self, method: str, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.device == "cuda":
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return super()._call(method, batch)


def test_it_tells_tones_noise_and_silence_apart(classifier: Classifier) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 3 * SAMPLE_RATE)
    segments = np.stack([tone(4000), tone(1000, 1.0), tone(300), noise, np.zeros_like(noise)]).astype(
        np.float32
    )
    scores = classifier.classify(segments)
    assert scores.shape == (5, 3)
    assert scores.dtype == np.float32
    assert np.diag(scores[:3]).min() > 0.9
    assert scores[3].max() < 0.1
    assert scores[4].max() < 0.01


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_segments_is_answered_in_order(tiny_bundle: Path, count: int, threads: int) -> None:
    hertz = [4000, 1000, 300, 1000, 4000, 300, 300][:count]
    segments = np.array([tone(each) for each in hertz], dtype=np.float32).reshape(count, 3 * SAMPLE_RATE)
    with Classifier.load(tiny_bundle, device="cpu", inference_threads=threads, batch_size=2) as classifier:
        scores = classifier.classify(segments)
        embedding = classifier.embed(segments)
    assert scores.shape == embedding.shape == (count, 3)
    assert [[4000, 1000, 300][index] for index in scores.argmax(axis=1)] == hertz


def test_batches_are_at_most_batch_size_and_leave_no_thread_idle(tiny_bundle: Path) -> None:
    sizes: list[int] = []

    class Watched(Classifier):
        def _call(self, method: str, batch: NDArray[np.float32]) -> NDArray[np.float32]:
            sizes.append(len(batch))
            return super()._call(method, batch)

    with Watched.load(tiny_bundle, device="cpu", inference_threads=2, batch_size=4) as classifier:
        classifier.classify(np.zeros((2, 3 * SAMPLE_RATE), np.float32))
        assert sorted(sizes) == [1, 1]
        sizes.clear()
        classifier.classify(np.zeros((9, 3 * SAMPLE_RATE), np.float32))
        assert sorted(sizes) == [3, 3, 3]


def test_its_threads_use_one_torch_thread_each(classifier: Classifier) -> None:
    assert set(classifier._pool.map(lambda _: torch.get_num_threads(), range(8))) == {1}


def test_names_come_in_the_language_asked_for(tiny_bundle: Path) -> None:
    with Classifier.load(tiny_bundle, device="cpu", language="de") as classifier:
        assert classifier.card.labels[0].common_name == "Hochton"


def test_a_gpu_fault_is_loud_and_the_same_call_is_answered_by_the_cpu(tiny_bundle: Path) -> None:
    segments = np.stack([tone(4000), tone(300), tone(1000)])
    with BrokenGpu.load(tiny_bundle, device="cpu") as classifier:
        classifier.believe()
        with capture_logs() as logs:
            scores = classifier.classify(segments)
        assert scores.argmax(axis=1).tolist() == [0, 2, 1]
        assert [(line["log_level"], line["event"]) for line in logs] == [
            ("error", "gpu failed, going on with the cpu until restart")
        ]
        assert "illegal memory access" in logs[0]["error"]
        assert classifier.device == "cpu"
        with capture_logs() as logs:
            classifier.classify(segments)
            classifier.embed(segments)
        assert logs == []


def test_a_fault_on_the_cpu_is_not_swallowed(classifier: Classifier) -> None:
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        classifier.classify(np.zeros((1, 100), np.float32))


@no_gpu
def test_what_this_machine_cannot_do_is_refused(tiny_bundle: Path) -> None:
    with pytest.raises(UserError, match="no CUDA device here"):
        Classifier.load(tiny_bundle, device="cuda")
    with pytest.raises(UserError, match="'half' is for CUDA"):
        Classifier.load(tiny_bundle, precision="half")


def test_a_gpu_that_fails_while_loading(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` goes on with the CPU and says so; `cuda`, asked for by name, is refused."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def fail(_: torch.nn.Module, device: str) -> None:
        raise RuntimeError(f"{device} error: out of memory\nmore words")

    monkeypatch.setattr(torch.jit.ScriptModule, "to", fail)
    with capture_logs() as logs, Classifier.load(tiny_bundle) as classifier:
        assert classifier.device == "cpu"
    assert [line["event"] for line in logs] == ["gpu failed, using the cpu"]
    with pytest.raises(UserError, match=r"the GPU failed \(cuda error: out of memory\)"):
        Classifier.load(tiny_bundle, device="cuda")


def test_no_embedding_is_a_fault_of_the_caller(tmp_path: Path) -> None:
    path = save_unchecked(tmp_path / "a.pt", Bodiless(), embedding_dims=0)
    with Classifier.load(path, device="cpu") as classifier, pytest.raises(ValueError, match="no embedding"):
        classifier.embed(np.zeros((1, 3 * SAMPLE_RATE), np.float32))


def test_rebuilding_a_bundle_under_a_running_classifier_does_not_disturb_it(tmp_path: Path) -> None:
    path = build_tiny_bundle(tmp_path / "tiny.pt")
    with Classifier.load(path, device="cpu") as classifier:
        build_tiny_bundle(path)
        assert classifier.classify(tone(4000)[None]).argmax() == 0

"""The classifier on a GPU. Skipped where there is none; `benchmarks/cuda.py` is run beside it on a machine that has one."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
import torch

from birdwatchd.model.classifier import Classifier
from birdwatchd.model.lanes import sizes

if TYPE_CHECKING:
    from pathlib import Path

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")

FAULT = """\
import sys
from pathlib import Path
import numpy as np, structlog, torch
from birdwatchd.model.classifier import Classifier
with Classifier.load(Path(sys.argv[1]), device="cuda", batch_size=2) as classifier:
    segments = np.random.default_rng(1).normal(0, 0.05, (5, classifier.card.input_samples)).astype(np.float32)
    before = classifier.classify(segments)
    assert classifier.device == "cuda"
    try:
        torch.zeros(3, device="cuda")[torch.tensor([7], device="cuda")].cpu()  # a device-side assert: the context is lost
    except RuntimeError as error:
        print("provoked:", str(error).splitlines()[0])
    after = classifier.classify(segments)
    assert classifier.device == "cpu"
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-4)
    assert classifier.embed(segments).shape[0] == 5
print("answered by the", classifier.device)
"""


@pytest.mark.parametrize(
    ("batch_size", "recorded"),
    [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (8, [1, 2, 4, 8]), (12, [1, 2, 4, 8, 12])],
)
def test_recordings_are_made_of_every_power_of_two_and_the_whole_batch(
    batch_size: int, recorded: list[int]
) -> None:
    assert sizes(batch_size) == recorded


@needs_gpu
@pytest.mark.parametrize(("precision", "tolerance"), [("full", 1e-4), ("half", 2e-2)])
def test_a_gpu_scores_as_the_processor_does(
    birdnet_bundle: Path, precision: Literal["full", "half"], tolerance: float
) -> None:
    generator = np.random.default_rng(3)
    with Classifier.load(birdnet_bundle, device="cpu") as cpu:
        levels = 10.0 ** generator.uniform(-3, -0.5, (23, 1))
        segments = (levels * generator.normal(0, 1, (23, cpu.card.input_samples))).astype(np.float32)
        expected, embedding = cpu.classify(segments), cpu.embed(segments)
    with Classifier.load(birdnet_bundle, device="cuda", precision=precision, batch_size=4) as gpu:
        for count in (
            1,
            2,
            3,
            4,
            5,
            8,
            23,
            1,
        ):  # also fewer than the lanes were recorded with, and fewer than before
            np.testing.assert_allclose(
                gpu.classify(segments[:count]), expected[:count], rtol=0, atol=tolerance
            )
        np.testing.assert_allclose(gpu.embed(segments), embedding, rtol=0, atol=200 * tolerance)
        assert gpu.device == "cuda"


@needs_gpu
def test_after_a_fault_of_the_gpu_the_processor_answers(tiny_bundle: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAULT, str(tiny_bundle)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "provoked: CUDA error: device-side assert triggered" in done.stdout
    assert "answered by the cpu" in done.stdout
    assert "gpu failed, going on with the cpu until restart" in done.stdout + done.stderr

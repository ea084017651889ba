"""Two processes must learn what one does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = """
import sys
import torch
from torch.nn.parallel import DistributedDataParallel
from train.fit import Learner, freeze, loss_of
from train.networks import build
from train.processes import joined
from train.settings import Settings

settings = Settings.model_validate({
    "network": sys.argv[2], "sample_rate": 8000, "seconds": 1.0, "hop_seconds": 0.5, "device": "cpu", "dropout": 0.0,
    "augment": {"waveform": False}, "training": {"freeze_batch_norm": True}, "front_end": {"bands": 32},
})
torch.set_num_threads(1)
with joined("cpu") as process:
    torch.manual_seed(0)
    learner = Learner(build(settings, 3), "waveform", settings).train()
    freeze(learner, settings)
    trainable = DistributedDataParallel(learner) if process.count > 1 else learner
    waveforms, targets = 0.1 * torch.randn(8, 8000), (torch.rand(8, 3) > 0.5).float()
    share = 8 // process.count
    mine = slice(process.rank * share, (process.rank + 1) * share)
    loss_of(trainable(waveforms[mine]), targets[mine], settings).backward()
    if process.leads:
        named = learner.network.named_parameters()
        torch.save({name: weight.grad for name, weight in named}, sys.argv[1])
"""


def gradients(folder: Path, network: str, processes: int) -> dict[str, torch.Tensor]:
    """Of the same eight clips, in so many processes."""
    output = folder / f"{processes}.pt"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    children = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(output), network],
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=Path(__file__).parents[2],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    for child in children:
        _, errors = child.communicate(timeout=120)
        assert child.returncode == 0, errors
    kept: dict[str, torch.Tensor] = torch.load(output, weights_only=True)
    return kept


@pytest.mark.parametrize("network", ["cnn", "resnet34"])
def test_two_processes_give_the_gradients_of_one(tmp_path: Path, network: str) -> None:
    alone, together = (gradients(tmp_path, network, processes) for processes in (1, 2))
    assert alone.keys() == together.keys()
    assert max(float(gradient.abs().max()) for gradient in alone.values()) > 1e-3
    for name, gradient in alone.items():
        assert float((gradient - together[name]).abs().max()) < 1e-5, name

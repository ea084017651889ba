"""The processes that train together: one, or those that torchrun has started."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import torch
from torch import distributed

from birdwatchd.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")
CPUINFO = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})


@dataclass(frozen=True, slots=True)
class Process:
    """This process among the others."""

    rank: int
    count: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this is the one that validates, writes and speaks."""
        return self.rank == 0

    def told(self, value: T) -> T:
        """The leader's `value`, in every process."""
        if self.count == 1:
            return value
        box: list[T] = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]


def leads() -> bool:
    """Whether this is the process that speaks, asked where they have not joined yet, or have parted."""
    return os.environ.get("RANK", "0") == "0"


def has_bfloat16(device: torch.device) -> bool:
    """Whether half as many bits are quicker there: on GPUs, and on processors that say so."""
    if device.type == "cuda":
        return True
    return CPUINFO.is_file() and not BFLOAT16_FLAGS.isdisjoint(CPUINFO.read_text(errors="replace").split())


@contextmanager
def joined(device: Literal["auto", "cpu", "cuda"]) -> Iterator[Process]:
    """Join the processes that torchrun started (gloo on CPUs, NCCL on GPUs); alone where it did not.

    Raises:
        UserError: CUDA was asked for, and there is none.
    """
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise UserError("device is 'cuda' but torch finds no CUDA device here: say 'auto' or 'cpu'")
    use_cuda = cuda and device != "cpu"
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if use_cuda and local >= torch.cuda.device_count():
        raise UserError(
            f"torchrun has started more processes here than the {torch.cuda.device_count()} GPUs: say "
            f"--nproc-per-node={torch.cuda.device_count()}"
        )
    chosen = torch.device("cuda", local) if use_cuda else torch.device("cpu")
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Process(0, 1, chosen)
        return
    if use_cuda:
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if use_cuda else "gloo")
    try:
        yield Process(distributed.get_rank(), count, chosen)
    finally:
        distributed.destroy_process_group()

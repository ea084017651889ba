"""The processes that train together: one, or those that torchrun has started."""

from __future__ import annotations

import inspect
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import torch
from torch import distributed, nn
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from birdwatchd.errors import UserError
from train import rank
from train.memory import SHORT, is_out_of_memory
from train.rank import Told

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")
_GONE = ("by peer", "Broken pipe", "remote process exit", "ncclRemoteError")
"""What gloo and NCCL say when the other side has ended; of these only gloo's first was met so far."""
CPUINFO = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
"""Not `bf16`, as ARM has it: there oneDNN goes only forwards with it, and what training needs, backwards, by its slow reference."""


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

    def agree(self, mistake: UserError | None) -> None:
        """Ask all processes whether they have met a mistake; each has to call this at the same place.

        Raises:
            UserError: one of them has. In the leader: the first of them, with the number of its process where it is another.
            Told: in the others.
        """
        if self.count == 1:
            if mistake:
                raise mistake
            return
        box: list[str | None] = [None] * self.count
        distributed.all_gather_object(box, None if mistake is None else str(mistake))
        for number, met in enumerate(box):
            if met is not None:
                sentence = f"process {number}: {met}" if number else met
                raise (UserError if self.leads else Told)(sentence) from mistake

    @contextmanager
    def agreeing(self) -> Iterator[None]:
        """All processes get to the end of this, or none does: a mistake of one, or memory short, ends all, as `agree` has it."""
        mistake = None
        try:
            yield
        except UserError as error:
            mistake = error
        except (MemoryError, RuntimeError, OSError) as error:
            if not is_out_of_memory(error):
                raise
            mistake = UserError(SHORT)
        self.agree(mistake)

    def sharing(self, learner: nn.Module) -> nn.Module:
        """The learner, whose gradients are from now on the mean over all processes. Each keeps its own batch norm."""
        if self.count == 1:
            return learner
        # torch 2.13 has renamed it.
        known = inspect.signature(DistributedDataParallel).parameters
        named = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        return DistributedDataParallel(learner, **{named: False})  # type: ignore[arg-type] # one of many by its name


def has_bfloat16(device: torch.device) -> bool:
    """Whether half as many bits are quicker there: on GPUs, and on processors that say so."""
    if device.type == "cuda":
        return True
    return CPUINFO.is_file() and not BFLOAT16_FLAGS.isdisjoint(CPUINFO.read_text(errors="replace").split())


@contextmanager
def joined(device: Literal["auto", "cpu", "cuda"], *, mistake: UserError | None = None) -> Iterator[Process]:
    """Join the processes that torchrun started (gloo on CPUs, NCCL on GPUs); alone where it did not.

    A `mistake` that was met before is told to the others, and ends them too.

    Raises:
        UserError: CUDA was asked for, and there is none; or one of the processes had met a mistake.
        Told: as above, where another process tells of it.
    """
    chosen = torch.device("cpu")
    try:
        chosen = _device(device)
    except UserError as error:
        mistake = mistake or error
    if rank.count() == 1:
        Process(0, 1, chosen).agree(mistake)
        yield Process(0, 1, chosen)
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    store, number, count = next(rendezvous("env://"))
    # The same in all, whatever device one of them has been refused; what is no tensor goes through gloo.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, store=store, rank=number, world_size=count)
    process = Process(number, count, chosen)
    try:
        process.agree(mistake)
        yield process
    except Told:
        raise
    except UserError as error:
        # Amid a step the others cannot be asked: they wait for this one, or have met the same.
        if not _first(store):
            raise Told(str(error)) from error
        raise
    except RuntimeError as error:
        if not any(words in str(error) for words in _GONE):
            raise
        # Not if it has told why; and of those who wait for it, one says it.
        raise (UserError if process.leads and _first(store) else Told)(
            "another process has ended, or is out of reach: see what it or torchrun said; --resume goes on"
        ) from error
    finally:
        distributed.destroy_process_group()


def _first(store: Any) -> bool:
    """Whether no other process has told a mistake."""
    try:
        return bool(store.add("mistakes told", 1) == 1)
    except RuntimeError:  # the leader, which may keep the store, has told its own, and is gone
        return False


def _device(asked: Literal["auto", "cpu", "cuda"]) -> torch.device:
    cuda = torch.cuda.is_available()
    if asked == "cuda" and not cuda:
        raise UserError("device is 'cuda' but torch finds no CUDA device here: say 'auto' or 'cpu'")
    if not cuda or asked == "cpu":
        return torch.device("cpu")
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if local >= torch.cuda.device_count():
        raise UserError(
            f"torchrun has started more processes here than the {torch.cuda.device_count()} GPUs: say "
            f"--nproc-per-node={torch.cuda.device_count()}"
        )
    return torch.device("cuda", local)

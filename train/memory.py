"""Out of memory: gone around where nothing is learnt, else said in one sentence: which batch size would have fitted."""

from __future__ import annotations

import errno
import gc
import traceback
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from birdwatchd.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor, nn

    Batches = Callable[[int], Iterable[tuple[Tensor, Tensor]]]
    """Inputs and targets of so many clips each, read ahead as the training reads them."""

STEPS = 8
"""So many batches are tried: more than are read ahead."""
_SAID = (
    "out of memory",
    "can't allocate memory",
    "could not create a memory",  # oneDNN, which has only so many words for whatever it lacks
    "could not create a primitive",
    "could not execute a primitive",
    "bad_alloc",
    "failed to map segment",  # the system, of a library
)
"""What is said of it in errors that are not only of this."""
SHORT = (
    "there is not enough memory here: end other programs, or take a smaller network, shorter seconds, or fewer octaves or "
    "members"
)


@contextmanager
def refusing_for_memory(
    learner: nn.Module, batches: Batches, batch_size: int, processes: int
) -> Iterator[None]:
    """Turn running out of memory, while reading or learning, into a refusal that names a batch size that fits.

    Raises:
        UserError: there is not enough memory for `batch_size` clips over all processes.
    """
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        # It holds on to what did not fit.
        traceback.clear_frames(error.__traceback__)
        of_cuda = "CUDA" in str(error)
    else:
        return
    fits = largest_fit(learner, batches, batch_size // processes)
    advice = (
        f"{fits * processes} fit: say --set training.batch_size={fits * processes}"
        if fits
        else "not even one clip fits: take a smaller network or shorter seconds"
    )
    place = "the GPU" if of_cuda else "this machine"
    raise UserError(f"{place} has not enough memory for training.batch_size {batch_size}; {advice}")


def in_pieces(compute: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """What `compute` makes of `inputs` (batch, …), of all at once, or of halves and their halves where memory is short.

    Raises:
        UserError: there is not even enough for one of them.
    """
    try:
        return compute(inputs)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    if len(inputs) == 1:
        raise UserError(
            f"{_place(inputs)} has not enough memory for one clip at a time: take a smaller network, fewer octaves or members, "
            "or shorter seconds"
        )
    # Here, out of the except block, which holds on to what did not fit.
    import torch

    _free()
    return torch.cat([in_pieces(compute, half) for half in inputs.chunk(2)])


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it is that; torch raises RuntimeErrors, a file that cannot be mapped an OSError, a library an ImportError."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    said = str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError | ImportError) and any(words in said for words in _SAID)
    )


def largest_fit(learner: nn.Module, batches: Batches, clips: int) -> int:
    """How many of `clips` can be read, and gone through forwards and backwards, by halving; 0 when not even one can."""
    count = clips // 2
    while count:
        learner.zero_grad(set_to_none=True)
        _free()
        if _fits(learner, batches(count)):
            return count
        count //= 2
    return 0


def _fits(learner: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> bool:
    import torch

    learnt = [parameter for parameter in learner.parameters() if parameter.requires_grad]
    try:
        for inputs, _ in islice(batches, STEPS):
            # Not backward(), which would wait for the gradients of other processes.
            torch.autograd.grad(learner(inputs).sum(), learnt, allow_unused=True)
    except (MemoryError, RuntimeError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)
        return False
    return True


def _free() -> None:
    """Give back what is no longer used."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _place(inputs: Tensor) -> str:
    return "the GPU" if inputs.is_cuda else "this machine"

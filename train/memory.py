"""Out of memory: gone around where nothing is learnt, else said in one sentence: which batch size would have fitted."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from birdwatchd.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn


@contextmanager
def refusing_for_memory(
    learner: nn.Module, inputs: Tensor, batch_size: int, processes: int
) -> Iterator[None]:
    """Turn running out of memory on `inputs` (batch, …) into a refusal that names a batch size that fits.

    Raises:
        UserError: there is not enough memory for `batch_size` clips over all processes.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    else:
        return
    # Tried here, out of the except block, which holds on to what did not fit.
    fits = largest_fit(learner, inputs)
    advice = (
        f"{fits * processes} fit: say --set training.batch_size={fits * processes}"
        if fits
        else "not even one clip fits: take a smaller network or shorter seconds"
    )
    raise UserError(f"{_place(inputs)} has not enough memory for training.batch_size {batch_size}; {advice}")


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
    _free(inputs)
    return torch.cat([in_pieces(compute, half) for half in inputs.chunk(2)])


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it is that; on the CPU torch raises a plain RuntimeError."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def largest_fit(learner: nn.Module, inputs: Tensor) -> int:
    """How many of `inputs` can be gone through forwards and backwards, by halving; 0 when not even one can."""
    count = len(inputs) // 2
    while count:
        learner.zero_grad(set_to_none=True)
        _free(inputs)
        if _fits(learner, inputs[:count]):
            return count
        count //= 2
    return 0


def _fits(learner: nn.Module, inputs: Tensor) -> bool:
    try:
        learner(inputs).sum().backward()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True


def _free(inputs: Tensor) -> None:
    """Give back what is no longer used where `inputs` lie."""
    gc.collect()
    if inputs.is_cuda:
        torch.cuda.empty_cache()


def _place(inputs: Tensor) -> str:
    return "the GPU" if inputs.is_cuda else "this machine"

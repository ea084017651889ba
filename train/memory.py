"""Out of memory, said in one sentence: which batch size would have fitted."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from birdwatchd.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    where = "the GPU" if inputs.is_cuda else "this machine"
    raise UserError(f"{where} has not enough memory for training.batch_size {batch_size}; {advice}")


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
        gc.collect()
        if inputs.is_cuda:
            torch.cuda.empty_cache()
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

"""Which of the processes that torchrun started this is, and which of them tells of a mistake. Without torch: it loads for seconds."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from birdwatchd.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Told(UserError):  # noqa: N818 - it names what happened
    """A mistake that another process tells of."""


def rank() -> int:
    """Of this process; 0 where there is no other."""
    return int(os.environ.get("RANK", "0"))


def count() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def leads() -> bool:
    """Whether this is the process that speaks."""
    return rank() == 0


@contextmanager
def told_once() -> Iterator[None]:
    """A mistake that another process tells of is not told here, and one that is tells which process it is of.

    Raises:
        UserError: this process has met a mistake.
        SystemExit: another has.
    """
    try:
        yield
    except Told:
        raise SystemExit(2) from None
    except UserError as error:
        if leads():
            raise
        raise UserError(f"process {rank()}: {error}") from error


@contextmanager
def refused_by_all() -> Iterator[None]:
    """A mistake that one process meets in here, before they have joined, ends them all, and is told once.

    Raises:
        UserError: here, or in another process: then what that one met, in the leader.
        Told: as above, in all but the leader.
    """
    try:
        yield
    except UserError as error:
        if count() > 1:
            from train.processes import joined

            with joined("cpu", mistake=error):
                pass
        raise

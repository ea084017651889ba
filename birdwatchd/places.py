"""Places: what comes and goes while the daemon runs, each thing in an ExitStack of its own inside the daemon's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from birdwatchd.errands import Ended

if TYPE_CHECKING:
    from types import TracebackType


class Places:
    """Named stacks. A context manager: what is left at the end goes in the reverse order of its coming.

    Or `at_once`, each on a thread of its own, where each may take seconds and nobody waits for another.
    """

    def __init__(self, *, at_once: bool = False) -> None:
        self._stacks: dict[str, ExitStack] = {}
        self._at_once = at_once
        self._is_over = False

    def take(self, name: str) -> ExitStack:
        """A new place, to be filled in; `leave` empties it.

        Raises:
            ValueError: it is taken.
            Ended: all were left for good.
        """
        if self._is_over:
            raise Ended
        if name in self._stacks:
            raise ValueError(f"{name} has its place already")
        return self._stacks.setdefault(name, ExitStack())

    def __contains__(self, name: str) -> bool:
        """Whether it is taken."""
        return name in self._stacks

    def leave(self, name: str) -> None:
        """Undo, in reverse, what was done in a place; nothing where there is none of that name."""
        stack = self._stacks.pop(name, None)
        if stack is not None:
            stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        stacks = list(self._stacks.values())  # a reload that is late may still be leaving one
        with ExitStack() as all_of_them:  # one that fails keeps none of the others from being left
            if self._at_once:
                pool = all_of_them.enter_context(ThreadPoolExecutor(max(1, len(stacks))))
                for left in [pool.submit(stack.close) for stack in stacks]:
                    all_of_them.callback(left.result)
            else:
                for stack in stacks:
                    all_of_them.push(stack)

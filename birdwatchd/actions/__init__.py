"""The public contract of an action: what it is given, what it may do, and what becomes of it.

An action is a class with a `Config` and a `run`. Built-ins and third parties register theirs alike, as an entry point in
the group `birdwatchd.actions`; only those that the config names are imported. `birdwatchd/actions/log.py` is the
smallest useful one: copy it to write your own.

An action that raises is tried again later by its worker, never by itself. Neither that nor a hang touches its
neighbours. A delivery may come twice (after a power cut between doing and noting it): de-duplicate by `delivery.key`
where that matters.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from birdwatchd.config.trigger import ActionConfig

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from birdwatchd.config.schema import Location
    from birdwatchd.domain import Clip, DailySummary, Delivery, Detection, Health

__all__ = ["Action", "ActionConfig", "Context", "GiveUp", "Item", "Postpone"]

Kind = Literal["durable", "ephemeral", "bounded"]


class GiveUp(Exception):  # noqa: N818 - an order, not a fault
    """Trying again would not help: the delivery is set aside, for `birdwatchd deliveries --retry`."""


class Postpone(Exception):  # noqa: N818 - an order, not a fault
    """Not now. `seconds` says when to try again, where the other side said so (HTTP's Retry-After)."""

    def __init__(self, reason: str, seconds: float | None = None) -> None:
        super().__init__(reason)
        self.seconds = seconds


class Context(Protocol):
    """What an action may ask for while it runs, about the delivery at hand."""

    node: str
    """The station's name."""
    location: Location | None
    zone: tzinfo
    """The station's own time."""
    clips_folder: Path
    """Where sound and pictures go. A detection's files lie at `detection.clip_path` below it, each with its own suffix."""
    delivery: Delivery

    @property
    def page_url(self) -> str:
        """Address of the detection's page, for a message to link to; empty when there is none that others can reach."""

    @property
    def clip_url(self) -> str:
        """Address of the sound of its clip, which may be written only later; empty unless it will be, and there is a page."""

    def clip(self, before_seconds: float, after_seconds: float) -> Clip | str:
        """The detection's sound with so much around it, from the ring; or the reason why there is none, in words."""

    def make_room(self, size: int) -> str:
        """Before `size` bytes are written below `clips_folder`: older files give way. Empty, or why there is no room."""

    def note(self, **fields: str | float | bool) -> None:
        """Keep something with the delivery, such as `latency_seconds`; shown by `birdwatchd deliveries`."""


class Item(Protocol):
    """One delivery of a batch."""

    @property
    def detection(self) -> Detection: ...

    @property
    def context(self) -> Context: ...


class Action(ABC):
    """Does something about a detection. A context manager: it may hold a connection.

    All methods but the constructor, `after_seconds` and `trouble` are called on the action's own thread. `run` (or `run_batch`) gets
    `config.timeout_seconds`; one that takes longer is left behind, and the action is suspended until it returns.
    """

    class Config(ActionConfig):
        """Its settings; subclass it with your own."""

    durability: ClassVar[Kind] = "durable"
    """durable: retried until done or too old, also after a restart (messages).
    ephemeral: worth nothing after `max_age_seconds` (a picture, a lamp).
    bounded: needs sound that is only in memory; after a restart it is lost, and said so (clips)."""
    default_max_age_seconds: ClassVar[float] = 7 * 86400
    """Used where the config says nothing."""
    batch_size: ClassVar[int] = 1
    """How many deliveries `run_batch` takes at once."""
    ordered: ClassVar[bool] = False
    """Oldest first, whatever happens: one that fails holds up those behind it. `run_batch` has to keep to that too."""
    ends_at: float = math.inf
    """Monotonic time at which the daemon is gone, once that is known, also while `run` goes on: nothing that it has started may
    live longer. (Threads do not; programs would.)"""

    def __init__(self, config: Any) -> None:
        """`config` is an instance of the class's own `Config`."""
        self.config = config

    def __enter__(self) -> Self:
        return self

    def __exit__(  # noqa: B027 - most have nothing to let go of
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let go of what was taken in `__enter__`."""

    @abstractmethod
    def run(self, detection: Detection, context: Context) -> None:
        """Do it. Returning means done; raising means not done, to be tried again (`GiveUp`: not to be)."""

    def run_batch(self, items: Sequence[Item]) -> list[Exception | None]:
        """Do several, oldest first; what each one raised. One after the other unless an action knows better."""
        outcomes: list[Exception | None] = []
        for item in items:
            try:
                self.run(item.detection, item.context)
            except Exception as error:  # noqa: BLE001 - the worker decides what becomes of it
                outcomes.append(error)
            else:
                outcomes.append(None)
        return outcomes

    def was_done(self, detection: Detection, context: Context) -> bool:
        """For a bounded delivery of a run that has ended: whether it did it, and died before it could write that down.

        Its sound is gone in any case: what was not done is lost.
        """
        return False

    def after_seconds(self) -> float:
        """How much sound after the detection has to be in the ring before `run` is called (a clip's post-roll).

        The ring is made long enough for the settings `before_seconds` and `after_seconds`, where a Config has them.
        """
        return 0.0

    def probe(self, detection: Detection, context: Context) -> str:
        """For `birdwatchd check --live`: try what `run` needs (a server, a program, a camera), and do nothing that anybody sees.

        `detection` is made up. Returns what was found, in a few words; empty where there is nothing to try. Raising means
        that it would not work; the message says why.
        """
        return ""

    @property
    def trouble(self) -> str:
        """Why it could not act just now, in words, as far as it knows without trying; empty when it could.

        `birdwatchd status` shows it. Any thread asks, and does not wait.
        """
        return ""

    def on_health(self, health: Health) -> None:  # noqa: B027 - most do not care
        """What the node says of itself as soon as it listens, and every minute. Only the latest is kept while the action is busy."""

    def on_daily(self, summary: DailySummary) -> None:  # noqa: B027 - most do not care
        """Yesterday's species and counts, once a day; again, where this raised, or the daemon was cut short as it told them."""

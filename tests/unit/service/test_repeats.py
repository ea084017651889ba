"""A log that is not flooded, and that holds back nothing new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import structlog

from birdwatchd.service import logs, repeats
from birdwatchd.service.repeats import Repeats

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def written(clock: Clock) -> Iterator[list[dict[str, Any]]]:
    """The lines that come out."""
    lines: list[dict[str, Any]] = []

    def keep(_logger: Any, method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
        lines.append({"level": method, **event})
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[Repeats(monotonic=clock), keep],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        cache_logger_on_first_use=False,
    )
    yield lines
    structlog.configure(**before)


def test_a_line_that_comes_again_is_written_once_and_counted(
    written: list[dict[str, Any]], clock: Clock
) -> None:
    log = structlog.get_logger()
    for number in range(58):
        log.warning("too slow, sound was skipped", source="garden", seconds=number / 10)
        clock.now += 1
    assert len(written) == 1
    clock.now += 2
    logs.tell_repeats()
    assert written[1:] == [
        {
            "level": "warning",
            "event": "too slow, sound was skipped",
            "source": "garden",
            "seconds": 5.7,
            "again": 57,
        }
    ]
    # Told once; and as nothing came since, the next is a line of its own.
    clock.now += 60
    logs.tell_repeats()
    assert len(written) == 2
    log.warning("too slow, sound was skipped", source="garden", seconds=3.0)
    assert written[2:] == [
        {"level": "warning", "event": "too slow, sound was skipped", "source": "garden", "seconds": 3.0}
    ]


def test_a_line_that_goes_on_is_told_once_a_minute(written: list[dict[str, Any]], clock: Clock) -> None:
    for second in range(600):
        structlog.get_logger().error("it fails", reason=f"error number {second}")
        clock.now += 1
        if second % 60 == 59:
            logs.tell_repeats()
    assert len(written) == 11
    assert sum(line.get("again", 1) for line in written) == 600


def test_without_a_look_the_next_line_says_how_many_there_were(
    written: list[dict[str, Any]], clock: Clock
) -> None:
    log = structlog.get_logger()
    for _ in range(3):
        log.info("stream open", source="pond")
    clock.now += 61
    log.info("stream open", source="pond")
    assert [line.get("again") for line in written] == [None, 2]


@pytest.mark.parametrize(
    "other",
    [
        {"source": "pond"},
        {"source": "mic2"},
        {"reason": "connection refused"},
        {"action": "phone"},
    ],
)
def test_another_source_or_reason_is_another_line(
    written: list[dict[str, Any]], other: dict[str, str]
) -> None:
    log = structlog.get_logger()
    fields = {"source": "mic1", "reason": "no route to host", "action": "tell", **other}
    log.warning("away", source="mic1", reason="no route to host", action="tell")
    log.warning("away", **fields)
    log.error("away", **fields)
    assert len(written) == 3


def test_another_exception_is_another_line(written: list[dict[str, Any]]) -> None:
    for error in (ValueError("one"), ValueError("two"), KeyError("one"), ValueError("one")):
        try:
            raise error
        except (ValueError, KeyError):
            structlog.get_logger().exception("scheduled work failed", job="backup")
    assert len(written) == 3


def test_every_detection_is_a_line(written: list[dict[str, Any]]) -> None:
    for event in ("detection", "detection ended"):
        for _ in range(50):
            structlog.get_logger().info(event, species="Great Tit", source="garden")
    assert len(written) == 100


def test_at_the_end_nothing_stays_untold(written: list[dict[str, Any]]) -> None:
    for _ in range(5):
        structlog.get_logger().info("stream open", source="pond")
    logs.tell_repeats(everything=True)
    assert [line.get("again", 1) for line in written] == [1, 4]


def test_it_does_not_grow(written: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "KEEP", 10)
    log = structlog.get_logger()
    for number in range(1000):
        log.info("a", what=f"n{number}")
        log.info("a", what=f"n{number}")
    (processor, _) = structlog.get_config()["processors"]
    assert len(processor._lines) == 10
    logs.tell_repeats(everything=True)
    assert sum(line.get("again", 1) for line in written) == 2000

"""When the process is left to systemd."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import pytest

from birdwatchd.audio.last_resort import (
    PATIENCE_SECONDS,
    PATIENCE_WITH_OTHERS_SECONDS,
    reason_to_leave,
)

if TYPE_CHECKING:
    from birdwatchd.audio.source import Source


def source(fault: str = "", helpless_seconds: float = 0.0, *, finished: bool = False) -> Source:
    fields = {"name": "garden", "fault": fault, "helpless_seconds": helpless_seconds, "finished": finished}
    return cast("Source", type("Told", (), cast("dict[str, Any]", fields))())


HEARD = source()


@pytest.mark.parametrize(
    ("others", "helpless_seconds", "leaves"),
    [
        ([], PATIENCE_SECONDS - 1, False),
        ([], PATIENCE_SECONDS + 1, True),
        ([source("away")], PATIENCE_SECONDS + 1, True),
        ([source(finished=True)], PATIENCE_SECONDS + 1, True),
        ([HEARD], PATIENCE_SECONDS + 1, False),
        ([HEARD, source("away")], PATIENCE_WITH_OTHERS_SECONDS - 1, False),
        ([HEARD], PATIENCE_WITH_OTHERS_SECONDS + 1, True),
        ([HEARD], math.inf, True),
    ],
)
def test_it_waits_longer_while_others_are_heard(
    others: list[Source], helpless_seconds: float, *, leaves: bool
) -> None:
    reason = reason_to_leave([*others, source("no answer", helpless_seconds)])
    assert reason == ("garden: no answer" if leaves else "")


def test_what_is_merely_away_is_no_reason() -> None:
    assert not reason_to_leave([source("unplugged"), source("stream gone")])


def test_what_is_heard_again_is_no_reason() -> None:
    assert not reason_to_leave([source("", math.inf)])

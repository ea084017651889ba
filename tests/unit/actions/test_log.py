"""The action that everybody copies."""

from __future__ import annotations

import pytest
import structlog

from birdwatchd.actions import Context, log
from tests.doubles import FakeContext, sample_detection


@pytest.mark.parametrize("level", ["info", "warning"])
def test_a_detection_is_a_line_in_the_log(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    capture = structlog.testing.LogCapture()
    monkeypatch.setattr(log, "logger", structlog.wrap_logger(structlog.ReturnLogger(), processors=[capture]))
    action = log.Log(log.Log.Config.model_validate({"name": "book", "kind": "log", "level": level}))
    context: Context = FakeContext()
    action.run(sample_detection(score=0.91234), context)
    (line,) = capture.entries
    assert (line["event"], line["log_level"], line["action"]) == ("acted", level, "book")
    assert (line["species"], line["score"], line["source"]) == ("Great Tit", 0.912, "garden")

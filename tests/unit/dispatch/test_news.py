"""Of each kind the latest is told, and a summary until it was taken, less and less often."""

from __future__ import annotations

from datetime import date

from birdwatchd.dispatch.news import News
from birdwatchd.domain import DailySummary
from tests.doubles import sample_health

FIRST, SECOND = (DailySummary("wood", date(2026, 5, day), ()) for day in (9, 10))


def test_a_summary_that_was_refused_comes_again_after_a_pause_that_grows() -> None:
    now = 0.0
    news = News(lambda: now)
    news.lay(FIRST)
    pauses = []
    for _ in range(4):
        assert news.take() == FIRST
        assert news.refuse(FIRST)
        assert news.take() is None
        began = now
        while news.take() is None:
            now += 0.01
        news.lay(FIRST)
        pauses.append(now - began)
    assert pauses == sorted(pauses)
    assert pauses[-1] > 2 * pauses[0]
    assert news.take() == FIRST
    news.told(FIRST)
    now += 1e6
    assert news.take() is None


def test_what_is_newer_takes_its_place() -> None:
    now = 0.0
    news = News(lambda: now)
    news.refuse(FIRST)
    news.lay(SECOND)
    now += 1e6
    assert news.take() == SECOND
    news.told(SECOND)
    assert news.take() is None


def test_health_comes_again_by_itself() -> None:
    news = News(lambda: 0.0)
    news.lay(sample_health())
    assert news.take() == sample_health()
    assert not news.refuse(sample_health())
    assert news.take() is None

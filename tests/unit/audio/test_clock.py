"""The dates of samples: the card's true rate, losses, interruptions, and a system clock that is set."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from birdwatchd.audio.clock import KNOTS, PAUSE_SECONDS, SLOTS, FileClock, SampleClock
from birdwatchd.audio.microphone import PROMPT_SECONDS

RATE = 48000
WALL = 1_780_000_000.0


class Card:
    """A sound card in a simulated world: true time, what it captured, and blocks that arrive late."""

    def __init__(self, ppm: float = 0.0, jitter: float = 0.0, seed: int = 0, born: float = 1000.0) -> None:
        self.now = born
        self.step = 0.0
        self.ppm = ppm
        self.jitter = jitter
        self.random = random.Random(seed)
        self.clock = SampleClock(
            RATE,
            monotonic=lambda: self.now,
            wall=lambda: WALL + self.now + self.step,
            prompt_seconds=PROMPT_SECONDS,
        )
        self.captured = 0.0
        self.true = born  # when the newest sample was captured
        self.found: list[float] = []

    def run(self, seconds: float, every: float = 0.1) -> None:
        """Capture for so long and let the clock see a block every now and then."""
        for _ in range(round(seconds / every)):
            self.true += every
            self.captured += every * RATE * (1 + self.ppm * 1e-6)
            self.now = max(self.now, self.true + self.random.uniform(0, self.jitter))
            missing = self.clock.observe(round(self.captured), self.now)
            if missing:
                self.found.append(missing)

    def lose(self, seconds: float) -> None:
        """Time goes on, and the card captures nothing."""
        self.true += seconds
        self.now = max(self.now, self.true)

    def error(self) -> float:
        """How far off the newest sample's date is, seconds."""
        return self.clock.at(round(self.captured)).timestamp() - (WALL + self.step + self.true)


@pytest.mark.parametrize(("ppm", "jitter"), [(-200, 0.03), (173, 0.0)])
def test_a_card_that_is_off_stays_on_time_for_a_month(ppm: float, jitter: float) -> None:
    card = Card(ppm, jitter)
    for _ in range(30):
        card.run(86_400, every=10.0)
        assert abs(card.error()) < 0.05
    assert card.found == []
    assert len(card.clock._knots) <= KNOTS + 1
    assert len(card.clock._slots) <= SLOTS


@settings(max_examples=25, deadline=None)
@given(ppm=st.floats(-200, 200), jitter=st.floats(0, 0.08), seed=st.integers())
def test_late_blocks_are_no_loss(ppm: float, jitter: float, seed: int) -> None:
    card = Card(ppm, jitter, seed)
    for _ in range(6):
        card.run(300)
        assert card.found == []
        assert abs(card.error()) < 0.05


@settings(max_examples=25, deadline=None)
@given(
    ppm=st.floats(-200, 200),
    jitter=st.floats(0, 0.08),
    seed=st.integers(),
    losses=st.lists(st.floats(0.13, 20), min_size=1, max_size=4),
)
def test_a_loss_is_found_with_its_size(ppm: float, jitter: float, seed: int, losses: list[float]) -> None:
    card = Card(ppm, jitter, seed)
    card.run(60)
    for seconds in losses:
        known = len(card.found)
        card.lose(seconds)
        card.run(20)
        assert len(card.found) > known
        # After a pause it is told at once, from the few blocks that have come since: as well as these are in time.
        well = 0.025 if seconds < PAUSE_SECONDS - 0.2 else 0.08
        assert sum(card.found[known:]) == pytest.approx(seconds, abs=well)
    card.run(60)
    assert abs(card.error()) < 0.05


@given(stall=st.floats(0.2, 30))
@settings(max_examples=25, deadline=None)
def test_a_backlog_that_arrives_at_last_is_no_loss(stall: float) -> None:
    card = Card(jitter=0.01)
    card.run(60)
    card.now = card.true + stall  # the card captures on, its blocks wait
    while card.true + 0.1 <= card.now:
        card.true += 0.1
        card.captured += 0.1 * RATE
        card.now += 0.001  # they come in one burst
        card.found += filter(None, [card.clock.observe(round(card.captured), card.now)])
    card.run(10)
    assert card.found == []
    assert abs(card.error()) < 0.05


@given(
    kept=st.floats(0, 12),
    lost=st.floats(0.2, 30),
    pace=st.floats(2, 300),
    card=st.builds(Card, st.floats(-200, 200), st.floats(0, 0.05), st.integers()),
)
@settings(max_examples=50, deadline=None)
def test_after_a_pause_what_was_kept_is_dated_before_it_and_what_follows_a_second_later_is_dated_right(
    kept: float, lost: float, pace: float, card: Card
) -> None:
    """Whoever takes the sound was stopped. Some of it was kept for him, and comes faster than it sounded; the rest is gone."""
    card.run(60)
    began, first = card.true, card.captured
    card.now = began + max(kept + lost, PAUSE_SECONDS + 0.2)
    while card.captured < first + kept * RATE:
        card.captured += min(0.1 * pace * RATE, first + kept * RATE - card.captured)
        card.now += 0.1
        card.found += filter(None, [card.clock.observe(round(card.captured), card.now)])
    kept_until = card.captured
    assert card.found == []
    for _ in range(10):
        # What sounds now comes now.
        card.now += 0.1
        card.captured += 0.1 * RATE
        card.found += filter(None, [card.clock.observe(round(card.captured), card.now)])
    card.true = card.now
    gone = card.true - began - (card.captured - first) / RATE
    # A block, and what a card that is 200 millionths off drifts in the minute before and since.
    assert sum(card.found) == pytest.approx(gone, abs=0.12)
    assert abs(card.error()) < 0.12
    at_its_end = card.clock.at(round(kept_until) - 1).timestamp() - WALL - began - kept
    assert abs(at_its_end) < 0.11


def test_without_a_pause_what_is_missing_may_be_late_for_longer() -> None:
    card = Card()
    card.run(60)
    for _ in range(20):  # nine tenths of what sounds
        card.now += 0.1
        card.captured += 0.09 * RATE
        assert card.clock.observe(round(card.captured), card.now) == 0.0


def test_a_steady_leak_is_found_bit_by_bit() -> None:
    card = Card(jitter=0.02)
    card.run(60)
    for _ in range(600):
        card.lose(0.01)  # one second in a hundred
        card.run(1.0)
    card.run(5)
    assert sum(card.found) == pytest.approx(6.0, abs=0.25)
    assert abs(card.error()) < 0.15


@settings(max_examples=25, deadline=None)
@given(
    ppm=st.floats(-200, 200),
    jitter=st.floats(0, 0.08),
    seed=st.integers(),
    steps=st.lists(
        st.tuples(st.sampled_from(["run", "lose", "ask ahead"]), st.floats(0.2, 30)), min_size=1, max_size=12
    ),
)
def test_a_date_once_given_stays_and_dates_rise(
    ppm: float, jitter: float, seed: int, steps: list[tuple[str, float]]
) -> None:
    card = Card(ppm, jitter, seed)
    card.run(1)
    given_dates: dict[int, datetime] = {}
    for action, amount in steps:
        if action == "lose":
            card.lose(amount)
        elif action == "run":
            card.run(amount)
        # The reader is ahead of the clock by what arrived since it looked last.
        newest = round(card.captured) + (RATE // 5 if action == "ask ahead" else 0)
        for index in range(max(0, newest - 2 * RATE), newest, 4801):
            given_dates[index] = card.clock.at(index)
        for index, date in given_dates.items():
            assert card.clock.at(index) == date
    ordered = [given_dates[index] for index in sorted(given_dates)]
    assert all(earlier < later for earlier, later in itertools.pairwise(ordered))


def test_the_first_block_fixes_the_start() -> None:
    card = Card()
    card.now += 5  # opening took a while
    card.true += 5
    card.run(1)
    assert card.clock.at(0) == datetime.fromtimestamp(WALL + 1005, UTC)
    assert card.clock.at(0).tzinfo is UTC


@given(away=st.floats(0, 10_000), ppm=st.floats(-200, 200))
@settings(max_examples=25, deadline=None)
def test_after_an_interruption_time_has_gone_on(away: float, ppm: float) -> None:
    card = Card(ppm, jitter=0.01)
    card.run(120)
    last = card.clock.at(round(card.captured) - 1)
    card.lose(away)
    index = round(card.captured)
    seconds = card.clock.resume(index, card.now)
    assert seconds == pytest.approx(away, abs=0.05)
    assert (card.clock.at(index) - last).total_seconds() == pytest.approx(seconds, abs=0.001)
    card.run(60)
    assert card.found == []
    assert abs(card.error()) < 0.05


def test_a_source_that_was_away_from_the_start_counts_from_there() -> None:
    card = Card()
    card.lose(12.5)
    assert card.clock.resume(0, card.now) == pytest.approx(12.5)
    assert card.clock.at(0).timestamp() == pytest.approx(WALL + 1012.5)


def test_resuming_never_turns_time_back() -> None:
    card = Card()
    card.run(60)
    index = round(card.captured)
    last = card.clock.at(index - 1)
    assert card.clock.resume(index, card.now - 4.0) == 0.0  # a server repeats its last seconds
    assert card.clock.at(index) > last


def test_sound_that_came_early_moves_the_dates_back_slowly() -> None:
    card = Card()
    card.run(1)
    card.captured += 3 * RATE  # a backlog: the first sample was three seconds old already
    card.run(120)
    assert abs(card.error()) < 0.05
    assert card.found == []


@given(step=st.one_of(st.floats(-1e6, -0.6), st.floats(0.6, 1e6)))
@settings(max_examples=25, deadline=None)
def test_a_set_system_clock_moves_later_dates_only_and_is_said_once(step: float) -> None:
    card = Card(jitter=0.01)
    card.run(60)
    before = card.clock.at(round(card.captured))
    card.step = step
    with structlog.testing.capture_logs() as lines:
        card.run(60)
    assert [line["event"] for line in lines] == ["system clock stepped"]
    assert lines[0]["seconds"] == pytest.approx(step, abs=0.01)
    assert card.clock.at(round(card.captured - 60 * RATE)) == before
    assert abs(card.error()) < 0.05
    assert card.found == []


@pytest.mark.parametrize("before", [5, 60])
@pytest.mark.parametrize("rest", [(2.2, 10), (1.4, 30), (13.0, 1)])
def test_what_was_taken_for_loss_and_comes_after_all_is_given_back(
    before: int, rest: tuple[float, int]
) -> None:
    """A network that delivers six tenths of the sound for half a minute, and the rest in one go or in small pieces."""
    card = Card()
    card.run(before)
    for speed, seconds in ((0.6, 30), rest):
        for _ in range(seconds * 10):
            card.now += 0.1
            card.true += 0.1
            card.captured += 0.1 * RATE * speed
            missing = card.clock.observe(round(card.captured), card.now)
            if missing:
                card.found.append(missing)
    assert sum(missing for missing in card.found if missing > 0) > 8
    assert sum(card.found) == pytest.approx(0, abs=0.1)
    card.run(120)
    assert sum(card.found) == pytest.approx(0, abs=0.1)
    assert abs(card.error()) < 0.1


def test_what_was_lost_before_an_interruption_is_not_given_back() -> None:
    card = Card()
    card.run(60)
    card.lose(5)
    card.run(10)
    assert sum(card.found) == pytest.approx(5, abs=0.1)
    card.lose(3)
    card.clock.resume(round(card.captured), card.now + 1.0)  # a server that begins with what it said before
    card.run(60)
    assert sum(card.found) == pytest.approx(5, abs=0.1)


def test_a_tolerant_clock_waits_longer() -> None:
    now = 0.0
    clock = SampleClock(RATE, monotonic=lambda: now, wall=lambda: now, tolerance_seconds=2, settle_seconds=10)
    for tenth in range(1, 3000):
        hiccup = 1.5 if 1000 < tenth < 1500 else 0.0
        assert clock.observe(tenth * RATE // 10, tenth / 10 + hiccup) == 0.0


def test_files_are_dated_each_from_its_own_start() -> None:
    clock = FileClock(1000)
    with pytest.raises(LookupError, match="anchored"):
        clock.at(0)
    first, second = datetime(2026, 5, 1, 4, tzinfo=UTC), datetime(2026, 5, 2, 4, tzinfo=UTC)
    clock.anchor(0, first)
    clock.anchor(5000, second)
    assert clock.at(0) == first
    assert clock.at(4999) == first + timedelta(seconds=4.999)
    assert clock.at(5000) == second
    assert clock.at(5500) == second + timedelta(seconds=0.5)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(),
    acts=st.lists(
        st.tuples(
            st.sampled_from(["run", "set", "lose"]),
            st.floats(0.6, 30),
            st.floats(-1e8, 1e8).filter(lambda x: abs(x) > 0.6),
        ),
        min_size=1,
        max_size=10,
    ),
)
def test_however_often_the_clock_is_set_dates_rise_but_where_it_was(
    seed: int, acts: list[tuple[str, float, float]]
) -> None:
    card = Card(jitter=0.02, seed=seed)
    card.run(2)
    given_dates: dict[int, datetime] = {}

    def ask() -> None:
        newest = round(card.captured)
        for index in range(max(0, newest - 30 * RATE), newest, 4801):
            given_dates.setdefault(index, card.clock.at(index))

    ask()
    for act, seconds, amount in acts:
        if act == "set":
            card.step += amount
        elif act == "lose":
            card.lose(seconds)
        card.run(seconds)
        ask()
    steps = card.clock.steps
    assert len(steps) == sum(act == "set" for act, *_ in acts)
    for index, date in given_dates.items():
        assert card.clock.at(index) == date  # a date once given stays
    for one, other in itertools.pairwise(sorted(given_dates)):
        between = sum(step.seconds for step in steps if one < step.index <= other)
        # Without what the clock was set by, every sample is later than the one before.
        assert (given_dates[other] - given_dates[one]).total_seconds() - between > 0
    assert sum(step.seconds for step in steps) == pytest.approx(card.step, abs=0.1)
    ages = [step.age_seconds for step in steps]
    assert sum(ages) <= card.now - 1000.0 + 0.01
    assert all(age > 0 for age in ages)


def test_a_step_says_what_the_old_clock_would_have_said() -> None:
    card = Card()
    card.run(60)
    card.step = 3600.0
    card.run(5)
    (step,) = card.clock.steps
    assert step.before.timestamp() == pytest.approx(WALL + 1060, abs=0.3)
    assert card.clock.at(step.index).timestamp() == pytest.approx(step.before.timestamp() + 3600, abs=0.01)
    assert card.clock.at(step.index - 1) < step.before
    assert step.age_seconds == pytest.approx(60, abs=0.3)
    assert step.offset == pytest.approx(WALL)

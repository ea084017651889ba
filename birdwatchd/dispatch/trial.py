"""A trial of one action: a made-up detection, marked as a test, is carried out as the daemon would do it."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from birdwatchd.actions import GiveUp
from birdwatchd.config.secrets import Secrets
from birdwatchd.config.zone import station_zone
from birdwatchd.dispatch.context import Surroundings, Task, open_context
from birdwatchd.dispatch.hands import Hands
from birdwatchd.dispatch.links import Links
from birdwatchd.dispatch.rules import Rules
from birdwatchd.dispatch.verdict import words
from birdwatchd.domain import Clip, Delivery, Detection, Label, Tally
from birdwatchd.store.deliveries import Entry
from birdwatchd.store.retention import Retention
from birdwatchd.sun import Sky

if TYPE_CHECKING:
    from birdwatchd.actions import Action
    from birdwatchd.config.schema import Config
    from birdwatchd.store.deliveries import Notes

BLACKBIRD = Label(0, "Turdus merula", "Eurasian Blackbird", "eurbla")
RATE = 48000
SECONDS = 3.0
MARK = "test"
"""Begins the id of a made-up detection, and is its run and its model."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it. `error` is empty when it was done."""

    seconds: float
    error: str
    is_final: bool
    """It would not be tried again."""
    notes: Notes
    refusal: str
    """Why the action's `when` would have kept it still; empty when it would have acted."""


def made_up(config: Config, label: Label, state: str) -> Detection:
    """A detection of that species by the first source, that has just ended."""
    end = datetime.now(UTC)
    identity = MARK + secrets.token_hex(8)
    source = config.sources[0]
    return Detection(
        id=identity,
        run_id=MARK,
        source=source.name,
        site=source.site or config.node,
        label=label,
        start_sample=0,
        end_sample=round(SECONDS * RATE),
        start=end - timedelta(seconds=SECONDS),
        end=end,
        score=0.95,
        windows=1,
        model=MARK,
        threshold=config.deciding.threshold,
        occurrence=None,
        processing_ns=0,
        clip_path=f"{MARK}/{identity}",
        voice=False,
        state="ended" if state == "ended" else "started",
    )


def surroundings_of(config: Config) -> Surroundings:
    """The station as the config describes it; its sound is made up."""
    return Surroundings(
        run_id=MARK,
        node=config.node,
        location=config.location,
        zone=station_zone(config.location),
        clips_folder=config.store.clips_folder,
        sound=chirp,
        is_ready=lambda *_: True,
        make_room=Retention(config.store.clips_folder, config.store.retention).make_room,
        links=Links.of(config),
    )


def attempt(action: Action, detection: Detection, surroundings: Surroundings) -> Result:
    """Carry out one delivery of it, on a thread of its own, within the action's deadline. Nothing is written to the database."""
    now = datetime.now(UTC)
    tally = Tally(count_today=1, first_today=True, first_of_season=True, first_ever=True)
    delivery = Delivery(action.config.name, detection, tally, now)
    entry = Entry(
        0, delivery, action.durability, now, now + timedelta(days=1), detection.source, 0, MARK, {}, None
    )
    context = open_context(delivery, surroundings)
    place = surroundings.location
    sky = Sky(place, surroundings.zone) if place else None
    secrets = Secrets(action.config)
    began = time.monotonic()
    error = _carry_out(action, Task(entry, context))
    return Result(
        seconds=time.monotonic() - began,
        error="" if error is None else secrets.fit(words(error)),
        is_final=isinstance(error, GiveUp),
        notes=secrets.fit_notes(context.notes),
        refusal=Rules(action.config, surroundings.zone, sky).refusal(detection, tally),
    )


def probe(action: Action, detection: Detection, surroundings: Surroundings) -> tuple[str, str]:
    """Have an action try what it needs, on a thread of its own, within its deadline; nothing is sent or kept.

    Returns:
        What was found, and why it would not work: one of them is empty, or both where there is nothing to try.
    """
    tally = Tally(count_today=1, first_today=True, first_of_season=True, first_ever=True)
    delivery = Delivery(action.config.name, detection, tally, datetime.now(UTC))
    context = open_context(delivery, surroundings)
    hands = Hands(f"trial of {action.config.name}", lambda: None)
    secrets = Secrets(action.config)
    try:
        return secrets.fit(
            hands.call(lambda: action.probe(detection, context), action.config.timeout_seconds)
        ), ""
    except BaseException as raised:  # noqa: BLE001 - whatever it raises is what came of it
        return "", secrets.fit(words(raised))
    finally:
        hands.close()


def chirp(detection: Detection, before_seconds: float, after_seconds: float) -> Clip:
    """Stands for the sound of a made-up detection: a rising whistle, with silence around it."""
    before, after = (round(seconds * RATE) for seconds in (before_seconds, after_seconds))
    at = np.arange(detection.end_sample - detection.start_sample) / RATE
    whistle = 0.3 * np.sin(2 * np.pi * (2000 * at + 500 * at**2)) * np.sin(np.pi * at / SECONDS)
    samples = np.concatenate([np.zeros(before), whistle, np.zeros(after)]).astype(np.float32)
    return Clip(
        source=detection.source,
        start_sample=-before,
        stop_sample=len(samples) - before,
        start=detection.start - timedelta(seconds=before_seconds),
        sample_rate=RATE,
        samples=samples,
        gaps=(),
        voice=False,
    )


def _carry_out(action: Action, task: Task) -> BaseException | None:
    hands = Hands(f"trial of {action.config.name}", lambda: None)
    timeout: float = action.config.timeout_seconds
    try:
        hands.call(action.__enter__, timeout)
        try:
            (error,) = hands.call(lambda: action.run_batch([task]), timeout)
        finally:
            if not hands.is_busy:
                hands.call(lambda: action.__exit__(None, None, None), timeout)
    except BaseException as raised:  # noqa: BLE001 - whatever it raises is what came of it
        return raised
    finally:
        hands.close()
    return error

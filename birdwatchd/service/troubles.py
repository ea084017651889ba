"""What is wrong, in sentences for people."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from birdwatchd.service.schedule import AT_WORK, DONE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from birdwatchd.config.schema import Store
    from birdwatchd.service.schedule import Job
    from birdwatchd.service.status import ActionStatus, SourceStatus, StoreStatus

SILENT_SECONDS = 60.0
"""With digital silence for so long, a microphone counts as deaf."""
LONGEST_WORK = timedelta(hours=1)
GIGABYTE = 1e9


def deafness(sources: Iterable[SourceStatus], *, resting: bool) -> list[str]:
    """Who does not hear, of those that should, or of those that rest."""
    sentences = []
    for one in sources:
        if (one.hours is not None and not one.hours.inside) != resting or one.state == "finished":
            continue
        if one.fault:
            sentences.append(f"{one.name} is away{', outside of its hours' * resting}: {one.fault}")
        elif one.silent_seconds >= SILENT_SECONDS:
            minutes = one.silent_seconds / 60
            sentences.append(
                f"{one.name} hears nothing but digital silence for {minutes:.0f} min: is the microphone dead or muted?"
            )
    return sentences


def in_clock(*, is_set: bool) -> list[str]:
    """Whether it can be that time."""
    return [] if is_set else ["the system clock was not set: times are wrong until it is (docs/time.md)"]


def in_acting(actions: Iterable[ActionStatus]) -> list[str]:
    """Which actions do not get on."""
    return [f"{one.name}: {one.trouble}" for one in actions if one.trouble]


def in_schedule(jobs: Iterable[Job], now: datetime) -> list[str]:
    """What went wrong the last time that it was done, or does not come to an end."""
    sentences = []
    for job in jobs:
        if job.outcome == AT_WORK and job.last is not None and now - job.last > LONGEST_WORK:
            sentences.append(f"{job.name}: at work for {(now - job.last).total_seconds() / 60:.0f} min")
        elif job.outcome not in ("", DONE, AT_WORK):
            sentences.append(f"{job.name}: {job.outcome}")
    return sentences


def in_room(config: Store, store: StoreStatus) -> list[str]:
    """Whether the disk fills up."""
    least = config.retention.free_gigabytes
    if store.free_bytes is None or store.free_bytes >= least * GIGABYTE:
        return []
    free = store.free_bytes / GIGABYTE
    return [
        f"only {free:.2f} GB are free where {store.database} lies, less than store.retention.free_gigabytes ({least:g})"
    ]

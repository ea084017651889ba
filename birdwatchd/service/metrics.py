"""A status as Prometheus reads it. Whatever it counts begins at 0 with the daemon and never falls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from birdwatchd.audio.ledger import DEAF
from birdwatchd.service.schedule import AT_WORK, DONE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.core import Metric

    from birdwatchd.service.status import ModelStatus, Status

    Values = Mapping[Any, float]
    """By label values, a tuple."""

PREFIX = "birdwatchd_"


def scrape(status: Status, accept: str) -> tuple[bytes, str]:
    """All metrics, and their content type, in the format that an `Accept` header asks for."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Told(status))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Told(Collector):
    """One status, for one scrape."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        return families(self._status)


def families(status: Status) -> Iterator[Metric]:
    """All of it."""
    yield _info(status)
    yield _gauge(
        "healthy",
        "1 while nothing keeps it from hearing and recording (/healthz says what)",
        {(): not status.faults},
    )
    yield from _of_sources(status)
    yield from _of_model(status.model)
    yield from _of_actions(status)
    yield from _of_schedule(status)
    yield from _of_machine(status)


def _of_sources(status: Status) -> Iterator[Metric]:
    names = ["source"]
    sources = {(one.name,): one for one in status.sources}
    yield _gauge(
        "source_up", "1 while samples arrive", {key: not one.fault for key, one in sources.items()}, names
    )
    yield _gauge(
        "source_in_hours",
        "1 within its listening hours",
        {key: one.hours is None or one.hours.inside for key, one in sources.items()},
        names,
    )
    for what, help_text in (
        ("captured", "Seconds of sound that were captured"),
        ("analysed", "Seconds of sound that the model has heard"),
    ):
        values = {key: getattr(one.run, what) for key, one in sources.items()}
        yield _counter(f"source_{what}_seconds", help_text, values, names)
    for what, help_text in (
        ("lost", "Seconds that were not captured"),
        ("skipped", "Seconds that were captured and left out"),
    ):
        causes = {
            (one.name, cause): seconds
            for one in status.sources
            for cause, seconds in getattr(one.run, what).items()
            # Still going on: it is counted with its true cause once that is known.
            if cause != DEAF
        }
        yield _counter(f"source_{what}_seconds", help_text, causes, ["source", "cause"])
    for name, help_text, values in (
        (
            "deaf_seconds",
            "For how long nothing was heard, while that goes on",
            {key: one.run.lost.get(DEAF, 0.0) for key, one in sources.items()},
        ),
        (
            "silent_seconds",
            "For how long there has been nothing but digital silence",
            {key: one.silent_seconds for key, one in sources.items()},
        ),
        (
            "last_block_age_seconds",
            "Age of the newest sample",
            {key: one.last_block_age_seconds for key, one in sources.items()},
        ),
        (
            "behind_seconds",
            "Captured and not analysed yet",
            {key: one.behind_seconds for key, one in sources.items()},
        ),
        (
            "level_dbfs",
            "Root mean square of the last second, 0 being full scale",
            {key: one.level_dbfs for key, one in sources.items()},
        ),
    ):
        yield _gauge(f"source_{name}", help_text, values, names)
    yield _counter(
        "detections", "Detections that started", {key: one.detections for key, one in sources.items()}, names
    )


def _of_model(model: ModelStatus) -> Iterator[Metric]:
    buckets = [(f"{bound:g}", float(count)) for bound, count in model.batch_seconds.items()]
    batches = HistogramMetricFamily(
        f"{PREFIX}classifier_batch_seconds", "How long the model took for a batch"
    )
    batches.add_metric([], [*buckets, ("+Inf", float(model.batches))], model.seconds)
    yield batches
    yield _counter("classifier_segments", "Segments that were classified", {(): model.segments})


def _of_actions(status: Status) -> Iterator[Metric]:
    actions = {(one.name,): one for one in status.actions}
    settled = {
        (one.name, what): float(one.settled.get(what, 0))
        for one in status.actions
        for what in ("done", "dead", "expired", "lost")
    }
    yield _counter("deliveries", "What became of deliveries", settled, ["action", "status"])
    waiting = {key: one.waiting for key, one in actions.items() if one.waiting is not None}
    yield _gauge("deliveries_waiting", "Deliveries that are still to be made", waiting, ["action"])
    up = {key: not one.trouble for key, one in actions.items()}
    yield _gauge("action_up", "1 while it gets on, as far as it knows", up, ["action"])


def _of_schedule(status: Status) -> Iterator[Metric]:
    done = {(job.name,): job for job in status.schedule if job.last is not None}
    last = {key: job.last.timestamp() for key, job in done.items() if job.last is not None}
    yield _gauge("job_last_run_timestamp_seconds", "When it was last done", last, ["job"])
    well = {key: job.outcome in (DONE, AT_WORK) for key, job in done.items()}
    yield _gauge("job_success", "1 when it went well the last time", well, ["job"])


def _of_machine(status: Status) -> Iterator[Metric]:
    store, clock, process = status.store, status.clock, status.process
    ours: tuple[tuple[str, str, float | None], ...] = (
        ("database_bytes", "Size of the database, with its log", store.database_bytes),
        ("clips_bytes", "What the clips folder takes", store.clips_bytes),
        ("disk_free_bytes", "Free where the database lies", store.free_bytes),
        ("detections_unwritten", "Detections in memory only, as they cannot be written", store.pending),
        ("clock_synchronised", "1 while something keeps the system clock right", clock.synchronised),
    )
    for name, help_text, value in ours:
        if value is not None:
            yield _gauge(name, help_text, {(): value})
    if store.written_bytes is not None:
        yield _counter("written_bytes", "Given to disks", {(): store.written_bytes})
    yield _counter("clock_steps", "How often the system clock was set", {(): clock.steps})
    # As Prometheus's own client calls them.
    common: tuple[tuple[str, str, float | None], ...] = (
        ("process_resident_memory_bytes", "Resident memory size in bytes.", process.memory_bytes),
        ("process_open_fds", "Number of open file descriptors.", process.descriptors),
        ("process_threads", "Number of threads.", process.threads),
        (
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            status.started.timestamp(),
        ),
    )
    for name, help_text, value in common:
        if value is not None:
            yield _gauge(name, help_text, {(): value}, prefix="")
    spent = {(): process.cpu_seconds}
    yield _counter(
        "process_cpu_seconds", "Total user and system CPU time spent in seconds.", spent, prefix=""
    )


def _info(status: Status) -> Metric:
    info = InfoMetricFamily(f"{PREFIX}build", "What runs")
    model = status.model
    info.add_metric(
        [], {"node": status.node, "version": status.version, "model": model.name, "device": model.device}
    )
    return info


def _gauge(
    name: str, help_text: str, values: Values, labels: list[str] | None = None, prefix: str = PREFIX
) -> Metric:
    return _filled(GaugeMetricFamily(prefix + name, help_text, labels=labels or []), values)


def _counter(
    name: str, help_text: str, values: Values, labels: list[str] | None = None, prefix: str = PREFIX
) -> Metric:
    return _filled(CounterMetricFamily(prefix + name, help_text, labels=labels or []), values)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: Values) -> Metric:
    for key, value in values.items():
        family.add_metric(list(key), float(value))
    return family

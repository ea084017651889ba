"""`birdwatchd check --live`: everything that the daemon needs is tried for a moment; for each thing, what to do about it."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from birdwatchd.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from birdwatchd.audio.source import Source
    from birdwatchd.config.load import Loaded
    from birdwatchd.config.schema import Config

LISTEN_SECONDS = 2.0
"""So much of each source is heard."""
PATIENCE_SECONDS = {"microphone": 8.0, "stream": 8.0, "recording": 10.0}
"""So long it is waited for."""
DEAD_DBFS = -150.0
SLOW_DISK_SECONDS = 1.0
BATCHES = 5
FULL_LOAD = 0.9
YEAR = 2024
"""No clock that is right tells an earlier one."""
SOUND_CARDS = Path("/dev/snd")


class Found(NamedTuple):
    """What came of one trial."""

    what: str
    verdict: Literal["ok", "note", "wrong"]
    words: str


class Trial(NamedTuple):
    """What is tried next, and how."""

    what: str
    find: Callable[[], Iterator[Found]]


def trials(loaded: Loaded) -> Iterator[Trial]:
    """One after the other; each may take some seconds."""
    config = loaded.config
    running = _running(config)
    if running is not None:
        process = running["process"]["pid"]
        words = f"one runs (process {process}); it is asked about what it uses itself"
        yield Trial("daemon", lambda: iter([Found("daemon", "note", words)]))
    yield Trial("permissions", lambda: _permissions(config))
    yield Trial("disk", lambda: _disk(config))
    yield Trial("clock", _clock)
    yield Trial("model", lambda: _model(loaded, running))
    for described in config.sources:
        yield Trial(described.name, lambda name=described.name: _source(loaded, name, running))  # type: ignore[misc] # its default is the name
    for action in config.actions:
        if action.enabled:
            yield Trial(action.name, lambda name=action.name: _action(config, name))  # type: ignore[misc] # as above
    if config.metrics is not None:
        yield Trial("metrics", lambda: _metrics(config, running))
    if config.web is not None:
        yield Trial("page", lambda: _page(config, running))


def quiet() -> None:
    """What is found is told by the trials: nothing of it comes a second time as a line of the log."""
    import logging

    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def _running(config: Config) -> dict[str, Any] | None:
    from birdwatchd.service.status_socket import Unanswered, ask

    try:
        return ask(config.store.database)
    except Unanswered:
        return None


def _permissions(config: Config) -> Iterator[Found]:
    user = pwd.getpwuid(os.geteuid()).pw_name
    cards = sorted(SOUND_CARDS.glob("pcm*c")) if SOUND_CARDS.is_dir() else []
    uses_cards = any(source.kind == "microphone" for source in config.sources)
    if uses_cards and cards and not any(os.access(card, os.R_OK | os.W_OK) for card in cards):
        group = grp.getgrgid(cards[0].stat().st_gid).gr_name
        advice = f"sudo usermod -aG {group} {user}, then log in again"
        yield Found("permissions", "wrong", f"{user} may not use the sound cards: {advice}")
    else:
        yield Found(
            "permissions", "ok", f"as {user}{', who may use the sound cards' * bool(uses_cards and cards)}"
        )


def _disk(config: Config) -> Iterator[Found]:
    from birdwatchd.service.machine import free_bytes

    store = config.store
    for what, folder in (
        ("database", store.database.absolute().parent),
        ("clips", store.clips_folder.absolute()),
    ):
        place = next(one for one in (folder, *folder.parents) if one.exists())
        began = time.monotonic()
        try:
            _write(place)
        except OSError as error:
            yield Found(
                what,
                "wrong",
                f"{place} cannot be written ({error.strerror}); change its permissions, or store.* in the config",
            )
            continue
        took = time.monotonic() - began
        free = free_bytes(place) or 0
        words = f"{place} can be written, {free / 1e9:.1f} GB free"
        if free < store.retention.free_gigabytes * 1e9:
            least = f"{store.retention.free_gigabytes:g}"
            yield Found(
                what, "wrong", f"{words}: less than store.retention.free_gigabytes ({least}); make room"
            )
        elif took > SLOW_DISK_SECONDS:
            yield Found(what, "note", f"{words}, but a small file took {took:.1f} s: is the card worn out?")
        else:
            yield Found(what, "ok", words)


def _write(folder: Path) -> None:
    """A file, down to the disk, and away again."""
    file = folder / f".birdwatchd-check-{os.getpid()}"
    with contextlib.ExitStack() as stack:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        stack.callback(file.unlink)
        stack.callback(os.close, descriptor)
        os.write(descriptor, b"birds" * 1000)
        os.fsync(descriptor)


def _clock() -> Iterator[Found]:
    from birdwatchd.service.machine import clock_is_synchronised

    now = datetime.now(UTC)
    said = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now.year < YEAR:
        yield Found(
            "clock",
            "wrong",
            f"it says {said}: set it (sudo date -s …), or give the machine a network or a clock chip",
        )
        return
    match clock_is_synchronised():
        case True:
            yield Found("clock", "ok", f"{said}, synchronised")
        case False:
            advice = "sudo timedatectl set-ntp true; without a network, a GPS or a clock chip helps"
            yield Found("clock", "note", f"{said}, and nothing keeps it right: {advice}")
        case None:
            yield Found("clock", "note", f"{said}; the machine does not say whether anything keeps it right")


def _model(loaded: Loaded, running: Mapping[str, Any] | None) -> Iterator[Found]:
    config = loaded.config
    if running is not None and running["model"]["segments"]:
        model = running["model"]
        each = model["seconds"] / model["segments"]
        yield _pace(config, f"{model['name']} on {model['device']}", each)
        return
    import numpy as np

    from birdwatchd.blueprint import Blueprint

    try:
        blueprint = Blueprint.draw(loaded)
        with blueprint.classifier() as classifier:
            noise = np.random.default_rng(1).normal(
                0, 0.1, (classifier.batch_limit, blueprint.plan.input_samples)
            )
            segments = noise.astype(np.float32)
            classifier.classify(segments)  # the first one warms up
            began = time.perf_counter()
            for _ in range(BATCHES):
                classifier.classify(segments)
            each = (time.perf_counter() - began) / (BATCHES * len(segments))
            yield _pace(config, f"{blueprint.model} on {classifier.device}", each)
    except UserError as error:
        yield Found("model", "wrong", str(error))


def _pace(config: Config, name: str, each: float) -> Found:
    most = config.hop_seconds * FULL_LOAD / max(each, 1e-6)
    words = f"{name}: {each * 1000:.0f} ms for a segment, enough for {most:.0f} sources"
    if most < len(config.sources):
        return Found(
            "model",
            "wrong",
            f"{words}; with {len(config.sources)} it is too slow: hop_seconds: 3 halves the work",
        )
    return Found("model", "ok", words)


def _source(loaded: Loaded, name: str, running: Mapping[str, Any] | None) -> Iterator[Found]:
    from birdwatchd.service.vitals import level_dbfs

    for said in running["sources"] if running is not None else ():
        if said["name"] == name:
            loudness = f"{said['level_dbfs']:.0f} dBFS"
            yield (
                Found(name, "wrong", said["fault"])
                if said["fault"]
                else Found(name, "ok", f"{said['state']}, as the daemon says ({loudness})")
            )
            return
    from birdwatchd.blueprint import Blueprint

    described = next(one for one in loaded.config.sources if one.name == name)
    try:
        source = Blueprint.draw(loaded).source(described, lambda _name: None)
        source.start()
    except UserError as error:
        yield Found(name, "wrong", str(error).removeprefix(f"source {name}: "))
        return
    try:
        fault = _listen(source, PATIENCE_SECONDS[described.kind])
        level = level_dbfs(source)
        rate = source.ring.sample_rate
    finally:
        source.stop()
    if fault:
        yield Found(name, "wrong", fault)
    elif level < DEAD_DBFS:
        yield Found(
            name, "wrong", f"it delivers nothing but digital silence at {rate} Hz: is it muted or dead?"
        )
    else:
        yield Found(name, "ok", f"heard at {rate} Hz, {level:.0f} dBFS")


def _listen(source: Source, seconds: float) -> str:
    """Why nothing was heard of it for so long; empty once there was enough."""
    until = time.monotonic() + seconds
    wanted = LISTEN_SECONDS * source.ring.sample_rate
    while source.ring.written < wanted and not source.finished:
        if time.monotonic() > until:
            return source.fault or f"no sound for {seconds:.0f} s"
        time.sleep(0.05)
    return "" if source.ring.written else source.fault or "it is at its end, and nothing was heard"


def _action(config: Config, name: str) -> Iterator[Found]:
    from birdwatchd.dispatch.making import make_action
    from birdwatchd.dispatch.plugins import BrokenPlugin, Plugins
    from birdwatchd.dispatch.trial import BLACKBIRD, made_up, probe, surroundings_of

    settings = next(one for one in config.actions if one.name == name)
    try:
        action = make_action(settings, Plugins())
    except (BrokenPlugin, UserError) as error:
        yield Found(name, "wrong", str(error))
        return
    found, fault = probe(action, made_up(config, BLACKBIRD, "ended"), surroundings_of(config))
    if fault:
        yield Found(name, "wrong", fault)
    elif found:
        yield Found(name, "ok", found)


def _metrics(config: Config, running: Mapping[str, Any] | None) -> Iterator[Found]:
    metrics = config.metrics
    if metrics is None:
        return
    from birdwatchd.service.endpoint import may_listen

    where = f"http://{{}}:{metrics.port}/metrics"
    place = metrics.address, metrics.port
    yield _port("metrics", place, where, running, lambda: may_listen(metrics))


def _page(config: Config, running: Mapping[str, Any] | None) -> Iterator[Found]:
    web = config.web
    if web is None:
        return
    from birdwatchd.config.rules import is_local
    from birdwatchd.web.server import may_listen

    where = f"http://{{}}:{web.port}{web.prefix}/"
    yield _port("page", (web.address, web.port), where, running, lambda: may_listen(web))
    if web.password is not None and not is_local(web.address):
        yield Found(
            "page",
            "note",
            "the password crosses the network unencrypted; a reverse proxy can see to that (docs/web.md)",
        )


def _port(
    what: str,
    place: tuple[str, int],
    where: str,
    running: Mapping[str, Any] | None,
    may_listen: Callable[[], None],
) -> Found:
    """Whether the daemon answers there; or where none runs, whether it could."""
    address, port = place
    if running is not None:
        address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 - as it is read, not bound
        try:
            socket.create_connection((address, port), 2.0).close()
        except OSError as error:
            words = (
                f"the daemon does not answer at {address}:{port} ({error.strerror}); was the config changed?"
            )
            return Found(what, "wrong", words)
        return Found(what, "ok", f"answered at {where.format(address)}")
    from birdwatchd.errors import ServiceError

    try:
        may_listen()
    except ServiceError as error:
        return Found(what, "wrong", str(error))
    return Found(what, "ok", f"{address}:{port} is free")

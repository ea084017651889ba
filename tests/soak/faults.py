"""What goes wrong. Each fault lasts for so many seconds of the daemon's time, and mends itself at the end."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from random import Random

    from tests.soak.keeper import Keeper
    from tests.soak.world import Child, World


@dataclass(frozen=True)
class Stage:
    """Where a fault is made."""

    world: World
    keeper: Keeper
    random: Random

    def wait(self, least: float, most: float) -> None:
        """The fault lasts."""
        self.world.clock.sleep(self.random.uniform(least, most))


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong: `make` returns when it is mended."""

    name: str
    says: str
    make: Callable[[Stage], None]
    where: str = ""
    """What has to be there: `disk`, `card`, `microphone`, `stream`."""
    deaf: bool = False
    """While it lasts, and a while after, nobody can expect that all is heard."""


def _sudden_death(stage: Stage) -> None:
    stage.keeper.signal(signal.SIGKILL)
    stage.wait(1, 5)
    stage.keeper.wait_ready()


def _restart(stage: Stage) -> None:
    stage.keeper.signal(signal.SIGTERM)
    stage.wait(1, 5)
    stage.keeper.wait_ready()


def reload(stage: Stage) -> None:
    """Have the daemon read a config in which one action has another name."""
    stage.world.configure(f"{stage.random.randrange(1000)}")
    stage.keeper.signal(signal.SIGHUP)
    stage.wait(10, 20)


def _daemon_stopped(stage: Stage) -> None:
    stage.keeper.signal(signal.SIGSTOP)
    stage.wait(3, 20)
    stage.keeper.signal(signal.SIGCONT)


def _broker_killed(stage: Stage) -> None:
    stage.world.kill_broker()
    stage.wait(10, 120)
    stage.world.broker.start()


def _broker_frozen(stage: Stage) -> None:
    stage.world.broker.freeze()
    stage.wait(10, 120)
    stage.world.broker.thaw()


def _broker_restarted(stage: Stage) -> None:
    for _ in range(3):
        stage.world.kill_broker()
        stage.world.broker.start()
        stage.wait(5, 20)


def _web(mode: str) -> Callable[[Stage], None]:
    def make(stage: Stage) -> None:
        stage.world.mode("web", mode)
        stage.wait(20, 120)
        stage.world.mode("web", "ok")

    return make


def _web_killed(stage: Stage) -> None:
    stage.world.web.kill()
    stage.wait(20, 120)
    stage.world.web.start()


def _one_stream(stage: Stage) -> tuple[str, Child]:
    name = stage.random.choice(stage.world.streams)
    return name, stage.world.servers[name]


def _stream_killed(stage: Stage) -> None:
    _, server = _one_stream(stage)
    server.kill()
    stage.wait(5, 90)
    server.start()


def _stream_frozen(stage: Stage) -> None:
    _, server = _one_stream(stage)
    server.signal(signal.SIGSTOP)
    stage.wait(5, 90)
    server.signal(signal.SIGCONT)


def _stream(mode: str, least: float, most: float) -> Callable[[Stage], None]:
    def make(stage: Stage) -> None:
        name, _ = _one_stream(stage)
        stage.world.mode(name, mode)
        stage.wait(least, most)
        stage.world.mode(name, "ok")

    return make


def _ffmpeg(number: signal.Signals) -> Callable[[Stage], None]:
    def make(stage: Stage) -> None:
        children = [child for child in stage.keeper.children() if _is_ffmpeg(child)]
        if children:
            child = stage.random.choice(children)
            with suppress(ProcessLookupError):
                os.kill(child, number)
            stage.wait(15, 40)
            if number == signal.SIGSTOP:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGCONT)

    return make


def _is_ffmpeg(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip() == "ffmpeg"
    return False


def _disk_full(stage: Stage) -> None:
    filler = stage.world.disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 20))
    with suppress(OSError), filler.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(512))
    stage.wait(20, 120)
    filler.unlink()


def _disk_fails(stage: Stage) -> None:
    stage.world.card.fail()
    stage.wait(20, 120)
    with stage.keeper.stopped():
        stage.world.card.mend()


def _database_locked(stage: Stage) -> None:
    other = sqlite3.connect(stage.world.database, isolation_level=None, timeout=10)
    other.execute("BEGIN IMMEDIATE")
    stage.wait(5, 60)
    other.execute("ROLLBACK")
    other.close()


def _clips_removed(stage: Stage) -> None:
    shutil.rmtree(stage.world.clips, ignore_errors=True)
    stage.wait(10, 20)


def _clock_step(forward: bool) -> Callable[[Stage], None]:
    def make(stage: Stage) -> None:
        seconds = stage.random.uniform(2, 3600)
        stage.world.clock.step(seconds if forward else -seconds)
        stage.wait(20, 90)
        stage.world.clock.step(0)

    return make


@contextmanager
def _busy() -> Iterator[None]:
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def _during(
    trouble: Callable[[], AbstractContextManager[None]], least: float, most: float
) -> Callable[[Stage], None]:
    def make(stage: Stage) -> None:
        with trouble():
            stage.wait(least, most)

    return make


def _sound_killed(stage: Stage) -> None:
    assert stage.world.sound_server is not None
    stage.world.sound_server.kill()
    stage.wait(5, 60)
    stage.world.sound_server.start()


def _sound_frozen(stage: Stage) -> None:
    assert stage.world.sound_server is not None
    stage.world.sound_server.freeze()
    stage.wait(5, 30)
    stage.world.sound_server.thaw()


def _unplugged(stage: Stage) -> None:
    assert stage.world.sound_server is not None
    stage.world.sound_server.unplug()
    stage.wait(5, 60)
    stage.world.sound_server.plug()


FAULTS = (
    Fault("daemon killed", "`kill -9`, started again as systemd would", _sudden_death, deaf=True),
    Fault("daemon restarted", "SIGTERM, started again at once", _restart, deaf=True),
    Fault("config reloaded", "SIGHUP, with an action that got another name", reload),
    Fault("daemon stopped", "SIGSTOP for 3 to 20 s", _daemon_stopped, deaf=True),
    Fault("broker killed", "`kill -9`, away for 10 to 120 s", _broker_killed),
    Fault("broker frozen", "SIGSTOP for 10 to 120 s", _broker_frozen),
    Fault("broker flapping", "killed and started three times", _broker_restarted),
    Fault("web server fails", "answers 500 for 20 to 120 s", _web("error")),
    Fault("web server hangs", "takes, and does not answer, for 20 to 120 s", _web("hang")),
    Fault("web server killed", "`kill -9`, away for 20 to 120 s", _web_killed),
    Fault("stream server killed", "`kill -9`, away for 5 to 90 s", _stream_killed, "stream", deaf=True),
    Fault("stream server frozen", "SIGSTOP for 5 to 90 s", _stream_frozen, "stream", deaf=True),
    Fault("stream slow", "60 % of real time for 10 to 60 s", _stream("slow", 10, 60), "stream", deaf=True),
    Fault("stream in bursts", "8 s at once, for 30 to 90 s", _stream("burst", 30, 90), "stream", deaf=True),
    Fault(
        "stream of garbage",
        "no sound but random bytes for 10 to 60 s",
        _stream("garbage", 10, 60),
        "stream",
        deaf=True,
    ),
    Fault(
        "stream falls silent",
        "connected, and nothing comes for 5 to 60 s",
        _stream("silent", 5, 60),
        "stream",
        deaf=True,
    ),
    Fault("ffmpeg killed", "`kill -9` of the daemon's child", _ffmpeg(signal.SIGKILL), "stream", deaf=True),
    Fault("ffmpeg hangs", "SIGSTOP of the daemon's child", _ffmpeg(signal.SIGSTOP), "stream", deaf=True),
    Fault("sound server killed", "`kill -9`, away for 5 to 60 s", _sound_killed, "microphone", deaf=True),
    Fault("sound server frozen", "SIGSTOP for 5 to 30 s", _sound_frozen, "microphone", deaf=True),
    Fault("microphone unplugged", "its device is gone for 5 to 60 s", _unplugged, "microphone", deaf=True),
    Fault("disk full", "to the last byte, for 20 to 120 s", _disk_full, "disk"),
    Fault(
        "disk read-only",
        "an ext4 that gives up, for 20 to 120 s; then stopped, the disk checked and mounted again, and started",
        _disk_fails,
        "card",
        deaf=True,
    ),
    Fault("database locked", "by another program, for 5 to 60 s", _database_locked),
    Fault("clips removed", "the folder with all that is in it", _clips_removed),
    Fault(
        "clock set forward",
        "by up to an hour, and right again after 20 to 90 s",
        _clock_step(forward=True),
        deaf=True,
    ),
    Fault(
        "clock set back",
        "by up to an hour, and right again after 20 to 90 s",
        _clock_step(forward=False),
        deaf=True,
    ),
    Fault("no processor", "four busy programs for 20 to 60 s", _during(_busy, 20, 60), deaf=True),
)
"""All there are."""


def fitting(world: World, names: list[str]) -> list[Fault]:
    """Those of `names`, or all, that can be made here."""
    there = {
        "": True,
        "disk": world.card.is_own,
        "card": world.card.can_fail,
        "stream": bool(world.streams),
        "microphone": world.sound_server is not None,
    }
    return [fault for fault in FAULTS if there[fault.where] and (not names or fault.name in names)]


def deck(faults: list[Fault], random: Random) -> Iterator[Fault]:
    """Without end: each comes once before any comes again."""
    while True:
        yield from random.sample(faults, len(faults))

"""A microphone's faults on a real sound server, in the whole daemon: what is not heard is in the ledger, to the second."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.faults.ear import STEP
from tests.faults.station import BYSTANDER, ROOT, Station, elapsed, tell
from tests.integration.soundserver import SoundServer, needs_sound_server
from tests.integration.waiting import wait_until
from tests.soak.player import Player
from tests.soak.sound import RATE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = [needs_sound_server, pytest.mark.long]

MICROPHONE = """\
  - name: garden
    kind: microphone
    stall_seconds: 2
"""
OUTAGE = 5.0
"""Seconds."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SoundServer]:
    folder = tmp_path / "sound"
    folder.mkdir()
    with SoundServer(folder) as server:
        yield server


def harm(what: str, server: SoundServer, station: Station) -> None:
    """Do it, and undo it after a while."""
    if what == "killed":
        server.kill()
        time.sleep(OUTAGE)
        server.start()
    elif what == "unplugged":
        server.unplug()
        time.sleep(OUTAGE)
        server.plug()
    elif what == "frozen":
        server.freeze()
        time.sleep(OUTAGE)
        server.thaw()
    else:
        station.send(signal.SIGSTOP)
        time.sleep(OUTAGE)
        station.send(signal.SIGCONT)


@pytest.mark.parametrize(
    ("what", "cause"),
    [("killed", "device gone"), ("unplugged", "device gone"), ("frozen", "stalled")],
)
def test_what_a_microphone_misses_is_in_the_ledger_and_others_miss_nothing(
    server: SoundServer, tmp_path: Path, tiny_bundle: Path, what: str, cause: str
) -> None:
    with Station(tmp_path, tiny_bundle, MICROPHONE + BYSTANDER, server.environment) as station:
        station.start()
        running = elapsed()
        station.wait_for("stream open")
        time.sleep(3)
        away = elapsed()
        harm(what, server, station)
        station.wait_for("microphone back")
        lost = away()
        time.sleep(3)
        truth = running()
        station.stop()
        garden, bystander = station.ledger()["garden"], station.ledger()["bystander"]
    tell(f"{what}: {truth:.2f} s by the stopwatch, away for {lost:.2f}", garden=garden, bystander=bystander)
    assert garden.causes == {cause: pytest.approx(lost, abs=1.0)}, garden
    assert garden.expected == pytest.approx(truth, abs=1.5), garden
    assert garden.captured == pytest.approx(truth - lost, abs=1.5), garden
    assert garden.expected == pytest.approx(garden.captured + sum(garden.lost.values()), abs=0.01)
    assert set(bystander.causes) <= {"connecting"}, bystander
    assert bystander.expected == pytest.approx(truth, abs=1.5), bystander


@pytest.mark.parametrize(("seconds", "least"), [(1.5, 0.0), (30.0, 3.0)])
def test_what_is_lost_while_the_daemon_itself_cannot_run_is_in_the_ledger(
    server: SoundServer, tmp_path: Path, tiny_bundle: Path, seconds: float, least: float
) -> None:
    """An overrun: nobody takes the sound that the card delivers, and PortAudio says no word of it.

    The sound server keeps some seconds for whoever comes late; what is more is gone.
    """
    with Station(tmp_path, tiny_bundle, MICROPHONE, server.environment) as station:
        station.start()
        running = elapsed()
        time.sleep(4)
        station.send(signal.SIGSTOP)
        time.sleep(seconds)
        station.send(signal.SIGCONT)
        time.sleep(6)
        truth = running()
        station.stop()
        garden = station.ledger()["garden"]
    tell(f"stopped for {seconds} s: {truth:.2f} s by the stopwatch", garden=garden)
    assert garden.expected == pytest.approx(truth, abs=1.0), garden
    assert garden.expected == pytest.approx(garden.captured + sum(garden.lost.values()), abs=0.01)
    assert least <= sum(garden.lost.values()) < seconds + 1.0, garden


def test_a_sound_server_that_stays_frozen_is_left_to_systemd_with_patience(
    server: SoundServer, tmp_path: Path, tiny_bundle: Path
) -> None:
    with Station(tmp_path, tiny_bundle, MICROPHONE, server.environment) as station:
        station.start()
        running = elapsed()
        time.sleep(3)
        server.freeze()
        away = elapsed()
        assert station.ended(150) == 1  # systemd starts it again
        lost, truth = away(), running()
        (leaving,) = station.events("leaving, since only a new process can mend this")
        garden = station.ledger()["garden"]
    tell(f"frozen for good: {truth:.2f} s by the stopwatch, left after {lost:.2f}", garden=garden)
    assert "has not answered" in leaving["reason"]
    assert lost > 60
    assert garden.causes == {"stalled": pytest.approx(lost, abs=10)}, garden  # it takes a while to end
    assert garden.expected == pytest.approx(truth, abs=10), garden


def test_a_sound_server_that_is_not_there_yet_is_waited_for_under_systemd(
    tmp_path: Path, tiny_bundle: Path
) -> None:
    folder = tmp_path / "sound"
    folder.mkdir()
    server = SoundServer(folder)
    environment = {**server.environment, "NOTIFY_SOCKET": str(tmp_path / "notify")}
    with Station(tmp_path, tiny_bundle, MICROPHONE + BYSTANDER, environment) as station:
        station.start()
        running = elapsed()
        time.sleep(3)
        with server:
            station.wait_for("microphone back")
            lost = running()
            time.sleep(3)
            truth = running()
            station.stop()
        garden, bystander = station.ledger()["garden"], station.ledger()["bystander"]
    tell(f"late at the start: {truth:.2f} s by the stopwatch, away for {lost:.2f}", garden=garden)
    assert garden.causes == {"device gone": pytest.approx(lost, abs=1.0)}, garden
    assert garden.expected == pytest.approx(truth, abs=1.5), garden
    assert set(bystander.causes) <= {"connecting"}, bystander


class Noise:
    """Sound in which no moment is like another, and the time since it began."""

    def __init__(self) -> None:
        self.samples = np.random.default_rng(5).integers(-8000, 8000, 120 * RATE).astype(np.int16)
        self.epoch, self._began = time.time(), time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def sound(self, start: int, stop: int) -> NDArray[np.int16]:
        return self.samples[start:stop]

    def find(self, piece: NDArray[np.int16]) -> float | None:
        """When that sounded, in seconds since it began; None for what never did."""
        at = self.samples.tobytes().find(piece.tobytes())
        return at / 2 / RATE if at >= 0 else None


@pytest.mark.parametrize(("who", "seconds"), [("server", 3.0), ("server", 8.0), ("daemon", 20.0)])
def test_whatever_stood_still_sound_is_dated_when_it_sounded(
    server: SoundServer, tmp_path: Path, who: str, seconds: float
) -> None:
    """But for the moment in which it is found out what is gone for good."""
    stall = "60" if who == "daemon" else "5"  # it shall go on with what it has, not begin anew
    noise = Noise()
    player = Player(server, noise, noise)
    with player:
        ear = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.ear", tmp_path / "ear", str(seconds + 20), stall],
            env={**server.environment, "PYTHONPATH": str(ROOT)},
        )
        wait_until((tmp_path / "ear.open").exists, "it listens")
        time.sleep(6)
        if who == "server":
            server.freeze()
            time.sleep(seconds)
            server.thaw()
        else:
            ear.send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            ear.send_signal(signal.SIGCONT)
        back = noise.elapsed
        assert ear.wait(60) == 0
    found = np.load(tmp_path / "ear.npz")
    errors = {"before": [0.0], "after": [0.0]}
    for number, date in enumerate(found["dates"]):
        piece = found["heard"][number * STEP :][: STEP // 100]
        true = noise.find(piece) if np.abs(piece).max() > 0 else None
        if true is not None and player.was_steady(true, true) and abs(true - back) > 1:
            errors["before" if true < back else "after"].append(date - noise.epoch - true)
    for when, all_of_them in errors.items():
        worst = max(all_of_them, key=abs)
        sys.stdout.write(
            f"{who}, {seconds} s: {len(all_of_them)} dates {when}, {worst:+.2f} s at the worst\n"
        )
        assert len(all_of_them) > 20, when
        assert abs(worst) < 0.7, when
    if who == "daemon":
        assert 3 < sum(found["gaps"]) < seconds + 1

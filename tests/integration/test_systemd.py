"""The service under a real systemd, its unit before systemd's own judges, and what installs it."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from birdwatchd.service.reloading import REFUSED
from tests.integration.nspawn import SOURCE, Machine, needs_nspawn
from tests.integration.soundserver import SoundServer, needs_sound_server
from tests.integration.waiting import wait_until
from tests.tiny import build_stubborn_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RATE = 48000
UNIT = SOURCE / "systemd/birdwatchd.service"
DROP_INS = sorted(path.stem for path in (SOURCE / "systemd").glob("*.conf"))
needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here: apt-get install systemd"
)

CONFIG = """\
node: wood
model:
  bundle: /var/lib/birdwatchd/tiny.pt
sources:
  - name: garden
    kind: recording
    path: /var/lib/birdwatchd/garden.wav
actions:
  - name: nobody
    kind: webhook
    url: http://127.0.0.1:9/
"""
MICROPHONE = """\
model:
  bundle: /var/lib/birdwatchd/tiny.pt
sources:
  - name: garden
    kind: microphone
"""
HURRY = """\
[Service]
WatchdogSec=12s
RestartSec=1s
"""


def verdict(*arguments: str | Path) -> tuple[int, str]:
    done = subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=180
    )
    return done.returncode, done.stdout + done.stderr


@needs_analyze
@pytest.mark.parametrize("drop_in", [None, *(name for name in DROP_INS if name != "backoff")])
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path, drop_in: str | None) -> None:
    unit = tmp_path / "birdwatchd.service"
    # The program is not installed here, and that is all that may be missing.
    unit.write_text(UNIT.read_text().replace("/opt/birdwatchd/venv/bin/birdwatchd", "/bin/true"))
    if drop_in:
        folder = tmp_path / "birdwatchd.service.d"
        folder.mkdir()
        text = (SOURCE / f"systemd/{drop_in}.conf").read_text()
        (folder / f"{drop_in}.conf").write_text(text.replace("/usr/bin/nvidia-modprobe", "/bin/true"))
    assert verdict("verify", "--man=no", unit) == (0, "")


@needs_analyze
def test_systemd_rates_the_unit_at_2_or_better() -> None:
    status, said = verdict("security", "--offline=true", "--threshold=20", UNIT)
    assert status == 0, said


def test_the_daemon_tells_its_life(tmp_path: Path, tiny_bundle: Path) -> None:
    soundfile.write(tmp_path / "garden.wav", np.random.default_rng(1).normal(0, 0.003, 9 * RATE), RATE)
    config = tmp_path / "config.yaml"
    config.write_text(
        f"""\
model:
  bundle: {tiny_bundle}
sources:
  - name: garden
    kind: recording
    path: {tmp_path / "garden.wav"}
store:
  database: {tmp_path / "birds.sqlite"}
"""
    )
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listening:
        listening.bind(str(tmp_path / "notify"))
        told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000000"}
        done = subprocess.run(
            [sys.executable, "-m", "birdwatchd", "run", "-c", config],
            env={**os.environ, **told},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
        listening.setblocking(False)
        messages = []
        with suppress(BlockingIOError):
            while True:
                messages.append(listening.recv(4096).decode())
    assert messages[:3] == ["READY=1", "STATUS=listening to garden", "WATCHDOG=1"]
    # How often it is fed depends on how long it takes.
    later = [message for message in messages[3:] if message != "WATCHDOG=1"]
    assert later[0].startswith(("STATUS=at the end", "STOPPING=1"))
    assert later[-1].startswith("STOPPING=1")


def install(what: str, *options: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SOURCE / "systemd" / what, *options], capture_output=True, text=True, check=False, timeout=180
    )


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_install_lays_out_twice_what_it_lays_out_once(tmp_path: Path) -> None:
    first = install("install", "--root", tmp_path, "--camera")
    assert first.returncode == 0, first.stderr
    laid_out = files(tmp_path)
    assert laid_out["etc/systemd/system/birdwatchd.service"] == UNIT.read_bytes()
    assert {
        "etc/systemd/system/birdwatchd.service.d/camera.conf",
        "etc/sysusers.d/birdwatchd.conf",
        "etc/birdwatchd/config.yaml",
        "usr/local/bin/birdwatchd",
    } <= set(laid_out)
    assert os.access(tmp_path / "usr/local/bin/birdwatchd", os.X_OK)

    second = install("install", "--root", tmp_path)
    assert second.returncode == 0, second.stderr
    assert files(tmp_path) == laid_out
    assert "birdwatchd.service" not in second.stdout  # nothing to do, nothing said


def test_install_keeps_the_users_config_and_renews_the_unit(tmp_path: Path) -> None:
    install("install", "--root", tmp_path)
    config = tmp_path / "etc/birdwatchd/config.yaml"
    unit = tmp_path / "etc/systemd/system/birdwatchd.service"
    config.write_text("node: mine\n")
    unit.write_text("old\n")
    done = install("install", "--root", tmp_path)
    assert config.read_text() == "node: mine\n"
    assert "stays as it is" in done.stdout
    assert unit.read_bytes() == UNIT.read_bytes()


def test_uninstall_leaves_what_is_the_users(tmp_path: Path) -> None:
    install("install", "--root", tmp_path, "--cuda", "--camera")
    mine = tmp_path / "etc/systemd/system/birdwatchd.service.d/override.conf"
    mine.write_text("[Service]\nWatchdogSec=3min\n")
    heard = tmp_path / "var/lib/birdwatchd/birdwatchd.sqlite"
    heard.parent.mkdir(parents=True)
    heard.write_text("birds")
    foreign = tmp_path / "usr/local/bin/other"
    foreign.write_text("")

    for _ in range(2):
        done = install("uninstall", "--root", tmp_path)
        assert done.returncode == 0, done.stderr
        assert {str(tmp_path / path) for path in files(tmp_path)} == {
            str(path) for path in (mine, heard, foreign, tmp_path / "etc/birdwatchd/config.yaml")
        }
    install("uninstall", "--root", tmp_path, "--everything")
    assert list(files(tmp_path)) == ["usr/local/bin/other"]


@pytest.mark.parametrize("what", ["install", "uninstall"])
@pytest.mark.parametrize("options", [["--rot"], ["--root"], ["--root", "/nowhere"]])
def test_a_wrong_option_is_refused_in_a_sentence(what: str, options: list[str]) -> None:
    done = install(what, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{what}: ")


@pytest.fixture
def machine(tmp_path: Path, tiny_bundle: Path) -> Iterator[Machine]:
    """The service is installed in it, not booted; a high tone that lasts for minutes is what it will hear."""
    folder = tmp_path / "machine"
    folder.mkdir()
    with Machine(folder) as machine:
        machine.install()
        write(machine, "etc/birdwatchd/config.yaml", CONFIG)
        write(machine, "etc/systemd/system/birdwatchd.service.d/hurry.conf", HURRY)
        state = machine.root / "var/lib/birdwatchd"
        state.mkdir(parents=True)
        shutil.copy(tiny_bundle, state / "tiny.pt")
        tone = 0.3 * np.sin(2 * np.pi * 4000 * np.arange(300 * RATE) / RATE)
        soundfile.write(state / "garden.wav", tone, RATE)
        yield machine


def write(machine: Machine, name: str, text: str) -> None:
    path = machine.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o644)


def rows(machine: Machine, query: str) -> list[Any]:
    database = machine.root / "var/lib/birdwatchd/birdwatchd.sqlite"
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


def detections(machine: Machine) -> int:
    return machine.log().count('"event": "detection"')


@needs_nspawn
@pytest.mark.long
def test_a_service_that_starts_hangs_comes_back_and_ends(machine: Machine) -> None:
    machine.boot()
    # `start` returns when READY has come, and fails when the process ends before.
    machine.run("systemctl", "start", "birdwatchd", seconds=120)
    assert machine.shown("ActiveState") == "active"
    wait_until(lambda: machine.shown("StatusText") == "listening to garden", "it says how it does")
    wait_until(lambda: detections(machine) > 0, "it hears the tone")

    first = machine.shown("MainPID")
    machine.run("kill", "-STOP", first)
    before = detections(machine)  # the tone lasts for longer than a detection may
    wait_until(lambda: machine.shown("NRestarts") == "1", "the watchdog ends it", seconds=90)
    wait_until(lambda: machine.shown("ActiveState") == "active", "it is back", seconds=90)
    assert machine.shown("MainPID") != first
    assert "Watchdog timeout" in machine.log()
    assert "Fatal Python error: Aborted" in machine.log()  # and the stacks of all threads
    wait_until(lambda: detections(machine) > before, "it hears again")

    machine.run("systemctl", "stop", "birdwatchd", seconds=100)
    assert machine.shown("Result") == "success"
    assert rows(machine, "SELECT count(*) FROM detections WHERE state = 'started'") == [(0,)]
    assert rows(machine, "SELECT count(*) FROM runs WHERE ended_utc IS NULL") == [(1,)]  # the one that hung
    # Nobody answers at the address: what became of each detection is still to be told.
    kept = rows(machine, "SELECT detection_id, status FROM deliveries ORDER BY detection_id")
    found = rows(machine, "SELECT id FROM detections ORDER BY id")
    assert kept == [(identity, "waiting") for (identity,) in found]


@needs_nspawn
@pytest.mark.long
def test_a_pipeline_that_hangs_is_ended_by_the_watchdog_and_listens_again(machine: Machine) -> None:
    """The main thread lives on: it is what it looks at that keeps it from saying so."""
    state = machine.root / "var/lib/birdwatchd"
    build_stubborn_bundle(state / "tiny.pt")
    loud = np.sign(np.sin(2 * np.pi * 4000 * np.arange(30 * RATE) / RATE))
    quiet = 0.3 * np.sin(2 * np.pi * 4000 * np.arange(12 * RATE) / RATE)
    soundfile.write(state / "garden.wav", np.concatenate([quiet, loud]), RATE)
    machine.boot()
    machine.run("systemctl", "start", "birdwatchd", seconds=120)
    wait_until(lambda: detections(machine) == 1, "it hears the tone")
    wait_until(lambda: "the pipeline has not turned" in machine.shown("StatusText"), "it hangs", seconds=90)
    assert '"event": "the daemon does not get on"' in machine.log()
    shutil.copy(state / "garden.wav", state / "hung.wav")
    soundfile.write(state / "garden.wav", quiet, RATE)
    wait_until(lambda: machine.shown("NRestarts") == "1", "the watchdog ends it", seconds=90)
    assert "Watchdog timeout" in machine.log()
    assert "in classify" in machine.log()  # where each thread was
    wait_until(lambda: detections(machine) == 2, "it hears again")
    assert rows(machine, "SELECT count(*) FROM detections WHERE state = 'ended'")[0][0] >= 1


@needs_nspawn
@pytest.mark.long
def test_a_reload_is_waited_for_and_fails_where_the_config_is_wrong(machine: Machine) -> None:
    machine.boot()
    machine.run("systemctl", "start", "birdwatchd", seconds=120)
    wait_until(lambda: detections(machine) > 0, "it hears the tone")
    process = machine.shown("MainPID")

    write(machine, "etc/birdwatchd/config.yaml", f"{CONFIG}deciding:\n  exclude: [High Tone]\n")
    machine.run("systemctl", "reload", "birdwatchd", seconds=60)
    # It is done when the command returns, not only begun.
    assert machine.log().count('"event": "reloaded"') == 1
    assert '"changed": ["deciding.exclude"]' in machine.log()
    assert machine.shown("ActiveState") == "active"
    wait_until(lambda: '"event": "detection ended"' in machine.log(), "the new rule counts")

    write(machine, "etc/birdwatchd/config.yaml", CONFIG.replace("kind: webhook", "kind: webhok"))
    said = machine.run("sh", "-c", "systemctl reload birdwatchd; echo $?", seconds=60)
    assert said.strip() != "0"
    mistake = "/etc/birdwatchd/config.yaml:10: actions[0].kind: there is no such kind of action"
    assert mistake in machine.log()
    # Whoever sends the signal by hand is told, too.
    machine.run("systemctl", "kill", "--signal=HUP", "--kill-whom=main", "birdwatchd")
    wait_until(lambda: REFUSED in machine.shown("StatusText"), "it is refused, and says so")
    assert "config not taken, the old one stays" in machine.log()
    assert machine.log().count(mistake) == 2
    assert (machine.shown("ActiveState"), machine.shown("NRestarts")) == ("active", "0")
    assert machine.shown("MainPID") == process

    write(machine, "etc/birdwatchd/config.yaml", CONFIG)
    machine.run("systemctl", "reload", "birdwatchd", seconds=60)
    wait_until(lambda: machine.shown("StatusText") == "listening to garden", "all is well again")
    machine.run("systemctl", "stop", "birdwatchd", seconds=100)
    assert machine.shown("Result") == "success"


@needs_nspawn
@pytest.mark.long
def test_a_credential_is_what_a_name_in_the_config_stands_for_and_nobody_else_sees_it(
    machine: Machine,
) -> None:
    birds = "grey-heron-4711"
    write(machine, "etc/birdwatchd/pond.password", birds)
    (machine.root / "etc/birdwatchd/pond.password").chmod(0o600)
    credential = "[Service]\nLoadCredential=POND:/etc/birdwatchd/pond.password\n"
    write(machine, "etc/systemd/system/birdwatchd.service.d/pond.conf", credential)
    config = CONFIG.replace("127.0.0.1:9/", "127.0.0.1:9/?key=${POND}")
    write(machine, "etc/birdwatchd/config.yaml", config)
    machine.boot()
    machine.run("systemctl", "start", "birdwatchd", seconds=120)
    wait_until(lambda: "delivery failed" in machine.log(), "it is used", seconds=60)
    process = machine.shown("MainPID")
    seen = machine.run("cat", f"/proc/{process}/environ", f"/proc/{process}/cmdline")
    for shown in (seen, machine.log(), str(rows(machine, "SELECT * FROM deliveries"))):
        assert birds not in shown
    # The daemon has it at a reload as well, although nobody else has.
    write(machine, "etc/birdwatchd/config.yaml", f"{config}deciding:\n  exclude: [High Tone]\n")
    machine.run("systemctl", "reload", "birdwatchd", seconds=60)
    assert machine.log().count('"event": "reloaded"') == 1
    machine.run("systemctl", "stop", "birdwatchd", seconds=100)


@needs_nspawn
@pytest.mark.long
def test_a_boot_starts_it_as_its_own_user_with_the_groups_for_sound_and_cameras(machine: Machine) -> None:
    subprocess.run(
        ["systemctl", "--root", machine.root, "enable", "birdwatchd"], check=True, capture_output=True
    )
    machine.boot("multi-user.target")
    wait_until(lambda: machine.shown("ActiveState") in {"active", "failed"}, "it starts", seconds=120)
    assert machine.shown("ActiveState") == "active", machine.log()
    groups = machine.run("id", "-nG", "birdwatchd").split()
    assert {"birdwatchd", "audio", "video"} == set(groups)
    process = f"/proc/{machine.shown('MainPID')}/status"
    fields = dict(line.split(":", 1) for line in machine.run("cat", process).splitlines())
    ids = {machine.run("getent", "group", name).split(":")[2] for name in groups}
    assert ids <= set(fields["Groups"].split()) | set(fields["Gid"].split())
    assert fields["CapEff"].strip("\t0") == ""
    assert fields["NoNewPrivs"].strip() == "1"


@needs_nspawn
@needs_sound_server
@pytest.mark.long
def test_a_microphone_works_behind_the_walls_and_its_absence_is_no_hang(
    machine: Machine, tmp_path: Path
) -> None:
    write(machine, "etc/birdwatchd/config.yaml", MICROPHONE)
    sound = "[Service]\nEnvironment=PULSE_SERVER=unix:/run/lent/native\n"
    write(machine, "etc/systemd/system/birdwatchd.service.d/sound.conf", sound)
    folder = tmp_path / "sound"
    folder.mkdir()
    tone = tmp_path / "tone.wav"
    soundfile.write(tone, 0.3 * np.sin(2 * np.pi * 4000 * np.arange(9 * RATE) / RATE), RATE)
    machine.boot(lent=folder)
    # It starts before there is anything to listen to, as USB may be late at a boot.
    machine.run("systemctl", "start", "birdwatchd", seconds=120)
    wait_until(lambda: "garden is away" in machine.shown("StatusText"), "it runs, and says that it is deaf")
    with SoundServer(folder) as server:
        folder.chmod(0o755)
        wait_until(lambda: machine.shown("StatusText") == "listening to garden", "it is heard", seconds=90)
        server.play(tone)
        wait_until(lambda: detections(machine) == 1, "it hears the tone")

        server.kill()
        wait_until(lambda: "garden is away" in machine.shown("StatusText"), "it is deaf and says so")
        away = fed(machine)
        # Longer than the watchdog's time.
        wait_until(lambda: fed(machine) > away + 15, "the watchdog is fed all the same", seconds=60)
        assert machine.shown("NRestarts") == "0"

        server.start()
        folder.chmod(0o755)
        wait_until(lambda: machine.shown("StatusText") == "listening to garden", "it is back", seconds=60)
        server.play(tone)
        wait_until(lambda: detections(machine) == 2, "it hears again")
        assert machine.shown("NRestarts") == "0"
        machine.run("systemctl", "stop", "birdwatchd", seconds=100)
        assert machine.shown("Result") == "success"


def fed(machine: Machine) -> float:
    """When systemd last heard WATCHDOG=1, in monotonic seconds."""
    return int(machine.shown("WatchdogTimestampMonotonic")) / 1e6

"""The scripts that put the service on a machine, run as they are on one: installed, upgraded, gone back, taken off."""

from __future__ import annotations

import re
import shutil
import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from birdwatchd import __version__
from birdwatchd.store.schema import STEPS
from tests.integration.nspawn import Machine, needs_nspawn
from tests.integration.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RATE = 48000
CONFIG = """\
node: wood
sources:
  - name: garden
    kind: recording
    path: /var/lib/birdwatchd/garden.wav
"""
ENVIRONMENT = (
    f"PYTHON=/opt/lent/python/bin/python3.{sys.version_info.minor}",
    "PIP_NO_INDEX=1",
    "PIP_FIND_LINKS=/srv/wheels",
)


class Station:
    """A machine with a clone of birdwatchd, which may become another version."""

    def __init__(self, machine: Machine, tiny_bundle: Path) -> None:
        self.machine = machine
        self.clone = machine.clone()
        state = machine.root / "var/lib/birdwatchd"
        (state / "models").mkdir(parents=True)
        shutil.copy(tiny_bundle, state / "models/birdnet.pt")  # so that none is built
        tone = 0.3 * np.sin(2 * np.pi * 4000 * np.arange(900 * RATE) / RATE)
        soundfile.write(state / "garden.wav", tone, RATE)
        config = machine.root / "etc/birdwatchd/config.yaml"
        config.parent.mkdir()
        config.write_text(CONFIG)
        machine.boot()

    def script(self, *words: str, status: int = 0) -> str:
        """Run one of the scripts in the clone; what it says."""
        line = f"/srv/birdwatchd/systemd/{' '.join(words)} 2>&1; echo $?"
        said, _, code = (
            self.machine.run("env", *ENVIRONMENT, "sh", "-c", line, seconds=400).strip().rpartition("\n")
        )
        assert code == str(status), said + self.machine.run(
            "sh", "-c", "tail -n 30 /opt/birdwatchd/install.log"
        )
        return said

    def become(self, version: str, *, breaks: bool = False) -> None:
        """The clone is another version, with another form of the database; perhaps one that does not come up."""
        self._edit("birdwatchd/__init__.py", r'__version__ = ".*"', f'__version__ = "{version}"')
        step = f'("CREATE TABLE v{version.replace(".", "_")} (x TEXT) STRICT",)'
        self._edit("birdwatchd/store/schema.py", r"(STEPS[^=]*= \((?s:.*?))\n\)\n", rf"\1\n    {step},\n)\n")
        if breaks:
            self._edit(
                "birdwatchd/service/supervision.py",
                r"\n    if \"NOTIFY",
                '\n    raise RuntimeError("it breaks")\\g<0>',
            )

    def _edit(self, name: str, pattern: str, new: str) -> None:
        path = self.clone / name
        text, count = re.subn(pattern, new, path.read_text(), count=1)
        assert count == 1, name
        path.write_text(text)

    @property
    def version(self) -> str:
        return self.machine.run("/usr/local/bin/birdwatchd", "--version").split()[-1]

    @property
    def folders(self) -> set[str]:
        """The versions that are there, without their digests."""
        return {
            name.rpartition("-")[0] for name in self.machine.run("ls", "/opt/birdwatchd/versions").split()
        }

    @property
    def form(self) -> int:
        return int(self.ask("PRAGMA user_version")[0])

    @property
    def runs(self) -> list[str]:
        return self.ask("SELECT version FROM runs ORDER BY started_utc")

    def ask(self, query: str) -> list[Any]:
        with closing(
            sqlite3.connect(self.machine.root / "var/lib/birdwatchd/birdwatchd.sqlite")
        ) as connection:
            return [row[0] for row in connection.execute(query)]

    def listens(self) -> str:
        """Its process, once it listens."""
        assert self.machine.shown("ActiveState") == "active", self.machine.log()
        return self.machine.shown("MainPID")


@pytest.fixture
def station(tmp_path: Path, tiny_bundle: Path) -> Iterator[Station]:
    folder = tmp_path / "machine"
    folder.mkdir()
    with Machine(folder) as machine:
        yield Station(machine, tiny_bundle)


@needs_nspawn
@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_station_is_installed_upgraded_brought_back_and_taken_off(station: Station) -> None:
    station.script("install")
    first = station.listens()
    assert (station.version, station.form, station.runs) == (__version__, len(STEPS), [__version__])
    station.script("upgrade", "--back", status=2)  # there is nothing yet to go back to
    said = station.script("install")
    assert station.listens() == first, "what did not change is not started again"
    assert "/etc/systemd/system" not in said

    station.become("1.1.0")
    station.script("install")  # goes on as `upgrade`
    second = station.listens()
    assert (station.version, station.form, station.runs) == ("1.1.0", len(STEPS) + 1, [__version__, "1.1.0"])
    assert station.folders == {__version__, "1.1.0"}
    assert "runs already" in station.script("upgrade")
    assert station.listens() == second

    # One that does not come up, after it has changed the database.
    station.become("1.2.0", breaks=True)
    said = station.script("upgrade", "--watch", "2", status=1)
    assert "it breaks" in said
    station.listens()
    assert (station.version, station.form, station.runs) == (
        "1.1.0",
        len(STEPS) + 1,
        [__version__, "1.1.0", "1.1.0"],
    )
    # What the broken one wrote is beside it, whole.
    (aside,) = (station.machine.root / "var/lib/birdwatchd/upgrade").glob("since-1.1.0-*.sqlite")
    with closing(sqlite3.connect(aside)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert ("1.2.0",) in connection.execute("SELECT version FROM runs").fetchall()

    # One that does not take the config stops nothing.
    wrong = CONFIG.replace("kind: recording", "kind: recordin")
    config = station.machine.root / "etc/birdwatchd/config.yaml"
    config.write_text(wrong)
    third = station.listens()
    assert "config.yaml:4: sources[0].kind" in station.script("upgrade", status=2)
    assert station.listens() == third, "nothing was touched"
    config.write_text(CONFIG)

    station.script("upgrade", "--back", "--watch", "2")
    station.listens()
    assert (station.version, station.form) == (__version__, len(STEPS))
    assert station.runs == [__version__, __version__]
    station.script("upgrade", "--back", "--watch", "2")  # and forth again
    assert (station.version, station.form) == ("1.1.0", len(STEPS) + 1)

    station.script("uninstall")
    assert (
        station.machine.run("sh", "-c", "ls -d /opt/birdwatchd /usr/local/bin/birdwatchd", check=False) == ""
    )
    assert station.machine.run("systemctl", "is-active", "birdwatchd", check=False).strip() == "inactive"
    assert station.runs[0] == __version__  # what was heard stays


@needs_nspawn
@pytest.mark.long
def test_whoever_ends_an_upgrade_in_the_middle_leaves_something_that_listens(station: Station) -> None:
    machine = station.machine
    station.script("install")
    here = machine.run("readlink", "/opt/birdwatchd/venv").strip().split("/")[1]
    # The same again as another version: it is only to be waited for.
    machine.run("cp", "-R", f"/opt/birdwatchd/versions/{here}", "/opt/birdwatchd/versions/other")
    machine.run("ln", "-s", "versions/other", "/opt/birdwatchd/previous")
    words = ["env", *ENVIRONMENT, "/srv/birdwatchd/systemd/upgrade", "--back", "--watch", "300"]
    machine.run("systemd-run", "--unit=upgrading", *words)
    wait_until(
        lambda: "starting other" in machine.run("journalctl", "-u", "upgrading"), "it begins", seconds=60
    )
    wait_until(lambda: machine.shown("ActiveState") == "active", "it looks at the new one", seconds=60)
    machine.run("systemctl", "stop", "upgrading", seconds=150)
    said = machine.run("journalctl", "-o", "cat", "-u", "upgrading")
    assert f"{here} runs again, as before" in said
    station.listens()
    assert machine.run("readlink", "/opt/birdwatchd/venv").strip() == f"versions/{here}/venv"

"""The config is changed under a daemon that runs: what is told to change changes, everything else runs on."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pytest
import soundfile
import yaml

from birdwatchd.domain import Label
from tests import tiny
from tests.integration import mosquitto
from tests.integration.mosquitto import PASSWORD, USER, Mosquitto
from tests.integration.soundserver import SoundServer, needs_sound_server
from tests.integration.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

RATE = 48000
Settings = dict[str, Any]
DECIDING: Settings = {"max_detection_seconds": 200}
"""A sound is one detection for as long as it lasts, also where the machine needs minutes for a test."""


def tone(hertz: float, seconds: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    return 0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


class Daemon:
    """`birdwatchd run` with a config that can be changed. A context manager: it ends the daemon, and well."""

    def __init__(self, folder: Path, settings: Settings, environment: dict[str, str] | None = None) -> None:
        self.config, self.database = folder / "config.yaml", folder / "birds.sqlite"
        self.settings: Settings = {**settings, "store": {"database": str(self.database)}}
        self._environment = environment or dict(os.environ)
        self._lines: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self.write()
        words = [sys.executable, "-m", "birdwatchd", "run", "-c", str(self.config)]
        self._process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=self._environment)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.wait_for("listening")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            status = self._process.wait(120)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            assert self._process.stderr is not None
            self._process.stderr.close()
        if kind is None:
            assert status == 0, self._lines[-20:]

    def write(self) -> None:
        self.config.write_text(yaml.safe_dump(self.settings, sort_keys=False))

    def reload(self, **changed: Any) -> None:
        """Write the settings with these changed, and have them taken."""
        self.settings |= changed
        self.write()
        self.hang_up("reloaded")

    def hang_up(self, event: str) -> None:
        before = len(self.said(event))
        self._process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(self.said(event)) > before, f"{event}: {self._lines[-20:]}")

    def said(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """The lines of the log with that event and these fields."""
        return [
            line for line in list(self._lines) if line["event"] == event and fields.items() <= line.items()
        ]

    def wait_for(self, event: str, **fields: Any) -> dict[str, Any]:
        wait_until(lambda: self.said(event, **fields), f"{event} {fields}: {self._lines[-20:]}")
        return self.said(event, **fields)[0]

    def rows(self, query: str, *parameters: str) -> list[Any]:
        with closing(sqlite3.connect(self.database)) as connection:
            return connection.execute(query, parameters).fetchall()

    def ledger(self, source: str) -> dict[tuple[str, str], float]:
        """Seconds by kind and cause."""
        rows = self.rows(
            "SELECT kind, cause, sum(seconds) FROM ledger WHERE source = ? GROUP BY kind, cause", source
        )
        return {(kind, cause): seconds for kind, cause, seconds in rows if abs(seconds) > 1e-6}

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._lines.append(json.loads(line) if line.startswith("{") else {"event": line.strip()})


@pytest.fixture
def high(tmp_path: Path) -> Settings:
    """A source that hears the high tone for minutes."""
    soundfile.write(tmp_path / "high.wav", tone(4000, 200), RATE)
    return {"name": "garden", "kind": "recording", "path": str(tmp_path / "high.wav")}


@pytest.fixture
def low(tmp_path: Path) -> Settings:
    soundfile.write(tmp_path / "low.wav", tone(1000, 200), RATE)
    return {"name": "pond", "kind": "recording", "path": str(tmp_path / "low.wav")}


def settings_for(bundle: Path, *sources: Settings) -> Settings:
    return {
        "node": "wood",
        "window_seconds": 3,  # a detection is there after three seconds
        "deciding": dict(DECIDING),
        "model": {"bundle": str(bundle)},
        "sources": list(sources),
    }


def test_sources_rules_and_actions_come_and_go_while_the_rest_runs_on(
    tmp_path: Path, tiny_bundle: Path, high: Settings, low: Settings
) -> None:
    loud = {"name": "loud", "kind": "log", "level": "warning"}
    deaf = {"name": "deaf", "kind": "log", "when": {"sources": ["garden"]}}
    with Daemon(tmp_path, settings_for(tiny_bundle, high)) as daemon:
        daemon.wait_for("detection", source="garden")

        daemon.reload(sources=[high, low], actions=[loud, deaf], log={"level": "debug"})
        assert daemon.said("reloading")[-1]["changed"] == [
            "sources.pond (new)",
            "actions.loud (new)",
            "actions.deaf (new)",
            "log.level",
        ]
        daemon.wait_for("acted", action="loud", source="pond")
        daemon.wait_for("action keeps still", level="debug", action="deaf")

        daemon.reload(deciding={**DECIDING, "exclude": ["Low Tone"]}, log={"level": "info"}, actions=[])
        daemon.wait_for("detection ended", source="pond")
        daemon.reload(sources=[high])
        assert daemon.said("reloading")[-1]["changed"] == ["sources.pond (gone)"]
        assert daemon.said("reloaded")[-1]["sources"] == ["garden"]

        daemon.reload()
        assert daemon.said("reloading")[-1]["changed"] == []

    (garden, pond) = daemon.rows(
        "SELECT source, start_sample, end_sample, state FROM detections ORDER BY source"
    )
    # One call from the first sample to the last, through five reloads.
    assert (garden[1], garden[3]) == (0, "ended")
    assert pond[3] == "ended"
    ledger = daemon.ledger("garden")
    assert ledger.keys() <= {("expected", ""), ("captured", ""), ("analysed", ""), ("skipped", "remainder")}
    assert ledger["captured", ""] == pytest.approx(ledger["expected", ""])
    assert garden[2] / RATE == pytest.approx(ledger["analysed", ""], abs=0.01)
    assert daemon.rows("SELECT DISTINCT action, status FROM deliveries") == [("loud", "done")]


def test_a_wrong_file_is_refused_whole_and_every_mistake_has_its_line(
    tmp_path: Path, tiny_bundle: Path, high: Settings, low: Settings
) -> None:
    with Daemon(tmp_path, settings_for(tiny_bundle, high)) as daemon:
        good = dict(daemon.settings)
        for wrong, mistakes in (
            ({"sources": [high, low], "deciding": {"treshold": 0.5, "min_hits": "many"}}, 2),
            # Right in itself, but not with this model.
            ({"deciding": {"exclude": ["Dodo"], "min_hits": 4}}, 2),
            ({"model": {"bundle": str(tmp_path / "nowhere.pt")}}, 1),
        ):
            daemon.settings = {**good, **wrong}
            daemon.write()
            daemon.hang_up("config not taken, the old one stays")
            told = daemon.said("config not taken, the old one stays")[-1]["mistakes"]
            assert sum(str(tmp_path) in line for line in told) >= mistakes, told
            if mistakes > 1:
                assert sum(line.startswith(f"{daemon.config}:") for line in told) == mistakes
        daemon.config.write_text("sources: [")
        for _ in range(2):  # each time, also within the minute in which the log counts what comes again
            daemon.hang_up("config not taken, the old one stays")
        assert not daemon.said("reloaded")
        daemon.settings = good
        daemon.reload(deciding={**DECIDING, "threshold": 0.6})
        assert daemon.said("reloading")[-1]["changed"] == ["deciding.threshold"]
        daemon.wait_for("detection", source="garden")


def test_what_takes_a_restart_is_said_and_the_rest_is_done(
    tmp_path: Path, tiny_bundle: Path, high: Settings
) -> None:
    with Daemon(tmp_path, settings_for(tiny_bundle, high)) as daemon:
        elsewhere = {"database": str(tmp_path / "other.sqlite"), "trace_days": 3}
        daemon.reload(node="forest", store=elsewhere, window_seconds=4.5)
        assert daemon.said("these take a restart")[-1]["settings"] == ["node", "store.database"]
        assert daemon.said("reloading")[-1]["changed"] == ["window_seconds", "store.trace_days"]
        daemon.wait_for("detection", source="garden")
        daemon.hang_up("reloaded")  # it is said each time
        assert len(daemon.said("these take a restart")) == 2
    assert not (tmp_path / "other.sqlite").exists()
    assert daemon.rows("SELECT DISTINCT site FROM detections") == [("wood",)]


def test_another_model_takes_over_and_each_detection_says_which_it_was(
    tmp_path: Path, tiny_bundle: Path, high: Settings
) -> None:
    card = replace(
        tiny.CARD,
        name="other",
        labels=(Label(0, "Testus novus", "New Tone"), *tiny.LABELS[1:]),
        input_seconds=2.0,
    )
    other = tiny.build_tiny_bundle(tmp_path / "other.pt", card=card, extra_files={})
    with Daemon(tmp_path, settings_for(tiny_bundle, high)) as daemon:
        daemon.wait_for("detection", species="High Tone")
        daemon.reload(model={"bundle": str(other)})
        assert daemon.said("reloaded")[-1]["model"] == "other-1"
        daemon.wait_for("detection ended", species="High Tone")
        daemon.wait_for("detection", species="New Tone")
        # The file is exchanged for another, its name stays.
        tiny.build_tiny_bundle(
            tmp_path / "other.new", card=replace(card, version="2"), extra_files={}
        ).replace(other)
        daemon.reload()
        assert daemon.said("reloading")[-1]["changed"] == ["model.bundle (another file)"]
        wait_until(lambda: len(daemon.said("detection", species="New Tone")) == 2, "the second version hears")
    assert daemon.rows("SELECT common_name, model FROM detections ORDER BY start_sample") == [
        ("High Tone", "tiny-1"),
        ("New Tone", "other-1"),
        ("New Tone", "other-2"),
    ]
    starts = daemon.rows("SELECT start_sample, end_sample FROM detections ORDER BY start_sample")
    # No second lies between two models.
    assert all(next_start <= end for (_, end), (next_start, _) in pairwise(starts))
    ledger = daemon.ledger("garden")
    assert ledger["captured", ""] == pytest.approx(ledger["expected", ""])
    assert ledger["captured", ""] == pytest.approx(
        ledger["analysed", ""] + ledger.get(("skipped", "remainder"), 0), abs=0.01
    )


def test_a_source_that_changes_counts_its_samples_on_and_one_that_cannot_stays_as_it_was(
    tmp_path: Path, tiny_bundle: Path, high: Settings, low: Settings
) -> None:
    with Daemon(tmp_path, settings_for(tiny_bundle, high)) as daemon:
        daemon.wait_for("detection", species="High Tone")
        daemon.reload(sources=[{**high, "path": low["path"]}])
        assert daemon.said("reloading")[-1]["changed"] == ["sources.garden.path"]
        daemon.wait_for("detection", species="Low Tone")
        daemon.reload(sources=[{**high, "path": str(tmp_path / "nowhere.wav")}])
        assert daemon.said("source cannot be opened", source="garden")
        assert daemon.said("source goes on as it was", source="garden")
        wait_until(lambda: len(daemon.said("detection", species="Low Tone")) == 2, "it hears on")
        daemon.reload()  # it is tried again
        assert len(daemon.said("source goes on as it was")) == 2
        # Its place is another thing than its sound.
        daemon.reload(sources=[{**high, "path": low["path"], "site": "shore"}])
        assert daemon.said("reloading")[-1]["changed"] == ["sources.garden.site"]
        opened_before = len(daemon.said("source goes on as it was"))
    assert opened_before == 2
    found = daemon.rows("SELECT start_sample, end_sample FROM detections ORDER BY rowid")
    assert all(end <= start for (_, end), (start, _) in pairwise(found))


@needs_sound_server
@pytest.mark.long
def test_a_microphone_that_did_not_change_loses_no_sample(tmp_path: Path, tiny_bundle: Path) -> None:
    soundfile.write(tmp_path / "tone.wav", tone(4000, 40), RATE)
    garden = {"name": "garden", "kind": "microphone"}
    folder = tmp_path / "sound"
    folder.mkdir()
    with SoundServer(folder) as server:
        environment = {**server.environment, "HOME": os.environ["HOME"]}
        with Daemon(tmp_path, settings_for(tiny_bundle, garden), environment) as daemon:
            playing = threading.Thread(target=lambda: server.play(tmp_path / "tone.wav"))
            playing.start()
            daemon.wait_for("detection", source="garden")
            daemon.reload(deciding={"max_detection_seconds": 300})  # a longer memory, too
            daemon.reload(sources=[garden, {**garden, "name": "second"}])
            daemon.reload(sources=[garden], language="de")
            playing.join()
            daemon.wait_for("detection ended", source="garden")
    (found,) = daemon.rows("SELECT start_sample, end_sample FROM detections WHERE source = 'garden'")
    # The tone as a whole, as long as it was played: nothing was cut out and nothing joined.
    assert 39 <= (found[1] - found[0]) / RATE <= 46
    ledger = daemon.ledger("garden")
    assert not [cause for kind, cause in ledger if kind in {"lost", "off"}]
    assert ledger["captured", ""] == pytest.approx(ledger["expected", ""])


@pytest.mark.skipif(bool(mosquitto.missing()), reason=mosquitto.missing())
def test_home_assistant_forgets_a_source_that_is_gone(
    tmp_path: Path, tiny_bundle: Path, high: Settings, low: Settings
) -> None:
    (tmp_path / "broker").mkdir()
    with Mosquitto(tmp_path / "broker") as broker, broker.subscriber("#") as heard:
        mqtt = {
            "name": "home",
            "kind": "mqtt",
            "host": "localhost",
            "port": broker.port,
            "username": USER,
            "password": PASSWORD,
        }
        settings = settings_for(tiny_bundle, high, low) | {"actions": [mqtt]}
        with Daemon(tmp_path, settings) as daemon:
            pond = "homeassistant/sensor/wood/pond_species/config"
            (announced,) = heard.wait_for(pond)
            assert announced.payload
            daemon.reload(sources=[high])
            assert heard.wait_for(pond, 2)[-1].payload == ""
            # The other source's sensors stay; the action did not change, and its connection is the same.
            assert heard.heard("homeassistant/sensor/wood/garden_species/config")[-1].payload
            assert [one.payload for one in heard.heard("birdwatchd/wood/status")] == ["online"]


def test_closing_its_terminal_ends_it_in_order(tmp_path: Path, tiny_bundle: Path, high: Settings) -> None:
    """That is a SIGHUP, too; nobody would ever see or stop it again."""
    database, config = tmp_path / "birds.sqlite", tmp_path / "config.yaml"
    config.write_text(
        yaml.safe_dump(settings_for(tiny_bundle, high) | {"store": {"database": str(database)}})
    )
    child, terminal = pty.fork()
    if child == 0:
        words = [sys.executable, "-m", "birdwatchd", "run", "-c", str(config)]
        os.execv(sys.executable, words)  # noqa: S606 - a terminal of its own is what it takes
    said = b""
    while b"High Tone" not in said:
        said += os.read(terminal, 4096)
    os.close(terminal)
    status: list[int] = []

    def has_ended() -> bool:
        process, found = os.waitpid(child, os.WNOHANG)
        status.append(found)
        return process == child

    wait_until(has_ended, "it ends")
    assert os.waitstatus_to_exitcode(status[-1]) == 0
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM runs WHERE ended_utc IS NULL").fetchone() == (0,)
        assert connection.execute("SELECT DISTINCT state FROM detections").fetchall() == [("ended",)]

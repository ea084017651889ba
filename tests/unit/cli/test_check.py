"""`birdwatchd check`, as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from birdwatchd.domain import Label
from birdwatchd.model.bundle import Card, card_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Check = Callable[..., subprocess.CompletedProcess[str]]
MICROPHONE = "sources: [{kind: microphone, name: a}]\n"
CARD = Card(
    name="tiny",
    version="1",
    labels=(Label(0, "Parus major", "Great Tit"), Label(1, "Human vocal", "Human vocal")),
    sample_rate=48000,
    input_seconds=3.0,
    thresholds={"Parus major": 0.9},
    licence="MIT",
)


def write_card(path: Path) -> None:
    """What `check` reads of a bundle, and nothing that torch could load."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny/code/forward.py", "")
        archive.writestr("tiny/extra/card.json", card_json(CARD))


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Runs it in a folder that is also the user's home, after writing `config.yaml` there."""

    def check(text: str | None, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        if text is not None:
            (tmp_path / "config.yaml").write_text(text)
            (tmp_path / "config.yaml").chmod(0o600)
        homes = {
            "HOME": str(tmp_path),
            "XDG_CONFIG_HOME": str(tmp_path),
            "XDG_DATA_HOME": str(tmp_path / "data"),
        }
        return subprocess.run(
            [sys.executable, "-m", "birdwatchd", "check", *arguments],
            cwd=tmp_path,
            env=os.environ | homes | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return check


def test_a_right_config_is_summarised(check: Check, tmp_path: Path) -> None:
    write_card(tmp_path / "data" / "birdwatchd" / "models" / "birdnet.pt")
    text = """
sources:
- {kind: microphone, name: garden, device: USB, site: shed}
- {kind: stream, name: pond, url: "rtsp://me:${WORD}@camera/1"}
- {kind: stream, name: open, url: "rtsp://me:plain@camera/1"}
- {kind: recording, name: dawn, path: config.yaml}
location: {latitude: 52.5, longitude: 13.4}
deciding: {threshold: 0.8, thresholds: {Great Tit: 0.9}, voice: {mode: off}, species_range: {enabled: false}}
store: {database: birds.sqlite}
"""
    done = check(text, WORD="hunter2")
    assert done.stderr == ""
    assert (
        done.stdout
        == f"""\
config.yaml is right

  station    birdwatchd
  sources    garden: microphone USB at shed
             pond: stream rtsp://***@camera/1
             open: stream rtsp://***@camera/1
             dawn: recording {tmp_path}/config.yaml
  model      tiny 1: 2 labels, 3 s at 48000 Hz (MIT)
  windows    6 s, one every 1.5 s
  threshold  0.8 in 2 segments, 1 species with their own, 1 from the model's card
  range      off
  voices     kept
  database   {tmp_path}/birds.sqlite (will be made)
"""
    )
    assert done.returncode == 0


def test_what_is_not_wrong_but_worth_knowing_is_a_warning(check: Check, tmp_path: Path) -> None:
    (tmp_path / "birds").mkdir()
    (tmp_path / "clips").touch()
    done = check(
        "sources: [{kind: recording, name: a, path: absent.wav}]\n"
        "store: {database: birds, clips_folder: clips}\n"
    )
    warnings = [line.strip() for line in done.stdout.splitlines() if "warning" in line]
    assert warnings == [
        (
            f"warning: no model named 'birdnet' in {tmp_path}/data/birdwatchd/models; "
            "make it with `birdwatchd model build birdnet`"
        ),
        "warning: no location: species from all over the world may be reported; give latitude and longitude",
        f"warning: a: there is no {tmp_path}/absent.wav now",
        (
            f"warning: store.database: {tmp_path}/birds is a folder; name the file in it, such as "
            f"{tmp_path}/birds/birds.sqlite"
        ),
        f"warning: store.clips_folder: {tmp_path}/clips is no folder; name one",
    ]
    assert "model      birdnet, not there yet" in done.stdout
    assert "range      off, as there is no location" in done.stdout
    assert done.returncode == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_database_that_may_not_be_written_is_a_warning(check: Check, tmp_path: Path) -> None:
    (tmp_path / "birds.sqlite").touch(mode=0o444)
    done = check(MICROPHONE + "store: {database: birds.sqlite}\n")
    assert f"warning: {tmp_path}/birds.sqlite cannot be written by this user; change " in done.stdout


def test_a_location_needs_a_model_that_knows_where_birds_live(check: Check, tmp_path: Path) -> None:
    write_card(tmp_path / "data" / "birdwatchd" / "models" / "birdnet.pt")
    done = check(MICROPHONE + "location: {latitude: 52.5, longitude: 13.4}\n")
    assert "range      occurrence of 0.03 or more at 52.5° N, 13.4° E\n" in done.stdout
    assert "warning: the model tiny has no species range: all its species may be reported" in done.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MICROPHONE + "nod: a\n", "config.yaml:2: nod: unknown setting; did you mean node?"),
        (
            MICROPHONE + "deciding: {min_hits: 4}\n",
            (
                "config.yaml:2: deciding.min_hits: 4 can never be reached, as a window of 6 s holds 3 segments of 3 s "
                "(one every 1.5 s); write at most 3"
            ),
        ),
        (
            MICROPHONE + "deciding: {only: [Great Tut]}\n",
            "config.yaml:2: deciding.only[0]: the model knows no such species; did you mean Great Tit?",
        ),
    ],
)
def test_a_mistake_is_one_line_and_status_2(text: str, said: str, check: Check, tmp_path: Path) -> None:
    write_card(tmp_path / "data" / "birdwatchd" / "models" / "birdnet.pt")
    done = check(text)
    assert (done.stdout, done.stderr, done.returncode) == ("", f"birdwatchd: {said}\n", 2)


def test_a_model_that_was_named_and_is_not_there_is_a_mistake(check: Check, tmp_path: Path) -> None:
    done = check(MICROPHONE + "model:\n  bundle: own.pt\n")
    assert done.stderr.startswith(
        f"birdwatchd: config.yaml:3: model.bundle: no model bundle at {tmp_path}/own.pt; "
    )
    assert done.returncode == 2


def test_a_model_that_is_no_bundle_is_a_mistake(check: Check, tmp_path: Path) -> None:
    (tmp_path / "own.pt").write_text("text")
    done = check(MICROPHONE + "model: {bundle: ./own.pt}\n")
    assert done.stderr.startswith(f"birdwatchd: {tmp_path}/own.pt ")
    assert done.stderr.count("\n") == 1
    assert done.returncode == 2


def test_a_config_that_is_nowhere_is_a_mistake(check: Check) -> None:
    done = check(None, "-c", "absent.yaml")
    assert done.stderr == "birdwatchd: absent.yaml: there is no such file; name one with -c\n"
    assert done.returncode == 2


def test_the_schema_and_the_reference_need_no_config(check: Check) -> None:
    from birdwatchd.config.reference import json_schema, reference
    from birdwatchd.dispatch.plugins import schemas

    assert check(None, "--schema").stdout == json_schema(schemas())
    assert check(None, "--reference").stdout == reference()


TOLD = """\
sources:
- {kind: microphone, name: a}
- {kind: stream, name: b, url: "http://me:hushhush@cam/x", ffmpeg_options: [-f, mjpeg]}
actions:
- {kind: command, name: lamp, argv: [sh, "${LAMP_KEY}"]}
- {kind: camera, name: eye, mode: ffmpeg, url: "http://cam/?token=hushhush", ffmpeg_options: [-f, mjpeg]}
"""


def test_where_others_can_read_secrets_is_told(check: Check) -> None:
    done = check(TOLD, LAMP_KEY="tell-no-one")
    assert done.returncode == 0
    warned = [line for line in done.stdout.splitlines() if "warning" in line and "`ps`" in line]
    assert [line.split()[1] for line in warned] == ["eye:", "b:", "lamp:"]
    assert "list cannot hold the option -f" in warned[0]
    assert "hushhush" not in done.stdout + done.stderr
    assert "tell-no-one" not in done.stdout + done.stderr


@pytest.mark.parametrize(("mode", "told"), [(0o600, False), (0o640, False), (0o644, True)])
def test_a_config_with_secrets_that_everybody_may_read_is_told(
    check: Check, tmp_path: Path, mode: int, told: bool
) -> None:
    check(f"{MICROPHONE}actions: [{{kind: mqtt, name: m, username: u, password: hushhush}}]")
    (tmp_path / "config.yaml").chmod(mode)
    done = check(None)
    assert ("actions[0].password stands in config.yaml" in done.stdout) is told
    assert "hushhush" not in done.stdout

"""A bundle whose labels are written to do harm, through the whole daemon: they are names, wherever they go."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import soundfile

from birdwatchd.domain import Label
from tests.integration.test_run import BIRDWATCHD, RATE, noise, tone
from tests.tiny import CARD, build_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
node: wood
model: {{bundle: {bundle}}}
deciding: {{include: ["*"]}}
sources:
  - {{name: garden, kind: recording, path: {folder}/garden.wav, speed: fast, start: now}}
actions:
  - {{name: clip, kind: save_clip, before_seconds: 0.5, after_seconds: 0.5}}
  - name: words
    kind: command
    argv: [{python}, {folder}/show.py, "{{species}}", "--name={{scientific}}"]
  - name: shell
    kind: command
    argv: [sh, -c, 'printf "%s\\n" "$BIRDWATCHD_SPECIES" >> "{folder}/shell"']
store: {{database: {folder}/data/birds.sqlite, clips_folder: {folder}/data/clips}}
"""
SHOW = """\
import json, pathlib, sys
with pathlib.Path(sys.argv[0]).with_name("words").open("a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
"""


@pytest.mark.parametrize(
    "names",
    [
        ("$(touch PROOF); `touch PROOF`; \"; touch PROOF; '", "../../../PROOF"),
        ("x'); DROP TABLE detections; -- <b>{species} {0.__class__} %s", "--output=PROOF"),
    ],
)
def test_a_name_is_only_a_name(tmp_path: Path, names: tuple[str, str]) -> None:
    evil = [Label(index, f"{name} altus", name) for index, name in enumerate(names)]
    card = dataclasses.replace(CARD, labels=(*evil, *CARD.labels[2:]), thresholds={})
    bundle = build_tiny_bundle(tmp_path / "evil.pt", card=card, extra_files={})
    sound = noise(30)
    for second, hertz in ((6, 4000), (18, 1000)):
        sound[second * RATE : (second + 3) * RATE] += tone(hertz, 3)
    soundfile.write(tmp_path / "garden.wav", sound, RATE)
    (tmp_path / "show.py").write_text(SHOW)
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(bundle=bundle, folder=tmp_path, python=sys.executable))

    def birdwatchd(*words: str) -> str:
        done = subprocess.run(
            [*BIRDWATCHD, *words, "-c", str(config)],
            cwd=tmp_path,
            env=os.environ | {"HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout

    birdwatchd("run")
    rows = json.loads(birdwatchd("detections", "--json"))
    assert [row["common_name"] for row in rows] == list(names)
    assert list(tmp_path.rglob("PROOF")) == []
    words = [json.loads(line) for line in (tmp_path / "words").read_text().splitlines()]
    assert words == [[name.lstrip("-"), f"--name={name} altus"] for name in names]
    assert (tmp_path / "shell").read_text().splitlines() == list(names)
    for row in rows:
        clip = (tmp_path / "data/clips" / f"{row['clip_path']}.flac").resolve(strict=True)
        assert clip.is_relative_to(tmp_path / "data/clips")
    cells = csv.DictReader(io.StringIO(birdwatchd("detections", "--csv")))
    assert [one["common_name"] for one in cells] == list(names)
    assert len(json.loads(birdwatchd("detections", "--json", "--species", names[0]))) == 1
    with sqlite3.connect(tmp_path / "data/birds.sqlite") as database:
        assert database.execute("SELECT count(*) FROM detections").fetchone() == (2,)

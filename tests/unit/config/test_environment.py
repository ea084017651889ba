"""Secrets come from around the daemon: variables, and the credentials that systemd gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from birdwatchd.config.environment import around
from birdwatchd.config.load import load
from birdwatchd.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
sources:
  - name: pond
    kind: stream
    url: rtsp://birds:${POND}@pond.lan/live
"""


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "POND").write_text("grey heron\n")
    (folder / "key").write_bytes(b"\xff\xfe\x00")
    return folder


def test_a_credential_is_known_by_its_name_and_a_variable_comes_first(credentials: Path) -> None:
    ours = {"CREDENTIALS_DIRECTORY": str(credentials), "HOME": "/"}
    assert around(ours) == {**ours, "POND": "grey heron"}
    assert around({**ours, "POND": "swan"})["POND"] == "swan"
    assert around({"CREDENTIALS_DIRECTORY": "/nowhere"}) == {"CREDENTIALS_DIRECTORY": "/nowhere"}


def test_any_text_of_the_config_may_hold_one(
    tmp_path: Path, credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    with pytest.raises(ConfigError, match=r"config.yaml:4: sources\[0\].url: the environment variable POND"):
        load(path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    (source,) = load(path).config.sources
    assert source.kind == "stream"
    assert source.url.get_secret_value() == "rtsp://birds:grey heron@pond.lan/live"

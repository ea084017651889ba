from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from birdwatchd.cli.model import model
from birdwatchd.errors import BundleError, UserError
from birdwatchd.model.catalog import models_folder
from tests.tiny import CARD, build_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path) -> Path:
    """A models folder of its own, with the tiny bundle in it, and an empty cache."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    models_folder().mkdir(parents=True)
    shutil.copy(tiny_bundle, models_folder() / "tiny.pt")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(model, arguments, catch_exceptions=False)


def test_info_names_what_a_user_may_want_to_know() -> None:
    lines = dict(line.split(maxsplit=1) for line in run("info", "tiny").stdout.splitlines())
    assert lines["licence"] == "MIT"
    assert lines["labels"] == "3"
    assert lines["languages"] == "de, en"
    assert len(lines["sha256"]) == 64


def test_info_as_json_is_whole() -> None:
    facts = json.loads(run("info", "tiny", "--json").stdout)
    assert facts["sample_rate"] == 48000
    assert facts["segment_seconds"] == 3.0
    assert facts["species_range"] is True
    assert facts["bytes"] == (models_folder() / "tiny.pt").stat().st_size


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("*", 3), ("testus*", 2), ("low", 1), ("TESALT", 1), ("*tone", 2), ("owl", 0)],
)
def test_labels_are_listed_by_any_of_their_names(pattern: str, found: int) -> None:
    assert len(run("info", "tiny", "--labels", pattern).stdout.splitlines()) == found


def test_labels_without_a_pattern_are_all_of_them_in_any_language() -> None:
    lines = run("info", "tiny", "--language", "de", "--labels").stdout.splitlines()
    assert lines[0] == "Testus altus\tHochton\ttesalt"
    assert len(lines) == 3
    assert json.loads(run("info", "tiny", "--json", "--labels", "low").stdout)[0]["code"] == "tesbas"


def test_verify_says_ok() -> None:
    outcome = run("verify", "tiny")
    assert outcome.exit_code == 0
    assert outcome.stdout.startswith("ok: ")
    assert "probe scores as recorded" in outcome.stdout


def test_verify_refuses_a_bundle_that_scores_otherwise_than_when_it_was_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import birdwatchd.model.saving

    monkeypatch.setattr(birdwatchd.model.saving, "best_scores", lambda _: {"noise": {0: 0.5}})
    path = build_tiny_bundle(tmp_path / "moved.pt")
    with pytest.raises(BundleError, match=r"a probe score moved by 0\.49"):
        run("verify", str(path))


def test_list_shows_bundles_and_what_is_wrong_with_them() -> None:
    (models_folder() / "broken.pt").write_text("text")
    rows = {row["bundle"]: row for row in json.loads(run("list", "--json").stdout)}
    assert rows["tiny"]["labels"] == len(CARD.labels)
    assert "is not TorchScript" in rows["broken"]["fault"]
    assert "tiny" in run("list").stdout


def test_an_empty_models_folder_tells_how_to_fill_it() -> None:
    (models_folder() / "tiny.pt").unlink()
    outcome = run("list")
    assert outcome.stdout == ""
    assert "birdwatchd model build birdnet" in outcome.stderr


def test_build_says_whose_the_model_is_before_anything_else() -> None:
    outcome = CliRunner().invoke(model, ["build", "birdnet", "--weights", "/none.whl"])
    assert isinstance(outcome.exception, UserError)
    assert "/none.whl cannot be read" in str(outcome.exception)
    assert "CC BY-NC-SA 4.0" in outcome.stderr
    assert "K. Lisa Yang Center" in outcome.stderr


def test_build_without_the_reader_of_the_weights_tells_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tflite", None)
    with pytest.raises(UserError, match=r"pip install 'birdwatchd\[birdnet\]'"):
        run("build", "birdnet")


def test_help_of_every_command_has_examples() -> None:
    for command in model.commands:
        assert "Examples:" in run(command, "--help").stdout


def test_a_mistake_is_one_sentence_and_status_2(home: Path) -> None:
    outcome = subprocess.run(
        [sys.executable, "-m", "birdwatchd", "model", "verify", str(home / "none.pt")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 2
    assert outcome.stdout == ""
    assert outcome.stderr.startswith(f"birdwatchd: no model bundle at {home / 'none.pt'}")
    assert outcome.stderr.count("\n") == 1

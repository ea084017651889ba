"""Every kind of action with its settings, and a trial of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from click.testing import CliRunner, Result

from birdwatchd.cli.actions import actions
from birdwatchd.dispatch.described import reference
from birdwatchd.dispatch.plugins import Plugins
from birdwatchd.errors import ConfigError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[3]


def ask(*arguments: str) -> Result:
    result = CliRunner().invoke(actions, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


class TestList:
    """What there is."""

    def test_every_kind_is_listed_with_its_own_settings(self) -> None:
        lines = ask("list").stdout.splitlines()
        assert lines[0].split() == ["Kind", "What", "it", "does", "Its", "own", "settings", "From"]
        shown = {line.split()[0] for line in lines[1:] if not line.startswith(" ")}
        assert shown == set(Plugins())

    def test_one_kind_is_shown_whole(self) -> None:
        page = ask("list", "log").stdout
        assert "Its deliveries are ephemeral: worth nothing after 1 minute" in page
        assert "How loud the line is." in page
        assert "when.at_most_per_hour" in page

    def test_json_has_all_of_it(self) -> None:
        rows = {row["kind"]: row for row in json.loads(ask("list", "--json").stdout)}
        assert rows.keys() == set(Plugins())
        (level,) = rows["log"]["settings"]
        assert level == {
            "name": "level",
            "takes": "info or warning",
            "default": "info",
            "is_required": False,
            "meaning": "How loud the line is.",
        }

    def test_every_setting_of_our_own_says_what_it_means(self) -> None:
        for row in json.loads(ask("list", "--json").stdout):
            for setting in row["settings"]:
                assert setting["meaning"], f"{row['kind']}.{setting['name']} has no docstring"

    def test_an_unknown_kind_is_guessed(self) -> None:
        with pytest.raises(UserError, match=r"there is no kind of action called lgo; did you mean log\?"):
            ask("list", "lgo")

    def test_the_page_of_the_documentation_is_up_to_date(self) -> None:
        file = ROOT / "docs" / "actions.md"
        stale = "stale: run `birdwatchd actions list --reference > docs/actions.md`"
        assert file.read_text() == ask("list", "--reference").stdout == reference(Plugins()), stale


@pytest.fixture
def trial(tmp_path: Path, tiny_bundle: Path) -> Iterator[Callable[..., Result]]:
    (tmp_path / "config.yaml").write_text(
        f"""\
node: wood
model: {{bundle: {tiny_bundle}}}
sources: [{{kind: microphone, name: garden}}]
store: {{database: {tmp_path}/db, clips_folder: {tmp_path}/clips}}
actions:
  - {{name: book, kind: log, when: {{species: [Low*]}}}}
  - {{name: shelf, kind: log, on: ended, enabled: no}}
  - {{name: clips, kind: save_clip}}
  - {{name: program, kind: command, argv: ["false"]}}
"""
    )

    def trial(*arguments: str) -> Result:
        return ask("test", "-c", str(tmp_path / "config.yaml"), *arguments)

    yield trial
    structlog.reset_defaults()  # the command has set up the log of its process


class TestTrial:
    """One action is carried out."""

    def test_it_is_really_done(self, trial: Callable[..., Result], tmp_path: Path) -> None:
        said = trial("clips", "--species", "high tone")
        assert said.exit_code == 0
        first, *_, last = said.stdout.splitlines()
        assert first.startswith("clips (save_clip) is told of a High Tone, id test")
        assert last.startswith("done in ")
        assert [path.suffix for path in (tmp_path / "clips" / "test").glob("*.flac")] == [".flac"]
        assert not (tmp_path / "db").exists()

    def test_what_the_rules_would_have_said_is_told(self, trial: Callable[..., Result]) -> None:
        said = trial("book").stdout
        assert "would not have set it off: when.species: Eurasian Blackbird is not among them" in said
        assert "would not" not in trial("book", "--species", "Low Tone").stdout
        assert trial("shelf").stdout.endswith("it is off in the config (enabled: false)\n")

    def test_a_failure_is_told_and_ends_with_1(self, trial: Callable[..., Result]) -> None:
        said = trial("program")
        assert said.exit_code == 1
        assert "failed after " in said.stdout
        assert "it would be tried again later" in said.stdout

    def test_mistakes(self, trial: Callable[..., Result], tmp_path: Path) -> None:
        with pytest.raises(
            UserError, match=r"there is no action called bok in the config; did you mean book\?"
        ):
            trial("bok")
        with pytest.raises(UserError, match=r"the model knows no high tune; did you mean High Tone\?"):
            trial("book", "--species", "high tune")
        (tmp_path / "config.yaml").write_text("sources: [{kind: microphone, name: garden}]")
        with pytest.raises(UserError, match="there is no action called book: the config has none"):
            trial("book")
        with pytest.raises(ConfigError):
            ask("test", "book", "-c", str(tmp_path / "nowhere.yaml"))

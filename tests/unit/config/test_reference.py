"""What is generated from the schema is up to date, and the config that people begin with is right."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from birdwatchd.config.load import load
from birdwatchd.config.reference import json_schema, reference
from birdwatchd.config.schema import Config
from birdwatchd.dispatch.plugins import Plugins, schemas

ROOT = Path(__file__).parents[3]
KINDS = {kind: settings for kind, settings in schemas().items() if Plugins().is_built_in(kind)}


@pytest.mark.parametrize(
    ("file", "generated", "option"),
    [
        ("birdwatchd/config/schema.json", json_schema(KINDS), "schema"),
        ("docs/config.md", reference(), "reference"),
    ],
)
def test_the_generated_files_are_up_to_date(file: str, generated: str, option: str) -> None:
    assert (ROOT / file).read_text() == generated, f"stale: run `birdwatchd check --{option} > {file}`"


def test_every_setting_says_what_it_means() -> None:
    schema = json.loads(json_schema(KINDS))
    for section in (schema, *schema["$defs"].values()):
        for name, setting in section["properties"].items():
            assert setting.get("description"), f"{section['title']}.{name} has no docstring"


def test_limits_reach_the_schema() -> None:
    deciding = json.loads(json_schema(KINDS))["$defs"]["Deciding"]["properties"]
    assert (deciding["hysteresis"]["minimum"], deciding["hysteresis"]["maximum"]) == (0, 1)
    assert deciding["threshold"]["exclusiveMinimum"] == 0


def test_each_kind_of_action_has_its_own_settings_in_the_schema() -> None:
    schema = json.loads(json_schema(KINDS))
    offered = [one["$ref"].rpartition("/")[2] for one in schema["properties"]["actions"]["items"]["oneOf"]]
    log = schema["$defs"][next(one for one in offered if one.endswith("log"))]["properties"]
    assert len(offered) == len(KINDS)
    assert log["kind"]["const"] == "log"
    assert log["level"]["enum"] == ["info", "warning"]
    assert {"when", "cooldown_seconds"} <= log.keys()


def test_every_section_is_documented() -> None:
    page = reference()
    for heading in ("`location`", "`deciding.voice`", "`sources`: `kind: stream`", "`actions.when`", "`log`"):
        assert f"\n## {heading}\n" in page
    for name in Config.model_fields:
        assert f"`{name}`" in page


class TestDefaultConfig:
    text = (ROOT / "config.yaml").read_text()

    def test_it_is_valid_and_changes_no_default(self) -> None:
        config = load(ROOT / "config.yaml", {}).config
        assert config == Config(sources=config.sources)
        assert [source.kind for source in config.sources] == ["microphone"]

    def test_what_is_commented_out_is_valid_too(self, tmp_path: Path) -> None:
        setting = re.compile(r"^(\s*)# (?=\s*(- )?[a-z_]+:(\s|$)|\s{2,}\S.*:)", re.MULTILINE)
        text = setting.sub(r"\1", self.text)
        assert len(setting.findall(self.text)) > 20
        (tmp_path / "config.yaml").write_text(text)
        passwords = {"POND_PASSWORD": "x", "MQTT_PASSWORD": "y"}
        config = load(tmp_path / "config.yaml", passwords, schemas()).config
        assert [source.kind for source in config.sources] == ["microphone", "stream", "recording"]
        assert set(config.model_fields_set) >= {"location", "language", "model", "deciding", "store", "log"}
        assert {action.name: action.kind for action in config.actions} == {
            "keep": "save_clip",
            "tell-home": "mqtt",
            "phone": "notify",
            "photo": "camera",
            "feeder": "command",
            "server": "webhook",
        }

    def test_editors_are_told_of_the_schema(self) -> None:
        named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", self.text)
        assert named is not None
        assert (ROOT / named[1]).is_file()

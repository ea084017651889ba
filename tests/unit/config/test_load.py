"""What comes out of a file: a Config, with all that stands in it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from birdwatchd.config.load import Loaded, find_config, load
from birdwatchd.config.schema import MicrophoneSource, RecordingSource, StreamSource
from birdwatchd.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable


MICROPHONE = "sources: [{kind: microphone, name: a}]\n"


def test_the_smallest_config_has_all_defaults(read: Callable[..., Loaded]) -> None:
    loaded = read(MICROPHONE)
    assert loaded.config.sources == (MicrophoneSource(kind="microphone", name="a"),)
    assert loaded.config.deciding.threshold == 0.7
    assert loaded.path == Path("config.yaml")


def test_a_section_whose_lines_are_all_comments_has_its_defaults(read: Callable[..., Loaded]) -> None:
    config = read(MICROPHONE + "deciding:\n  # threshold: 0.5\nlocation:\nmodel:\n  device:\n").config
    assert (config.deciding.threshold, config.location, config.model.device) == (0.7, None, "auto")


class TestEnvironment:
    def test_variables_are_replaced_in_texts(self, read: Callable[..., Loaded]) -> None:
        text = """
node: ${NODE:-shed}
deciding: {threshold: "${LEVEL}"}
sources: [{kind: stream, name: a, url: "rtsp://me:${WORD}@camera/$$1${EMPTY:-x}"}]
"""
        config = read(text, WORD="p$$w", EMPTY="", LEVEL="0.8").config
        assert config.node == "shed"
        assert config.deciding.threshold == 0.8
        assert isinstance(config.sources[0], StreamSource)
        assert config.sources[0].url.get_secret_value() == "rtsp://me:p$$w@camera/$1x"

    def test_what_is_replaced_is_not_read_as_yaml(self, read: Callable[..., Loaded]) -> None:
        config = read("sources: [{kind: microphone, name: a, site: '${SITE}'}]", SITE="no: [").config
        assert config.sources[0].site == "no: ["

    def test_what_is_wrong_is_shown_as_it_stands_and_never_what_it_holds(
        self, refusal: Callable[..., str]
    ) -> None:
        text = """
node: ${HIDDEN}
log: {level: "${HIDDEN}"}
location: {latitude: "${HIDDEN}", longitude: 1, timezone: "${HIDDEN}"}
deciding: {thresholds: {a: "${HIDDEN}"}, include: ["${HIDDEN}"]}
model: {bundle: "~${HIDDEN}"}
sources:
- {kind: "${HIDDEN}", name: a}
- {kind: recording, name: "${HIDDEN}", path: "~${HIDDEN}", start: "${HIDDEN}"}
- {kind: stream, name: c, url: c, ffmpeg_options: ["-a ${HIDDEN}"], channel: "${HIDDEN}"}
"""
        said = refusal(text, HIDDEN="hunter2 !")
        assert "hunter2" not in said
        assert said.splitlines()[0] == "config.yaml has 12 mistakes:"
        assert 'config.yaml:3: log.level: must be debug, info, warning or error, is "${HIDDEN}"' in said

    @pytest.mark.parametrize("template", ["${1}", "${}", "${A", "${A-b}", "${A B}"])
    def test_what_is_no_variable_is_refused(self, template: str, refusal: Callable[..., str]) -> None:
        said = refusal(f"sources: [{{kind: microphone, name: a, site: '{template}'}}]", A="x")
        assert said == (
            f"config.yaml:1: sources[0].site: {template} is not a variable; "
            "write ${NAME}, or $${ for the characters ${"
        )


def test_paths_count_from_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    path = tmp_path / "station.yaml"
    path.write_text(
        "sources: [{kind: recording, name: a, path: dawn.wav}]\n"
        "store: {database: ~/birds.sqlite}\nmodel: {bundle: models/own.pt}\n"
    )
    config = load(path).config
    assert isinstance(config.sources[0], RecordingSource)
    assert config.sources[0].path == tmp_path / "dawn.wav"
    assert config.store.database == Path("/home/someone/birds.sqlite")
    assert config.model.bundle == str(tmp_path / "models/own.pt")


def test_anchors_and_merge_keys_are_followed(
    read: Callable[..., Loaded], refusal: Callable[..., str]
) -> None:
    text = "sources:\n- &one {kind: microphone, name: a, site: pond}\n- {<<: *one, name: b, site: tree}\n"
    config = read(text).config
    assert [(source.name, source.site) for source in config.sources] == [("a", "pond"), ("b", "tree")]
    assert refusal(
        "sources:\n- &one {kind: microphone, name: a, channel: 0}\n- {<<: [*one], name: b}\n"
    ).splitlines()[1:] == [
        "config.yaml:2: sources[0].channel: must be a whole number between 1 and 64 or mix, is 0",
        "config.yaml:2: sources[1].channel: must be a whole number between 1 and 64 or mix, is 0",
    ]


def test_bare_words_that_yaml_knows_better_still_work_where_they_are_clear(
    read: Callable[..., Loaded],
) -> None:
    text = """
deciding: {voice: {mode: off}, thresholds: {no: 0.5, 7: 0.5}}
sources:
- {kind: recording, name: a, path: b, start: 2024-05-01T05:30:00+02:00}
- {kind: recording, name: b, path: b, start: "2024-05-01T03:30Z"}
"""
    config = read(text).config
    assert config.deciding.voice.mode == "off"
    assert config.deciding.thresholds == {"no": 0.5, "7": 0.5}
    starts = [source.start for source in config.sources if isinstance(source, RecordingSource)]
    assert starts == [datetime(2024, 5, 1, 3, 30, tzinfo=UTC)] * 2


def test_tags_are_not_obeyed(read: Callable[..., Loaded]) -> None:
    assert read("node: !!python/name:os.system shed\n" + MICROPHONE).config.node == "shed"


class TestFindConfig:
    def test_here_comes_before_the_users_own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        own = tmp_path / "own" / "birdwatchd" / "config.yaml"
        own.parent.mkdir(parents=True)
        own.touch()
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
        monkeypatch.chdir(tmp_path)
        assert find_config() == own
        Path("config.yaml").touch()
        assert find_config() == Path("config.yaml")

    def test_none_anywhere_names_the_places(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        monkeypatch.chdir(tmp_path)
        if Path("/etc/birdwatchd/config.yaml").exists():
            pytest.skip("this machine has a config for all its users")
        with pytest.raises(ConfigError) as caught:
            find_config()
        assert str(caught.value) == (
            f"no config: there is none of config.yaml, {tmp_path}/birdwatchd/config.yaml, "
            "/etc/birdwatchd/config.yaml; write one, or name it with -c"
        )


def test_a_home_that_this_user_may_not_enter_has_no_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sudo` keeps root's HOME at times."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "of-root"))
    monkeypatch.chdir(tmp_path)
    is_file = Path.is_file

    def refusing(path: Path) -> bool:
        if "of-root" in path.parts:
            raise PermissionError(13, "Permission denied")
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refusing)
    with pytest.raises(ConfigError, match="no config: there is none of"):
        find_config()

"""Every mistake is told with its line, and what to do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from birdwatchd.config.load import load
from birdwatchd.dispatch.plugins import schemas
from birdwatchd.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable


MICROPHONE = "sources: [{kind: microphone, name: a}]\n"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("deciding: {threshhold: 0.5}", "deciding.threshhold: unknown setting; did you mean threshold?"),
        (
            "log: {colour: red}",
            "log.colour: unknown setting; there are level, format",
        ),
        (
            "threshold: 0.5",
            "threshold: unknown setting here; did you mean deciding.threshold or deciding.voice.threshold?",
        ),
        ("deciding: {threshold: 1.5}", "deciding.threshold: must be above 0 and at most 1, is 1.5"),
        ("deciding: {threshold: 0}", "deciding.threshold: must be above 0 and at most 1, is 0"),
        (
            "deciding: {threshold: 65}",
            "deciding.threshold: must be above 0 and at most 1, is 65; did you mean 0.65?",
        ),
        (
            "deciding: {threshold: 70 %}",
            'deciding.threshold: must be a number above 0 and at most 1, is "70 %"; did you mean 0.7?',
        ),
        (
            "deciding: {threshold: '0,7'}",
            'deciding.threshold: must be a number above 0 and at most 1, is "0,7"; did you mean 0.7?',
        ),
        (
            "location: {latitude: -120.4, longitude: 47.5}",
            "location.latitude: must be between -90 and 90, is -120.4; is it the longitude?",
        ),
        ("deciding: {hysteresis: 1.5}", "deciding.hysteresis: must be between 0 and 1, is 1.5"),
        ("deciding: {hysteresis: .nan}", "deciding.hysteresis: must be a number between 0 and 1, is .nan"),
        ("deciding: {hold_seconds: -1}", "deciding.hold_seconds: must be 0 or more, is -1"),
        ("deciding: {min_hits: 2.5}", "deciding.min_hits: must be a whole number of 1 or more, is 2.5"),
        (
            "deciding: {threshold: high}",
            "deciding.threshold: must be a number above 0 and at most 1, is high",
        ),
        ("deciding: {threshold: yes}", "deciding.threshold: must be a number above 0 and at most 1, is yes"),
        (
            "deciding: {thresholds: {Great Tit: 2}}",
            "deciding.thresholds.Great Tit: must be above 0 and at most 1, is 2",
        ),
        (
            "deciding: {exclude: Parus}",
            "deciding.exclude: must be a list, each item text, is Parus; write [Parus]",
        ),
        (
            "deciding: {exclude: 'rtsp://me:swordfish@cam/1'}",
            'deciding.exclude: must be a list, each item text, is "rtsp://***@cam/1"; put it in [ ]',
        ),
        (
            "deciding: {exclude: {Parus: 1}}",
            "deciding.exclude: must be a list, each item text, is a section of settings; begin each item with `- `",
        ),
        ("deciding: 5", "deciding: must be settings, is 5"),
        ("deciding: [a]", "deciding: must be settings, is a list"),
        ("model: {device: gpu}", "model.device: must be auto, cpu or cuda, is gpu; did you mean cpu?"),
        ("model: {batch_size: 1000}", "model.batch_size: must be between 1 and 256, is 1000"),
        (
            "model: {precision: half, device: cpu}",
            "model.precision: half is for CUDA, and model.device is cpu; write full",
        ),
        (
            "node: no",
            (
                "node: must be at most 64 letters (a to z), digits, `_`, `.` and `-`, the first a letter or digit, "
                'is no, which YAML reads as false; put it in quotes: "no"'
            ),
        ),
        (
            "node: garden shed",
            (
                "node: must be at most 64 letters (a to z), digits, `_`, `.` and `-`, the first a letter or digit, "
                'is "garden shed"'
            ),
        ),
        (
            "deciding: {include: [off]}",
            'deciding.include[0]: must be text, is off, which YAML reads as false; put it in quotes: "off"',
        ),
        (
            "deciding: {include: [5:30]}",
            (
                "deciding.include[0]: must be text, is 5:30, which YAML reads as the number 330; "
                'put it in quotes: "5:30"'
            ),
        ),
        (
            "deciding: {include: [2024-05-01]}",
            (
                "deciding.include[0]: must be text, is 2024-05-01, which YAML reads as a date; "
                'put it in quotes: "2024-05-01"'
            ),
        ),
        (
            "deciding: {include: [2024-15-01]}",
            "deciding.include[0]: 2024-15-01 looks like a date or a number, and is none; put a text in quotes",
        ),
        (
            "location: {latitude: 52}",
            "location.longitude: is missing; it takes a number between -180 and 180",
        ),
        (
            "location: {latitude: 52:30, longitude: 13}",
            "location.latitude: must be between -90 and 90, is 52:30, which YAML reads as the number 3150",
        ),
        (
            "location: {latitude: 52, longitude: 13, timezone: Europe/Berln}",
            (
                "location.timezone: must be the IANA name of a time zone, such as Europe/Berlin, is Europe/Berln; "
                "did you mean Europe/Berlin?"
            ),
        ),
        ("store: {database: ''}", "store.database: must be a path, is empty"),
        (
            "store: {database: ~nobody-of-this-name/a}",
            "store.database: must be a path, is ~nobody-of-this-name/a; there is no user of the name after its ~",
        ),
        (
            "hop_seconds: 7",
            (
                "hop_seconds: windows of 6 s, one every 7 s, would leave sound between them unheard; "
                "hop_seconds may be at most window_seconds"
            ),
        ),
        (
            "window_seconds: 1",
            (
                "window_seconds: windows of 1 s, one every 1.5 s, would leave sound between them unheard; "
                "hop_seconds may be at most window_seconds"
            ),
        ),
        ("{a: b}: c", "a list or mapping stands where a setting's name should"),
        ("log: {<<: 5}", "log: `<<` takes an alias of a mapping, such as `<<: *name`"),
        ('log: {"le\\evel": 5}', "log.le\\x1bvel: unknown setting; did you mean level?"),
    ],
)
def test_a_wrong_setting_is_one_sentence_with_its_line(
    line: str, sentence: str, refusal: Callable[..., str]
) -> None:
    assert refusal(f"{MICROPHONE}# a comment\n{line}\n") == f"config.yaml:3: {sentence}"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("{name: b}", "kind: is missing; it takes microphone, recording or stream"),
        (
            "{kind: mic, name: b}",
            "kind: must be microphone, recording or stream, is mic; did you mean microphone?",
        ),
        ("{kind: radio, name: b}", "kind: must be microphone, recording or stream, is radio"),
        (
            "{kind: microphone}",
            (
                "name: is missing; it takes at most 64 letters (a to z), digits, `_`, `.` and `-`, "
                "the first a letter or digit"
            ),
        ),
        (
            "{kind: microphone, name: b, path: c}",
            "path: unknown setting; there are name, site, listening, kind, device, sample_rate, channel",
        ),
        (
            "{kind: microphone, name: b, channel: 70}",
            "channel: must be a whole number between 1 and 64 or mix, is 70",
        ),
        (
            "{kind: microphone, name: b, device: true}",
            (
                "device: must be a whole number of 0 or more, or text, is true, which YAML reads as true; "
                'put it in quotes: "true"'
            ),
        ),
        ("{kind: microphone, name: A}", "name: sources[0] has this name already; each needs its own"),
        ("{kind: stream, name: b}", "url: is missing; it takes an address"),
        (
            "{kind: stream, name: b, url: u, ffmpeg_options: [-rtsp_transport udp]}",
            (
                'ffmpeg_options[0]: must be one word, is "-rtsp_transport udp"; '
                "write an option and its value as two items of the list"
            ),
        ),
        (
            "{kind: recording, name: b, path: p, start: 2024-05-01 05:30:00}",
            (
                "start: must be auto, now, or a time with its zone, such as 2024-05-01T05:30:00+02:00, "
                'is "2024-05-01 05:30:00"'
            ),
        ),
        (
            "{kind: recording, name: b, path: p, start: 20240501}",
            "start: must be auto, now, or a time with its zone, such as 2024-05-01T05:30:00+02:00, is 20240501",
        ),
    ],
)
def test_a_wrong_source_is_one_sentence_with_its_line(
    source: str, sentence: str, refusal: Callable[..., str]
) -> None:
    text = f"sources:\n- {{kind: microphone, name: a}}\n- {source}\n"
    assert refusal(text).startswith(f"config.yaml:3: sources[1].{sentence}")
    assert "\n" not in refusal(text)


ADDRESS = "an address as Apprise writes them, such as ntfy://my-birds"


@pytest.mark.parametrize(
    ("action", "setting", "sentence"),
    [
        (
            "notify, urls: 'ntfy://me:swordfish@host/birds'",
            "urls",
            f"must be a list, each item {ADDRESS}; put it in [ ]",
        ),
        ("notify, urls: tgram://swordfish/1", "urls", f"must be a list, each item {ADDRESS}; put it in [ ]"),
        ("notify, urls: [[swordfish]]", "urls[0]", f"must be {ADDRESS}, is a list"),
        (
            "webhook, url: 'http://a', headers: 'Authorization: swordfish'",
            "headers",
            "must be a mapping of names, each to text",
        ),
        (
            "mqtt, host: a, username: b, password: 5318008",
            "password",
            "must be text; put it in quotes, as YAML does not read it as text",
        ),
        ("mqtt, host: a, username: b, password: [swordfish]", "password", "must be text, is a list"),
    ],
)
def test_where_a_secret_belongs_nothing_is_shown(
    action: str, setting: str, sentence: str, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"{MICROPHONE}actions:\n- {{name: b, kind: {action}}}\n")
    with pytest.raises(ConfigError) as caught:
        load(config, {}, schemas())
    assert str(caught.value) == f"{config}:3: actions[0].{setting}: {sentence}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty; a config names at least one source"),
        ("# nothing\n---\n", "is empty; a config names at least one source"),
        ("- a\n", ":1: is a list, and should be settings, such as `sources:`"),
        ("\nhello\n", ":2: is a single text, and should be settings, such as `sources:`"),
        ("node: a\n", "sources: is missing; it takes a list, each item settings with `kind:` "),
        ("sources: []\n", ":1: sources: is empty; it takes one or more"),
        ("sources: 5\n", ":1: sources: must be a list, each item settings with `kind:` "),
        (
            "sources:\n-\n",
            ":2: sources[0]: must be settings with `kind:` (microphone, recording or stream), is empty",
        ),
        ("a:\n\tb: c\n", ":2: a tab; YAML is indented with spaces only"),
        ("a: 'b\nc: d\n", ":1: the quote that opens here is not closed"),
        (
            "a: b: c\n",
            ":1: not YAML at column 5: a `: ` too many; put a text that has a colon in quotes, or mend ",
        ),
        ("a:\n  b:0.7\n\n  c: [d]\n", ":2: a space is missing after `b:`"),
        ("a: [*]\n", ":1: not YAML at column 6: put a text that begins with * in quotes"),
        ("a: [1, 2\nb: 3\n", ":2: not YAML at column 2: a list that was opened with [ is not closed"),
        ("a: @b\n", ":1: not YAML at column 4: a text must not begin with this character; put it in quotes"),
        (
            "a: *b\n",
            ":1: not YAML at column 4: this * names nothing; put a text that begins with * in quotes",
        ),
        ("a: 1\n---\nb: 2\n", ":2: not YAML at column 1: a second `---`; a config is one document"),
        ("a: b\x07\n", ":1: control character 0x07; remove it"),
        ("a: b\nc: é\n".encode("latin-1"), ":2: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        ("[" * 100_000, ":1: is nested too deeply"),
        ("{a: " * 100_000, ":1: is nested too deeply"),
        ("a: &a [*a]\n", ":1: an anchor (&) that contains its own alias (*)"),
        ("- a\n" * 60_000, "has more than 50,000 values; that is not a config file"),
        ("#" * 1_000_001, "has more than 1,000,000 bytes; that is not a config file"),
    ],
)
def test_what_is_no_config_at_all_is_one_sentence(
    text: str | bytes, sentence: str, refusal: Callable[..., str]
) -> None:
    said = refusal(text)
    separator = "" if sentence.startswith(":") else ": "
    assert said.startswith(f"config.yaml{separator}{sentence}")
    assert "\n" not in said


def test_aliases_that_unfold_without_end_are_refused_at_once(refusal: Callable[..., str]) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    assert "its aliases (*) unfold to more than 50,000 values, or too deep" in refusal("\n".join(lines))


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    for path, sentence in {
        "absent.yaml": "absent.yaml: there is no such file; name one with -c",
        "folder": "folder: is a folder; name the file in it, such as config.yaml",
        "a\0b": "a\0b: cannot be read: embedded null byte",
        "/proc/self/mem": "/proc/self/mem: cannot be read: Input/output error",
    }.items():
        with pytest.raises(ConfigError) as caught:
            load(Path(path))
        assert str(caught.value) == sentence


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.touch(mode=0o000)
    with pytest.raises(ConfigError, match="may not be read by you; mend its permissions with chmod"):
        load(path)


def test_all_mistakes_are_told_in_one_run_in_the_order_of_the_file(refusal: Callable[..., str]) -> None:
    text = """\
sources:
- kind: microphone
  name: a
  name: b
- kind: stream
  name: a
  url: ${NOWHERE}
hop_seconds: 7
deciding:
  threshold: 1.5
  threshold: 0.5
  surprise:
"""
    assert refusal(text).splitlines() == [
        "config.yaml has 7 mistakes:",
        "config.yaml:4: sources[0].name: stands in line 3 already; keep one of the two",
        "config.yaml:6: sources[1].name: sources[0] has this name already; each needs its own",
        (
            "config.yaml:7: sources[1].url: the environment variable NOWHERE is not set; set it, or write "
            "${NOWHERE:-default}"
        ),
        (
            "config.yaml:8: hop_seconds: windows of 6 s, one every 7 s, would leave sound between them unheard; "
            "hop_seconds may be at most window_seconds"
        ),
        "config.yaml:10: deciding.threshold: must be above 0 and at most 1, is 1.5",
        "config.yaml:11: deciding.threshold: stands in line 10 already; keep one of the two",
        (
            "config.yaml:12: deciding.surprise: unknown setting; there are threshold, thresholds, use_card_thresholds, "
            "min_hits, only, include, exclude, hysteresis, hold_seconds, max_detection_seconds, refractory_seconds, "
            "level, species_range, voice"
        ),
    ]


def test_very_many_mistakes_are_counted_and_the_first_told(refusal: Callable[..., str]) -> None:
    lines = refusal(MICROPHONE + "".join(f"wrong{n}: 1\n" for n in range(200))).splitlines()
    assert lines[0] == "config.yaml has 200 mistakes:"
    assert lines[-1] == "… and 150 more"
    assert len(lines) == 52

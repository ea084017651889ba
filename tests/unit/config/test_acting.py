"""The actions of a config file: each checked by the settings of its own kind, every mistake at its line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import pytest
from pydantic import Field, field_validator

from birdwatchd.config.load import load
from birdwatchd.config.trigger import ActionConfig, When
from birdwatchd.domain import Label
from birdwatchd.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Lamp(ActionConfig):
    colour: Literal["red", "green"] = "red"
    brightness: Annotated[int, Field(ge=0, le=100)] = 50
    socket: str = ""

    @field_validator("socket")
    @classmethod
    def _a_known_socket(cls, socket: str) -> str:
        if socket.startswith("x"):
            raise ValueError("there is no socket x; write one of a to d")
        return socket


class Bell(ActionConfig):
    rings: int = 1


KINDS: dict[str, type[ActionConfig]] = {"lamp": Lamp, "bell": Bell}
TOP = "sources: [{kind: microphone, name: garden}]\n"


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], tuple[ActionConfig, ...]]:
    def read(text: str) -> tuple[ActionConfig, ...]:
        path = tmp_path / "config.yaml"
        path.write_text(TOP + text)
        return load(path, {"SOCKET": "secret"}, KINDS).config.actions

    return read


@pytest.fixture
def refusal(read: Callable[[str], object], tmp_path: Path) -> Callable[[str], list[str]]:
    """The mistakes of a file, without its name."""

    def refusal(text: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            read(text)
        lines = str(caught.value).splitlines()
        return [line.removeprefix(f"{tmp_path}/config.yaml:") for line in lines if "mistakes:" not in line]

    return refusal


def test_each_kind_has_its_own_settings(read: Callable[[str], tuple[ActionConfig, ...]]) -> None:
    lamp, bell = read("""\
actions:
  - name: porch
    kind: lamp
    on: ended
    when: {species: ["*owl*"], min_score: 0.8, times: ["sunset-30m..sunrise"], first: of_day, at_most_per_hour: 5}
    cooldown_seconds: 60
    colour: green
    socket: ${SOCKET}
  - {name: door, kind: bell, rings: 3, enabled: no}
location: {latitude: 52.5, longitude: 13.4}
""")
    assert isinstance(lamp, Lamp)
    assert (lamp.name, lamp.on, lamp.colour, lamp.socket) == ("porch", "ended", "green", "secret")
    assert lamp.when == When(
        species=("*owl*",), min_score=0.8, times=("sunset-30m..sunrise",), first="of_day", at_most_per_hour=5
    )
    assert isinstance(bell, Bell)
    assert (bell.rings, bell.enabled, bell.on) == (3, False, "started")


@pytest.mark.parametrize("key", ["on", '"on"', "'on'"])
def test_the_key_on_stays_a_word(read: Callable[[str], tuple[ActionConfig, ...]], key: str) -> None:
    (bell,) = read(f"actions:\n  - name: door\n    kind: bell\n    {key}: ended\n")
    assert bell.on == "ended"


def test_without_kinds_actions_are_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(TOP + "actions: [{kind: nobody knows}]\n")
    assert load(tmp_path / "config.yaml", {}).config.actions == ()


@pytest.mark.parametrize("text", ["", "actions:\n", "actions: []\n"])
def test_there_need_be_none(read: Callable[[str], tuple[ActionConfig, ...]], text: str) -> None:
    assert read(text) == ()


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("actions: lamp", "2: actions: must be a list, each item settings with `kind:`"),
        (
            "actions: {kind: lamp}",
            "2: actions: must be a list, each item settings with `kind:`; write a `-` before each one",
        ),
        ("actions: [lamp]", "2: actions[0]: must be settings with `kind:` and `name:`"),
        ("actions: [{name: a}]", "2: actions[0].kind: is missing; it takes bell or lamp"),
        (
            "actions: [{name: a, kind: lmap}]",
            "2: actions[0].kind: there is no such kind of action; did you mean lamp?",
        ),
        (
            "actions: [{name: a, kind: mqtt}]",
            "2: actions[0].kind: there is no such kind of action; `birdwatchd actions list` shows what is installed",
        ),
        (
            "actions:\n - kind: lamp",
            (
                "3: actions[0].name: is missing; it takes at most 64 letters (a to z), digits, `_`, `.` and `-`, "
                "the first a letter or digit"
            ),
        ),
        (
            "actions:\n - name: a\n   kind: lamp\n   color: red",
            "5: actions[0].color: unknown setting; did you mean colour?",
        ),
        (
            "actions:\n - name: a\n   kind: lamp\n   species: [Tawny Owl]",
            "5: actions[0].species: unknown setting here; did you mean when.species?",
        ),
        (
            "actions:\n - name: a\n   kind: lamp\n   brightness: 200",
            "5: actions[0].brightness: must be between 0 and 100, is 200",
        ),
        (
            "actions:\n - name: a\n   kind: lamp\n   socket: x1",
            "5: actions[0].socket: there is no socket x; write one of a to d",
        ),
        (
            "actions:\n - {name: a, kind: bell}\n - {name: A, kind: lamp}",
            "4: actions[1].name: actions[0] has this name already; each needs its own",
        ),
        (
            "actions: [{name: a, kind: bell, on: start}]",
            "2: actions[0].on: must be started or ended, is start; did you mean started?",
        ),
        (
            "actions: [{name: a, kind: bell, when: {times: ['6 to 9']}}]",
            (
                "2: actions[0].when.times[0]: must be a span such as 06:00..09:30 or sunset-30m..sunrise+1h, "
                'is "6 to 9"; write two dots between its beginning and its end'
            ),
        ),
        (
            "actions: [{name: a, kind: bell, when: {times: [sunset..sunrise]}}]",
            "2: actions[0].when.times[0]: needs to know where the station stands; give a location",
        ),
        (
            "actions: [{name: a, kind: bell, when: {quiet: ['22:00..06:00', dusk..06:00]}}]",
            "2: actions[0].when.quiet[1]: needs to know where the station stands; give a location",
        ),
        (
            "actions: [{name: a, kind: bell, when: {sources: [gardn]}}]",
            "2: actions[0].when.sources[0]: there is no such source; did you mean garden?",
        ),
    ],
)
def test_a_mistake_is_told_at_its_line(refusal: Callable[[str], list[str]], text: str, mistake: str) -> None:
    assert refusal(text) == [mistake]


def test_all_mistakes_show_in_one_run(refusal: Callable[[str], list[str]]) -> None:
    assert (
        len(
            refusal("""\
node: garden shed
actions:
  - {name: a, kind: lmap}
  - {name: b, kind: lamp, colour: blue}
  - {name: c, kind: bell, when: {sources: [gardn]}}
""")
        )
        == 4
    )


def test_species_are_held_against_the_model(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        TOP + "actions:\n - {name: a, kind: bell, when: {species: [Twany Owl], not_species: ['Parus *']}}\n"
    )
    loaded = load(path, {}, KINDS)
    with pytest.raises(ConfigError) as caught:
        loaded.refuse_unfit(3.0, [Label(0, "Strix aluco", "Tawny Owl"), Label(1, "Parus major", "Great Tit")])
    assert str(caught.value) == (
        f"{path}:3: actions[0].when.species[0]: the model knows no such species; did you mean Tawny Owl?"
    )

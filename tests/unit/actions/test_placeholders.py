"""What may be said of a detection, and what a value cannot do."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdwatchd.actions.command import Command
from birdwatchd.actions.placeholders import MEANINGS, fill, fill_argument, meanings_of, refuse_unknown
from birdwatchd.domain import Label
from tests.doubles import FakeContext, sample_detection


def test_every_placeholder_stands_for_something() -> None:
    context = FakeContext(
        zone=ZoneInfo("Europe/Berlin"),
        clips_folder=Path("/clips"),
        page_url="https://birds.example/detection/1",
        clip_url="https://birds.example/api/v1/clips/1/sound",
    )
    values = meanings_of(sample_detection(), context)
    assert set(values) == set(MEANINGS)
    assert values["species"] == "Great Tit"
    assert values["start"] == "2026-05-09T06:42:10.250+02:00"
    assert (values["date"], values["time"], values["percent"]) == ("2026-05-09", "06:42:10", "93")
    assert values["clip"] == "/clips/2026/05/09/garden-Parus_major-044210"
    assert (values["page_url"], values["clip_url"]) == (context.page_url, context.clip_url)
    assert fill("{species} ({score}) {{x}}", values) == "Great Tit (0.93) {x}"


def test_without_a_clip_its_path_is_empty() -> None:
    assert meanings_of(sample_detection(clip_path=""), FakeContext())["clip"] == ""


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{species}", "rf x"),
        ("{species}.jpg", "rf x.jpg"),
        ("{site}{species}", "rf x"),
        ("--name={species}", "--name=--rf x"),
        ("a{species}", "a--rf x"),
        ("-", "-"),
    ],
)
def test_no_value_becomes_an_option(template: str, filled: str) -> None:
    label = Label(0, "Rm rf", "--rf x\0")
    values = meanings_of(sample_detection(label=label, site="-"), FakeContext())
    assert fill_argument(template, values) == filled


PIECES = st.lists(
    st.sampled_from([*(f"{{{name}}}" for name in MEANINGS), "x", "=", " ", "/", "{{"]), max_size=4
)


@given(PIECES.map("".join), st.dictionaries(st.sampled_from(list(MEANINGS)), st.text(alphabet="-a =é")))
def test_whatever_the_values_nothing_becomes_an_option(template: str, values: dict[str, str]) -> None:
    filled = fill_argument(template, dict.fromkeys(MEANINGS, "") | values)
    assert not filled.startswith("-")


@pytest.mark.parametrize(
    "template", ["{specis}", "{}", "{0}", "{species.x}", "{species!r}", "{score:.3f}", "{a", "}"]
)
def test_what_is_no_placeholder_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"placeholder"):
        refuse_unknown(template, MEANINGS)


def test_every_placeholder_is_documented() -> None:
    for name, meaning in MEANINGS.items():
        assert f"- `{{{name}}}`: {meaning}\n" in (Command.__doc__ or "")

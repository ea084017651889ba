"""Whatever a label is called, its clip has a name of its own that stays in the folder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath, PureWindowsPath
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdwatchd.config.clip_name import DEFAULT, MOST_BYTES, RESERVED, ClipName
from birdwatchd.config.load import load
from birdwatchd.domain import Label, detection_id
from birdwatchd.errors import ConfigError

START = datetime(2026, 5, 9, 22, 42, 10, 250000, tzinfo=UTC)
IDENTITY = "0123456789abcdef0123"
TEMPLATES = (
    DEFAULT,
    "{id}",
    "{source}/{scientific}/{common}{code}{scientific}{common}{id}",
    "{common}/{common}.{id:.8}",
    "{start:%A %d. %B/%H:%M:%S.%f}-{id}",
)
HOSTILE = st.text() | st.sampled_from(
    ["..", "../../etc/passwd", "/", "a\\b", "CON", "\0", "\ud800", "{id}", "%s", "." * 300]
)


def render(template: str, common: str = "Great Tit", scientific: str = "Parus major", **changes: str) -> str:
    label = Label(0, scientific, common, changes.get("code", ""))
    return ClipName.parse(template).render(
        label=label,
        source=changes.get("source", "garden"),
        start=START,
        identity=changes.get("identity", IDENTITY),
        zone=ZoneInfo("Europe/Berlin"),
    )


def test_the_default_says_when_what_and_where_in_the_stations_time() -> None:
    assert render(DEFAULT) == "2026/05/10/Great_Tit_00-42-10_garden_01234567"


def test_letters_of_every_language_stay() -> None:
    assert render("{common}_{id:.8}", common="Bla\u0308ßhuhn, 骨顶鸡") == "Bläßhuhn__骨顶鸡_01234567"


@given(template=st.sampled_from(TEMPLATES), common=HOSTILE, scientific=HOSTILE, code=HOSTILE, source=HOSTILE)
def test_no_name_leaves_the_folder_or_is_too_long(
    template: str, common: str, scientific: str, code: str, source: str
) -> None:
    path = render(template, common, scientific, code=code, source=source)
    folder = Path("/clips")
    assert (folder / path).resolve().is_relative_to(folder)
    assert not PurePosixPath(path).is_absolute()
    assert not PureWindowsPath(path).drive
    names = path.split("/")
    assert len(names) == template.count("/") + 1
    for name in names:
        assert 0 < len(name.encode()) <= MOST_BYTES
        assert name.strip(" .") == name
        assert not set(name) & set('<>:"\\|?*\0\n')
        assert name.partition(".")[0].casefold() not in RESERVED


@given(
    template=st.text()
    | st.lists(st.sampled_from([*"{}:/.%", "id", "start", "{id}", "common", "%Y", ".8"])).map("".join)
)
def test_a_template_is_refused_or_good_for_a_name(template: str) -> None:
    try:
        ClipName.parse(template)
    except ValueError:
        return
    path = Path("/clips", render(template))
    assert path.resolve().is_relative_to("/clips")
    assert IDENTITY[:6] in path.name or IDENTITY[:6] in str(path)


@given(template=st.sampled_from(TEMPLATES), common=HOSTILE)
def test_two_detections_never_share_a_name_whatever_the_case(template: str, common: str) -> None:
    first = render(template, common)
    second = render(template, common.swapcase(), identity=IDENTITY[::-1])
    assert first.casefold() != second.casefold()


@pytest.mark.parametrize(
    "template",
    [
        *(
            "{id",
            "}",
            "{common}",
            "{start}{id}",
            "{start:%Q}{id}",
            "{start:%}{id}",
            "{start:noon}{id}",
            "{x}{id}",
        ),
        *(
            "{}{id}",
            "{id!r}",
            "{id:.3}",
            "{id:>300}",
            "{common.__class__}{id}",
            "{common[0]}{id}",
            "{code:{id}}{id}",
        ),
        *(
            "/{id}",
            "{id}/",
            "a//{id}",
            "../{id}",
            "a/./{id}",
            "{start:%Y/../%m}/{id}",
            "a\\{id}",
            "a\n{id}",
            "é" * 120 + "{id}",
        ),
        "a/" * 8 + "{id}",
    ],
)
def test_what_names_no_file_of_its_own_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ClipName.parse(template)


def test_a_wrong_template_is_told_with_its_line(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "sources: [{name: a, kind: microphone}]\nstore:\n  clip_name: '{common}'\n", encoding="utf-8"
    )
    with pytest.raises(
        ConfigError,
        match=r"config.yaml:3: store.clip_name: must be a template such as .*; it must hold \{id\}",
    ):
        load(config)


def test_the_name_is_the_same_for_both_states_and_every_replay() -> None:
    assert len({render(DEFAULT) for _ in range(3)}) == 1
    assert render(DEFAULT) != render(DEFAULT, identity=IDENTITY[::-1])


def test_in_the_hour_that_comes_twice_names_differ() -> None:
    label, name = Label(0, "Parus major", "Great Tit"), ClipName.parse(DEFAULT)
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    names = [
        name.render(
            label=label,
            source="garden",
            start=start,
            identity=detection_id("garden", label.scientific_name, start, "tiny-1"),
            zone=ZoneInfo("Europe/Berlin"),
        )
        for start in (first, first + timedelta(hours=1))
    ]
    assert [one[:-8] for one in names] == ["2026/10/25/Great_Tit_02-30-00_garden_"] * 2
    assert len(set(names)) == 2

"""When a recording began: from its comments, or from its name."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birdwatchd.audio.recorded_at import recorded_at
from birdwatchd.audio.riff import read_riff

if TYPE_CHECKING:
    from pathlib import Path

BERLIN = ZoneInfo("Europe/Berlin")


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def wav(*chunks: bytes) -> bytes:
    body = b"WAVE" + chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 48000, 96000, 2, 16)) + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def comment(text: str) -> bytes:
    return chunk(b"LIST", b"INFO" + chunk(b"IART", b"AudioMoth") + chunk(b"ICMT", text.encode() + b"\0\0"))


def named(folder: Path, name: str, content: bytes = b"") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # A name that is nothing but the time is AudioMoth's: UTC, whatever the zone.
        ("20230401_053000.WAV", "2023-04-01T05:30:00+00:00"),
        ("20230401_053000T.WAV", "2023-04-01T05:30:00+00:00"),
        ("5E90A4D4.WAV", "2020-04-10T16:54:44+00:00"),
        ("60000001.WAV", "2021-01-14T08:25:37+00:00"),
        # Song Meters write local time behind a prefix.
        ("SITE_20230401_053000.wav", "2023-04-01T05:30:00+02:00"),
        ("S4A01234_20231225_140000.wav", "2023-12-25T14:00:00+01:00"),
        ("SM3_0+1_20140101$000500.wav", "2014-01-01T00:05:00+01:00"),
        ("SM2BAT_20140101_000500_250.wav", "2014-01-01T00:05:00.250000+01:00"),
        # The hour that comes twice is taken for the first one, the one that is missing as if nothing had been changed.
        ("SITE_20231029_015959.wav", "2023-10-29T01:59:59+02:00"),
        ("SITE_20231029_023000.wav", "2023-10-29T02:30:00+02:00"),
        ("SITE_20231029_030000.wav", "2023-10-29T03:00:00+01:00"),
        ("SITE_20230326_023000.wav", "2023-03-26T02:30:00+01:00"),
        ("SITE_20240229_120000.wav", "2024-02-29T12:00:00+01:00"),
        # ISO, as far as file names allow it.
        ("2023-04-01T05-30-00Z.flac", "2023-04-01T05:30:00+00:00"),
        ("2023-04-01T05:30:00+02:00.flac", "2023-04-01T05:30:00+02:00"),
        ("2023-04-01_05-30-00.flac", "2023-04-01T05:30:00+02:00"),
        ("2023-04-01 05.30.00.flac", "2023-04-01T05:30:00+02:00"),
        ("garden 20230401T053000-0330 left.ogg", "2023-04-01T05:30:00-03:30"),
        ("20230401053000.mp3", "2023-04-01T05:30:00+02:00"),
        # A serial number that only looks like a date.
        ("99999999_999999_20230401_053000.wav", "2023-04-01T05:30:00+02:00"),
    ],
)
def test_names(tmp_path: Path, name: str, expected: str) -> None:
    known = recorded_at(named(tmp_path, name), BERLIN)
    assert known is not None
    assert known.start.isoformat() == expected
    assert known.known_by == "file name"


@pytest.mark.parametrize(
    "name",
    [
        "dawn.wav",
        "20230401.wav",
        "60000001.wav",
        "XC123456.mp3",
        "20231301_053000.WAV",
        "20230401_256000.WAV",
        "19700101_000000.WAV",
        "120230401_0530001.wav",
        "2023-0401_053000.wav",
    ],
)
def test_names_that_do_not_tell(tmp_path: Path, name: str) -> None:
    assert recorded_at(named(tmp_path, name), BERLIN) is None


def test_without_a_zone_local_times_are_the_machines(tmp_path: Path) -> None:
    known = recorded_at(named(tmp_path, "SITE_20230401_053000.wav"))
    assert known is not None
    assert known.start == datetime(2023, 4, 1, 5, 30).astimezone()
    assert known.start.tzinfo is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Recorded at 14:00:00 25/12/2023 (UTC+2) by AudioMoth 24F319055FDF2F5E",
            "2023-12-25T14:00:00+02:00",
        ),
        ("Recorded at 14:00:00 25/12/2023 (UTC) by AudioMoth 24F319055FDF2F5E", "2023-12-25T14:00:00+00:00"),
        ("Recorded at 14:00:00 25/12/2023 (UTC-3:30) by AudioMoth", "2023-12-25T14:00:00-03:30"),
        ("Recorded at 14:00:00 25/12/2023 (UTC-0:30) by AudioMoth", "2023-12-25T14:00:00-00:30"),
        ("Recorded at 14:00:00.250 25/12/2023 (UTC+10) by AudioMoth", "2023-12-25T14:00:00.250000+10:00"),
        ("Recorded at 14:00:00 25/12/2023 by AudioMoth 24F319055FDF2F5E", "2023-12-25T14:00:00+00:00"),
    ],
)
def test_an_audiomoth_comment_wins_over_the_name(tmp_path: Path, text: str, expected: str) -> None:
    path = named(tmp_path, "SITE_20200101_000000.wav", wav(chunk(b"data", b"\0" * 8), comment(text)))
    known = recorded_at(path, BERLIN)
    assert known is not None
    assert known.start.isoformat() == expected
    assert known.known_by == "AudioMoth comment"


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        ("2023-04-01T05:30:00.123+02:00", "2023-04-01T05:30:00.123000+02:00"),
        ("2023-04-01T05:30:00Z", "2023-04-01T05:30:00+00:00"),
        ("2023-12-01 05:30:00", "2023-12-01T05:30:00+01:00"),
    ],
)
def test_guano_tells_time_and_place(tmp_path: Path, timestamp: str, expected: str) -> None:
    text = (
        f"GUANO|Version: 1.0\nTimestamp: {timestamp}\nMake: Wildlife Acoustics\nLoc Position: 52.52 -13.4\n"
    )
    path = named(
        tmp_path, "SITE_20200101_000000.wav", wav(chunk(b"guan", text.encode()), chunk(b"data", b""))
    )
    known = recorded_at(path, BERLIN)
    assert known is not None
    assert known.start.isoformat() == expected
    assert known.known_by == "GUANO"
    assert known.position == (52.52, -13.4)


@pytest.mark.parametrize("place", ["", "52.5", "nan nan", "91 0", "0 181", "here there", "1 2 3", "inf 0"])
def test_a_place_that_is_none_is_left_out(tmp_path: Path, place: str) -> None:
    text = f"Timestamp: 2023-04-01T05:30:00Z\nLoc Position: {place}"
    known = recorded_at(named(tmp_path, "a.wav", wav(chunk(b"guan", text.encode()))))
    assert known is not None
    assert known.position is None


@pytest.mark.parametrize(
    "text", ["Timestamp: soon", "Timestamp:", "no colon", "Timestamp: 0001-01-01T00:00:00"]
)
def test_guano_that_does_not_tell(tmp_path: Path, text: str) -> None:
    assert recorded_at(named(tmp_path, "a.wav", wav(chunk(b"guan", text.encode())))) is None


@settings(deadline=None)
@given(
    moment=st.datetimes(
        datetime(1971, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
        datetime(2099, 12, 31),  # noqa: DTZ001 - hypothesis adds the zone
        timezones=st.integers(-14 * 4, 14 * 4).map(
            lambda quarters: timezone(timedelta(minutes=15 * quarters))
        ),
    ).map(lambda moment: moment.replace(microsecond=0)),
    prefix=st.sampled_from(["", "garden ", "SM4-12_", "x"]),
)
def test_any_iso_time_comes_back(
    tmp_path_factory: pytest.TempPathFactory, moment: datetime, prefix: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    path = named(folder, f"{prefix}{moment:%Y%m%dT%H%M%S%z}.wav")
    known = recorded_at(path, BERLIN)
    assert known is not None
    assert known.start == moment


@settings(deadline=None)
@given(
    content=st.binary(max_size=200),
    name=st.text(st.characters(exclude_characters="/\0", codec="utf-8"), max_size=40),
)
def test_no_name_and_no_content_is_too_strange(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"x{name[:20]}.wav"
    path.write_bytes(content)
    known = recorded_at(path, UTC)
    assert known is None or known.start.tzinfo is not None


@settings(deadline=None)
@given(
    chunks=st.lists(
        st.tuples(
            st.sampled_from([b"LIST", b"guan", b"data", b"fmt ", b"ICMT"]),
            st.binary(max_size=60),
            st.integers(0, 2**32 - 1),
        )
    )
)
def test_no_chunk_is_too_hostile(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[tuple[bytes, bytes, int]]
) -> None:
    """Sizes that lie, chunks that end early, comments that are not text: nothing raises, nothing hangs."""
    body = b"".join(name + struct.pack("<I", size) + content for name, content, size in chunks)
    path = tmp_path_factory.getbasetemp() / "hostile.wav"
    path.write_bytes(b"RIFF\xff\xff\xff\xffWAVE" + body)
    recorded_at(path, UTC)
    assert 0 <= read_riff(path).missing_share <= 1


def test_a_data_chunk_that_is_cut_off_is_noticed(tmp_path: Path) -> None:
    content = wav(chunk(b"data", b"\0" * 1000))
    assert read_riff(named(tmp_path, "whole.wav", content)).missing_share == 0
    assert read_riff(named(tmp_path, "cut.wav", content[:-250])).missing_share == 0.25

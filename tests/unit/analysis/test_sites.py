"""`sites.csv`: which folder stood where, and every mistake with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from birdwatchd.analysis.sites import Site, check_timezone, read_sites
from birdwatchd.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "folder,latitude,longitude,timezone\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "sites.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for name in ("wood", "wood/deep", "meadow"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_a_file_belongs_to_the_innermost_folder_that_is_listed(folders: Path) -> None:
    path = write(
        folders,
        "site,folder,latitude,longitude,timezone\nOld wood,wood,52.5,13.4,Europe/Berlin\n,wood/deep,-33.9,151.2,\n",
    )
    sites = read_sites(path, [], Site("home", 1, 2, "UTC"))
    assert sites.of(folders / "wood" / "a.wav") == Site("Old wood", 52.5, 13.4, "Europe/Berlin")
    assert sites.of(folders / "wood" / "more" / "a.wav") == Site("Old wood", 52.5, 13.4, "Europe/Berlin")
    # Without a name it is called after its folder, without a zone it has that of all.
    assert sites.of(folders / "wood" / "deep" / "a.wav") == Site("wood/deep", -33.9, 151.2, "UTC")
    assert sites.of(folders / "meadow" / "a.wav") == Site("home", 1, 2, "UTC")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_spreadsheets_of_all_countries(folders: Path, separator: str) -> None:
    text = "\ufeff" + (HEAD + "wood,52.5,13.4,Europe/Berlin\n").replace(",", separator).replace("\n", "\r\n")
    sites = read_sites(write(folders, text), [], Site())
    assert sites.of(folders / "wood" / "a.wav").latitude == 52.5


def test_folders_are_found_in_what_is_analysed(
    folders: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write(tmp_path_factory.mktemp("elsewhere"), HEAD + "wood,52.5,13.4,Europe/Berlin\n")
    assert read_sites(path, [folders], Site()).of(folders / "wood" / "a.wav").name == "wood"


def test_every_mistake_has_its_line(folders: Path) -> None:
    path = write(
        folders,
        HEAD + "wood,north,13.4,Europe/Berlin\nmeadwo,52.5,13.4,UTC\nmeadow,95,nan,Europe/Berlim\n,1,1,UTC\n"
        "wood/deep,1,1,UTC\nwood/deep,1,1,UTC\n",
    )
    with pytest.raises(ConfigError) as refusal:
        read_sites(path, [], Site())
    assert str(refusal.value).splitlines() == [
        f"{path}:2: latitude 'north' is not a number (degrees, such as 52.52)",
        f"{path}:3: no folder 'meadwo' (did you mean meadow?)",
        f"{path}:4: latitude 95 is not on Earth (-90 to 90)",
        f"{path}:4: longitude nan is not on Earth (-180 to 180)",
        f"{path}:4: no timezone 'Europe/Berlim' (did you mean Europe/Berlin?)",
        f"{path}:5: no folder (name the folder of one recorder)",
        f"{path}:7: folder 'wood/deep' is listed twice (keep one of the lines)",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column folder, latitude, longitude, timezone"),
        ("folder,lat,lon,timezone\n", "no column latitude, longitude .*it has lat, lon"),
        (HEAD, "no sites"),
    ],
)
def test_files_that_are_no_list_of_sites(folders: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_sites(write(folders, text), [], Site())


def test_a_file_that_is_no_text_or_is_not_there(folders: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_sites(folders / "absent.csv", [], Site())
    (folders / "sites.csv").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match="it is not UTF-8 text"):
        read_sites(folders / "sites.csv", [], Site())


@pytest.mark.parametrize("name", ["Mars", "/etc/passwd", "../UTC", "Europe", ""])
def test_names_that_are_no_timezone(name: str) -> None:
    assert check_timezone(name).startswith(f"no timezone {name!r}")

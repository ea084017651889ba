"""What lies beside recordings, or is left from an earlier analysis, whatever stands in it: read, or refused in sentences."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from birdwatchd.analysis.journal import Journal
from birdwatchd.analysis.sites import Site, Sites, read_sites
from birdwatchd.errors import ConfigError, UserError

if TYPE_CHECKING:
    from pathlib import Path

CELLS = st.text(max_size=20) | st.sampled_from(
    ["a", "52.5", "nan", "1e999", "Europe/Berlin", "../../etc", "/etc", "x" * 300, "\0", '"', "\x1b[2J"]
)
hostile = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def outcome(tmp_path: Path, content: bytes) -> Sites | None:
    (tmp_path / "a").mkdir(exist_ok=True)
    path = tmp_path / "sites.csv"
    path.write_bytes(content)
    said = ""
    try:
        return read_sites(path, [tmp_path], Site())
    except ConfigError as error:
        said = str(error)
    assert all(line.startswith(str(path)) for line in said.split("\n"))
    return None


@hostile
@given(content=st.binary(max_size=200))
@example(content=b"folder,latitude,longitude,timezone\n" + b'"' + b"x" * 200_000)
@example(content=b"folder,latitude,longitude,timezone\n" + b"x" * 300 + b",1,2,UTC\n")
def test_sites_of_any_bytes(tmp_path: Path, content: bytes) -> None:
    outcome(tmp_path, content)


@hostile
@given(rows=st.lists(st.lists(CELLS, max_size=6), max_size=4))
def test_sites_of_any_cells(tmp_path: Path, rows: list[list[str]]) -> None:
    text = "folder,latitude,longitude,timezone\n" + "\n".join(",".join(row) for row in rows)
    sites = outcome(tmp_path, text.encode("utf-8", "surrogatepass"))
    if sites is not None:
        site = sites.of(tmp_path / "a" / "x.wav")
        assert site.latitude is None or abs(site.latitude) <= 90


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["key", "findings", "rows"]), inner)
    ),
)


@hostile
@given(
    lines=st.lists(JSON | st.just({"key": "a", "findings": {"rows": [{}]}}), max_size=3),
    rest=st.binary(max_size=20),
)
@example(lines=[{"key": []}], rest=b"")
@example(lines=[], rest=b"[" * 100_000 + b"\n")
def test_a_resume_file_of_any_lines(tmp_path: Path, lines: list[Any], rest: bytes) -> None:
    path = tmp_path / "resume.jsonl"
    path.unlink(missing_ok=True)
    with Journal(path, {}, resume=False):
        pass
    with path.open("ab") as file:
        file.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines) + rest)
    refusal = ""
    try:
        with Journal(path, {}, resume=True) as journal:
            list(journal.findings(["a", "b"]))
    except UserError as error:
        refusal = str(error)
    assert refusal == "" or refusal.startswith(str(path))


@pytest.mark.parametrize("name", ["..", "/etc", "../.."])
def test_a_site_that_leads_elsewhere_only_says_where_recordings_there_were_made(
    tmp_path: Path, name: str
) -> None:
    sites = outcome(tmp_path, f"folder,latitude,longitude,timezone\n{name},1,2,UTC\n".encode())
    assert sites is None or sites.of(tmp_path / "a" / "x.wav").latitude in (None, 1.0)

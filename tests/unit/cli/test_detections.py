from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from birdwatchd.cli.detections import detections
from birdwatchd.detection_rows import COLUMNS, RAVEN_COLUMNS
from birdwatchd.errors import ConfigError, StoreError, UserError
from tests.rows import BLACKBIRD, COOT, detection, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFIG = """
location: {latitude: 52.5, longitude: 13.4, timezone: Asia/Kathmandu}
sources:
  - {kind: microphone, name: garden}
store: {database: DATABASE}
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return write(
        tmp_path / "db",
        detection(0, score=0.95),
        detection(60, BLACKBIRD, score=0.75, source="wood", site="W", occurrence=None),
        detection(120, COOT, score=0.8, voice=True),
        detection(3600, score=0.71, seconds=75),
    )


@pytest.fixture
def config(tmp_path: Path, database: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.replace("DATABASE", str(database)))
    return path


@pytest.fixture
def ask(config: Path) -> Callable[..., Result]:
    """The command with that config: Nepal's clocks are 5:45 ahead."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(detections, ["-c", str(config), *arguments], catch_exceptions=False)

    return run


def test_the_table_has_the_newest_last_in_the_stations_time(ask: Callable[..., Result]) -> None:
    lines = ask().stdout.splitlines()
    assert lines[0].split() == ["Time", "Species", "Score", "Length", "Source"]
    assert [line.split("  ")[0] for line in lines[1:]] == [
        "2026-05-09 10:27:10",
        "2026-05-09 10:28:10",
        "2026-05-09 10:29:10",
        "2026-05-09 11:27:10",
    ]
    assert "Common Blackbird  Turdus merula" in lines[2]
    assert lines[2].rstrip().endswith("0.75   4.5 s  wood (W)")
    assert lines[4].rstrip().endswith("0.71    1:15  garden")


def test_a_table_in_a_pipe_has_no_colours(ask: Callable[..., Result]) -> None:
    assert "\x1b" not in ask().stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--species", "great tit"], ["Great Tit", "Great Tit"]),
        (["--species", "turdus *", "--species", "fulica atra"], ["Common Blackbird", "Bläßhuhn"]),
        (["--since", "2026-05-09 10:29"], ["Bläßhuhn", "Great Tit"]),
        (["--until", "2026-05-09 10:28"], ["Great Tit"]),
        (
            ["--since", "2026-05-09", "--until", "2026-05-09"],
            ["Great Tit", "Common Blackbird", "Bläßhuhn", "Great Tit"],
        ),
        (["--since", "2026-05-09T04:44:00Z"], ["Bläßhuhn", "Great Tit"]),
        (["--min-score", "0.8"], ["Great Tit", "Bläßhuhn"]),
        (["--source", "wood"], ["Common Blackbird"]),
        (["--site", "W"], ["Common Blackbird"]),
        (["--limit", "2"], ["Bläßhuhn", "Great Tit"]),
    ],
)
def test_filters(ask: Callable[..., Result], arguments: list[str], expected: list[str]) -> None:
    found = json.loads(ask("--json", *arguments).stdout)
    assert [one["common_name"] for one in found] == expected


def test_csv_has_every_column_once(ask: Callable[..., Result]) -> None:
    rows = list(csv.DictReader(io.StringIO(ask("--csv").stdout)))
    assert tuple(rows[0]) == COLUMNS
    assert rows[1]["start"] == "2026-05-09T10:28:10.250+05:45"
    assert (rows[1]["seconds"], rows[1]["occurrence"], rows[1]["site"]) == ("4.5", "", "W")
    assert [row["voice"] for row in rows] == ["false", "false", "true", "false"]


def test_json_is_one_array_with_the_same_fields(ask: Callable[..., Result]) -> None:
    found = json.loads(ask("--json").stdout)
    assert tuple(found[0]) == COLUMNS
    assert (found[1]["occurrence"], found[2]["voice"], found[0]["score"]) == (None, True, 0.95)


def test_raven_counts_seconds_from_since_or_from_midnight(ask: Callable[..., Result]) -> None:
    def begins(*arguments: str) -> list[str]:
        rows = list(csv.DictReader(io.StringIO(ask("--raven", *arguments).stdout), delimiter="\t"))
        assert tuple(rows[0]) == RAVEN_COLUMNS
        assert [row["Selection"] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]
        return [row["Begin Time (s)"] for row in rows]

    midnight = 10 * 3600 + 27 * 60 + 10.25
    assert begins() == [f"{midnight + at:.3f}" for at in (0, 60, 120, 3600)]
    assert begins("--since", "2026-05-09 10:28") == ["10.250", "70.250", "3550.250"]


def test_the_summary_counts(ask: Callable[..., Result]) -> None:
    lines = [" ".join(line.split()) for line in ask("--summary").stdout.splitlines()]
    assert lines[1] == "Great Tit Parus major 2 1:20 0.95 2026-05-09 10:27:10 2026-05-09 11:28:25"
    assert len(lines) == 4


def test_a_detection_that_goes_on_has_no_length_yet(tmp_path: Path) -> None:
    from birdwatchd.store.database import Database
    from birdwatchd.store.recorder import Recorder

    with Database.open(tmp_path / "db") as opened:
        Recorder(opened, run_id="run-1").record(detection(state="started"))
        shown = CliRunner().invoke(detections, ["--database", str(tmp_path / "db")], catch_exceptions=False)
    assert "going on" in shown.stdout


def test_a_long_table_says_that_it_is_cut(tmp_path: Path) -> None:
    from birdwatchd.store import detections as store
    from birdwatchd.store.database import Database

    path = write(tmp_path / "db")
    with Database.open(path) as opened, opened.transaction() as connection:
        store.write(connection, [store.to_row(detection(second)) for second in range(101)])
    shown = CliRunner().invoke(detections, ["--database", str(path)], catch_exceptions=False)
    assert len(shown.stdout.splitlines()) == 1 + 100
    assert "the newest 100; --limit shows more" in shown.stderr
    shown = CliRunner().invoke(
        detections, ["--database", str(path), "--limit", "101"], catch_exceptions=False
    )
    assert (len(shown.stdout.splitlines()), shown.stderr) == (1 + 101, "")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--species", "graet tit"], "'graet tit' was never detected; did you mean 'Great Tit'?"),
        (
            ["--species", "xyz"],
            "'xyz' was never detected; `birdwatchd detections --summary` lists all that were.",
        ),
        (["--min-score", "1"], "The newest of all is of 2026-05-09 11:27:10, Great Tit in garden"),
    ],
)
def test_an_empty_answer_says_what_to_do(ask: Callable[..., Result], arguments: list[str], hint: str) -> None:
    for form, empty in (
        ([], ""),
        (["--json"], "[]\n"),
        (["--csv"], ",".join(COLUMNS) + "\n"),
        (["--summary"], ""),
    ):
        answer = ask(*arguments, *form)
        assert answer.stdout == empty
        assert hint in answer.stderr
        assert answer.exit_code == 0


def test_a_database_without_any_detection_says_where_to_look(tmp_path: Path) -> None:
    write(tmp_path / "db")
    answer = CliRunner().invoke(detections, ["--database", str(tmp_path / "db")], catch_exceptions=False)
    assert "Nothing was detected yet. `birdwatchd ledger`" in answer.stderr


def test_what_does_not_go_together_or_is_not_there_is_refused(
    ask: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="--follow does not go with --summary"):
        ask("--follow", "--summary")
    with pytest.raises(UserError, match=r"'7\.42' is no time"):
        ask("--since", "7.42")
    with pytest.raises(StoreError, match="no database at"):
        ask("--database", str(tmp_path / "nothing"))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "empty"))
    with pytest.raises(ConfigError):
        CliRunner().invoke(detections, [], catch_exceptions=False)


def test_a_database_that_is_named_needs_no_config(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.yaml").write_text("nonsense: [")
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(detections, ["--database", str(database), "--json"], catch_exceptions=False)
    assert len(json.loads(answer.stdout)) == 4


def test_a_user_sees_one_sentence_and_status_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "birdwatchd", "detections", "--database", str(tmp_path / "db")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"birdwatchd: there is no database at {tmp_path / 'db'} yet; `birdwatchd run` makes it when it starts\n"
    )


@pytest.mark.parametrize("form", [["--json"], ["--csv"], []])
def test_follow_prints_each_new_one_once_when_it_has_ended(database: Path, form: list[str]) -> None:
    from birdwatchd.store.database import Database
    from birdwatchd.store.recorder import Recorder

    command = [
        sys.executable,
        "-m",
        "birdwatchd",
        "detections",
        "--database",
        str(database),
        "--follow",
        "--limit",
        "1",
        *form,
    ]
    with (
        Database.open(database) as opened,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower,
    ):
        recorder = Recorder(opened, run_id="run-2")
        new: Any = {"run_id": "run-2"}
        try:
            assert follower.stdout is not None
            seen = [follower.stdout.readline() for _ in range(2 if form == ["--csv"] else 1)]
            recorder.record(detection(5000, state="started", **new))
            recorder.record(detection(5010, BLACKBIRD, **new))
            seen.append(follower.stdout.readline())
            recorder.record(detection(5000, seconds=20, **new))
            seen.append(follower.stdout.readline())
            recorder.record(detection(5020, COOT, **new))
            seen.append(follower.stdout.readline())
        finally:
            follower.kill()
    names = [
        next(name for name in ("Great Tit", "Common Blackbird", "Bläßhuhn", "common_name") if name in line)
        for line in seen
    ]
    assert names[-4:] == ["Great Tit", "Common Blackbird", "Great Tit", "Bläßhuhn"]

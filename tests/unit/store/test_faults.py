from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from birdwatchd.store.faults import is_passing, sentence

PATH = Path("/srv/birds.sqlite")


def fault(code: int, kind: type[sqlite3.Error] = sqlite3.OperationalError) -> sqlite3.Error:
    error = kind("what SQLite says")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (sqlite3.SQLITE_NOTADB, "is not a birdwatchd database"),
        (sqlite3.SQLITE_CORRUPT, "is damaged"),
        (sqlite3.SQLITE_FULL, "is full; free some space"),
        (sqlite3.SQLITE_READONLY_DIRECTORY, "read-only"),
        (sqlite3.SQLITE_CANTOPEN_ISDIR, "cannot be opened; check"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "another program has been writing"),
        (sqlite3.SQLITE_IOERR_FSYNC, "does not work (what SQLite says); check the disk"),
        (sqlite3.SQLITE_MISMATCH, "cannot be used (what SQLite says); move it away"),
    ],
)
def test_every_fault_has_a_sentence_that_names_the_file(code: int, words: str) -> None:
    text = sentence(fault(code), PATH)
    assert words in text
    assert str(PATH) in text
    assert "\n" not in text


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY]
)
def test_what_the_disk_does_may_pass(code: int) -> None:
    assert is_passing(fault(code))


def test_our_own_mistakes_do_not_pass() -> None:
    assert not is_passing(fault(sqlite3.SQLITE_ERROR))
    assert not is_passing(fault(sqlite3.SQLITE_CONSTRAINT_NOTNULL, sqlite3.IntegrityError))
    assert not is_passing(sqlite3.ProgrammingError("Cannot operate on a closed database."))

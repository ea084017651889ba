"""What the analysis of one file finds. These types cross from the workers to the journal and on to the outputs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One detection. Its fields are the columns of the csv, jsonl and parquet formats, in this order."""

    file: str
    site: str
    start_seconds: float
    """From the file's first sample."""
    end_seconds: float
    time: str
    """When it began: ISO 8601 with the zone's offset; empty when nothing tells when the recording began."""
    scientific_name: str
    common_name: str
    code: str
    score: float
    """Highest pooled score, 0 to 1."""
    windows: int
    """How many windows held it up."""
    occurrence: float | None
    """What the species range model gives for place and week; None when it was off."""
    voice: bool
    """A person speaks in it."""
    model: str
    latitude: float | None
    longitude: float | None
    week: int | None
    """BirdNET's week, 1 to 48; None when nothing tells when the recording began."""
    id: str


@dataclass(frozen=True, slots=True)
class WindowRow:
    """A label's pooled score in one window, whatever the gates made of it. The columns of `--windows`."""

    file: str
    start_seconds: float
    end_seconds: float
    scientific_name: str
    common_name: str
    score: float


@dataclass(frozen=True, slots=True)
class Findings:
    """All that is known of one file."""

    file: str
    seconds: float = 0.0
    """Of sound that was analysed."""
    sample_rate: int = 0
    rows: tuple[Row, ...] = ()
    windows: tuple[WindowRow, ...] = ()
    complaint: str = ""
    """What is wrong with a file that was analysed as far as it goes."""
    failure: str = ""
    """Why a file was not analysed: a sentence."""

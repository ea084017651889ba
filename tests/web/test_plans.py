"""No page and no path of the API walks through all detections: a million of them would be felt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from birdwatchd.store import opening
from birdwatchd.store.counts import count
from birdwatchd.store.database import Database
from tests.rows import BLACKBIRD, detection
from tests.web.made_up import made_up
from tests.web.test_days import BERLIN, an_hour_of_listening

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    import pytest

ENDLESS = {"/api/v1/events"}
MORE = (
    "/today?source=garden",
    "/season/2026?order=first&source=garden",
    "/api/v1/days?source=garden",
    "/api/v1/detections?species=Turdus*&source=garden&since=2026-01-01&min_score=0.8",
    "/why?at=2026-05-09T07:00",
)


def test_every_answer_is_found_by_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [detection(at, score=0.8) for at in range(0, 100, 10)]
    house = made_up(tmp_path, [*rows, detection(5, BLACKBIRD), *an_hour_of_listening()])
    path = house.config.store.database
    with Database.open(path) as database:
        count(database, BERLIN)
    asked: list[str] = []
    connect = opening.connect

    def overheard(*where: object) -> sqlite3.Connection:
        connection = connect(*where)  # type: ignore[arg-type] # as it was called
        connection.set_trace_callback(asked.append)
        return connection

    client = house.ask()
    names = {
        "day": "2026-05-09",
        "year": "2026",
        "scientific_name": "Parus major",
        "id": rows[0].id,
        "identity": rows[0].id,
        "number": "1",
    }
    there = sorted(client.app.state.paths - ENDLESS)  # type: ignore[attr-defined] # it is FastAPI's
    slow: list[str] = []
    answers = 0
    for page in [*there, *MORE]:
        filled = re.sub(r"{(\w+)(:path)?}", lambda found: quote(names[found[1]]), page)
        asked.clear()
        with monkeypatch.context() as patch:
            patch.setattr(opening, "connect", overheard)
            answers += client.get(filled).status_code == 200
        with Database.open(path, read_only=True) as database:
            for sql in {one for one in asked if one.lstrip().startswith(("SELECT", "WITH"))}:
                steps = [row["detail"] for row in database.rows(f"EXPLAIN QUERY PLAN {sql}")]
                walks = [step for step in steps if re.match(r"SCAN (detections|traces|deliveries)\b", step)]
                # Along an index, in the order that is wanted, it ends when the page is full.
                ends = "ORDER BY" in sql and not any(
                    re.search("B-TREE FOR [A-Z]+ BY", step) for step in steps
                )
                if any("USING" not in step or not ends for step in walks):
                    slow.append(f"{page}: {sql[:300]}: {walks}")
    assert answers > len(there) / 2
    assert not slow, "\n".join(slow)

"""How fast the page answers: `scripts/bench web`.

Every page and every path of the API is asked over HTTP, of a server in a process of its own that has two cores, once with a
thousand detections in its database and once with a million of two and a half years, 120 species. Each is asked for what is
most work: the busiest day, the most frequent species, the fullest year. What counts is the 95th percentile of the second. The
peer is the same page with the small database: a page that only looks at what it shows is as fast with both. Beside it stands
what the server has worked for one answer: on a busy machine that says more.

    scripts/bench web [DETECTIONS] [TIMES]      a million, and 20 times each, when left out

The databases are kept in build/web/ and used again. What does not end (events, sockets) is left out, and said.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING
from urllib.parse import quote
from zoneinfo import ZoneInfo

import httpx
import numpy as np
import soundfile
import structlog
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from birdwatchd.model import catalog
from birdwatchd.model.bundle import read_card
from birdwatchd.store import seasons
from birdwatchd.store.database import Database
from birdwatchd.store.days import Day
from birdwatchd.web.server import Server
from tests.observed import Station, free_port
from tests.web.made_up import MadeUp
from tests.web.years import NOON, write_years

if TYPE_CHECKING:
    from collections.abc import Iterator

    from birdwatchd.web.house import House

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "build" / "web"
ZONE = ZoneInfo("Europe/Berlin")
DAYS = 912
FEW = 1000
CORES = 2
LIMIT_SECONDS = 0.3
FLAT = 4
"""Times the seconds with a thousand-fold database: what grows with it would be far above."""
NOISE_SECONDS = 0.02
FRESH = httpx.Limits(keepalive_expiry=2.0)
"""The server lets go of a connection after 5 s, and one of the two may be idle for so long."""
NOT_TO_GET = (405, 426)
"""What is only posted to, and sockets."""
ENDLESS = {"/api/v1/events"}
MORE = (
    "/today?source=garden",
    "/season/{year}?order=first",
    "/season/{year}?source=garden",
    "/species?search=wood",
    "/api/v1/days?since={year}-01-01&until={year}-12-31",
    "/api/v1/detections?limit=500",
    "/api/v1/detections?species=Turdus*&limit=500",
    "/api/v1/detections?min_score=0.9999&source=pond",
    "/why?at={day}T08:00",
    "/review?days=365",
    "/review?days=0&queue=sample",
    "/review?days=0&queue=rarest",
    "/review?days=0&species=Turdus%20merula",
    "/figures?days=0",
    "/figures?days=0&judged=all",
    "/figures?days=365&judged=all&model=birdnet-2.4",
    "/api/v1/reviews/queue?days=0&count=50",
)
"""Questions that take more than the path alone."""
console = Console(width=None if sys.stdout.isatty() else 120)


@dataclass
class Site:
    """One of the two stations."""

    database: Path
    port: int
    names: dict[str, str]
    """What stands for each parameter of a path."""
    process: int

    def cpu_seconds(self) -> float:
        """What it has worked so far."""
        # Behind the name, which may have spaces: the 14th and 15th of the fields, in ticks.
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def url(self, path: str) -> str:
        filled = re.sub(r"{(\w+)(:path)?}", lambda found: quote(self.names[found[1]], safe=""), path)
        return f"http://127.0.0.1:{self.port}{filled}"


def made_up(database: Path, port: int) -> MadeUp:
    station = Station(database)
    config = station.config.model_validate(
        {
            "node": "orchard",
            "sources": [{"kind": "microphone", "name": "garden"}, {"kind": "microphone", "name": "pond"}],
            "store": {"database": str(database), "clips_folder": str(database.with_suffix(".clips"))},
            "web": {"port": port},
        }
    )
    return MadeUp(station, config)


def serve(database: Path, port: int) -> None:
    """Until the parent has gone."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:CORES]))
    house = made_up(database, port)
    labels = read_card(catalog.find("birdnet", None), "en").labels
    assert house.config.web is not None
    with Server(house.config.web, house.house(labels=lambda: labels)):
        sys.stdin.read()


@contextmanager
def site(database: Path) -> Iterator[Site]:
    """A server in a process of its own."""
    port = free_port()
    child = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(database), str(port)], stdin=subprocess.PIPE
    )
    try:
        there = Site(database, port, _names(database), child.pid)
        for _ in range(600):
            try:
                httpx.get(there.url("/static/style.css"))
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield there
    finally:
        child.communicate()


def _names(database: Path) -> dict[str, str]:
    with Database.open(database, read_only=True) as opened:

        def one(sql: str, *parameters: str) -> str:
            return str(opened.rows(sql, parameters)[0][0])

        day = one("SELECT day FROM heard_days GROUP BY day ORDER BY sum(detections) DESC LIMIT 1")
        name = one("SELECT scientific_name FROM heard_hours GROUP BY 1 ORDER BY sum(detections) DESC LIMIT 1")
        year = one(
            "SELECT substr(day, 1, 4) FROM heard_days GROUP BY 1 ORDER BY sum(detections) DESC LIMIT 1"
        )
        since = Day.of(NOON.astimezone(ZONE).date() - timedelta(days=1), ZONE).since
        (newest,) = opened.rows(
            "SELECT id, clip_path FROM detections WHERE start_utc < ? ORDER BY start_utc DESC LIMIT 1",
            (f"{since:%Y-%m-%dT%H:%M:%S}",),
        )
    _write_clip(database.with_suffix(".clips") / f"{newest['clip_path']}.flac")
    return {
        "day": day,
        "scientific_name": name,
        "year": year,
        "id": newest["id"],
        "identity": newest["id"],
        "number": "1",
        "queue": "doubtful",
        "source": "garden",
        "name": "garden",
    }


def _write_clip(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(1).normal(0, 0.05, 9 * 48_000), 48_000)


def paths(house: House) -> list[str]:
    """All that there are, pages first."""
    from birdwatchd.web.app import create_app

    there = create_app(house).state.paths - ENDLESS
    return sorted(there, key=lambda path: (path.startswith("/api/"), path))


def a_year(database: Path, year: int) -> tuple[float, float]:
    """Seconds for a year by day and species: by the counts, and added up from the detections themselves."""
    first, last = date(year, 1, 1), date(year, 12, 31)
    times = []
    with Database.open(database, read_only=True) as opened:
        for ask in (
            lambda: seasons.seasons(opened, first, last),
            lambda: opened.rows(
                "SELECT substr(start_utc, 1, 10), scientific_name, count(*) FROM detections"
                " WHERE start_utc BETWEEN ? AND ? GROUP BY 1, 2",
                (f"{first}", f"{last}~"),
            ),
        ):
            ask()
            began = time.perf_counter()
            ask()
            times.append(time.perf_counter() - began)
    return times[0], times[1]


@dataclass
class Answer:
    """Of one path; all in seconds."""

    path: str
    status: int
    few: float
    """The 95th percentile with the small database, `many` with the large one."""
    many: float
    middle: float
    worked: float

    @property
    def grows(self) -> bool:
        """Does it look at what it does not show? What is very fast is left to the noise of the machine."""
        return self.many > FLAT * self.few and self.many > NOISE_SECONDS


def measure(client: httpx.Client, sites: tuple[Site, Site], path: str, times: int) -> Answer:
    """Ask both in turn, after two questions to get warm."""
    found: tuple[list[float], list[float]] = [], []
    before = 0.0
    status = 0
    for turn in range(times + 2):
        if turn == 2:
            before = sites[1].cpu_seconds()
        for there, took in zip(sites, found, strict=True):
            began = time.perf_counter()
            status = client.get(there.url(path)).status_code
            took.append(time.perf_counter() - began)
    worked = (sites[1].cpu_seconds() - before) / times
    few, many = (quantiles(one[2:], n=20, method="inclusive")[-1] for one in found)
    return Answer(path, status, few, many, median(found[1][2:]), worked)


def databases(number: int) -> tuple[Path, Path]:
    """The two, written when they are not there."""
    PLACE.mkdir(parents=True, exist_ok=True)
    for size in (FEW, number):
        database = PLACE / f"{size}.sqlite"
        if not database.exists():
            console.print(f"writing {size} detections, once")
            part = database.with_suffix(".part")
            for left in PLACE.glob(f"{part.name}*"):
                left.unlink()
            began = time.perf_counter()
            write_years(part, size, NOON, DAYS, ZONE)
            part.rename(database)
            console.print(f"  {time.perf_counter() - began:.0f} s, {database.stat().st_size / 1e6:.0f} MB")
    return PLACE / f"{FEW}.sqlite", PLACE / f"{number}.sqlite"


def main() -> None:
    number = int(float(sys.argv[1])) if len(sys.argv) > 1 else 1_000_000
    times = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    few, many = databases(number)
    asked = [path for path in paths(made_up(few, free_port()).house()) if "openapi" not in path]
    with site(few) as small, site(many) as large, httpx.Client(timeout=60, limits=FRESH) as client:
        unknown = [path for path in asked if set(re.findall(r"{(\w+)", path)) - small.names.keys()]
        answers = [
            measure(client, (small, large), path, times)
            for path in track([*asked, *MORE], "asking", console=console, transient=True)
            if path not in unknown and client.get(large.url(path)).status_code not in NOT_TO_GET
        ]
        counted, added_up = a_year(many, int(large.names["year"]))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Path", no_wrap=True)
    for header in ("Answer", f"p95 of {FEW}, ms", f"p95 of {number}, ms", "median", "CPU, ms", "times"):
        table.add_column(header, justify="right")
    for one in answers:
        times_of = (one.few, one.many, one.middle, one.worked)
        table.add_row(
            one.path,
            str(one.status),
            *(f"{each * 1e3:.0f}" for each in times_of),
            f"{one.many / one.few:.1f}",
        )
    console.print(table)
    slow = [one.path for one in answers if one.many > LIMIT_SECONDS]
    for words, found in (
        ("left out, as they have no end", sorted(ENDLESS)),
        ("left out, as this benchmark does not know a parameter", unknown),
        (f"above {LIMIT_SECONDS * 1e3:.0f} ms", slow),
        (f"more than {FLAT} times as long as with {FEW}", [one.path for one in answers if one.grows]),
    ):
        console.print(f"{words}: {', '.join(found) or 'none'}")
    console.print(
        f"a year by day and species: {counted * 1e3:.0f} ms by the counts,"
        f" {added_up * 1e3:.0f} ms from the detections themselves"
    )
    sys.exit(bool(slow))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()

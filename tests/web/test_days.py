"""Pages of days, seasons and species: what stands on them, and what they say where there is nothing."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from birdwatchd.domain import Label
from birdwatchd.store import reviews
from birdwatchd.store.counts import count
from birdwatchd.store.database import Database
from birdwatchd.store.days import Day
from birdwatchd.web.heat import even_shade, shade, strip
from birdwatchd.web.pages import day as pages
from birdwatchd.web.pages.season import by_week, deaf_weeks
from birdwatchd.web.ribbon import ribbons
from tests.rows import BLACKBIRD, COOT, DAWN, detection, entry
from tests.web.made_up import made_up

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from starlette.testclient import TestClient

    from birdwatchd.domain import Detection, LedgerEntry

BERLIN = ZoneInfo("Europe/Berlin")
DAY = "/day/2026-05-09"
HOSTILE = Label(30, "Larus <b>/ä%", "<script>alert(1)</script>")


def counted(folder: Path, *rows: Detection | LedgerEntry, web: dict[str, object] | None = None) -> TestClient:
    house = made_up(folder, rows, web=web)
    with Database.open(house.config.store.database) as database:
        count(database, BERLIN)
    return house.ask()


def texts(html: str) -> str:
    """What is read, without the marks."""
    body = re.sub(r"<(script|style).*?</\1>", "", html.partition("<main")[2], flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def an_hour_of_listening(hours: int = 0) -> Sequence[LedgerEntry]:
    return [entry(3600, kind, hours=hours) for kind in ("expected", "captured", "analysed")]


def test_a_day_tells_its_species_with_counts_and_times(tmp_path: Path) -> None:
    clip = "2026/05/09/great_tit_a"
    rows = [
        detection(0, score=0.8, clip_path=clip),
        detection(3600),
        detection(-30, BLACKBIRD),
        detection(-86_400, BLACKBIRD),
    ]
    client = counted(tmp_path, *rows, *an_hour_of_listening())
    (tmp_path / "clips/2026/05/09").mkdir(parents=True)
    (tmp_path / f"clips/{clip}.flac").touch()
    html = client.get(DAY).text
    said = texts(html)
    assert "Sat 9 May 2026" in said
    assert "2 species , 3 detections in 1 h of listening; the first Great Tit ever." in said
    assert "06:42" in said
    assert "07:42" in said
    assert 'aria-label="06:00 1, 07:00 1"' in html
    # The best one has no sound; of those that have, this is the best.
    assert f"/api/v1/clips/{rows[0].id}/sound" in html
    assert f"/detection/{rows[0].id}" in html
    assert html.count("data-play") == 1
    assert '/day/2026-05-08"' in html
    assert '/day/2026-05-10"' in html


def test_today_is_the_day_at_the_station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortly after midnight in Berlin, when another day is yet to begin elsewhere."""
    now = datetime(2026, 7, 4, 0, 30, tzinfo=BERLIN)
    monkeypatch.setattr(pages, "_now", lambda house: now.astimezone(house.zone()))
    client = counted(tmp_path, detection(start=now, end=now))
    assert "Today, Sat 4 Jul 2026" in texts(client.get("/today").text)
    assert "1 species" in texts(client.get("/today").text)
    assert "Today," in texts(client.get("/day/2026-07-04").text)
    answer = client.get("/day?day=2026-05-09")
    assert (answer.status_code, answer.headers["location"]) == (303, DAY)


@pytest.mark.parametrize(
    ("path", "entry_of"),
    [(DAY, "Today"), ("/season/2026", "Season"), ("/calendar/2026", "Season"), ("/species", "Season")],
)
def test_the_navigation_says_where_a_page_belongs(path: str, entry_of: str, tmp_path: Path) -> None:
    html = counted(tmp_path, detection()).get(path).text
    marked = re.findall(r"<nav.*?</nav>", html, re.DOTALL)[0]
    assert set(re.findall(r'aria-current="true".*?<span>(.*?)</span>', marked)) == {entry_of}


def test_one_source_alone(tmp_path: Path) -> None:
    client = counted(tmp_path, detection(0), detection(9, BLACKBIRD, source="wood"))
    said = texts(client.get(f"{DAY}?source=wood").text)
    assert "Common Blackbird" in said
    assert "Great Tit" not in said
    assert 'source=wood" aria-current="page"' in client.get(f"{DAY}?source=wood").text


def test_all_detections_of_a_species_on_a_day(tmp_path: Path) -> None:
    rows = [detection(at, score=0.71 + at / 1000) for at in range(0, 200, 20)]
    client = counted(tmp_path, *rows)
    html = client.get(f"{DAY}/Parus%20major").text
    assert all(f"/detection/{row.id}" in html for row in rows)
    assert "10 detections, 0 with sound" in texts(html)
    answer = client.get(f"{DAY}/Larus%20nobody")
    assert answer.status_code == 404
    assert "no 'Larus nobody' was detected" in answer.text.replace("&#39;", "'")


@pytest.mark.parametrize(("day", "columns"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_days_on_which_clocks_change_have_their_hours(tmp_path: Path, day: str, columns: int) -> None:
    noon = datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=BERLIN)
    html = counted(tmp_path, detection(start=noon, end=noon)).get(f"/day/{day}").text
    assert f"hours-{columns}" in html
    assert 'aria-label="12:00 1"' in html


@pytest.mark.parametrize(
    ("path", "rows", "said"),
    [
        ("/today", [], "did not listen on this day. See on the page of sources what keeps it"),
        (DAY, [], "did not listen on this day. The calendar shows"),
        (DAY, an_hour_of_listening(), "listened for 1 h, and no bird was reported. Whistle or play"),
        (DAY, [*an_hour_of_listening(), detection(86_400)], "no bird was reported. That may be so."),
        ("/day/2990-01-01", [], "yet to come. Today"),
        ("/season", [], "Nothing was reported in"),
        ("/calendar/2025", [], "did not listen in 2025. The days fill as it listens"),
        ("/firsts/2026", [], "No species of 2026 yet. The first bird that is reported"),
        ("/species", [], "No species yet. The first bird"),
        ("/species?search=xyz", [detection(0)], "No species has “xyz” in its name. All 1 species"),
    ],
)
def test_where_there_is_nothing_it_says_what_to_do(
    tmp_path: Path, path: str, rows: Sequence[Detection | LedgerEntry], said: str
) -> None:
    answer = counted(tmp_path, *rows).get(path)
    assert answer.status_code == 200
    assert said in texts(answer.text)


def test_while_the_days_are_counted_it_says_so(tmp_path: Path) -> None:
    paths = (DAY, "/season/2026", "/calendar/2026", "/firsts/2026", "/species")
    house = made_up(tmp_path, [detection(0)])
    client = house.ask()
    for path in paths:
        assert "being counted" in client.get(path).text, path
    with Database.open(house.config.store.database) as database:
        count(database, BERLIN)
    for path in paths:
        assert "being counted" not in client.get(path).text, path


def test_a_season_is_species_by_week(tmp_path: Path) -> None:
    rows = [detection(0), detection(7 * 86_400), detection(3600), detection(-86_400, COOT)]
    client = counted(tmp_path, *rows, *an_hour_of_listening())
    html = client.get("/season/2026").text
    assert "2 species by week" in texts(html)
    assert 'aria-label="May 3"' in html
    # The ninth of May lies in the 19th week, and the tits of that week are the most.
    assert '<path class="heat-5" d="M18.05 0h.9v1h-.9z"/>' in html
    said = texts(html)
    assert said.index("Great Tit") < said.index(COOT.common_name)
    by_first = texts(client.get("/season/2026?order=first").text)
    assert by_first.index(COOT.common_name) < by_first.index("Great Tit")
    assert client.get("/season/2026?order=size").status_code == 422


def test_the_calendar_tells_quiet_days_from_deaf_ones(tmp_path: Path) -> None:
    html = (
        counted(tmp_path, detection(0), *an_hour_of_listening(), *an_hour_of_listening(24))
        .get("/calendar/2026")
        .text
    )
    assert 'href="/day/2026-05-09" class="heat-5" title="Saturday 9 May: 1 species, 1 detections"' in html
    assert 'href="/day/2026-05-10" class="quiet-day" title="Sunday 10 May: nothing reported"' in html
    assert 'href="/day/2026-05-11"' not in html


def test_the_first_of_the_year(tmp_path: Path) -> None:
    rows = [detection(0), detection(-365 * 86_400), detection(50, COOT), detection(60)]
    said = texts(counted(tmp_path, *rows).get("/firsts/2026").text)
    assert said.index("Sat 9 May, 06:43") < said.index("Sat 9 May, 06:42")
    assert "2025: 9 May" in said
    assert said.count("new here") == 1


def test_everything_of_a_species(tmp_path: Path) -> None:
    clip = "2026/05/09/great_tit_a"
    rows = [detection(0, clip_path=clip), detection(-365 * 86_400, score=0.99), detection(30, BLACKBIRD)]
    client = counted(tmp_path, *rows)
    (tmp_path / "clips/2026/05/09").mkdir(parents=True)
    (tmp_path / f"clips/{clip}.flac").touch()
    html = client.get("/species/Parus%20major").text
    said = texts(html)
    assert "Great Tit Parus major" in said
    assert "Detections 2 Days 2 First heard Fri 9 May 2025 Last heard Sat 9 May 2026" in said
    assert 'href="/season/2025"' in html
    assert 'aria-label="May: 2"' in html
    # Of the best, those whose sound is there.
    assert f"/api/v1/clips/{rows[0].id}/spectrogram.png" in html
    assert f"/api/v1/clips/{rows[1].id}/spectrogram.png" not in html
    assert client.get("/species/Larus%20nobody").status_code == 404
    found = texts(client.get("/species?search=GREAT").text)
    assert "1 species with “GREAT” in the name" in found
    assert "Blackbird" not in found


def test_a_species_of_which_nothing_was_right_has_a_page_that_says_so(tmp_path: Path) -> None:
    row = detection(0, BLACKBIRD)
    client = counted(tmp_path, row)
    with Database.open_beside(tmp_path / "birds.sqlite") as database:
        reviews.add(database, reviews.Review(row.id, DAWN, "wrong"))
    answer = client.get("/species/Turdus%20merula")
    assert answer.status_code == 200
    assert "Common Blackbird Turdus merula" in texts(answer.text)
    assert "Nothing that was reported as this species was right" in texts(answer.text)
    assert f'href="{DAY}/Turdus%20merula"' in answer.text
    assert client.get(f"{DAY}/Turdus%20merula").status_code == 200


def test_names_of_a_model_are_only_text(tmp_path: Path) -> None:
    client = counted(tmp_path, detection(0, HOSTILE, source="<i>"), detection(5))
    path = "/Larus%20%3Cb%3E%2F%C3%A4%25"
    for page in (DAY, f"{DAY}{path}", "/season/2026", "/firsts/2026", "/species", f"/species{path}"):
        answer = client.get(page)
        assert answer.status_code == 200, page
        assert "<script>alert" not in answer.text
        assert "<b>" not in answer.text
        assert "&lt;script&gt;" in answer.text, page
    # A link that leads there.
    assert "/species/Larus%20%3Cb%3E/%C3%A4%25" in client.get("/species").text


@pytest.mark.parametrize(
    "path",
    ["/day/1968-12-31", "/day/3000-01-01", "/day/9999-12-31", "/day/x", "/season/1", "/calendar/99999"],
)
def test_a_day_that_no_clock_shows_is_refused(tmp_path: Path, path: str) -> None:
    assert counted(tmp_path).get(path).status_code == 422


def test_below_a_prefix_all_links_have_it(tmp_path: Path) -> None:
    client = counted(tmp_path, detection(0), detection(9, source="wood"), web={"prefix": "/birds"})
    pages = ("/season/2026", "/calendar/2026", "/firsts/2026", "/species", "/species/Parus%20major")
    for page in (DAY, f"{DAY}/Parus%20major", *pages):
        html = client.get(page).text
        links = [rest.partition('"')[0] for rest in re.split('(?:href|src|action)="', html)[1:]]
        assert len(links) > 10
        assert all(link.startswith("/birds/") or link == "#main" for link in links), links
    assert client.get("/day?day=2026-05-09").headers["location"] == f"/birds{DAY}"


def test_what_was_heard_before_the_clock_was_set_has_its_day(tmp_path: Path) -> None:
    start = datetime(1970, 1, 1, 0, 5, tzinfo=UTC)
    client = counted(tmp_path, detection(start=start, end=start, dating="unset"), detection(9))
    assert 'href="/season/1970"' in client.get("/season/2026").text
    for page in ("/season/1970", "/calendar/1970", "/firsts/1970", "/day/1970-01-01"):
        assert client.get(page).status_code == 200, page
    assert "Great Tit" in client.get("/day/1970-01-01").text


def day_of(text: str = "2026-05-09", zone: str = "Europe/Berlin") -> Day:
    return Day.of(date.fromisoformat(text), ZoneInfo(zone))


def test_the_ribbon_shows_each_hour_at_its_place_and_what_became_of_it() -> None:
    entries = [
        *(entry(3600, kind) for kind in ("expected", "captured", "analysed")),
        entry(3600, "expected", hours=1),
        entry(1800, hours=1),
        entry(1800, "lost", "unplugged", hours=1),
        entry(3600, "off", "died", hours=2),
        *(entry(3600, kind, hours=3) for kind in ("expected", "captured")),
        entry(3600, "skipped", "not listening hours", hours=3),
        entry(3600, hours=-24),  # of the day before
    ]
    (ribbon,) = ribbons(entries, day_of(), datetime(2026, 5, 10, tzinfo=UTC))
    assert [round(column.x * 24, 6) for column in ribbon.columns] == [6, 7, 8, 9]  # 4 UTC is 6 in Berlin
    assert {round(column.width * 24, 6) for column in ribbon.columns} == {1}
    kinds = [{bar.kind: bar.height for bar in column.bars} for column in ribbon.columns]
    assert kinds == [{"heard": 1}, {"heard": 0.5, "lost": 0.5}, {"off": 1}, {"resting": 1}]
    assert ribbon.words == [
        "heard 1 h 30 min",
        "left out 1 h: not listening hours",
        "lost 30 min: unplugged",
        "not running 1 h: it had died",
    ]


def test_holes_that_follow_each_other_with_one_cause_are_one() -> None:
    entries = [
        *an_hour_of_listening(0),
        *(entry(3600, "off", "stopped", hours=hour) for hour in (1, 2)),
        entry(3600, "off", "died", hours=3),
        entry(3600, "off", "died", hours=5),
    ]
    (ribbon,) = ribbons(entries, day_of(), datetime(2026, 5, 10, tzinfo=UTC))
    found = [(f"{hole.start:%H}-{hole.end:%H}", hole.words) for hole in ribbon.holes]
    assert found == [
        ("05-07", "not running 2 h: it was stopped"),
        ("07-08", "not running 1 h: it had died"),
        ("09-10", "not running 1 h: it had died"),
    ]


def test_a_second_that_was_lost_is_seen() -> None:
    entries = [entry(3600, "expected"), entry(3599), entry(1, "lost", "overrun")]
    (ribbon,) = ribbons(entries, day_of(), DAWN + timedelta(days=1))
    bars = {bar.kind: bar for bar in ribbon.columns[0].bars}
    assert bars["lost"].height >= 0.1
    assert bars["lost"].y == 0
    assert sum(bar.height for bar in bars.values()) == pytest.approx(1)


def test_the_hour_that_goes_on_is_full_as_far_as_it_goes() -> None:
    entries = [entry(900, "expected"), entry(900)]
    (ribbon,) = ribbons(entries, day_of(), datetime(2026, 5, 9, 4, 15, tzinfo=UTC))
    (column,) = ribbon.columns
    assert column.width * 24 == pytest.approx(0.25)
    assert [(bar.kind, bar.height) for bar in column.bars] == [("heard", 1)]


def test_of_long_ago_a_whole_day_is_one_column() -> None:
    entries = [
        entry(80_000, "expected", hours=-6),
        entry(72_000, hours=-6),
        entry(8_000, "lost", "x", hours=-6),
    ]
    (ribbon,) = ribbons(entries, day_of(), datetime(2028, 1, 1, tzinfo=UTC))
    (column,) = ribbon.columns
    assert (column.x, column.width) == (0, 1)
    assert ribbon.words == ["heard 20 h", "lost 2 h 13 min: x"]


def test_an_hour_that_two_days_share_is_cut_at_midnight() -> None:
    entries = [entry(3600, "expected", hours=-10), entry(3600, hours=-10)]  # 18 UTC is 23:30 in Kolkata
    for day, x, width in (("2026-05-08", 23.5 / 24, 0.5 / 24), ("2026-05-09", 0, 0.5 / 24)):
        (ribbon,) = ribbons(entries, day_of(day, "Asia/Kolkata"), DAWN + timedelta(days=9))
        (column,) = ribbon.columns
        assert column.x == pytest.approx(x)
        assert column.width == pytest.approx(width)


def test_shades_are_few_and_the_most_is_the_darkest() -> None:
    assert [shade(count, 1000) for count in (0, 1, 3, 5, 40, 300, 999, 1000)] == [0, 1, 1, 2, 3, 5, 5, 5]
    assert shade(1, 1) == 5
    assert [even_shade(count, 40) for count in (0, 1, 8, 39, 40)] == [0, 1, 2, 5, 5]
    assert strip([0, 1, 9, 9], 9) == [(1, "M1.05 0h.9v1h-.9z"), (5, "M2.05 0h.9v1h-.9zM3.05 0h.9v1h-.9z")]


def test_weeks_begin_with_the_year_and_deaf_ones_are_told() -> None:
    days = [(date(2028, 1, 1), 1), (date(2028, 1, 8), 2), (date(2028, 12, 31), 4)]
    weeks = by_week(days)
    assert (weeks[0], weeks[1], weeks[52], sum(weeks)) == (1, 2, 4, 7)
    heard = {date(2028, 1, 3): 3600.0, date(2028, 1, 16): 3600.0}
    assert deaf_weeks(heard, 2028, date(2028, 1, 29)) == "M1 0h1v1h-1zM3 0h1v1h-1zM4 0h1v1h-1z"

"""Years of birds, made up: species that come and go with the seasons and sing at their hours, and a ledger with holes."""

from __future__ import annotations

import math
import random
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from birdwatchd.domain import Candidate, Label, LedgerEntry
from birdwatchd.store import detections, ledger, traces
from birdwatchd.store.cells import to_text
from birdwatchd.store.counts import count
from birdwatchd.store.database import Database
from birdwatchd.store.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo
    from pathlib import Path


class Bird(NamedTuple):
    """How one species lives."""

    scientific_name: str
    common_name: str
    code: str
    share: float
    """Of what is heard on a day on which it is there."""
    months: tuple[int, int]
    """From when to when it is there; over the new year where the first is the later."""
    at: float
    """The hour around which it sings."""
    spread: float


BIRDS = (
    Bird("Turdus merula", "Common Blackbird", "eurbla", 14, (1, 12), 5.5, 2.5),
    Bird("Parus major", "Great Tit", "gretit1", 12, (1, 12), 8, 3),
    Bird("Erithacus rubecula", "European Robin", "eurrob1", 10, (1, 12), 6, 4),
    Bird("Passer domesticus", "House Sparrow", "houspa", 9, (1, 12), 12, 4),
    Bird("Cyanistes caeruleus", "Eurasian Blue Tit", "blutit", 8, (1, 12), 9, 3),
    Bird("Fringilla coelebs", "Common Chaffinch", "comcha", 7, (2, 10), 8, 3.5),
    Bird("Troglodytes troglodytes", "Eurasian Wren", "winwre4", 6, (1, 12), 7, 3),
    Bird("Columba palumbus", "Common Wood-Pigeon", "cowpig1", 6, (2, 11), 9, 4),
    Bird("Phylloscopus collybita", "Common Chiffchaff", "comchi1", 7, (3, 10), 7, 3),
    Bird("Sylvia atricapilla", "Eurasian Blackcap", "blackc1", 6, (4, 9), 7, 3),
    Bird("Turdus philomelos", "Song Thrush", "sonthr1", 5, (2, 10), 5, 2),
    Bird("Pica pica", "Eurasian Magpie", "eurmag1", 4, (1, 12), 11, 4),
    Bird("Corvus corone", "Carrion Crow", "carcro1", 4, (1, 12), 10, 4),
    Bird("Apus apus", "Common Swift", "comswi", 6, (5, 7), 19, 3),
    Bird("Phoenicurus ochruros", "Black Redstart", "blared1", 3, (3, 10), 5, 2),
    Bird("Sturnus vulgaris", "European Starling", "eursta", 3, (2, 10), 10, 4),
    Bird("Sitta europaea", "Eurasian Nuthatch", "eurnut2", 2.5, (1, 12), 9, 3),
    Bird("Dendrocopos major", "Great Spotted Woodpecker", "grswoo", 2.5, (1, 12), 9, 3),
    Bird("Certhia brachydactyla", "Short-toed Treecreeper", "shttre1", 2, (2, 10), 9, 3),
    Bird("Chloris chloris", "European Greenfinch", "eurgre1", 2, (3, 9), 10, 3),
    Bird("Carduelis carduelis", "European Goldfinch", "eurgol", 2, (2, 11), 11, 3),
    Bird("Prunella modularis", "Dunnock", "dunnoc1", 2, (2, 9), 7, 2),
    Bird("Hirundo rustica", "Barn Swallow", "barswa", 2, (4, 9), 9, 4),
    Bird("Strix aluco", "Eurasian Tawny Owl", "tawowl1", 2, (9, 5), 23, 3),
    Bird("Luscinia megarhynchos", "Common Nightingale", "comnig1", 1.5, (4, 6), 1, 2.5),
    Bird("Garrulus glandarius", "Eurasian Jay", "eurjay1", 1, (1, 12), 9, 3),
    Bird("Picus viridis", "Eurasian Green Woodpecker", "eugwoo2", 0.8, (2, 7), 10, 3),
    Bird("Muscicapa striata", "Spotted Flycatcher", "spofly1", 0.6, (5, 8), 10, 4),
    Bird("Cuculus canorus", "Common Cuckoo", "comcuc", 0.6, (4, 7), 6, 3),
    Bird("Oriolus oriolus", "Eurasian Golden Oriole", "eugori2", 0.3, (5, 7), 7, 2),
    Bird("Turdus pilaris", "Fieldfare", "fieldf", 0.5, (10, 3), 10, 3),
    Bird("Bombycilla garrulus", "Bohemian Waxwing", "bohwax", 0.1, (12, 2), 11, 2),
    Bird("Grus grus", "Common Crane", "comcra", 0.2, (10, 11), 14, 4),
    Bird("Bubo bubo", "Eurasian Eagle-Owl", "eueowl1", 0.03, (11, 2), 22, 2),
)
RARE = tuple(
    Bird(f"Avis numero{number}", f"Bird {number}", "", 0.02, (1, 12), 10, 4)
    for number in range(len(BIRDS) + 1, 121)
)
"""So that there are 120: a site's list of some years."""
RUN = "run-1"
MODEL = "birdnet-2.4"


def write_years(path: Path, number: int, until: datetime, days: int, zone: tzinfo, *, seed: int = 1) -> Path:
    """A database with about so many detections, of the days before `until`, and what else gathers with them.

    That is the ledger, the candidates of the last week, and what people said of one detection in a hundred.
    """
    chance = random.Random(seed)
    with Database.open(path) as database:
        recorder = Recorder(database, run_id=RUN, model=MODEL, wall=lambda: until)
        database.rows("PRAGMA cache_size = -400000")  # the order of ids is no order
        with database.transaction() as connection:
            detections.write(connection, _rows(chance, number, until, days))
            ledger.add(connection, dict(_ledger(chance, until, days)))
            traces.write(connection, _candidates(chance, until, min(number // 5, 200_000)), until)
            connection.execute(
                "INSERT INTO reviews SELECT id, ?, CASE rowid / 100 % 8 WHEN 0 THEN 'wrong' ELSE 'right' END,"
                " '', '', 'Mary', '' FROM detections WHERE rowid % 100 = 7",
                (to_text(until),),
            )
        assert recorder.close()
        count(database, zone)
    return path


def _rows(chance: random.Random, number: int, until: datetime, days: int) -> Iterator[detections.Row]:
    left = _shared_out(chance, [_busy(until - timedelta(days=days - day)) for day in range(days)], number)
    midnight = until.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)
    for day in range(days):
        begin = midnight + timedelta(days=day)
        there = [bird for bird in BIRDS + RARE if _is_there(bird, begin.date())]
        weights = list(accumulate(bird.share for bird in there))
        starts: list[tuple[datetime, Bird]] = []
        while len(starts) < left[day]:
            (bird,) = chance.choices(there, cum_weights=weights)
            hour = chance.gauss(bird.at, bird.spread) % 24
            # One that sings is heard several times.
            for _ in range(min(1 + int(chance.expovariate(0.4)), left[day] - len(starts))):
                hour = min(hour + chance.uniform(5, 240) / 3600, 23.999)
                starts.append((begin + timedelta(hours=hour), bird))
        for start, bird in sorted(starts):
            if start < until:
                yield _row(chance, start, bird)


def _row(chance: random.Random, start: datetime, bird: Bird) -> detections.Row:
    label = Label(
        BIRDS.index(bird) if bird in BIRDS else 200, bird.scientific_name, bird.common_name, bird.code
    )
    identity = f"{chance.getrandbits(80):020x}"
    seconds = 3 + chance.expovariate(0.3)
    score = 1 - 0.3 * chance.random() ** 1.7
    return (
        identity,
        RUN,
        "garden" if chance.random() < 0.8 else "pond",
        "",
        label.index,
        label.scientific_name,
        label.common_name,
        label.code,
        round(start.timestamp()) * 48000 % (1 << 40),
        round(start.timestamp() + seconds) * 48000 % (1 << 40),
        to_text(start),
        to_text(start + timedelta(seconds=seconds)),
        round(score, 4),
        3,
        MODEL,
        0.7,
        0.5,
        21_000_000,
        f"{start:%Y/%m/%d}/{label.common_name.replace(' ', '_')}_{start:%H-%M-%S}_{identity[:8]}",
        0,
        "ended",
        "",
    )


def _ledger(chance: random.Random, until: datetime, days: int) -> Iterator[tuple[ledger.Key, float]]:
    hour = until.replace(minute=0, second=0, microsecond=0) - timedelta(days=days)
    while hour < until:
        length = min(3600.0, (until - hour).total_seconds())
        for source in ("garden", "pond"):
            lost = off = 0.0
            if chance.random() < 0.01:
                lost = min(length, chance.expovariate(1 / 300))
            if hour.timetuple().tm_yday % 97 in (3, 4):
                off = length - lost
            heard = length - lost - off
            parts = {
                ("expected", ""): heard + lost,
                ("captured", ""): heard,
                ("analysed", ""): heard,
                ("lost", "no sound for 10 s" if source == "garden" else "stream ended"): lost,
                ("off", "died"): off,
            }
            for (kind, cause), seconds in parts.items():
                if seconds > 0:
                    yield ledger.to_key(LedgerEntry(source, hour, kind, cause, seconds)), seconds  # type: ignore[arg-type]
        hour += timedelta(hours=1)


def _candidates(chance: random.Random, until: datetime, number: int) -> Iterator[traces.Row]:
    for _ in range(number):
        bird = chance.choice(BIRDS)
        start = until - timedelta(seconds=1.5 * chance.randrange(7 * 57_600))
        label = Label(BIRDS.index(bird), bird.scientific_name, bird.common_name, bird.code)
        score = round(chance.uniform(0.1, 0.69), 4)
        yield traces.to_row(
            Candidate(
                source="garden",
                site="",
                start=start,
                start_sample=round(start.timestamp() * 48000) % (1 << 40),
                label=label,
                score=score,
                threshold=0.7,
                gate="threshold",
                reason=f"score {score:.2f} below 0.7",
            )
        )


def _busy(day: datetime) -> float:
    """The middle of May is ten times as loud as the winter."""
    from_may = abs((day.timetuple().tm_yday - 135 + 183) % 366 - 183)
    return 1 + 9 * math.exp(-((from_may / 45) ** 2))


def _shared_out(chance: random.Random, weights: list[float], number: int) -> list[int]:
    whole = sum(weights)
    return [int(number * weight / whole + chance.random()) for weight in weights]


def _is_there(bird: Bird, day: date) -> bool:
    first, last = bird.months
    month = day.month
    return first <= month <= last if first <= last else month >= first or month <= last


NOON = datetime(2027, 5, 15, 10, 30, tzinfo=UTC)
"""When these years end as a rule: it is a Saturday."""

"""What stays and what goes: never more than the limit, the best and the rarest last, and nobody else's files at all."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birdwatchd.config.schema import Retention as Limits
from birdwatchd.store.database import Database
from birdwatchd.store.inside import delete_file
from birdwatchd.store.retention import DAY_SECONDS, GIGABYTE, Gone, Retention
from birdwatchd.store.reviews import Review, add
from birdwatchd.store.shelf import Item, Shelf, order
from tests.integration.waiting import wait_until
from tests.rows import DAWN, detection, write
from tests.shelves import NOW, keep

if TYPE_CHECKING:
    from collections.abc import Collection

    from birdwatchd.store.shelf import Contents


def retention(folder: Path, *, size: int | None = None, days: float | None = None) -> Retention:
    limits = Limits(gigabytes=(size or 10**12) / GIGABYTE, free_gigabytes=0, days=days)
    return Retention(folder, limits, wall=lambda: NOW)


def left(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def total(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_what_is_too_old_goes_with_all_its_files(tmp_path: Path) -> None:
    old = keep(tmp_path, "2026/01/01/old", days=31)
    for suffix in (".png", "_1.jpg", ".2.jpg"):
        beside = old.with_name(f"old{suffix}")
        beside.write_bytes(b"x")
        os.utime(beside, (NOW - 31 * DAY_SECONDS,) * 2)
    keep(tmp_path, "2026/02/01/new", days=29)
    assert retention(tmp_path, days=30).tidy() == Gone(1, 1003)
    assert left(tmp_path) == {"2026/02/01/new.flac", "2026/02/01/new.json"}


def test_a_picture_goes_with_its_clip_and_alone_where_there_is_none(tmp_path: Path) -> None:
    keep(tmp_path, "a_1", days=50)
    keep(tmp_path, "a", days=10)
    keep(tmp_path, "b_1", days=50)
    assert {len(item.files) for item in Shelf(tmp_path).look().items} == {2, 4}
    assert retention(tmp_path, days=30).tidy().clips == 1
    assert left(tmp_path) == {f"{name}.{suffix}" for name in ("a", "a_1") for suffix in ("flac", "json")}


def test_folders_that_were_emptied_go_too_but_not_at_once(tmp_path: Path) -> None:
    keep(tmp_path, "2026/01/01/old", days=31)
    by = retention(tmp_path, days=30)
    by.tidy()
    assert (tmp_path / "2026/01/01").is_dir()
    for folder in (tmp_path / "2026/01/01", tmp_path / "2026/01", tmp_path / "2026"):
        os.utime(folder, (NOW - 2 * DAY_SECONDS,) * 2)
    by.tidy()
    assert not (tmp_path / "2026/01/01").exists()
    assert tmp_path.is_dir()


def test_somebody_elses_files_are_never_touched(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(bytes(5000))
    (tmp_path / "holiday.json").write_text('{"place": "sea"}')
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "broken.flac").write_bytes(bytes(5000))
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    before = left(tmp_path)
    by = retention(tmp_path, size=6000, days=1)
    assert by.tidy() == Gone()
    assert "nothing is left that may be deleted" in by.make_room(1)
    assert left(tmp_path) == before


def test_without_hope_nothing_is_deleted(tmp_path: Path) -> None:
    keep(tmp_path, "a")
    by = retention(tmp_path, size=5000)
    assert "no room" in by.make_room(5001)
    assert left(tmp_path) == {"a.flac", "a.json"}


def test_room_is_made_before_each_writing(tmp_path: Path) -> None:
    by = retention(tmp_path, size=5500)
    for number in range(40):
        assert by.make_room(1000) == ""
        keep(tmp_path, f"{number:02}", score=number / 100)
        assert total(tmp_path) <= 5500
    # Four or five clips of one species: the best of them.
    assert {"39.flac", "38.flac", "37.flac", "36.flac"} <= left(tmp_path)


def test_a_refusal_is_over_when_there_is_room_again(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(bytes(5000))
    by = retention(tmp_path, size=5500)
    assert by.make_room(1000)
    (tmp_path / "film.mp4").unlink()
    ready = threading.Event()
    for _ in range(1000):
        if not by.make_room(1000):
            return
        ready.wait(0.01)
    pytest.fail("never again any room")


def test_free_space_is_left_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [3000]

    def usage(_: Path) -> Any:
        return type("Usage", (), {"free": free[0] - total(tmp_path)})

    monkeypatch.setattr("birdwatchd.store.retention.shutil.disk_usage", usage)
    by = Retention(tmp_path, Limits(gigabytes=1, free_gigabytes=1000 / GIGABYTE), wall=lambda: NOW)
    for number in range(5):
        assert by.make_room(1000) == ""
        keep(tmp_path, str(number), score=number / 10)
        assert usage(tmp_path).free >= 1000
    free[0] = 1500
    assert "store.retention.free_gigabytes" in by.make_room(1000)


def test_what_was_not_written_after_all_is_free_again(tmp_path: Path) -> None:
    keep(tmp_path, "a", size=200)
    by = retention(tmp_path, size=1000)
    for _ in range(20):
        assert by.make_room(500) == ""
        by.wrote(10)
    assert left(tmp_path) == {"a.flac", "a.json"}


def test_half_written_files_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    for name in (".dead.flac.part", ".alive.flac.part", "film.part"):
        (tmp_path / name).write_bytes(b"x")
    with (tmp_path / ".alive.flac.part").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        retention(tmp_path).tidy()
    assert left(tmp_path) == {".alive.flac.part", "film.part"}


def test_an_hour_that_is_written_has_no_lock_and_a_day_of_grace(tmp_path: Path) -> None:
    (tmp_path / "recordings" / "garden").mkdir(parents=True)
    for name, days in ((".dead.flac.part", 2.0), (".alive.flac.part", 0.1)):
        path = tmp_path / "recordings" / "garden" / name
        path.write_bytes(b"x")
        os.utime(path, (NOW - days * DAY_SECONDS,) * 2)
    keeper = retention(tmp_path)
    keeper.tidy()
    assert len(left(tmp_path)) == 2
    keeper.tidy()  # an hour later, and still nobody has written to it
    assert left(tmp_path) == {"recordings/garden/.alive.flac.part"}


def test_a_sidecar_whose_sound_was_never_moved_into_place_goes(tmp_path: Path) -> None:
    """Killed between the renaming of the first and the last of a clip's files."""
    said = {"birdwatchd": "0.1.0", "detection": {"scientific_name": "Parus major", "score": 0.9}}
    for stem, described in (("a", {"clip": {"file": "a.flac"}}), ("b", {"clip": {"file": "b.flac"}})):
        (tmp_path / f"{stem}.json").write_text(json.dumps({**said, **described}))
        (tmp_path / f"{stem}.png").write_bytes(b"a picture of it")
    (tmp_path / "b_1.json").write_text(json.dumps({**said, "picture": {"file": "b_1.jpg"}}))
    (tmp_path / "b.flac").write_bytes(b"sound")
    (tmp_path / "c.json").write_text(json.dumps({**said, "clip": {"file": "c.flac"}}))
    (tmp_path / ".c.flac.part").write_bytes(b"on its way")
    with (tmp_path / ".c.flac.part").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        retention(tmp_path).tidy()
    assert left(tmp_path) == {"b.json", "b.png", "b.flac", "c.json", ".c.flac.part"}


ITEMS = st.lists(
    st.builds(
        Item,
        folder=st.just(""),
        stem=st.just(""),
        names=st.just(()),
        size=st.integers(1, 10),
        written=st.floats(0, 100),
        species=st.sampled_from(["", "Parus major", "Turdus merula", "Fulica atra", "Strix aluco"]),
        score=st.integers(70, 100).map(lambda score: score / 100),
        reviewed=st.booleans(),
        judged=st.booleans(),
    ),
    max_size=60,
)


@given(items=ITEMS)
def test_the_order_in_which_clips_give_way(items: list[Item]) -> None:
    going = list(order(items))
    assert Counter(map(repr, going)) == Counter(map(repr, items))
    clips = [item for item in going if item.species]
    # Recordings first, the oldest of them.
    recordings = going[: len(going) - len(clips)]
    assert not any(item.species for item in recordings)
    assert [item.written for item in recordings] == sorted(item.written for item in recordings)
    species = {item.species for item in clips}
    # Whoever is last is among the best of each species.
    last = clips[len(clips) - len(species) :]
    assert {item.species for item in last} == species
    for item in last:
        assert item.score == max(one.score for one in clips if one.species == item.species)
    rest = clips[: len(clips) - len(species)]
    # What has served goes before the others, and what somebody has judged on the page after them.
    worth = [2 if item.judged else 0 if item.reviewed else 1 for item in rest]
    assert worth == sorted(worth)
    for wanted in range(3):
        part = [item for item, its in zip(rest, worth, strict=True) if its == wanted]
        standing = Counter(item.species for item in clips[clips.index(part[0]) :]) if part else Counter[str]()
        for place, item in enumerate(part):
            waiting = {one.species for one in part[place:]}
            # The commonest gives way, by the worst of its own.
            assert standing[item.species] == max(standing[one] for one in waiting)
            assert item.score == min(one.score for one in part[place:] if one.species == item.species)
            standing[item.species] -= 1


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(200, 3000), min_size=1, max_size=25),
    limit=st.integers(3000, 12_000),
    scores=st.randoms(use_true_random=False),
)
def test_the_limit_holds_at_every_moment_of_a_burst(sizes: list[int], limit: int, scores: Any) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        by = retention(folder, size=limit)
        for number, size in enumerate(sizes):
            species = scores.choice(["Parus major", "Turdus merula", "Strix aluco"])
            if not by.make_room(size):
                keep(folder, str(number), size, species=species, score=scores.random())
            assert total(folder) <= limit


def test_the_limit_holds_when_several_write_at_once(tmp_path: Path) -> None:
    by = retention(tmp_path, size=20_000)
    over: list[int] = []

    def write(name: str) -> None:
        for number in range(30):
            if not by.make_room(1000):
                with suppress(FileNotFoundError):  # it gave way to another's before its date was set
                    keep(tmp_path, f"{name}-{number}", score=number / 100)
            with (
                by._lock
            ):  # else files are counted that have given way, and with them those that came in their place
                found = sum(size(path) for path in tmp_path.iterdir())
            if found > 20_000:
                over.append(found)

    def size(path: Path) -> int:
        try:
            return path.stat().st_size if path.is_file() else 0
        except OSError:
            return 0

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not over
    assert total(tmp_path) > 10_000


class Looking:
    """Holds up whoever looks through the folder: he has seen all of it, and does not know what comes of it yet."""

    def __init__(self, by: Retention) -> None:
        self.has_seen, self.may_go_on = threading.Event(), threading.Event()
        self.looks = 0
        look = by._shelf.look

        def slowly(judged: Collection[str] = ()) -> Contents:
            self.looks += 1
            found = look(judged)
            self.has_seen.set()
            assert self.may_go_on.wait(30), "somebody waited for it"
            return found

        by._shelf.look = slowly  # type: ignore[method-assign]


class Queue:
    """A lock that counts who asked for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.locked = self._lock.locked
        self.asked = 0

    def __enter__(self) -> None:
        self.asked += 1
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


@pytest.mark.parametrize("is_first", [True, False])
def test_nobody_waits_while_the_folder_is_looked_through(tmp_path: Path, *, is_first: bool) -> None:
    keep(tmp_path, "a")
    by = retention(tmp_path, size=10**6)
    if not is_first:
        by.tidy()
    looking = Looking(by)
    with ThreadPoolExecutor(1) as pool:
        tidied = pool.submit(by.tidy)
        assert looking.has_seen.wait(30)
        assert by.make_room(5000) == ""
        keep(tmp_path, "b", 1500)
        by.wrote(1500)
        looking.may_go_on.set()
        assert tidied.result() == Gone()
    assert by.size == total(tmp_path)  # it had not seen b
    assert by.tidy() == Gone()
    assert by.size == total(tmp_path)


def test_what_gives_way_while_it_is_looked_through_is_counted_once(tmp_path: Path) -> None:
    for number in range(5):
        keep(tmp_path, str(number), score=number / 10)
    by = retention(tmp_path, size=5500)
    by.tidy()
    looking = Looking(by)
    with ThreadPoolExecutor(1) as pool:
        tidied = pool.submit(by.tidy)
        assert looking.has_seen.wait(30)
        assert by.make_room(1400) == ""
        keep(tmp_path, "5", 1400, score=0.9)
        assert left(tmp_path) == {f"{name}.{suffix}" for name in "12345" for suffix in ("flac", "json")}
        looking.may_go_on.set()
        assert tidied.result() == Gone(1, 1000)
    assert by.size == total(tmp_path) == 5400
    assert by.make_room(1000) == ""
    assert "1.flac" not in left(tmp_path)
    assert {"2.flac", "3.flac"} <= left(tmp_path)


def test_what_is_written_during_the_first_look_makes_way_after_it(tmp_path: Path) -> None:
    """A station that starts writes what it hears, and does not wait for a card."""
    for number in range(5):
        keep(tmp_path, str(number), score=number / 10)
    by = retention(tmp_path, size=5000)
    looking = Looking(by)
    with ThreadPoolExecutor(1) as pool:
        tidied = pool.submit(by.tidy)
        assert looking.has_seen.wait(30)
        assert by.make_room(1000) == ""
        keep(tmp_path, "5", score=0.9)
        looking.may_go_on.set()
        tidied.result()
    assert total(tmp_path) <= 5000
    assert "5.flac" in left(tmp_path)


def test_those_who_wait_for_a_look_do_not_look_again_one_after_the_other(tmp_path: Path) -> None:
    """Where the disk is full up to `free_gigabytes` nobody can write before it is known what may go."""
    for number in range(5):
        keep(tmp_path, str(number), score=number / 10)
    by = retention(tmp_path, size=5000)
    by._missing_on_disk = lambda size: size + 1.0  # type: ignore[method-assign] # a disk that is full cannot be had here
    by._looking = queue = Queue()  # type: ignore[assignment]
    looking = Looking(by)
    with ThreadPoolExecutor(4) as pool:
        tidied = pool.submit(by.tidy)
        assert looking.has_seen.wait(30)
        writers = [pool.submit(by.make_room, 100) for _ in range(3)]
        wait_until(lambda: queue.asked == 4, "they wait for it")
        looking.may_go_on.set()
        tidied.result()
        assert all("no room" in writer.result() for writer in writers)
    assert looking.looks == 1


def test_only_some_are_remembered_and_the_others_found_when_those_have_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("birdwatchd.store.retention.KNOWN", 3)
    for number in range(10):
        keep(tmp_path, str(number), score=number / 10)
    by = retention(tmp_path, size=10_000)
    by.tidy()
    assert len(by._next) == 3
    assert by.make_room(6000) == ""
    assert left(tmp_path) == {f"{name}.{suffix}" for name in "6789" for suffix in ("flac", "json")}


def test_the_limit_holds_also_while_it_is_tidied(tmp_path: Path) -> None:
    by = retention(tmp_path, size=20_000)
    by.tidy()
    over: list[int] = []

    def write(name: str) -> None:
        for number in range(30):
            if not by.make_room(1000):
                with suppress(FileNotFoundError):  # it gave way to another's before its date was set
                    keep(tmp_path, f"{name}-{number}", score=number / 100)
                by.wrote(1000)
            with by._lock:
                found = sum(path.stat().st_size for path in tmp_path.iterdir() if path.suffix != ".part")
            if found > 20_000:
                over.append(found)

    with ThreadPoolExecutor(2) as pool:
        written = [pool.submit(write, name) for name in "ab"]
        while not all(one.done() for one in written):
            by.tidy()
        for one in written:
            one.result()
    assert not over
    by.tidy()
    assert by.size == total(tmp_path)


def test_what_cannot_be_deleted_keeps_nothing_else_from_going(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that nobody may delete cannot be had here, as root may always: the refusal is put in."""
    for name in ("a", "b", "c"):
        (tmp_path / f".{name}.flac.part").write_bytes(b"x")
        keep(tmp_path, name, days=name == "c")

    def delete(folder: Path, path: Path) -> None:
        if path.name == ".a.flac.part":
            raise PermissionError(1, "Operation not permitted")
        delete_file(folder, path)

    monkeypatch.setattr("birdwatchd.store.leftovers.delete_file", delete)
    assert retention(tmp_path, size=2500).tidy().clips == 1
    assert ".a.flac.part" in left(tmp_path)
    assert not {".b.flac.part", ".c.flac.part"} & left(tmp_path)


def test_a_review_counts_from_the_next_look_on(tmp_path: Path) -> None:
    path = keep(tmp_path, "a")
    shelf = Shelf(tmp_path)
    assert [item.reviewed for item in shelf.look().items] == [False]
    sidecar = path.with_suffix(".json")
    sidecar.write_text(sidecar.read_text().replace('"reviewed": false', '"reviewed": true'))
    assert [item.reviewed for item in shelf.look().items] == [True]


def test_what_was_judged_on_the_page_stays_for_as_long_as_anything_else_can_go(tmp_path: Path) -> None:
    """A model is to learn from it: the worst clip of all stays, and the path is that of the detection."""
    names = ["2026/a.b_1", "2026/b", "2026/c", "2026/d"]
    for number, name in enumerate(names):
        keep(tmp_path, name, 2000, score=0.7 + number / 20)
    limits = Limits(gigabytes=5000 / GIGABYTE, free_gigabytes=0)
    by = Retention(tmp_path, limits, wall=lambda: NOW, judged=lambda: {"2026/a.b_1"})
    assert by.tidy().clips == 2
    assert {path.stem for path in (tmp_path / "2026").iterdir()} == {"a.b_1", "d"}


def test_the_daemon_asks_the_database_what_was_judged_and_goes_on_without_it(tmp_path: Path) -> None:
    from birdwatchd.daemon import _judged

    one = detection(clip_path="2026/a")
    path = write(tmp_path / "birds.sqlite", one)
    assert _judged(path) == set()
    with Database.open_beside(path) as database:
        add(database, Review(one.id, DAWN, "wrong"))
    assert _judged(path) == {"2026/a"}
    path.write_bytes(b"no database")
    assert not _judged(path)
    assert not _judged(tmp_path / "none.sqlite")


def test_nothing_goes_for_its_age_while_the_clock_may_be_wrong(tmp_path: Path) -> None:
    keep(tmp_path, "old", days=100)
    is_seasoned = False
    limits = Limits(gigabytes=1, free_gigabytes=0, days=30)
    by = Retention(tmp_path, limits, wall=lambda: NOW, is_seasoned=lambda: is_seasoned)
    assert by.tidy() == Gone()
    is_seasoned = True
    assert by.tidy().clips == 1


def test_a_clip_of_1970_is_as_old_as_the_day_it_is_found(tmp_path: Path) -> None:
    now = NOW
    path = keep(tmp_path, "old", days=(NOW - 1000) / DAY_SECONDS)
    by = Retention(tmp_path, Limits(gigabytes=1, free_gigabytes=0, days=30), wall=lambda: now)
    assert by.tidy() == Gone()
    assert path.stat().st_mtime == NOW
    now += 31 * DAY_SECONDS
    assert by.tidy().clips == 1


def test_on_a_clock_of_1970_nothing_is_old(tmp_path: Path) -> None:
    keep(tmp_path, "new")
    by = Retention(tmp_path, Limits(gigabytes=1, free_gigabytes=0, days=1), wall=lambda: 1000.0)
    assert by.tidy() == Gone()

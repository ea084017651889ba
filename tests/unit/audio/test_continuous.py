"""Hour by hour, every sample is in a file or told as missing; nobody's voice is."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from structlog.testing import capture_logs

from birdwatchd.actions.clip_files import write_together
from birdwatchd.audio import continuous, hour
from birdwatchd.audio.clips import Sound, Spans
from birdwatchd.audio.clock import FileClock
from birdwatchd.audio.continuous import Continuous, Tape
from birdwatchd.audio.hour import Hour, mend, unfinished
from birdwatchd.audio.recorded_at import recorded_at
from birdwatchd.audio.ring import Ring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

RATE = 1000
START = datetime(2026, 5, 9, 4, 59, 50, 250000, tzinfo=UTC)


class Space:
    """As much room as it is told."""

    def __init__(self) -> None:
        self.refusal = ""
        self.asked = self.written = 0

    def make_room(self, size: int) -> str:
        self.asked += size
        return self.refusal

    def wrote(self, size: int) -> None:
        self.written += size


def ring_of(capacity_seconds: int = 100) -> Ring:
    return Ring(capacity_seconds * RATE, RATE)


def values(first: int, last: int) -> NDArray[np.float32]:
    """What a 16 bit microphone might deliver, different at every sample."""
    return ((np.arange(first, last) % 30011 - 15000) / 32768).astype(np.float32)


def play(ring: Ring, seconds: float) -> None:
    ring.write(values(ring.written, ring.written + round(seconds * RATE)))


def sound_of(ring: Ring, *, heard_to: int | None = None, voices: Spans = (), unheard: Spans = ()) -> Sound:
    clock = FileClock(RATE)
    clock.anchor(0, START)
    return Sound("garden", ring, clock, ring.written if heard_to is None else heard_to, voices, unheard)


def tape_in(folder: Path, space: Space | None = None) -> Tape:
    return Tape(folder, space or Space(), node="wood")


def kept(folder: Path) -> list[tuple[dict[str, Any], NDArray[np.float32]]]:
    """Each file, in their order: what is said of it, and its sound."""
    found = []
    for path in sorted(folder.rglob("*.flac")):
        said = json.loads(path.with_name(path.name.replace(".flac", ".json")).read_text())["recording"]
        sound, rate = soundfile.read(path, dtype="float32")
        assert rate == RATE
        found.append((said, sound))
    return found


def test_a_new_hour_is_a_new_file_and_no_sample_is_lost_between(tmp_path: Path) -> None:
    ring, tape = ring_of(), tape_in(tmp_path)
    for _ in range(20):
        play(ring, 1.7)
        tape.take(sound_of(ring))
    tape.close()
    (first, before), (second, after) = kept(tmp_path)
    assert (first["samples"], len(before)) == (9750, 9750)  # up to 05:00:00
    assert (second["first_sample"], len(after)) == (9750, 34_000 - 9750)
    assert second["start"] == "2026-05-09T05:00:00.000+00:00"
    assert np.array_equal(np.concatenate([before, after]), values(0, 34_000))


def test_its_name_tells_when_it_began(tmp_path: Path) -> None:
    ring, tape = ring_of(), tape_in(tmp_path)
    play(ring, 5)
    tape.take(sound_of(ring))
    tape.close()
    (path,) = tmp_path.rglob("*.flac")
    assert path.relative_to(tmp_path).as_posix() == "2026-05-09/garden_20260509T045950.250Z.flac"
    found = recorded_at(path)
    assert found is not None
    assert found.start == START


def test_a_time_that_comes_again_overwrites_nothing(tmp_path: Path) -> None:
    for _ in range(2):  # a machine without a clock is on in 1970 each time
        ring, tape = ring_of(), tape_in(tmp_path)
        play(ring, 5)
        tape.take(sound_of(ring))
        tape.close()
    assert [path.name for path in sorted(tmp_path.rglob("*.flac"))] == [
        "garden_20260509T045950.250Z.flac",
        "garden_20260509T045950.251Z.flac",
    ]
    assert [said["samples"] for said, _ in kept(tmp_path)] == [5000, 5000]


def test_only_what_was_analysed_is_written(tmp_path: Path) -> None:
    ring, tape = ring_of(), tape_in(tmp_path)
    play(ring, 5)
    tape.take(sound_of(ring, heard_to=3000))
    tape.close()
    ((said, sound),) = kept(tmp_path)
    assert (said["samples"], len(sound)) == (3000, 3000)


def test_voices_are_silenced_and_told(tmp_path: Path) -> None:
    ring, tape = ring_of(), tape_in(tmp_path)
    play(ring, 4)
    tape.take(sound_of(ring, voices=((1000, 2500), (2000, 3500)), unheard=((3800, 4200),)))
    play(ring, 4)
    tape.take(sound_of(ring, voices=((1000, 2500), (2000, 3500)), unheard=((3800, 4200),)))
    tape.close()
    ((said, sound),) = kept(tmp_path)
    expected = values(0, 8000)
    expected[1000:3500] = 0
    expected[3800:4200] = 0
    assert np.array_equal(sound, expected)
    told = [(one["offset_samples"], one["samples"], one["cause"]) for one in said["silenced"]]
    assert told == [(1000, 2500, "a person speaks"), (3800, 400, "not analysed")]


def test_gaps_are_told_where_they_are(tmp_path: Path) -> None:
    ring, tape = ring_of(), tape_in(tmp_path)
    play(ring, 2)
    ring.mark_gap(1.5, "lost")
    ring.mark_gap(0.5, "the device was away")
    play(ring, 2)
    tape.take(sound_of(ring))
    play(ring, 1)
    tape.take(sound_of(ring))
    tape.close()
    ((said, sound),) = kept(tmp_path)
    assert len(sound) == 5000
    told = [(gap["offset_samples"], gap["missing_seconds"], gap["cause"]) for gap in said["gaps"]]
    assert told == [(2000, 1.5, "lost"), (2000, 0.5, "the device was away")]


def test_a_writer_that_is_too_slow_tells_what_is_missing(tmp_path: Path) -> None:
    ring, tape = ring_of(20), tape_in(tmp_path)
    play(ring, 4)
    tape.take(sound_of(ring))
    play(ring, 20)
    play(ring, 10)
    tape.take(sound_of(ring))
    tape.close()
    files = kept(tmp_path)
    lost = [gap for said, _ in files for gap in said["gaps"]]
    assert [gap["cause"] for gap in lost] == ["not written in time"]
    total = sum(len(sound) for _, sound in files)
    assert total + round(lost[0]["missing_seconds"] * RATE) == 34_000
    assert np.array_equal(files[-1][1][-10_000:], values(24_000, 34_000))


def test_without_room_it_pauses_and_goes_on(tmp_path: Path) -> None:
    ring, space = ring_of(), Space()
    tape = tape_in(tmp_path, space)
    play(ring, 2)
    tape.take(sound_of(ring))
    space.refusal = "the disk is full"
    play(ring, 3)
    tape.take(sound_of(ring))
    space.refusal = ""
    play(ring, 2)
    tape.take(sound_of(ring))
    tape.close()
    ((said, sound),) = kept(tmp_path)
    assert np.array_equal(sound, np.concatenate([values(0, 2000), values(5000, 7000)]))
    assert [(gap["offset_samples"], gap["missing_seconds"], gap["cause"]) for gap in said["gaps"]] == [
        (2000, 3.0, "no room")
    ]
    assert 0 < space.written < space.asked


def test_a_disk_that_fails_costs_a_piece_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring, tape = ring_of(), tape_in(tmp_path)
    play(ring, 2)
    tape.take(sound_of(ring))
    with monkeypatch.context() as broken:

        def fails(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        broken.setattr(Hour, "write", fails)
        play(ring, 3)
        tape.take(sound_of(ring))
    play(ring, 2)
    tape.take(sound_of(ring))
    tape.close()
    (_, before), (second, after) = kept(tmp_path)
    assert np.array_equal(before, values(0, 2000))
    assert np.array_equal(after, values(5000, 7000))
    assert second["first_sample"] == 5000


CRASH = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.unit.audio import test_continuous as here
ring, tape = here.ring_of(), here.tape_in(Path(sys.argv[1]) / "garden")
for _ in range(9):
    here.play(ring, 1)
    tape.take(here.sound_of(ring))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_after_a_kill_the_hour_is_made_whole(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[3])
    code = CRASH.format(root=root)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert not list(tmp_path.rglob("[!.]*.flac"))
    (mended,) = mend(unfinished(tmp_path))
    sound, _ = soundfile.read(mended, dtype="float32")
    assert len(sound) > 9000 - 2 * 4096
    assert np.array_equal(sound, values(0, len(sound)))
    assert not list(tmp_path.rglob("*.part"))
    if shutil.which("ffmpeg"):  # somebody else takes it for a whole file, too
        command = ["ffmpeg", "-v", "error", "-i", str(mended), "-f", "s16le", "-"]
        read = subprocess.run(command, capture_output=True, check=True)
        assert len(read.stdout) // 2 - len(sound) in (0, 1)
        assert read.stderr == b""


def test_nothing_to_mend_is_no_trouble(tmp_path: Path) -> None:
    assert list(mend(unfinished(tmp_path / "nowhere"))) == []
    part = tmp_path / "garden" / "2026-05-09" / ".empty.flac.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"")
    assert list(mend(unfinished(tmp_path))) == []
    assert not part.exists()


def test_a_whole_run(tmp_path: Path) -> None:
    ring = ring_of()
    play(ring, 5)
    with Continuous(tmp_path, Space(), lambda: [sound_of(ring)], node="wood"):
        play(ring, 1.5)
    ((said, sound),) = kept(tmp_path)
    assert said["source"] == "garden"
    assert np.array_equal(sound, values(0, 6500))


def wait_for(what: Callable[[], object]) -> None:
    """As long as it takes on a machine that has other things to do."""
    until = time.monotonic() + 60
    while not what():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.01)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks often."""
    monkeypatch.setattr(continuous, "POLL_SECONDS", 0.01)


@pytest.mark.usefixtures("soon")
def test_a_disk_that_does_not_answer_for_a_while_is_written_to_again(tmp_path: Path) -> None:
    """EIO of a disk cannot be had here: the fault is put in where the room is asked for."""
    ring, space = ring_of(), Space()
    play(ring, 2)
    is_broken = True

    def make_room(size: int) -> str:
        if is_broken:
            raise OSError(5, "Input/output error")
        return Space.make_room(space, size)

    space.make_room = make_room  # type: ignore[method-assign]
    with capture_logs() as lines, Continuous(tmp_path, space, lambda: [sound_of(ring)], node="wood") as it:
        wait_for(lambda: it.faults)
        assert it.faults == ["garden is not recorded continuously: [Errno 5] Input/output error"]
        play(ring, 1)
        wait_for(lambda: it._tapes["garden"]._at == 3000)
        is_broken = False
        play(ring, 3)
        wait_for(lambda: not it.faults)
    ((said, sound),) = kept(tmp_path)
    assert said["first_sample"] == 3000
    assert np.array_equal(sound, values(3000, 6000))
    assert [line["event"] for line in lines] == [
        "continuous recording pauses",
        "continuous recording goes on",
    ]


@pytest.mark.usefixtures("soon")
def test_whatever_goes_wrong_it_is_tried_again_and_said_once(tmp_path: Path) -> None:
    """An error that nobody foresaw, made up: of one source, and of all."""
    ring, asked = ring_of(), 0
    play(ring, 2)

    class Odd(FileClock):
        def at(self, index: int) -> datetime:
            raise RuntimeError(f"odd: {index}")

    def sounds() -> list[Sound]:
        nonlocal asked
        asked += 1
        if asked < 5:
            raise RuntimeError("nobody knows")
        return [Sound("attic", ring, Odd(RATE), ring.written, (), ()), sound_of(ring)]

    with capture_logs() as lines, Continuous(tmp_path, Space(), sounds, node="wood") as it:
        wait_for(lambda: asked > 10)
        assert it.faults == ["attic is not recorded continuously: odd: 0"]
    ((_, sound),) = kept(tmp_path)
    assert np.array_equal(sound, values(0, 2000))
    assert [(line["event"], line.get("source")) for line in lines] == [
        ("continuous recording fails, and is tried again", None),
        ("continuous recording pauses", "attic"),
        ("continuous recording goes on", None),
    ]


def test_a_card_that_has_become_read_only_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing can be deleted either (made up: root may always)."""
    open_hour = Hour(tmp_path, "garden", first_sample=0, start=START, rate=RATE, node="wood")
    with monkeypatch.context() as broken:

        def fails(*_: Any, **__: Any) -> None:
            raise OSError(30, "Read-only file system")

        broken.setattr(Path, "unlink", fails)
        open_hour.close()


@pytest.mark.usefixtures("soon")
def test_what_a_crash_left_is_mended_beside_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / "recordings" / "garden" / "2026-05-08" / ".long.flac.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"")
    may_go_on, seen = threading.Event(), list[Path]()

    def slowly(parts: list[Path]) -> Iterator[Path]:
        seen.extend(parts)
        assert may_go_on.wait(60)
        yield from mend(parts)

    monkeypatch.setattr(continuous, "mend", slowly)
    ring = ring_of()
    play(ring, 5)
    with Continuous(tmp_path, Space(), lambda: [sound_of(ring)], node="wood") as it:
        wait_for(lambda: "garden" in it._tapes and it._tapes["garden"]._at == 5000)
        assert left.exists()
        may_go_on.set()
        wait_for(lambda: not left.exists())
    assert seen == [left]  # and none of this run
    ((_, sound),) = kept(tmp_path)
    assert np.array_equal(sound, values(0, 5000))


def test_a_part_of_the_same_time_is_not_written_over(tmp_path: Path) -> None:
    """What a power cut left may have lost its JSON file."""
    left = tmp_path / "2026-05-09" / ".garden_20260509T045950.250Z.flac.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"sound")
    Hour(tmp_path, "garden", first_sample=0, start=START, rate=RATE, node="wood")
    assert left.read_bytes() == b"sound"


def test_somebody_who_speaks_does_not_wear_out_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []

    def counted(stem: Path, contents: dict[str, bytes]) -> None:
        told.append(len(json.loads(contents[".json"])["recording"]["silenced"]))
        write_together(stem, contents)

    monkeypatch.setattr(hour, "write_together", counted)
    ring, tape = ring_of(200), tape_in(tmp_path)
    play(ring, 10)  # up to the full hour
    for second in range(10, 135):
        play(ring, 1)
        voices = tuple((one * RATE, one * RATE + 500) for one in range(10, second + 1))
        tape.take(sound_of(ring, voices=voices))
    # When it is begun, with what is synced each minute, and at the end.
    before = len(told)
    assert before <= 2 + 4
    tape.close()
    assert told[-1] >= 124
    assert len(told) == before + 1


def test_a_clock_that_was_set_back_begins_a_new_file(tmp_path: Path) -> None:
    hour = Hour(tmp_path, "garden", first_sample=0, start=START, rate=RATE, node="wood")
    assert hour.holds(START + timedelta(seconds=9))
    assert not hour.holds(START - timedelta(seconds=1))
    assert not hour.holds(START + timedelta(seconds=10))
    hour.close()

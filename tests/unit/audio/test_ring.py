"""The ring against a plain list, and against a writer that never waits."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdwatchd.audio.ring import Ring
from birdwatchd.errors import Lapped


def numbered(start: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Samples that say where they belong, as far as float32 counts exactly: then they begin anew."""
    return (np.arange(start, start + count) % 2**24).astype(np.float32)


@given(
    capacity=st.integers(1, 40),
    steps=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 200), st.integers(0, 45))),
)
def test_it_gives_back_what_a_list_would(capacity: int, steps: list[tuple[int, int, int]]) -> None:
    ring = Ring(capacity, 1000)
    written: list[float] = []
    for count, start, length in steps:
        block = numbered(len(written), min(count, capacity))
        ring.write(block)
        written.extend(block)
        stop = start + length
        if stop > len(written):
            with pytest.raises(ValueError, match="written up to"):
                ring.read(start, stop)
        elif start < len(written) - capacity:
            with pytest.raises(Lapped):
                ring.read(start, stop)
        else:
            assert ring.read(start, stop).tolist() == written[start:stop]
        assert ring.written == len(written)
        assert ring.oldest == max(0, len(written) - capacity)


def test_what_was_read_is_a_copy() -> None:
    ring = Ring(4, 1000)
    ring.write(numbered(0, 4))
    copy = ring.read(0, 4)
    ring.write(numbered(4, 4))
    assert copy.tolist() == [0, 1, 2, 3]


@given(
    capacity=st.integers(1, 30),
    steps=st.lists(st.one_of(st.integers(0, 30), st.sampled_from(["lost", "device gone"]))),
)
def test_gaps_lie_before_a_sample_and_go_with_it(capacity: int, steps: list[int | str]) -> None:
    ring = Ring(capacity, 1000)
    marked: list[tuple[int, str]] = []
    for step in steps:
        if isinstance(step, str):
            ring.mark_gap(1.5, step)
            marked.append((ring.written, step))
        else:
            ring.write(numbered(ring.written, min(step, capacity)))
        alive = [(index, cause) for index, cause in marked if index >= ring.oldest]
        assert [(gap.index, gap.cause) for gap in ring.gaps] == alive


def test_a_read_is_never_torn_while_a_writer_runs() -> None:
    ring = Ring(1000, 1000)
    stop = threading.Event()

    def write() -> None:
        sizes = np.random.default_rng(3).integers(1, 400, 1000).tolist()
        while not stop.is_set():
            size = sizes[ring.written % 1000]
            ring.write(numbered(ring.written, size))

    patience = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # the threads interrupt each other wherever they can
    writer = threading.Thread(target=write)
    writer.start()
    random = np.random.default_rng(4)
    whole = lapped = 0
    try:
        while whole < 300 or lapped < 5:
            stop_index = ring.written
            # Near the edge, where the writer is just about to overtake.
            start = max(0, stop_index - int(random.integers(500, 1000)))
            try:
                samples = ring.read(start, stop_index)
            except Lapped:
                lapped += 1
            else:
                whole += 1
                assert np.array_equal(samples, numbered(start, stop_index - start))
    finally:
        stop.set()
        writer.join()
        sys.setswitchinterval(patience)


def test_a_writer_that_waits_goes_on_when_its_reader_did() -> None:
    ring = Ring(10, 1000)
    assert ring.write_when_released(numbered(0, 10))
    writer = threading.Thread(target=ring.write_when_released, args=(numbered(10, 5),))
    writer.start()
    assert ring.read(0, 10).tolist() == list(range(10))
    ring.release(5)
    writer.join(60)
    assert not writer.is_alive()
    assert ring.read(5, 15).tolist() == list(range(5, 15))


def test_closing_lets_a_waiting_writer_go() -> None:
    ring = Ring(10, 1000)
    ring.write_when_released(numbered(0, 10))
    results: list[bool] = []
    writer = threading.Thread(target=lambda: results.append(ring.write_when_released(numbered(10, 1))))
    writer.start()
    ring.close()
    writer.join(60)
    assert results == [False]
    assert ring.written == 10


@given(
    capacity=st.integers(5, 30),
    before=st.lists(st.integers(1, 5), max_size=20),
    more=st.integers(1, 40),
    after=st.lists(st.integers(1, 5), max_size=30),
)
def test_a_ring_that_grows_goes_on_with_what_is_there(
    capacity: int, before: list[int], more: int, after: list[int]
) -> None:
    ring = Ring(capacity, 1000)
    for count in before:
        ring.write(numbered(ring.written, count))
    there = ring.oldest
    ring.grow(capacity + more)
    for count in after:
        ring.write(numbered(ring.written, count))
        assert ring.capacity == capacity + more
        assert ring.oldest == max(there, ring.written - ring.capacity)
        assert ring.read(ring.oldest, ring.written).tolist() == list(range(ring.oldest, ring.written))
    ring.grow(capacity)
    ring.write(numbered(ring.written, 1))
    assert ring.capacity == capacity + more * bool(after) or not after


def read_for_ever(ring: Ring, stop: threading.Event, wrong: list[int]) -> None:
    while not stop.is_set():
        first, last = ring.oldest, ring.written
        try:
            if not np.array_equal(ring.read(first, last), numbered(first, last - first)):
                wrong.append(first)
        except (Lapped, ValueError):
            continue


def write_for_ever(ring: Ring, stop: threading.Event) -> None:
    while not stop.is_set():
        ring.write(numbered(ring.written, 7))


def test_a_ring_grows_under_a_writer_that_never_waits() -> None:
    ring = Ring(2000, 1000)
    stop, wrong = threading.Event(), list[int]()
    threads = [threading.Thread(target=read_for_ever, args=(ring, stop, wrong)) for _ in range(2)]
    threads.append(threading.Thread(target=write_for_ever, args=(ring, stop)))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for capacity in range(3000, 30_000, 1000):
            ring.grow(capacity)
            while ring.capacity != capacity:
                pass
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(before)
    assert not wrong


def test_a_ring_that_goes_on_where_another_ended() -> None:
    ring = Ring(10, 1000, first=500)
    assert (ring.first, ring.oldest, ring.written) == (500, 500, 500)
    with pytest.raises(Lapped):
        ring.read(499, 500)
    ring.write(numbered(500, 8))
    assert ring.read(500, 508).tolist() == list(range(500, 508))
    ring.write(numbered(508, 8))
    assert ring.oldest == 506

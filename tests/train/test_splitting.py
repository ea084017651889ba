from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from train.manifest import Row
from train.parts import fold, keep, split, torn
from train.splitting import deal, group_of

THIRDS = {"train": 0.7, "validation": 0.15, "test": 0.15}


def row(number: int, label: str, group: str = "") -> Row:
    return Row(Path(f"{number}.wav"), (label,) if label else (), group=group)


def test_every_class_has_its_share_of_every_part() -> None:
    rows = [row(number, "ab"[number % 2]) for number in range(200)]
    parts = deal(rows, THIRDS)
    for label in "ab":
        counts = Counter(part for one, part in zip(rows, parts, strict=True) if one.labels == (label,))
        assert counts == {"train": 70, "validation": 15, "test": 15}


def test_negatives_are_dealt_out_too() -> None:
    rows = [row(number, "a" if number % 4 else "") for number in range(400)]
    parts = deal(rows, THIRDS)
    assert Counter(part for one, part in zip(rows, parts, strict=True) if not one.labels)["test"] == 15


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c", ""]), st.integers(0, 12)), min_size=1, max_size=80),
    st.integers(0, 3),
)
def test_a_group_is_never_divided(drawn: list[tuple[str, int]], seed: int) -> None:
    rows = [row(number, label, f"g{group}") for number, (label, group) in enumerate(drawn)]
    parts = deal(rows, THIRDS, seed=seed)
    for group in {one.group for one in rows}:
        assert len({part for one, part in zip(rows, parts, strict=True) if one.group == group}) == 1


def test_the_order_of_the_rows_does_not_matter_and_the_seed_does() -> None:
    rows = [row(number, "abc"[number % 3], f"g{number // 2}") for number in range(120)]
    first = dict(zip(rows, deal(rows, THIRDS, seed=1), strict=True))
    mixed = random.Random(7).sample(rows, len(rows))
    assert dict(zip(mixed, deal(mixed, THIRDS, seed=1), strict=True)) == first
    assert dict(zip(rows, deal(rows, THIRDS, seed=2), strict=True)) != first


def test_a_class_of_three_recordings_is_in_every_part() -> None:
    rows = [row(number, "common") for number in range(100)]
    rows += [row(1000 + number, "rare", f"r{number % 3}") for number in range(30)]
    parts = deal(rows, THIRDS)
    assert {part for one, part in zip(rows, parts, strict=True) if one.labels == ("rare",)} == set(THIRDS)


def test_pieces_of_one_file_stay_together_whatever_their_groups_say() -> None:
    path = Path("long.wav")
    rows = [Row(path, ("a",), start=number, end=number + 1, group=f"g{number}") for number in range(20)]
    assert len(set(deal(rows, THIRDS))) == 1


def test_big_groups_do_not_fill_the_small_parts() -> None:
    sizes = [40, 30, 20, 10, *[1] * 100]
    rows = [
        row(1000 * group + number, "a", f"g{group}")
        for group, size in enumerate(sizes)
        for number in range(size)
    ]
    counts = Counter(deal(rows, THIRDS))
    assert abs(counts["test"] - 30) <= 3
    assert abs(counts["validation"] - 30) <= 3


def test_folds_are_even() -> None:
    rows = fold([row(number, "ab"[number % 2], f"g{number // 4}") for number in range(100)], 5, seed=0)
    assert Counter(one.fold for one in rows) == dict.fromkeys(range(1, 6), 20)


def test_official_folds_stay_and_the_rest_is_dealt_over_them() -> None:
    official = [Row(Path(f"{n}.wav"), ("a",), fold=1 + n % 5) for n in range(50)]
    loose = [row(100 + number, "") for number in range(20)]
    kept = keep([*official, *loose], seed=0)
    assert kept[:50] == official
    assert Counter(one.fold for one in kept[50:]) == dict.fromkeys(range(1, 6), 4)


def test_a_row_without_a_part_follows_its_recording() -> None:
    placed = [
        Row(Path(f"{n}.wav"), ("a",), group=f"g{n}", split="train" if n < 9 else "test") for n in range(10)
    ]
    kin = [Row(Path(f"kin{n}.wav"), ("a",), group="g9") for n in range(30)]
    assert {one.split for one in keep([*placed, *kin], seed=0)[10:]} == {"test"}


def test_what_is_of_one_file_stays_together_whatever_its_groups_are() -> None:
    placed = [replace(row(n, "a"), split="train" if n else "test") for n in range(10)]
    loose = [Row(placed[0].path, ("a",), start=3.0 * n, group=f"g{n}") for n in range(1, 30)]
    tied = [Row(Path(f"tied{n}.wav"), ("a",), group=f"g{n}") for n in range(1, 30)]
    assert {one.split for one in keep([*placed, *loose, *tied], seed=0)[10:]} == {"test"}


def test_a_recording_in_several_parts_is_named_once() -> None:
    here = [Row(Path("a.wav"), ("a",), group="monday", split=part) for part in ("train", "test")]
    there = [
        Row(Path("b.wav"), ("a",), start=start, split=part) for start, part in ((0, "train"), (3, "test"))
    ]
    ties = [Row(Path("c.wav"), ("a",), group=part, split=part) for part in ("train", "test")]
    assert torn([*here, *there, *ties]) == [
        "pieces of one recording stand in several parts, so that a test measures memory: b.wav, c.wav, monday"
    ]
    assert not torn([here[0], there[0], ties[1]])


def test_without_validation_there_is_none() -> None:
    rows = split([row(number, "a") for number in range(10)], (0.8, 0.0, 0.2), seed=0)
    assert Counter(one.split for one in rows) == {"train": 8, "test": 2}


def test_the_group_of_a_row_without_one_is_its_file() -> None:
    assert group_of(row(1, "a")) != group_of(row(2, "a"))

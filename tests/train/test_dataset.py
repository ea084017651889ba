from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from birdwatchd.errors import RecordingError, UserError
from tests.train.full import files_of_at_most
from train.cache import SoundCache
from train.dataset import windows
from train.manifest import Row, labels_in
from train.sampling import epoch_order, split, weights
from train.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = Settings.model_validate(
    {"network": "cnn", "sample_rate": 8000, "seconds": 2.0, "hop_seconds": 1.0}
)


def noise(path: Path, seconds: float, *, rate: int = 8000, channels: int = 1, seed: int = 0) -> Path:
    samples = 0.1 * np.random.default_rng(seed).standard_normal((round(seconds * rate), channels))
    soundfile.write(path, samples, rate)
    return path


def test_a_sound_is_decoded_once_and_kept_to_16_bits(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    quiet = 1e-3 * np.sin(np.arange(8000) / 7)
    soundfile.write(path, quiet, 8000, subtype="FLOAT")
    cache = SoundCache(tmp_path / "cache", 8000)
    key = cache.add(path)
    assert cache.length(key) == 8000
    # Quiet sound loses no more than loud sound does.
    assert np.abs(cache.read(key, 0, 8000) - quiet).max() < 1e-3 / 32767
    kept = (tmp_path / "cache" / key).stat().st_mtime_ns
    copied = tmp_path / "b.wav"
    copied.write_bytes(path.read_bytes())
    assert cache.add(copied) == key
    assert (tmp_path / "cache" / key).stat().st_mtime_ns == kept


@pytest.mark.parametrize("left", [0, 7, 1000], ids=["empty", "half a header", "half its samples"])
def test_a_sound_that_a_power_cut_has_cut_is_decoded_anew(tmp_path: Path, left: int) -> None:
    path = noise(tmp_path / "a.wav", 1.0)
    kept = tmp_path / "cache" / SoundCache(tmp_path / "cache", 8000).add(path)
    content = kept.read_bytes()
    kept.write_bytes(content[:left])
    assert SoundCache(tmp_path / "cache", 8000).add(path) == kept.name
    assert kept.read_bytes() == content


def test_a_full_disk_leaves_nothing_half_written_in_the_cache(tmp_path: Path) -> None:
    path = noise(tmp_path / "a.wav", 1.0)
    with (
        files_of_at_most(4096),
        pytest.raises(
            UserError, match=r"the cache .* cannot be written \(File too large\): make room or name"
        ),
    ):
        SoundCache(tmp_path / "cache", 8000).add(path)
    assert not list((tmp_path / "cache").iterdir())


def test_other_rates_and_channels_are_brought_to_one(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    seconds = np.arange(44100) / 44100
    tone = 0.5 * np.sin(2 * np.pi * 440 * seconds)
    soundfile.write(path, np.stack([tone, 0 * tone], axis=1), 44100)
    cache = SoundCache(tmp_path / "cache", 8000)
    samples = cache.read(cache.add(path), 1000, 7000)
    expected = 0.25 * np.sin(2 * np.pi * 440 * np.arange(1000, 7000) / 8000)
    assert np.abs(samples - expected).max() < 1e-3


def test_what_is_no_sound_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"RIFFnothing")
    with pytest.raises(RecordingError):
        SoundCache(tmp_path / "cache", 8000).add(tmp_path / "bad.wav")


def test_windows_cover_a_recording_and_the_last_is_whole(tmp_path: Path) -> None:
    rows = [Row(noise(tmp_path / "a.wav", 4.5), ("tit",))]
    cut = windows(rows, SETTINGS, labels_in(rows), folder=tmp_path / "cache")
    assert (cut.spans[:, 1] / 8000).tolist() == [0.0, 1.0, 2.0, 2.5]
    whole = cut.read(0)
    assert np.array_equal(cut.read(1)[:8000], whole[8000:])
    assert np.array_equal(cut.read(3)[:12000], cut.read(2)[4000:])
    assert cut.read(3)[-100:].any()


def test_a_stretch_is_never_left(tmp_path: Path) -> None:
    rows = [Row(noise(tmp_path / "a.wav", 10.0), ("tit",), start=3.0, end=6.0)]
    cut = windows(rows, SETTINGS, labels_in(rows), folder=tmp_path / "cache")
    assert (cut.spans[:, 1] / 8000).tolist() == [3.0, 4.0]
    assert np.array_equal(cut.read(0, shift=-8000), cut.read(0))
    assert np.array_equal(cut.read(0, shift=80000), cut.read(1))


def test_a_short_clip_is_padded_and_stays_whole_when_it_is_moved(tmp_path: Path) -> None:
    rows = [Row(noise(tmp_path / "a.wav", 1.0), ("tit",))]
    cut = windows(rows, SETTINGS, labels_in(rows), folder=tmp_path / "cache")
    assert len(cut) == 1
    assert not cut.read(0)[8000:].any()
    moved = cut.read(0, shift=-4000)
    assert np.array_equal(moved[4000:12000], cut.read(0)[:8000])
    assert np.array_equal(cut.read(0, shift=-80000)[8000:], cut.read(0)[:8000])


def test_what_is_played_faster_is_higher_and_still_of_its_own_stretch(tmp_path: Path) -> None:
    time = np.arange(10 * 8000) / 8000
    soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * np.where(time < 6, 400, 3000) * time), 8000)
    rows = [Row(tmp_path / "a.wav", ("tit",), start=2.0, end=6.0)]
    cut = windows(rows, SETTINGS, labels_in(rows), folder=tmp_path / "cache")
    last = np.full(3, len(cut) - 1)
    for played, speed in zip(
        cut.read_all(last, np.zeros(3, dtype=np.int64), np.array([0.5, 1.0, 1.5])),
        (0.5, 1.0, 1.5),
        strict=True,
    ):
        spectrum = np.abs(np.fft.rfft(played.numpy()))
        assert spectrum.argmax() * 8000 / cut.length == pytest.approx(400 * speed, abs=1)
    plain = cut.read_all(last[:1], np.zeros(1, dtype=np.int64))
    assert np.array_equal(plain[0].numpy(), cut.read(len(cut) - 1))


def test_digital_silence_is_not_taken_for_what_the_label_says(tmp_path: Path) -> None:
    samples = np.zeros(6 * 8000)
    samples[:4000] = 0.1
    soundfile.write(tmp_path / "a.wav", samples, 8000)
    rows = [Row(tmp_path / "a.wav", ("tit",)), Row(tmp_path / "a.wav", ())]
    cut = windows(rows, SETTINGS, labels_in(rows), folder=tmp_path / "cache")
    assert np.bincount(cut.of_row).tolist() == [1, 5]


def test_what_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"")
    good = noise(tmp_path / "a.wav", 2.0)
    rows = [
        Row(good, ("tit",)),
        Row(tmp_path / "bad.wav", ("tit",)),
        Row(tmp_path / "gone.wav", ("owl",)),
        Row(good, ("owl",), start=7.0),
    ]
    cut = windows(rows, SETTINGS, labels_in(rows), folder=tmp_path / "cache")
    assert cut.rows == (rows[0],)
    assert [skipped.row for skipped in cut.skipped] == rows[1:]
    with pytest.raises(UserError, match="none of the 2 recordings can be read"):
        windows(rows[1:3], SETTINGS, labels_in(rows), folder=tmp_path / "cache")


def test_balanced_every_label_is_drawn_equally_often_and_in_it_every_recording(tmp_path: Path) -> None:
    rows = [Row(noise(tmp_path / f"{n}.wav", 2.0, seed=n), ("often",)) for n in range(8)]
    rows += [
        Row(noise(tmp_path / "rare.wav", 2.0, seed=9), ("rare",)),
        Row(noise(tmp_path / "long.wav", 30.0, seed=10), ("rare",)),
        Row(noise(tmp_path / "wind.wav", 2.0, seed=11), ()),
    ]
    cut = windows(rows, SETTINGS, labels_in(rows), folder=tmp_path / "cache")
    of_rows = np.bincount(cut.of_row, weights(cut))
    assert of_rows == pytest.approx([1 / 24] * 8 + [1 / 6, 1 / 6, 1 / 3])


def test_unbalanced_every_window_comes_once_and_the_order_follows_from_the_seed(tmp_path: Path) -> None:
    rows = [Row(noise(tmp_path / "a.wav", 12.0), ("tit",))]
    cut = windows(rows, SETTINGS, labels_in(rows), folder=tmp_path / "cache")

    def order(seed: int, epoch: int) -> list[int]:
        drawn = epoch_order(cut, balanced=False, batch_size=4, seed=seed, epoch=epoch)
        assert drawn.shape == (3, 4)
        flat: list[int] = drawn.flatten().tolist()
        return flat

    assert sorted(order(0, 1)[: len(cut)]) == list(range(len(cut)))
    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


def test_rows_are_split_by_fold_where_one_is_named(tmp_path: Path) -> None:
    rows = [Row(tmp_path / f"{fold}.wav", ("tit",), fold=fold, split="train") for fold in (1, 2, 3)]
    told = SETTINGS.model_copy(update={"test_fold": 1, "validation_fold": 2})
    assert split(rows, told) == ([rows[2]], [rows[1]])
    assert split(rows, SETTINGS) == (rows, [])
    with pytest.raises(UserError, match="no fold 7"):
        split(rows, SETTINGS.model_copy(update={"test_fold": 7}))
    with pytest.raises(UserError, match="name two"):
        split(rows, SETTINGS.model_copy(update={"test_fold": 1, "validation_fold": 1}))

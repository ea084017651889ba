"""What is computed once and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
import torch

from birdwatchd.errors import UserError
from tests.train.full import files_of_at_most
from train.dataset import windows
from train.inputs import Waveforms
from train.kept import Computing, Kept, keep_embeddings, keep_features, remembering
from train.manifest import Row, labels_in
from train.networks import build
from train.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from train.dataset import Windows

RATE = 8000
SETTINGS = Settings.model_validate(
    {
        "network": "cnn",
        "sample_rate": RATE,
        "seconds": 1.0,
        "hop_seconds": 0.5,
        "front_end": {"bands": 32},
        "augment": {"mixup_probability": 0.5},
    }
)
CPU = torch.device("cpu")


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    draw = np.random.default_rng(0)
    made = []
    for number in range(4):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, 0.1 * draw.standard_normal(2 * RATE), RATE)
        made.append(Row(path, ("even" if number % 2 == 0 else "odd",)))
    return made


def cut(rows: list[Row], folder: Path) -> Windows:
    return windows(rows, SETTINGS, labels_in(rows), folder=folder / "cache")


def computing(folder: Path, told: list[int] | None = None) -> Computing:
    torch.manual_seed(0)
    network = build(SETTINGS, 2).eval()
    if told is not None:
        embed = network.embed

        def counted(waveforms: torch.Tensor) -> torch.Tensor:
            told.append(len(waveforms))
            return embed(waveforms)

        network.embed = counted  # type: ignore[assignment,method-assign]
    return Computing(network, SETTINGS, CPU, "a network", folder / "cache")


def test_an_embedding_is_computed_once_whatever_stands_beside_its_recording(
    rows: list[Row], tmp_path: Path
) -> None:
    told: list[int] = []
    of_all = keep_embeddings(cut(rows, tmp_path), computing(tmp_path, told), copies=2)
    assert of_all.values.shape[:2] == (3, 12)
    assert sum(told) == 36
    of_some = keep_embeddings(cut(rows[1:3], tmp_path), computing(tmp_path, told), copies=2)
    assert sum(told) == 36
    assert np.array_equal(of_some.values, of_all.values[:, 3:9])


def test_what_is_kept_is_what_the_network_says(rows: list[Row], tmp_path: Path) -> None:
    heard = cut(rows, tmp_path)
    kept = keep_embeddings(heard, computing(tmp_path), copies=1)
    waveforms = torch.from_numpy(np.stack([heard.read(number) for number in range(len(heard))]))
    with torch.inference_mode():
        expected = computing(tmp_path).network.embed(waveforms).numpy()
    assert np.abs(kept.values[0] - expected).max() < 1e-4
    assert np.abs(kept.values[1] - expected).max() > 1e-2  # an augmented copy is another sound


def test_another_seed_or_augmentation_makes_other_copies(rows: list[Row], tmp_path: Path) -> None:
    heard = cut(rows, tmp_path)
    first = keep_embeddings(heard, computing(tmp_path), copies=1).values
    for change in ({"training": {"seed": 1}}, {"augment": {"gain_db": 1.0}}):
        settings = Settings.model_validate(SETTINGS.model_dump() | change)
        other = keep_embeddings(heard, computing(tmp_path)._replace(settings=settings), copies=1).values
        assert np.array_equal(first[0], other[0])
        assert not np.array_equal(first[1], other[1])


def test_a_long_recording_is_put_together_from_several_batches(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(20 * RATE), RATE)
    rows = [Row(path, ("bird",)), Row(path, (), start=5.0, end=7.0)]
    heard = cut(rows, tmp_path)
    kept = keep_embeddings(heard, computing(tmp_path))
    with torch.inference_mode():
        last = computing(tmp_path).network.embed(torch.from_numpy(heard.read(len(heard) - 4))[None]).numpy()
    assert len(heard) == 42
    assert np.abs(kept.values[0, -4] - last).max() < 1e-4


def test_features_are_kept_as_the_front_end_gives_them(rows: list[Row], tmp_path: Path) -> None:
    heard = cut(rows, tmp_path)
    kept = keep_features(heard, computing(tmp_path))
    again = keep_features(heard, computing(tmp_path)._replace(network=None))  # type: ignore[arg-type]
    assert np.array_equal(kept.values, again.values)
    with torch.inference_mode():
        expected = computing(tmp_path).network.front_end(torch.from_numpy(heard.read(5))[None]).numpy()
    assert np.abs(kept.values[0, 5] - expected[0]).max() < 0.02


@pytest.mark.parametrize("left", [0, 20, 500], ids=["empty", "half a header", "half its values"])
def test_what_a_power_cut_has_cut_is_computed_anew(rows: list[Row], tmp_path: Path, left: int) -> None:
    heard, folder = cut(rows, tmp_path), tmp_path / "kept"
    here = computing(tmp_path)._replace(folder=folder)
    expected = [keep(heard, here).values.copy() for keep in (keep_features, keep_embeddings)]
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:left])
    found = [keep(heard, here).values for keep in (keep_features, keep_embeddings)]
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("keep", [keep_features, keep_embeddings])
def test_a_full_disk_is_said_and_leaves_nothing_half_written(
    rows: list[Row], tmp_path: Path, keep: Callable[[Windows, Computing], Kept]
) -> None:
    heard, folder = cut(rows, tmp_path), tmp_path / "kept"
    with (
        files_of_at_most(256),
        pytest.raises(UserError, match=r"the cache .*kept cannot be written \(File too large\): make room"),
    ):
        keep(heard, computing(tmp_path)._replace(folder=folder))
    assert not list(folder.iterdir())


def test_features_that_are_interrupted_leave_nothing_behind(rows: list[Row], tmp_path: Path) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    heard, folder = cut(rows, tmp_path), tmp_path / "kept"
    with pytest.raises(KeyboardInterrupt):
        keep_features(heard, computing(tmp_path)._replace(folder=folder, advance=interrupted))
    assert not list(folder.iterdir())


def test_where_memory_is_short_fewer_are_computed_at_once(
    rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = cut(rows, tmp_path)
    plenty, short = computing(tmp_path), computing(tmp_path)._replace(folder=tmp_path / "short")
    network = short.network
    monkeypatch.setattr(network, "embed", at_most(1, network.embed))
    monkeypatch.setattr(network.front_end, "forward", at_most(5, network.front_end.forward))
    assert np.array_equal(keep_features(heard, short).values, keep_features(heard, plenty).values)
    found, expected = keep_embeddings(heard, short).values, keep_embeddings(heard, plenty).values
    assert np.abs(found - expected).max() < 1e-4
    monkeypatch.setattr(network, "embed", at_most(0, network.embed))
    with pytest.raises(UserError, match="this machine has not enough memory for one clip at a time"):
        keep_embeddings(heard, short._replace(folder=tmp_path / "none"))


def at_most(
    clips: int, compute: Callable[[torch.Tensor], torch.Tensor]
) -> Callable[[torch.Tensor], torch.Tensor]:
    """A graphics card with memory for so many clips."""

    def computed(waveforms: torch.Tensor) -> torch.Tensor:
        if len(waveforms) > clips:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return compute(waveforms)

    return computed


def test_two_that_are_mixed_have_the_labels_of_both_and_the_most_of_each() -> None:
    values, targets = np.eye(8, dtype=np.float32)[np.newaxis], np.eye(8, dtype=np.float32)
    mixed = Kept(values, targets, CPU, mixup_probability=0.5)
    found, labels = next(mixed.batches([np.arange(8)], (0,)))
    assert torch.equal(found, labels)
    assert set(labels.sum(dim=1).tolist()) == {1.0, 2.0}
    assert torch.equal(torch.from_numpy(targets), torch.eye(8))  # what is kept stays as it was


def test_what_is_drawn_for_a_batch_follows_from_the_seed_and_its_number(
    rows: list[Row], tmp_path: Path
) -> None:
    source = Waveforms(cut(rows, tmp_path), SETTINGS, CPU, noise=cut(rows, tmp_path), augmented=True)
    order = [np.arange(6), np.arange(6, 12), np.arange(6)]
    first, again = ([batch for batch, _ in source.batches(order, (1, 2))] for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[2])
    assert not first[0].is_inference()  # such tensors cannot be learnt from
    other = next(source.batches(order, (1, 3)))[0]
    assert not torch.equal(first[0], other)


def test_what_a_frozen_backbone_hears_is_computed_once_for_all_heads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.kept.mark_of", lambda *_: "an ear")
    frozen = SETTINGS.model_copy(update={"network": "birdnet"})
    torch.manual_seed(0)
    networks = [build(SETTINGS, 2).eval() for _ in range(2)]
    networks[1].body.load_state_dict(networks[0].body.state_dict())
    torch.nn.init.normal_(networks[1].head.layers[-1].weight)  # type: ignore[index, union-attr]
    waveforms = torch.randn(3, round(SETTINGS.seconds * SETTINGS.sample_rate))
    with torch.inference_mode():
        first, second = (network(waveforms) for network in networks)
        assert torch.equal(remembering(networks[0], frozen, tmp_path)(waveforms), first)
        monkeypatch.setattr(networks[1], "embed", None)
        assert torch.equal(remembering(networks[1], frozen, tmp_path)(waveforms), second)
        assert not torch.equal(first, second)
        with pytest.raises(TypeError):  # other sound is heard anew
            remembering(networks[1], frozen, tmp_path)(waveforms[:2])
    assert remembering(networks[0], SETTINGS, tmp_path) is networks[0]

"""Training, on tones that differ: everything real, but small."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
import torch

from birdwatchd.errors import UserError
from train import checkpoint
from train import fit as loop
from train.fit import fit
from train.inputs import Waveforms
from train.manifest import Row
from train.networks import Residual
from train.progress import Display
from train.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RATE = 8000


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    """Eight low tones, eight high ones, each in its own noise; the last two of each to validate on."""
    draw = np.random.default_rng(0)
    made = []
    for label, hertz in (("low", 400.0), ("high", 2500.0)):
        for number in range(8):
            tone = 0.2 * np.sin(2 * np.pi * hertz * (1 + 0.02 * number) * np.arange(RATE) / RATE)
            path = tmp_path / "clips" / label / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, tone + 0.02 * draw.standard_normal(RATE), RATE)
            made.append(Row(path, (label,), split="validation" if number >= 6 else "train"))
    return made


def settings(**changes: Any) -> Settings:
    training = {"epochs": 4, "batch_size": 4, "warmup_epochs": 0, "average_decay": 0.5}
    told: dict[str, Any] = {
        "network": "cnn",
        "sample_rate": RATE,
        "seconds": 1.0,
        "hop_seconds": 0.5,
        "device": "cpu",
        "front_end": {"bands": 32},
        "training": training | changes.pop("training", {}),
    }
    return Settings.model_validate(told | changes)


def trained(rows: list[Row], told: Settings, folder: Path, *, resume: bool = False) -> checkpoint.Trained:
    return fit(
        told,
        [row for row in rows if row.split == "train"],
        [row for row in rows if row.split == "validation"],
        folder,
        resume=resume,
        cache=folder.parent / "cache",
        display=Display(silent=True),
    )


@pytest.mark.parametrize("score", ["sigmoid", "softmax"])
def test_a_network_learns_what_is_easy(rows: list[Row], tmp_path: Path, score: str) -> None:
    told = settings(
        score=score,
        augment={"waveform": False},
        training={"epochs": 25, "learning_rate": 3e-3, "patience": 25},
    )
    result = trained(rows, told, tmp_path / "out")
    assert [label.scientific_name for label in result.labels] == ["high", "low"]
    assert result.metrics["validation_macro_ap"] == 1.0
    waveforms = [soundfile.read(row.path, dtype="float32")[0] for row in rows]
    with torch.inference_mode():
        scores = result.network(torch.from_numpy(np.stack(waveforms))).numpy()
    assert (scores.argmax(axis=1) == [row.labels == ("low",) for row in rows]).all()
    assert scores.min() >= 0
    assert scores.max() <= 1


def test_it_leaves_a_table_a_picture_and_two_checkpoints(rows: list[Row], tmp_path: Path) -> None:
    trained(rows, settings(training={"warmup_epochs": 1}), tmp_path / "out")
    with (tmp_path / "out" / "metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    rates = [1e-3 * loop.pace(3 * epoch - 1, 3, 12) for epoch in range(1, 5)]  # of the last of three steps
    assert [float(line["learning_rate"]) for line in table] == pytest.approx(rates)
    assert [line["epoch"] for line in table] == ["1.0", "2.0", "3.0", "4.0"]
    assert {"loss", "validation_loss", "validation_macro_ap", "clips_per_second"} <= set(table[0])
    assert (tmp_path / "out" / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert checkpoint.load(tmp_path / "out" / "best.pt").history
    assert checkpoint.load(tmp_path / "out" / "last.pt").progress["optimizer"]


def interrupting_in(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    """Ctrl-C in the middle of that epoch."""
    follow: Callable[..., None] = loop.follow
    steps_left = [(epoch - 1) * 3 + 1]  # twelve clips, in batches of four

    def interrupted(*arguments: Any) -> None:
        steps_left[0] -= 1
        if not steps_left[0]:
            raise KeyboardInterrupt
        follow(*arguments)

    monkeypatch.setattr(loop, "follow", interrupted)


def test_what_was_interrupted_and_resumed_ends_exactly_as_what_was_not(
    rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(rows, settings(), tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupting_in(patch, epoch=3)
        with pytest.raises(KeyboardInterrupt):
            trained(rows, settings(), tmp_path / "halves")
    kept = checkpoint.load(tmp_path / "halves" / "last.pt")
    assert len(kept.history) == 2
    assert checkpoint.load(tmp_path / "halves" / "best.pt").labels == whole.labels
    trained(rows, settings(), tmp_path / "halves", resume=True)
    ends = [checkpoint.load(tmp_path / name / "last.pt") for name in ("whole", "halves")]
    for (name, one), other in zip(
        ends[0].network.state_dict().items(), ends[1].network.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name
    assert [entry["loss"] for entry in ends[0].history] == [entry["loss"] for entry in ends[1].history]


def test_it_stops_when_for_so_many_epochs_none_was_better_than_the_one_that_is_kept(
    rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([0.5, 0.4, 0.45, 0.45, 0.3])

    def judged(*_: object) -> dict[str, float]:
        return {
            "validation_loss": next(losses),
            "validation_macro_ap": 1.0,
            "validation_accuracy": 1.0,
        }

    monkeypatch.setattr(loop, "validate", judged)
    few = [row for number, row in enumerate(rows) if number % 4 == 0]
    result = trained(few, settings(training={"epochs": 20, "patience": 2}), tmp_path / "out")
    assert result.metrics["epoch"] == 2
    assert len(checkpoint.load(tmp_path / "out" / "last.pt").history) == 4


def test_what_is_kept_is_the_average_of_the_weights(rows: list[Row], tmp_path: Path) -> None:
    result = trained(rows, settings(training={"max_steps": 2, "average_decay": 0.9}), tmp_path / "out")
    last = checkpoint.load(tmp_path / "out" / "last.pt")
    kept, ended = (checkpoint.weights(one.network, one.settings) for one in (result, last))
    average = last.progress["average"]
    assert all(torch.equal(kept[name], average[name]) for name in kept)
    assert not torch.equal(kept["head.layers.1.weight"], ended["head.layers.1.weight"])


@pytest.mark.parametrize(("wanted", "bits"), [(True, torch.bfloat16), (False, torch.float32)])
def test_half_the_bits_are_for_the_body_alone_and_for_learning(
    rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, wanted: bool, bits: torch.dtype
) -> None:
    monkeypatch.setattr(loop, "has_bfloat16", lambda _: True)
    forward = Residual.forward
    seen: set[tuple[bool, torch.dtype]] = set()

    def watched(block: Residual, x: torch.Tensor) -> torch.Tensor:
        y = forward(block, x)
        seen.add((block.training, y.dtype))
        return y

    monkeypatch.setattr(Residual, "forward", watched)
    told = settings(training={"max_steps": 1, "mixed_precision": wanted})
    result = trained(rows, told, tmp_path / "out")
    assert seen == {(True, bits), (False, torch.float32)}
    weights = checkpoint.load(tmp_path / "out" / "last.pt").network.parameters()
    assert {weight.dtype for weight in weights} == {torch.float32}
    assert math.isfinite(result.metrics["loss"])


def test_one_clip_of_each_label_is_learnt_from(rows: list[Row], tmp_path: Path) -> None:
    """Badly, which `list` has said; but it goes through."""
    result = trained([rows[0], rows[8]], settings(training={"epochs": 1}), tmp_path / "out")
    assert result.metrics["epoch"] == 1
    assert math.isfinite(result.metrics["loss"])
    assert "validation_loss" not in result.metrics
    assert all(weight.isfinite().all() for weight in result.network.parameters())


def test_a_folder_with_a_training_is_not_written_over(rows: list[Row], tmp_path: Path) -> None:
    trained(rows, settings(training={"epochs": 1}), tmp_path / "out")
    with pytest.raises(UserError, match="holds a training already"):
        trained(rows, settings(training={"epochs": 1}), tmp_path / "out")


def test_a_training_with_other_settings_is_not_resumed(rows: list[Row], tmp_path: Path) -> None:
    trained(rows, settings(training={"epochs": 1}), tmp_path / "out")
    with pytest.raises(UserError, match=r"another network \(cnn, not resnet34\)"):
        trained(rows, settings(network="resnet34", training={"epochs": 1}), tmp_path / "out", resume=True)
    with pytest.raises(
        UserError, match=r"another training\.epochs \(1, not 2\): resume with --config .*settings"
    ):
        trained(rows, settings(training={"epochs": 2}), tmp_path / "out", resume=True)


def test_a_training_on_other_clips_is_not_resumed(rows: list[Row], tmp_path: Path) -> None:
    told = settings(training={"epochs": 2, "max_steps": 3})
    trained(rows, told, tmp_path / "out")
    swapped = {"train": "validation", "validation": "train"}
    other = [replace(row, split=swapped[row.split]) for row in rows]
    for changed in (other, rows[1:], [*rows[:-1], replace(rows[-1], labels=("low",))]):
        with pytest.raises(UserError, match="other clips to train or validate on"):
            trained(changed, told, tmp_path / "out", resume=True)
    (tmp_path / "clips").rename(tmp_path / "moved")
    moved = [replace(row, path=tmp_path / "moved" / row.path.relative_to(tmp_path / "clips")) for row in rows]
    assert trained(moved, told, tmp_path / "out", resume=True).metrics["epoch"] == 1


def test_what_was_interrupted_before_clips_were_written_down_is_gone_on_with(
    rows: list[Row], tmp_path: Path
) -> None:
    told = settings(training={"epochs": 2, "max_steps": 3})
    trained(rows, told, tmp_path / "out")
    last = tmp_path / "out" / "last.pt"
    content = torch.load(last, weights_only=True)
    del content["learnt"]
    torch.save(content, last)
    assert trained(rows, told, tmp_path / "out", resume=True).metrics["epoch"] == 1


def test_what_was_interrupted_in_its_first_epoch_is_begun_anew(rows: list[Row], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no whole epoch to go on after: leave --resume out"):
        trained(rows, settings(), tmp_path / "out", resume=True)


def test_what_ended_between_its_two_first_checkpoints_is_not_written_over(
    rows: list[Row], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "best.pt").write_bytes(b"of one epoch")
    for resume in (False, True):
        with pytest.raises(UserError, match="ended before its first epoch was whole"):
            trained(rows, settings(), tmp_path / "out", resume=resume)
    assert (tmp_path / "out" / "best.pt").read_bytes() == b"of one epoch"


def test_a_network_whose_validation_is_no_number_is_not_kept(rows: list[Row], tmp_path: Path) -> None:
    told = settings(training={"learning_rate": 1e30, "max_steps": 1})
    with pytest.raises(UserError, match=r"no number any more in epoch 1: .* than 1e\+30"):
        trained(rows, told, tmp_path / "out")
    assert not (tmp_path / "out" / "best.pt").exists()


def test_there_must_be_something_to_tell_apart(rows: list[Row], tmp_path: Path) -> None:
    one_kind = [row for row in rows if row.labels == ("low",)]
    with pytest.raises(UserError, match="all clips to train on hold low"):
        trained(one_kind, settings(), tmp_path / "out")
    with pytest.raises(UserError, match="no clips to train on"):
        trained([], settings(), tmp_path / "out")


def test_validation_that_holds_no_label_is_refused_before_anything_is_trained(
    rows: list[Row], tmp_path: Path
) -> None:
    """As one recording of each bird is dealt out, beside background."""
    part = [replace(row, labels=()) if row.split == "validation" else row for row in rows]
    with pytest.raises(UserError, match="none of the 4 clips to validate on has a label"):
        trained(part, settings(), tmp_path / "out")
    bad = tmp_path / "clips" / "bad.wav"
    bad.write_bytes(b"RIFF but nothing else")
    part.append(Row(bad, ("low",), split="validation"))
    with pytest.raises(UserError, match="none of the 4 clips to validate on has a label"):
        trained(part, settings(), tmp_path / "out")
    assert not (tmp_path / "out" / "last.pt").exists()


@pytest.mark.parametrize("split", ["train", "validation"])
def test_softmax_refuses_a_clip_without_a_label(rows: list[Row], tmp_path: Path, split: str) -> None:
    rows.append(Row(rows[0].path, (), split=split))
    with pytest.raises(UserError, match="softmax needs exactly one label"):
        trained(rows, settings(score="softmax"), tmp_path / "out")


def test_a_corrupt_file_is_left_out_and_named(
    rows: list[Row], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "clips" / "bad.wav"
    bad.write_bytes(b"RIFF but nothing else")
    rows.append(Row(bad, ("low",), split="train"))
    fit(
        settings(training={"epochs": 1}),
        [row for row in rows if row.split == "train"],
        [],
        tmp_path / "out",
        cache=tmp_path / "cache",
    )
    told = capsys.readouterr().err
    assert "bad.wav" in told
    assert "1 of 13 training clips were left out" in told


@pytest.mark.parametrize(
    "short",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("could not create a primitive")],
    ids=["CUDA", "oneDNN"],
)
def test_out_of_memory_names_a_batch_size_that_fits(
    rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: Exception
) -> None:
    forward = loop.Learner.forward

    def short_of_memory(learner: loop.Learner, inputs: torch.Tensor, *others: Any) -> torch.Tensor:
        if len(inputs) > 3 and learner.training:
            raise short
        return forward(learner, inputs, *others)

    monkeypatch.setattr(loop.Learner, "forward", short_of_memory)
    with pytest.raises(UserError, match=r"training.batch_size 8; 2 fit: say --set training.batch_size=2"):
        trained(rows, settings(training={"batch_size": 8}), tmp_path / "out")


@pytest.mark.parametrize(
    "short", [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")]
)
def test_out_of_memory_while_clips_are_read_ahead_names_a_batch_size_that_fits(
    rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: Exception
) -> None:
    read = Waveforms._batch

    def nothing_fits(*_: Any) -> Any:
        raise MemoryError

    def short_of_memory(source: Waveforms, numbers: Any, seed: tuple[int, ...]) -> Any:
        if len(numbers) > 3:
            raise short
        return read(source, numbers, seed)

    monkeypatch.setattr(Waveforms, "_batch", short_of_memory)
    told = settings(training={"batch_size": 8}, augment={"waveform": True})
    with pytest.raises(
        UserError, match=r"this machine has not enough memory for training.batch_size 8; 2 fit: say --set"
    ):
        trained(rows, told, tmp_path / "out")
    monkeypatch.setattr(Waveforms, "_batch", nothing_fits)
    with pytest.raises(UserError, match="not even one clip fits"):
        trained(rows, told, tmp_path / "none")


def test_validation_takes_fewer_at_once_where_memory_is_short(
    rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = loop.Learner.forward
    at_once: list[int] = []

    def short_of_memory(learner: loop.Learner, inputs: torch.Tensor, *others: Any) -> torch.Tensor:
        if not learner.network.training:
            at_once.append(len(inputs))
        if len(inputs) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(learner, inputs, *others)

    monkeypatch.setattr(loop.Learner, "forward", short_of_memory)
    result = trained(rows, settings(training={"batch_size": 2, "max_steps": 1}), tmp_path / "out")
    assert at_once == [4, 2, 2]
    assert result.metrics["validation_loss"] > 0

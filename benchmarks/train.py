"""How well and how fast `train` learns, beside what is wanted. Each part runs alone.

Run: python benchmarks/train.py esc10 | esc10-cnn | warblers | ambience | loader | epoch  (nothing: all of them)
     python benchmarks/train.py platt | inner  (what settings were chosen by)

Nothing is chosen on a test fold: early stopping, calibration and thresholds look at a part of the other folds. The
recordings are those of ../shared/data (or BIRDWATCHD_SHARED). The peer of `loader` and `epoch` is the tutorial's way of
loading, librosa load, resample and mel for every clip in every epoch; it is left out, and said, where librosa is not
installed.
"""

# ruff: noqa: E402 - the path has to be mended first

from __future__ import annotations

import argparse
import csv
import importlib
import importlib.util
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

# This file bears the name of the package that it measures, and Python looks beside a script first.
sys.path[:] = [place for place in sys.path if Path(place).resolve() != Path(__file__).resolve().parent]

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as train/cli.py has it

import numpy as np
import torch

from train import platt
from train.dataset import windows
from train.evaluate import evaluation
from train.fit import fit
from train.folds import VALIDATION_SHARE, Fold, folds, judge
from train.listener import of_trained
from train.manifest import Row, labels_in
from train.networks import build
from train.progress import Display
from train.scoring import score
from train.settings import load_settings
from train.splitting import deal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from train.evaluate import Evaluation
    from train.folds import Judged
    from train.listener import Listener

SHARED = Path(os.environ.get("BIRDWATCHD_SHARED", Path(__file__).parents[2] / "shared")) / "data"
PRECISION = 0.95
MOST_CNN_MINUTES = 90


def rows_of(name: str) -> list[Row]:
    """A set of the shared recordings; those of `ambience` hold nothing."""
    with (SHARED / "manifest.csv").open(encoding="utf-8", newline="") as file:
        found = [line for line in csv.DictReader(file) if line["set"] == name]
    return [
        Row(
            SHARED / line["path"],
            () if name == "ambience" else (line["label"].replace("_", " "),),
            group=line["group"],
            fold=int(line["fold"]) if line["fold"].isdigit() else None,
        )
        for line in found
    ]


def validated(
    rows: Sequence[Row], overrides: Sequence[str], *, validation_share: float = VALIDATION_SHARE
) -> Evaluation:
    """Cross-validate the settings on the folds of the rows."""
    parts = [judged(fold, rows, overrides)[0] for fold in folds(rows, validation_share=validation_share)]
    network = load_settings(None, overrides).network
    return evaluation(network, [label.common_name for label in labels_in(rows)], parts)


def judged(fold: Fold, rows: Sequence[Row], overrides: Sequence[str]) -> tuple[Judged, float]:
    """What is said of one fold, and the processor time that it took, in seconds."""
    began = time.process_time()
    settings = load_settings(None, overrides)
    labels = labels_in(rows)
    with tempfile.TemporaryDirectory() as folder:

        def trainer(number: int, train_rows: list[Row], validation_rows: list[Row]) -> Listener:
            print(f"fold {number}", file=sys.stderr, flush=True)
            trained = fit(
                settings, train_rows, validation_rows, Path(folder), labels=labels, display=Display()
            )
            return of_trained(trained, f"fold {number}")

        return judge(fold, trainer, precision=PRECISION), time.process_time() - began


def side_by_side(
    them: Sequence[Fold], rows: Sequence[Row], overrides: Sequence[str]
) -> list[tuple[Judged, float]]:
    """As `judged`, each fold in a process of one thread, all at once.

    Small convolutions use several cores badly, and five folds one after another on two cores leave one idle at the end.
    """
    with ProcessPoolExecutor(len(them), get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        waiting = [pool.submit(judged, fold, rows, overrides) for fold in them]
        return [one.result() for one in waiting]


def tell(what: str, got: str, wanted: str) -> None:
    """One line of results."""
    print(f"{what}: {got}  (wanted: {wanted})", flush=True)


def folds_told(found: Evaluation, figure: str) -> str:
    """Mean, spread, and the folds one by one."""
    mean, deviation, least, most = found.spread[figure]
    each = " ".join(f"{fold[figure]:.3f}" for fold in found.folds)
    return f"mean {mean:.3f}, deviation {deviation:.3f}, {least:.3f} to {most:.3f} ({each})"


HEAD_RECIPE = ["octaves=[-1, 0, 1, 2]", "augment.copies=0", "training.weight_decay=3"]
"""Waves, rain and helicopters are no birds: they lie where BirdNET hardly listens.

Pitches and decay were chosen by training on three folds and trying on a fourth, the fifth left out in turn.
"""


def esc10(overrides: Sequence[str]) -> None:
    """ESC-10, its five official folds, BirdNET's embedding and a head, trained on all of the four other folds."""
    settings = ["network=birdnet", *HEAD_RECIPE, *overrides]
    found = validated(rows_of("esc10"), settings, validation_share=0)
    tell("ESC-10, birdnet backbone, accuracy", folds_told(found, "accuracy"), "mean 0.97")


CNN_RECIPE = [
    # Clips are five seconds; none of these sounds needs finer steps of time.
    *("members=3", "seconds=4", "hop_seconds=1", "front_end.hop_seconds=0.02"),
    *("augment.speed=0.2", "augment.mixup_probability=0.6"),
    *("training.batch_size=16", "training.learning_rate=0.002", "training.epochs=150"),
    "score=softmax",  # each clip holds one of the ten, and of two that are mixed there is half each
]
"""Length, speed, mixing and score were chosen by training on three folds and trying on a fourth, the fifth left out in turn
(`inner`). The epochs are what the time allows."""


def esc10_cnn(overrides: Sequence[str]) -> None:
    """ESC-10, its five official folds, the small CNN from scratch, trained on all of the four other folds to the end."""
    rows = rows_of("esc10")
    settings = ["network=cnn", *CNN_RECIPE, *overrides]
    began = time.perf_counter()
    done = side_by_side(list(folds(rows, validation_share=0)), rows, settings)
    found = evaluation("cnn", [label.common_name for label in labels_in(rows)], [part for part, _ in done])
    minutes = (time.perf_counter() - began) / 60
    on_two = sum(seconds for _, seconds in done) / 60 / 2
    parameters = sum(one.numel() for one in build(load_settings(None, settings), 10).parameters())
    tell("ESC-10, cnn from scratch, parameters", f"{parameters:,}", "at most 5,000,000")
    tell("ESC-10, cnn from scratch, accuracy", folds_told(found, "accuracy"), "mean 0.93")
    tell(
        "ESC-10, cnn from scratch, all five folds",
        f"{minutes:.0f} min by the clock; {on_two:.0f} min of two processors' time",
        f"at most {MOST_CNN_MINUTES} min",
    )


def inner(overrides: Sequence[str]) -> None:
    """What recipes are chosen by: trained on three folds of ESC-10 and tried on a fourth, while the fifth is left out in turn.

    Whatever network the settings ask for; the small CNN's recipe, one of it alone, where they say nothing.
    """
    rows = rows_of("esc10")
    given = [one for one in overrides if one.startswith("network=")]
    recipe = [] if given else ["network=cnn", *CNN_RECIPE, "members=1"]
    settings = [*recipe, *overrides]
    numbers = sorted({row.fold for row in rows if row.fold is not None})
    pairs = [
        Fold(
            tried,
            [row for row in rows if row.fold not in (left_out, tried)],
            [],
            [row for row in rows if row.fold == tried],
        )
        for left_out, tried in zip(numbers, numbers[1:] + numbers[:1], strict=True)
    ]
    parts = [part for part, _ in side_by_side(pairs, rows, settings)]
    found = evaluation("inner", [label.common_name for label in labels_in(rows)], parts)
    share = found.clips.scores / found.clips.scores.sum(axis=1, keepdims=True)
    surprise = -np.log(share[found.clips.truth].clip(1e-7)).mean()
    tell("ESC-10, a fourth fold tried, accuracy", folds_told(found, "accuracy"), "the highest")
    tell("… and its log loss, the scores of a clip brought to the sum 1", f"{surprise:.3f}", "the lowest")


def warblers(overrides: Sequence[str]) -> None:
    """Four reed warblers, grouped by recordist, per recording, over the pooled out-of-fold predictions."""
    found = validated(rows_of("warblers"), ["network=birdnet", *overrides])
    tell("reed warblers, macro F1 per recording", f"{found.clips.figures['macro_f1_of_best']:.3f}", "0.97")
    right = round(found.clips.figures["accuracy"] * len(found.clips.truth))
    tell("reed warblers, recordings right", f"{right} of {len(found.clips.truth)}", "65 of 65")


def ambience(overrides: Sequence[str]) -> None:
    """False detections in ambience that the model of its fold did not train on, at thresholds for precision 0.95."""
    birds, nothing = rows_of("warblers"), rows_of("ambience")
    shares = {str(number): 0.2 for number in sorted({row.fold for row in birds if row.fold is not None})}
    dealt = deal(nothing, {name: 1 / len(shares) for name in shares})
    nothing = [replace(row, fold=int(part)) for row, part in zip(nothing, dealt, strict=True)]
    found = validated([*birds, *nothing], ["network=birdnet", *overrides])
    empty = ~found.windows.truth.any(axis=1)
    false = int(found.windows.claims[empty].any(axis=1).sum())
    tell(
        f"ambience, {len(nothing)} clips, windows with a false detection",
        f"{false} of {int(empty.sum())}, in any of them at most {found.windows.scores[empty].max():.2f}",
        "0",
    )
    tell(
        "… and the warblers' windows that are found at those thresholds",
        f"{float((found.windows.claims & found.windows.truth).sum() / found.windows.truth.sum()):.2f}",
        "told beside it: a threshold that finds nothing has no false detections either",
    )


def loader(overrides: Sequence[str]) -> None:
    """Clips a second into the network: augmented and through the front end, and from what was kept."""
    from train.inputs import Waveforms
    from train.kept import Computing, keep_features

    settings = load_settings(None, ["network=cnn", *overrides])
    rows = rows_of("esc10")
    labels = labels_in(rows)
    network = build(settings, len(labels)).eval()
    device = torch.device("cpu")
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        folder = Path(name)
        heard = windows(rows, settings, labels, folder=folder)
        order = np.array_split(np.random.default_rng(0).permutation(len(heard)), max(1, len(heard) // 32))
        live = Waveforms(heard, settings, device, augmented=True)
        kept = keep_features(heard, Computing(network, settings, device, "bench", folder))
        found = measured(
            {
                "augmented, front end included": lambda: sum(
                    len(network.front_end(batch)) for batch, _ in live.batches(order, (0,))
                ),
                "kept features": lambda: sum(len(batch) for batch, _ in kept.batches(order, (0,))),
                "tutorial": tutorial([row.path for row in rows[:60]]),
            }
        )
    theirs = found.pop("tutorial")
    for (what, ours), times in zip(found.items(), (5, 50), strict=True):
        by_clock, by_processor = ours
        beside = ""
        if theirs[0]:
            beside = (
                f", {by_clock / theirs[0]:.1f} x the tutorial's {theirs[0]:.0f}; for each second of processor time "
                f"{by_processor:.0f}, {by_processor / theirs[1]:.1f} x {theirs[1]:.0f}"
            )
        tell(f"loader, {what}", f"{by_clock:.0f} clips/s{beside}", f"{times} x the tutorial's")
    if not theirs[0]:
        print(
            "librosa is not installed, so the tutorial's loader was not measured (61 clips/s on another machine)"
        )


def measured(counts: dict[str, Callable[[], int]]) -> dict[str, tuple[float, float]]:
    """How many a second, by the clock and of processor time, the best of five turns: others may use the machine too."""
    best = dict.fromkeys(counts, (0.0, 0.0))
    for _ in range(5):
        for name, count in counts.items():
            clock, processor = time.perf_counter(), time.process_time()
            number = count()
            rates = number / (time.perf_counter() - clock), number / (time.process_time() - processor)
            best[name] = max(best[name][0], rates[0]), max(best[name][1], rates[1])
    return best


def tutorial(paths: Sequence[Path]) -> Callable[[], int]:
    """The tutorial's way, librosa load with resampling, and mel, of each of `paths`; of none without librosa."""
    if importlib.util.find_spec("librosa") is None:
        return lambda: 0
    librosa = importlib.import_module("librosa")

    def load(path: Path) -> None:
        samples, rate = librosa.load(path, sr=22050)
        librosa.feature.melspectrogram(y=samples, sr=rate, n_mels=128)

    load(paths[0])  # numba compiles

    def all_of_them() -> int:
        for path in paths:
            load(path)
        return len(paths)

    return all_of_them


def epoch(overrides: Sequence[str]) -> None:
    """The loader's share of an epoch of `resnet34`: how long the network waits for its batches, augmentation included.

    Beside it that of an epoch with the same batches, before each of which its clips are loaded the tutorial's way, without
    augmentation.
    """
    from train.inputs import Waveforms

    settings = load_settings(None, ["network=resnet34", *overrides])
    rows = rows_of("esc10")[:64]
    labels = labels_in(rows)
    network = build(settings, len(labels)).train()

    def step(batch: torch.Tensor, truth: torch.Tensor) -> None:
        network.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy(network(batch), truth)
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it so

    with tempfile.TemporaryDirectory() as name:
        heard = windows(rows, settings, labels, folder=Path(name))
        order = np.array_split(np.arange(len(heard)), max(1, len(heard) // 16))
        source = Waveforms(heard, settings, torch.device("cpu"), augmented=True)
        share = waiting(source.batches(order, (0,)), step)
        kept = list(source.batches(order, (0,)))
    tell(
        f"{settings.network}, loader's share of the epoch (64 clips, augmentation included)",
        f"{share:.1%}",
        "below 10 %",
    )
    loads = [tutorial([rows[heard.of_row[window]].path for window in numbers]) for numbers in order]
    if not loads[0]():
        print("librosa is not installed, so the tutorial's loader was not measured")
        return
    theirs = waiting((batch for load, batch in zip(loads, kept, strict=True) if load()), step)
    tell("… and the tutorial's loader's, of the same network and clips", f"{theirs:.1%}", "told beside it")


def waiting(
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    step: Callable[[torch.Tensor, torch.Tensor], None],
) -> float:
    """The share of an epoch in which the next batch is waited for."""
    began = time.perf_counter()
    waited = 0.0
    coming = iter(batches)
    while True:
        asked = time.perf_counter()
        batch = next(coming, None)
        waited += time.perf_counter() - asked
        if batch is None:
            return waited / (time.perf_counter() - began)
        step(*batch)


PRIORS = {
    "none, Platt's targets alone": (0.0, 0.0),
    "within 1 and 2": (1.0, 0.25),
    "within 0.5 and 1": (4.0, 1.0),
    "within 0.25 and 0.5": (16.0, 4.0),
}
DEALS = 12


def platt_prior(overrides: Sequence[str]) -> None:
    """How strongly a Platt line should be held, asked of UrbanSound8K's first fold, which no other part looks at."""
    settings = load_settings(None, ["network=birdnet", "augment.copies=0", *overrides])
    rows = rows_of("urbansound8k_fold1")
    labels = labels_in(rows)
    losses: dict[str, list[float]] = {}
    for seed in range(DEALS):
        dealt = deal(rows, {"train": 0.6, "validation": 0.15, "test": 0.25}, seed=seed)
        parts = {
            part: [row for row, its in zip(rows, dealt, strict=True) if its == part] for part in set(dealt)
        }
        with tempfile.TemporaryDirectory() as folder:
            trained = fit(
                settings, parts["train"], [], Path(folder), labels=labels, display=Display(silent=True)
            )
        listener = of_trained(trained, "platt")
        seen, known = score(listener, parts["validation"]).by_segment
        truth, scores = score(listener, parts["test"]).by_segment
        lines = {"the scores as they are": platt.Line(np.ones(len(labels)), np.zeros(len(labels)))}
        for name, ridge in PRIORS.items():
            with patch.object(platt, "RIDGE", np.array(ridge)):
                lines[name] = platt.fit_line(seen, known)
        for name, line in lines.items():
            logit = platt.logits(line.apply(scores))
            loss = np.logaddexp(0, np.where(truth, -logit, logit)).sum(axis=1).mean()
            losses.setdefault(name, []).append(float(loss))
        print(f"deal {seed + 1} of {DEALS}", file=sys.stderr, flush=True)
    for name, found in losses.items():
        tell(
            f"Platt line, {name}, log loss", f"{np.mean(found):.3f}, at worst {max(found):.3f}", "the lowest"
        )


PARTS: dict[str, Callable[[Sequence[str]], None]] = {
    "esc10": esc10,
    "esc10-cnn": esc10_cnn,
    "warblers": warblers,
    "ambience": ambience,
    "loader": loader,
    "epoch": epoch,
    "platt": platt_prior,
    "inner": inner,
}
CHOOSING = {"platt", "inner"}
"""They measure nothing that is wanted, but are what settings were chosen by."""


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help=f"of {', '.join(PARTS)}; all but {' and '.join(sorted(CHOOSING))} by default",
    )
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="NAME=VALUE", help="a setting of fit"
    )
    arguments = parser.parse_args()
    unknown = [part for part in arguments.parts if part not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}: there are {', '.join(PARTS)}")
    if not SHARED.is_dir():
        parser.error(f"no recordings at {SHARED}: set BIRDWATCHD_SHARED")
    for part in arguments.parts or [part for part in PARTS if part not in CHOOSING]:
        began = time.perf_counter()
        PARTS[part](arguments.overrides)
        print(f"  {part}: {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()

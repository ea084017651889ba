"""The training loop, whole.

Everything drawn follows from the seed, the number of the epoch and the process, so that a training that is resumed after
an epoch goes on exactly as it would have.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import astuple
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from birdwatchd.errors import UserError
from train import checkpoint
from train.augment import mask
from train.curves import Curves, write_metrics
from train.learnt import Learnt
from train.memory import refusing_for_memory
from train.prepare import prepare
from train.processes import has_bfloat16, joined
from train.progress import Display
from train.resuming import BEST, LAST, begin, go_on
from train.sampling import epoch_order
from train.validate import Best, validate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from birdwatchd.domain import Label
    from train.checkpoint import Trained
    from train.inputs import Inputs, Stage
    from train.manifest import Row
    from train.networks import Network
    from train.settings import Settings


class Learner(nn.Module):
    """The part of the network that is trained: inputs at one stage to logits (batch, labels)."""

    def __init__(self, network: Network, stage: Stage, settings: Settings) -> None:
        super().__init__()
        self.network = network
        self.stage = stage
        self.settings = settings

    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """`generator` draws the masks of SpecAugment; without it there are none."""
        network, x = self.network, inputs
        if self.stage == "waveform":
            with torch.no_grad(), torch.autocast(inputs.device.type, enabled=False):
                x = network.front_end(x)
        if self.stage != "embedding":
            if generator is not None and self.settings.network != "birdnet":
                x = mask(x, self.settings.augment, 1 / self.settings.front_end.hop_seconds, generator)
            x = network.embed_features(x)
        logits: Tensor = network.head(x)
        return logits.float()


def fit(  # noqa: PLR0915 - the loop is to be read in one piece
    settings: Settings,
    train_rows: Sequence[Row],
    validation_rows: Sequence[Row],
    folder: Path,
    *,
    labels: Sequence[Label] | None = None,
    resume: bool = False,
    cache: Path | None = None,
    display: Display | None = None,
) -> Trained:
    """Train, and return what was best in validation (without validation rows: the last).

    Writes to `folder`, after every epoch: `best.pt`, `last.pt`, `metrics.csv`; every few seconds, and at the end: `curves.png`.
    `labels` are the labels of the rows where they are not given. `resume` goes on after the last epoch that `folder` holds.

    Raises:
        UserError: the rows are not enough to learn from, `folder` holds another training, memory does not suffice.
    """
    display = display or Display()
    told = settings.training
    with joined(settings.device) as process:
        if not process.leads:
            display = Display(silent=True)
        with process.agreeing():
            before = begin(folder, settings, resume=resume)
            torch.manual_seed(told.seed)
            ready = prepare(
                settings, train_rows, validation_rows, labels, process=process, cache=cache, display=display
            )
            learnt = Learnt.of(ready.windows, ready.validation_windows, ready.noise)
            network = ready.network
            average = copy.deepcopy(network)
            learner = Learner(network, ready.stage, settings)
            optimizer = torch.optim.AdamW(_groups(network, told.weight_decay), lr=told.learning_rate)
            history: list[dict[str, float]] = []
            best = Best.of(len(ready.validation_windows.rows) if ready.validation_windows else 0)
            if before:
                go_on(before, ready.labels, network, average, optimizer, learnt=learnt)
                history = list(before.history)
                best = Best(*before.progress["best"])
        trainable = process.sharing(learner)

        batches = -(-len(ready.windows) // told.batch_size)
        last_step = min(told.epochs * batches, told.max_steps or told.epochs * batches)
        step = len(history) * batches
        share = told.batch_size // process.count
        mine = slice(process.rank * share, (process.rank + 1) * share)
        curves = Curves(folder / "curves.png")
        halved = told.mixed_precision and has_bfloat16(process.device)

        for epoch in range(len(history) + 1, told.epochs + 1):
            if step >= last_step or epoch - best.epoch > told.patience:
                break
            began = time.monotonic()
            drawn = (told.seed, epoch, process.rank)
            torch.manual_seed(hash(drawn))  # dropout
            masks = (
                torch.Generator().manual_seed(hash(drawn) & (2**62 - 1))
                if settings.augment.waveform
                else None
            )
            learner.train()
            freeze(learner, settings)
            order = epoch_order(
                ready.windows,
                balanced=told.balanced,
                batch_size=told.batch_size,
                seed=told.seed,
                epoch=epoch,
            )[: last_step - step]
            total = 0.0
            ours = [numbers[mine] for numbers in order]
            few = partial(_of_so_many, ready.inputs, ours, drawn)
            with (
                refusing_for_memory(learner, few, told.batch_size, process.count),
                display.bar(f"epoch {epoch}/{told.epochs}", order.size) as advance,
            ):
                for inputs, targets in ready.inputs.batches(ours, drawn):
                    for group in optimizer.param_groups:
                        group["lr"] = told.learning_rate * pace(step, told.warmup_epochs * batches, last_step)
                    with torch.autocast(process.device.type, torch.bfloat16, enabled=halved):
                        logits = trainable(inputs, masks)
                    loss = loss_of(logits, targets, settings)
                    optimizer.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call] # torch leaves it so
                    nn.utils.clip_grad_norm_(learner.parameters(), told.clip_gradient)
                    optimizer.step()
                    step += 1
                    follow(average, network, min(told.average_decay, step / (step + 10)))
                    total += float(loss.detach())
                    advance(told.batch_size)
            with process.agreeing():
                _refuse_no_number(total, epoch, told.learning_rate)
            entry = {"epoch": float(epoch), "loss": total / len(order), "learning_rate": group["lr"]}
            clips_per_second = order.size / (time.monotonic() - began)
            with process.agreeing():
                if process.leads:
                    entry |= validate(average, ready, settings)
                    _refuse_no_number(entry.get("validation_loss", 0.0), epoch, told.learning_rate)
            entry["clips_per_second"] = clips_per_second
            entry["seconds"] = time.monotonic() - began
            entry = process.told(entry)
            history.append(entry)
            better = best.beaten_by(entry)
            if process.leads:
                display.say(_line(entry, told.epochs, better=better))
                if better:
                    checkpoint.save(
                        folder / BEST,
                        average,
                        ready.labels,
                        settings,
                        history=history,
                        metrics=entry,
                        learnt=learnt,
                    )
                checkpoint.save(
                    folder / LAST,
                    network,
                    ready.labels,
                    settings,
                    history=history,
                    metrics=entry,
                    progress={
                        "best": list(astuple(best)),
                        "average": checkpoint.weights(average, settings),
                        "optimizer": optimizer.state_dict(),
                    },
                    learnt=learnt,
                )
                write_metrics(folder / "metrics.csv", history)
                curves.follow(history)
        curves.draw()
        return checkpoint.load_everywhere(folder / BEST, process)


def _refuse_no_number(loss: float, epoch: int, learning_rate: float) -> None:
    if not math.isfinite(loss):
        raise UserError(
            f"the loss is no number any more in epoch {epoch}: say a smaller training.learning_rate than {learning_rate:g}"
        )


def _of_so_many(
    inputs: Inputs, order: Sequence[NDArray[np.int64]], seed: tuple[int, ...], clips: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches as the training has them, but of `clips` clips each."""
    return inputs.batches([numbers[:clips] for numbers in order], seed)


def loss_of(logits: Tensor, targets: Tensor, settings: Settings) -> Tensor:
    """Binary cross-entropy for each label by itself, or cross-entropy over all of them; the mean over the batch.

    The logits of several members, beneath each other, each answer for the same targets.
    """
    smoothing = settings.training.label_smoothing
    targets = targets.repeat(len(logits) // len(targets), 1)
    if settings.score == "softmax":
        shares = targets / targets.sum(dim=1, keepdim=True).clamp(min=1.0)  # of two clips mixed, half each
        return cross_entropy(logits, shares, label_smoothing=smoothing)
    return binary_cross_entropy_with_logits(logits, targets * (1 - smoothing) + smoothing / 2)


def pace(step: int, warmup: float, last_step: int) -> float:
    """The share of the learning rate at `step`: up in a line, then down along a cosine to nothing."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1.0, last_step - warmup)))


def freeze(learner: Learner, settings: Settings) -> None:
    """Keep batch norm as it is where that is asked for; a backbone that is not trained has none."""
    if settings.training.freeze_batch_norm:
        for module in learner.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move `average` towards `network`: an exponential moving average of all that is trained."""
    for ours, theirs in zip(average.parameters(), network.parameters(), strict=True):
        if theirs.requires_grad:
            ours.data.lerp_(theirs, 1 - decay)
    for buffer, original in zip(average.buffers(), network.buffers(), strict=True):
        if buffer.is_floating_point():
            buffer.lerp_(original, 1 - decay)
        else:
            buffer.copy_(original)


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Weights decay; biases and the scales of norms do not."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return [
        {"params": [one for one in trained if one.dim() > 1], "weight_decay": weight_decay},
        {"params": [one for one in trained if one.dim() <= 1], "weight_decay": 0.0},
    ]


def _line(entry: dict[str, float], epochs: int, *, better: bool) -> str:
    line = f"epoch {entry['epoch']:.0f}/{epochs}  loss {entry['loss']:.4f}"
    if "validation_macro_ap" in entry:
        line += (
            f"  validation: loss {entry['validation_loss']:.4f}, macro AP {entry['validation_macro_ap']:.4f}"
        )
        line += f", accuracy {entry['validation_accuracy']:.4f}"
    line += f"  {entry['clips_per_second']:.0f} clips/s"
    return f"{line}  best" if better else line

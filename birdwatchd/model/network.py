"""Loads the network of a bundle onto a device, and refuses one that does not do what its card says."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import torch

from birdwatchd.errors import BundleError, UserError
from birdwatchd.model.bundle import refuse_reaching
from birdwatchd.model.packing import can_pack, pack
from birdwatchd.model.probes import probe_segments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from birdwatchd.model.bundle import Card

Device = Literal["cpu", "cuda"]
Precision = Literal["full", "half"]

HALF_MAY_MOVE = 0.02


def choose_device(device: Literal["auto", "cpu", "cuda"]) -> Device:
    """What `auto` means on this machine.

    Raises:
        UserError: CUDA was asked for by name, and there is none.
    """
    if device == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise UserError("model.device is 'cuda' but torch finds no CUDA device here; say 'auto' or 'cpu'")
    return "cpu"


def load_network(path: Path, card: Card, *, device: Device, precision: Precision) -> torch.jit.ScriptModule:
    """The network of the bundle at `path`, frozen with `embed` preserved, and probed.

    Raises:
        BundleError: it cannot be loaded, or does not take or give what `card` says.
        UserError: it is asked for half precision where that is impossible or moves its scores.
    """
    if precision == "half" and device == "cpu":
        raise UserError("model.precision 'half' is for CUDA, and the model runs on the CPU here; say 'full'")
    module = open_module(path).eval()
    if card.embedding_dims and not hasattr(module, "embed"):
        raise BundleError(
            f"{path} says it embeds in {card.embedding_dims} dims but has no `embed`; export it again"
        )
    if device == "cpu":
        network = freeze(module, card)
        del module  # which would keep the plain weights
        if can_pack():
            pack([network.graph, network.embed.graph] if card.embedding_dims else [network.graph])
        probe(network, path, card)
        return network
    # What is wrong with the bundle shows on the CPU; a fault after this is the GPU's.
    expected = probe(module, path, card)
    torch.backends.cudnn.allow_tf32 = False  # it would move scores by some thousandths
    # Fusing compiles anew for every size of a batch: that took seconds, and gave nothing.
    torch._C._jit_set_texpr_fuser_enabled(False)  # noqa: SLF001 - there is no public way
    module = module.to(device)
    if precision == "half":
        halve(module, path)
    network = freeze(module, card)
    if precision == "half":
        with torch.inference_mode():
            scores = network(torch.from_numpy(probe_segments(card.input_samples)).to(device)).cpu()
        refuse_moved(expected, scores, path)
    return network


def open_module(path: Path) -> torch.jit.ScriptModule:
    """The TorchScript of the bundle at `path`, as it was saved, on the CPU.

    Raises:
        BundleError: torch cannot read it, or its code asks for more than numbers.
    """
    refuse_reaching(path)
    try:
        module: torch.jit.ScriptModule = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call] # torch leaves it so
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BundleError(
            f"{path} is not TorchScript that torch {torch.__version__} can load ({reason})"
        ) from error
    return module


def probe(network: torch.nn.Module, path: Path, card: Card) -> torch.Tensor:
    """Scores, float32 (2, labels), that `network`, on the CPU, gives the probe segments.

    Raises:
        BundleError: they, or the embedding, are not what the card says.
    """
    segments = torch.from_numpy(probe_segments(card.input_samples))
    length = f"{card.input_seconds:g} s at {card.sample_rate} Hz"
    with torch.inference_mode():
        with _refusing(path, f"does not accept the segments that its card names ({length})"):
            scores: torch.Tensor = network(segments)
        _check_shape(scores, len(card.labels), path, "output", "labels")
        if not bool(((scores >= 0) & (scores <= 1)).all()):
            raise BundleError(f"{path} gives scores that are not between 0 and 1; export it with its sigmoid")
        if card.embedding_dims:
            with _refusing(path, f"cannot embed the segments that its card names ({length})"):
                embedding = network.embed(segments)  # type: ignore[operator] # torch types it as a Tensor or Module
            _check_shape(embedding, card.embedding_dims, path, "embedding", "embedding_dims")
    return scores


def halve(module: torch.jit.ScriptModule, path: Path) -> None:
    """Turn the module's `body` into half precision, and leave the front end alone.

    Raises:
        UserError: it has no `body`.
    """
    if not hasattr(module, "body"):
        raise UserError(f"{path} has no `body` that may be halved; say model.precision 'full'")
    module.body.half()


def refuse_moved(expected: torch.Tensor, scores: torch.Tensor, path: Path) -> None:
    """Compare probe scores in half precision with those in full.

    Raises:
        UserError: one of them moved by more than 0.02.
    """
    move = float((scores - expected).abs().max())
    if not move <= HALF_MAY_MOVE:  # a NaN is refused too
        raise UserError(
            f"half precision moves a score of {path} by {move:.3f}, more than {HALF_MAY_MOVE}; "
            "say model.precision 'full'"
        )


def freeze(module: torch.jit.ScriptModule, card: Card) -> torch.jit.ScriptModule:
    """The module with its weights as constants, `embed` preserved where there is one."""
    network: torch.jit.ScriptModule = torch.jit.freeze(
        module, preserved_attrs=["embed"] if card.embedding_dims else None
    )
    return network


def _check_shape(output: torch.Tensor, width: int, path: Path, what: str, field: str) -> None:
    if output.dim() != 2 or output.shape[1] != width:  # noqa: PLR2004 - (batch, width)
        raise BundleError(
            f"{path} has an {what} of shape {tuple(output.shape[1:])} a segment, but its card names {width} {field}; "
            "export it again"
        )


@contextmanager
def _refusing(path: Path, fault: str) -> Iterator[None]:
    """What torch says of a wrong shape is long; its last line is the reason."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise BundleError(f"{path} {fault}: {reason}") from error

"""A bundle whose code reaches for files is refused before any of it runs."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import pytest
import torch

from birdwatchd.errors import BundleError
from birdwatchd.model.bundle import RANGE_MODEL, card_json, read_card
from birdwatchd.model.network import open_module
from birdwatchd.model.range_model import load_range_model
from birdwatchd.model.reach import reaches_further
from tests.tiny import CARD

if TYPE_CHECKING:
    from pathlib import Path


class Writes(torch.nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.ops.aten.save(x, self.path)
        return x


class Maps(Writes):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.from_file(self.path, True, 100)


class AtOnce(torch.nn.Module):
    """Writes while it is loaded."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path, self.training = state
        torch.ops.aten.save(torch.zeros(1), state[0])


def scripted(module: torch.nn.Module) -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(module), file, _extra_files={"card.json": card_json(CARD).encode()})
    return file.getvalue()


@pytest.mark.parametrize("kind", [Writes, Maps, AtOnce])
def test_code_that_reaches_for_files_is_refused_before_it_runs(
    tmp_path: Path, kind: type[Writes | AtOnce]
) -> None:
    proof = tmp_path / "proof"
    (tmp_path / "a.pt").write_bytes(scripted(kind(str(proof))))
    with pytest.raises(BundleError, match="is no model to be trusted: its code calls"):
        open_module(tmp_path / "a.pt")
    assert not proof.exists()


def test_loading_would_have_run_it(tmp_path: Path) -> None:
    """So that the refusal above is about something."""
    proof = tmp_path / "proof"
    torch.jit.load(io.BytesIO(scripted(AtOnce(str(proof)))))  # type: ignore[no-untyped-call]
    assert proof.exists()


def test_the_range_model_is_read_first_too(tmp_path: Path, tiny_bundle: Path) -> None:
    path, proof = tmp_path / "a.pt", tmp_path / "proof"
    with zipfile.ZipFile(tiny_bundle) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.namelist():
            content = scripted(AtOnce(str(proof))) if member.endswith(RANGE_MODEL) else old.read(member)
            new.writestr(member, content)
    with pytest.raises(BundleError, match="its code calls save"):
        load_range_model(path, read_card(path))
    assert not proof.exists()


@pytest.mark.parametrize(
    "code",
    [
        b"torch.save(x, 'a')",
        b"ops.aten . save(x, 'a')",
        b"getattr(torch, \"save\")(x, 'a')",
        b"getattr(torch, \"\\x73ave\")(x, 'a')",
        b"getattr(torch, '\\163ave')(x, 'a')",
        b"t = torch\nt.from_file('a', True, 1)",
        b"ops.debugprims.load_tensor('a', [1], [1])",
    ],
)
def test_however_it_is_spelt(code: bytes) -> None:
    assert reaches_further(code)


@pytest.mark.parametrize(
    "code",
    [b'getattr(self.layers, "0")', b"self.saved", b"x = torch.load_balance(y)", b"raise Exception('\\n')"],
)
def test_what_models_say_is_no_reaching(code: bytes) -> None:
    assert reaches_further(code) == ""

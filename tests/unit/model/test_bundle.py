from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import torch

from birdwatchd.errors import BundleError
from birdwatchd.model.bundle import FORMAT, Card, card_json, read_card, read_extra
from tests.tiny import CARD, Tiny, build_tiny_bundle, trace

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def module() -> torch.jit.ScriptModule:
    return trace(Tiny(CARD.input_samples), "forward", "embed", example=torch.zeros(1, CARD.input_samples))


def bundle_with(module: torch.jit.ScriptModule, path: Path, card: bytes | None, **names: bytes) -> Path:
    """A bundle with this card.json, right or wrong."""
    files = {f"names/{language}.txt": content for language, content in names.items()}
    module.save(str(path), _extra_files={**files, **({} if card is None else {"card.json": card})})
    return path


def changed(**changes: Any) -> bytes:
    return json.dumps(json.loads(card_json(CARD)) | changes).encode()


def test_a_card_survives_the_bundle(tiny_bundle: Path) -> None:
    card = read_card(tiny_bundle)
    assert card == dataclasses.replace(CARD, probes=card.probes, languages=("de", "en"), has_range=True)
    assert card.input_samples == 144_000
    assert set(card.probes) == {"silence", "noise"}


def test_a_card_is_read_without_torch(tiny_bundle: Path) -> None:
    code = (
        "import sys, pathlib; from birdwatchd.model import bundle, catalog, classifier, probes;"
        f"bundle.read_card(pathlib.Path({str(tiny_bundle)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_common_names_come_in_the_language_asked_for(tiny_bundle: Path) -> None:
    german = read_card(tiny_bundle, "de")
    assert [label.common_name for label in german.labels] == ["Hochton", "Tiefton", "Menschliche Stimme"]
    assert [label.scientific_name for label in german.labels] == [
        label.scientific_name for label in CARD.labels
    ]
    assert german.labels[0].code == "tesalt"


@pytest.mark.parametrize(
    ("language", "hint"),
    [("xx", "in 'xx': it has de, en"), ("ded", "did you mean 'de'"), ("de_DE", "mean 'de'")],
)
def test_an_unknown_language_is_refused_with_those_there_are(
    tiny_bundle: Path, language: str, hint: str
) -> None:
    with pytest.raises(BundleError, match=hint):
        read_card(tiny_bundle, language)


def test_names_that_do_not_fit_the_labels_are_refused(module: torch.jit.ScriptModule, tmp_path: Path) -> None:
    path = bundle_with(module, tmp_path / "a.pt", changed(), de=b"Hochton\n")
    with pytest.raises(BundleError, match="1 names in 'de' for 3 labels"):
        read_card(path, "de")


def test_a_bundle_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="does not exist"):
        read_card(tmp_path / "none.pt")
    with pytest.raises(BundleError, match="is a folder"):
        read_card(tmp_path)


@pytest.mark.parametrize(
    ("content", "fault"),
    [(b"", "is empty"), (b"some text", "is not TorchScript"), (b"PK\x03\x04" + bytes(5000), "is truncated")],
)
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=fault):
        read_card(path)


@pytest.mark.parametrize("kept", [0.05, 0.5, 0.999])
def test_a_truncated_bundle_is_refused(tiny_bundle: Path, tmp_path: Path, kept: float) -> None:
    content = tiny_bundle.read_bytes()
    path = tmp_path / "a.pt"
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(BundleError, match="is truncated"):
        read_card(path)


def test_a_damaged_card_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    content = tiny_bundle.read_bytes()
    path = tmp_path / "a.pt"
    path.write_bytes(content.replace(b"Testus altus", b"Testus tltus", 1))
    with pytest.raises(BundleError, match="is damaged"):
        read_card(path)


def test_a_state_dict_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(BundleError, match="a bare state dict has no network"):
        read_card(path)


def test_another_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("card.json", "{}")
    with pytest.raises(BundleError, match="is not TorchScript"):
        read_card(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("card", "fault"),
    [
        (None, "has no card.json"),
        (b"{oops", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "does not say its format"),
        (b"{}", "does not say its format"),
        (changed(format=FORMAT + 1), "newer format .* update birdwatchd"),
        (json.dumps({"format": 1, "name": "a"}).encode(), "wrong 'version' \\(Field required\\)"),
        (changed(sample_rate=-1), "wrong 'sample_rate'"),
        (changed(labels=[{"scientific_name": 3, "common_name": "a"}]), "wrong 'labels.0.scientific_name'"),
        (changed(labels=["a"]), "labels that are no labels"),
        (changed(labels=[]), "no labels"),
        (changed(labels=[{"scientific_name": "a", "common_name": "b"}] * 2), "one label twice"),
    ],
)
def test_a_wrong_card_is_refused_in_one_sentence(
    module: torch.jit.ScriptModule, tmp_path: Path, card: bytes | None, fault: str
) -> None:
    path = bundle_with(module, tmp_path / "a.pt", card)
    with pytest.raises(BundleError, match=fault) as refusal:
        read_card(path)
    assert "\n" not in str(refusal.value)
    assert str(path) in str(refusal.value)


def test_fields_that_a_later_version_adds_are_no_fault(
    module: torch.jit.ScriptModule, tmp_path: Path
) -> None:
    path = bundle_with(module, tmp_path / "a.pt", changed(colour="blue"))
    assert isinstance(read_card(path), Card)


def test_extra_files_are_read_one_by_one(tiny_bundle: Path, tmp_path: Path) -> None:
    assert read_extra(tiny_bundle, "names/de.txt") is not None
    assert read_extra(build_tiny_bundle(tmp_path / "a.pt", extra_files={}), "names/de.txt") is None

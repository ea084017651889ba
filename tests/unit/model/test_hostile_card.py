"""A bundle from somewhere else, whatever stands in it: a card that can be trusted to be one, or one sentence."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from birdwatchd.config.plain import is_plain_line
from birdwatchd.errors import BundleError
from birdwatchd.model.bundle import RANGE_MODEL, Card, card_json, read_card, read_extra
from tests.tiny import CARD

if TYPE_CHECKING:
    from pathlib import Path

RIGHT: dict[str, Any] = json.loads(card_json(CARD))
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("\x1b[2J" * 3)
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)
hostile = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def archive(card: bytes, **names: bytes) -> bytes:
    """What is read of a bundle without torch."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as written:
        written.writestr("tiny/code/forward.py", "")
        written.writestr("tiny/extra/card.json", card)
        for language, content in names.items():
            written.writestr(f"tiny/extra/names/{language}.txt", content)
    return file.getvalue()


def outcome(path: Path, content: bytes, language: str = "en") -> Card | None:
    """The card; None when it is refused, in one line that can be shown."""
    path.write_bytes(content)
    refusal = ""
    try:
        card = read_card(path, language)
    except BundleError as error:
        refusal = str(error)
    if refusal:
        assert is_plain_line(refusal)
        return None
    for label in card.labels:
        assert is_plain_line(label.scientific_name + label.common_name + label.code)
    assert is_plain_line(card.name + card.version)
    json.dumps(card_json(card))
    assert 0 < card.input_samples < 10**9
    return card


def card_with(**changes: Any) -> bytes:
    return json.dumps(RIGHT | changes).encode()


@hostile
@given(tree=TREES)
def test_any_json(tmp_path: Path, tree: Any) -> None:
    outcome(tmp_path / "a.pt", archive(json.dumps(tree).encode()))


@hostile
@given(changes=st.dictionaries(st.sampled_from(sorted(RIGHT)), TREES, min_size=1, max_size=3))
def test_a_card_with_some_fields_replaced(tmp_path: Path, changes: dict[str, Any]) -> None:
    outcome(tmp_path / "a.pt", archive(card_with(**changes)))


@hostile
@given(names=st.lists(st.text(max_size=300), min_size=1, max_size=3, unique=True), common=st.text())
def test_labels_of_any_name(tmp_path: Path, names: list[str], common: str) -> None:
    labels = [{"scientific_name": name, "common_name": common} for name in names]
    outcome(tmp_path / "a.pt", archive(card_with(labels=labels)))


@hostile
@given(names=st.binary(max_size=100))
def test_names_in_another_language_of_any_bytes(tmp_path: Path, names: bytes) -> None:
    outcome(tmp_path / "a.pt", archive(card_with(), de=names), "de")


@hostile
@given(data=st.data())
def test_an_archive_with_bytes_changed(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(archive(card_with(), de=b"Hochton\nTiefton\nStimme"))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    outcome(tmp_path / "a.pt", bytes(content), data.draw(st.sampled_from(["en", "de"])))


@pytest.mark.parametrize(
    "name",
    ["\x1b[2J", "a\nb", "a\x00b", "a\u202eb", "\ud800", "x" * 201, "", " ", "a\tb", "\x9b31m", "a\u2028b"],
)
@pytest.mark.parametrize("field", ["scientific_name", "common_name"])
def test_what_is_no_name_is_refused(tmp_path: Path, field: str, name: str) -> None:
    label = {"scientific_name": "Parus major", "common_name": "Great Tit", field: name}
    assert outcome(tmp_path / "a.pt", archive(card_with(labels=[label]))) is None


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "<script>", "'; DROP TABLE x; --", "$(reboot)", "{0.__class__}"]
)
def test_a_name_that_means_something_elsewhere_is_only_a_name_here(tmp_path: Path, name: str) -> None:
    card = outcome(
        tmp_path / "a.pt", archive(card_with(labels=[{"scientific_name": name, "common_name": name}]))
    )
    assert card is not None
    assert card.labels[0].common_name == name


def test_a_card_that_unpacks_to_more_than_any_has_is_refused(tmp_path: Path) -> None:
    bomb = archive(b" " * 70_000_000 + card_with())
    assert len(bomb) < 100_000
    (tmp_path / "a.pt").write_bytes(bomb)
    with pytest.raises(BundleError, match="unpacks to 70,"):
        read_card(tmp_path / "a.pt")


def test_a_header_that_lies_about_the_size_is_found_out(tmp_path: Path) -> None:
    bomb = bytearray(archive(b" " * 70_000_000))
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = bomb.rfind(signature)
        bomb[at + offset : at + offset + 4] = struct.pack("<I", 100)
    assert outcome(tmp_path / "a.pt", bytes(bomb)) is None


def test_a_range_model_that_unpacks_to_more_than_any_has_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(archive(card_with()))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as written:
        written.writestr(f"tiny/extra/{RANGE_MODEL}", bytes(2000))
    monkeypatch.setitem(read_extra.__globals__["MOST_BYTES"], RANGE_MODEL, 1000)
    with pytest.raises(BundleError, match=r"range_model\.pt unpacks to 2,000 bytes"):
        read_extra(path, RANGE_MODEL)


def test_json_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    assert outcome(tmp_path / "a.pt", archive(b"[" * 200_000)) is None


@pytest.mark.parametrize("flag", [0x1, 0x40])
def test_an_encrypted_card_is_refused(tmp_path: Path, flag: int) -> None:
    content = bytearray(archive(card_with()))
    for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = content.rfind(signature)
        content[at + offset] |= flag
    assert outcome(tmp_path / "a.pt", bytes(content)) is None

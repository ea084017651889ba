"""Only whole pictures are pictures."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from birdwatchd.actions.picture import NoPicture, suffix_of
from tests.pictures import picture


@pytest.mark.parametrize(("kind", "suffix"), [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp")])
def test_a_picture_has_the_suffix_of_what_it_is(kind: str, suffix: str) -> None:
    assert suffix_of(picture(kind)) == suffix


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9, 0.99])
def test_half_a_picture_is_none(kind: str, share: float) -> None:
    whole = picture(kind)
    with pytest.raises(NoPicture):
        suffix_of(whole[: int(len(whole) * share)])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "it is empty"),
        (b"\n<!DOCTYPE html><title>Login</title>", "it is a web page"),
        (b"<HTML>", "it is a web page"),
        (b'{"error": 1}', "it is text"),
        (b"\0" * 5000, "it is no JPEG"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 5000, "it is no JPEG|it is cut off"),
        (b"GIF89a" + b"\0" * 50, "it is no JPEG"),
    ],
)
def test_what_is_none_is_told(content: bytes, told: str) -> None:
    with pytest.raises(NoPicture, match=told):
        suffix_of(content)


@pytest.mark.parametrize("size", [(9500, 9000), (20000, 20000)])
def test_a_picture_that_would_fill_the_memory_is_refused(size: tuple[int, int]) -> None:
    out = BytesIO()
    Image.new("1", size).save(out, "PNG")
    with pytest.raises(NoPicture, match="pixels"):
        suffix_of(out.getvalue())


def test_a_large_jpeg_is_read_to_its_end() -> None:
    whole = picture(size=(2000, 1500))
    assert suffix_of(whole) == ".jpg"
    with pytest.raises(NoPicture, match="cut off"):
        suffix_of(whole[: -len(whole) // 50])

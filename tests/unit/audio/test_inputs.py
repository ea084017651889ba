"""Which input is meant, at what rate, and what is said when there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from birdwatchd.audio.inputs import (
    RATES,
    Input,
    card_number,
    choose_rate,
    find_again,
    find_input,
    usb_ids,
)
from birdwatchd.errors import DeviceError

if TYPE_CHECKING:
    from pathlib import Path


def device(index: int, name: str, *, usb: str = "", is_default: bool = False) -> Input:
    return Input(index, name, 2, 48000, is_default, usb)


INPUTS = [
    device(0, "HDA Intel PCH: ALC257 Analog (hw:0,0)"),
    device(1, "AudioMoth USB Microphone: - (hw:1,0)", usb="16d0:06f3"),
    device(2, "C270 HD WEBCAM: USB Audio (hw:2,0)", usb="046d:0825"),
    device(3, "C270 HD WEBCAM: USB Audio (hw:3,0)", usb="046d:0826"),
    device(4, "sysdefault"),
    device(5, "default", is_default=True),
]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (None, 5),
        (3, 3),
        ("audiomoth", 1),
        ("ALC257", 0),
        ("default", 5),  # a whole name goes before a part of another
        ("usb:046d:0825", 2),
        ("USB:16D0:06F3", 1),
        ("(hw:3,0)", 3),
    ],
)
def test_an_input_is_found(wanted: int | str | None, index: int) -> None:
    assert find_input(INPUTS, wanted).index == index


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (9, r"the sound input 9 does not exist: there is 0 'HDA"),
        (
            "webcam",
            r"'webcam' fits several sound inputs: 2 .* \(usb:046d:0825\), 3 .*; give more of the name",
        ),
        ("sysdefualt", r"did you mean 'sysdefault'\?"),
        ("usb:1111:2222", r"'usb:1111:2222' does not exist: .*usb:046d:0825.*`birdwatchd devices`"),
    ],
)
def test_what_is_not_found_is_said_with_what_there_is(wanted: int | str, message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        find_input(INPUTS, wanted)


def test_no_input_and_no_default_are_said() -> None:
    with pytest.raises(DeviceError, match="no sound input found"):
        find_input([], None)
    with pytest.raises(DeviceError, match="a default sound input does not exist: there is 0"):
        find_input(INPUTS[:2], None)


def test_two_alike_on_usb_are_told_apart_by_the_user() -> None:
    twins = [device(1, "A (hw:1,0)", usb="046d:0825"), device(2, "A (hw:2,0)", usb="046d:0825")]
    with pytest.raises(DeviceError, match="fits several"):
        find_input(twins, "usb:046d:0825")


def test_a_card_that_another_program_holds_is_said_to_be_held() -> None:
    with pytest.raises(DeviceError, match=r"usb:046D:0825 is plugged in but .* another program holds it"):
        find_input(INPUTS[:2], "usb:046D:0825", plugged_in=["046d:0825"])


def test_usb_ids_are_read_where_linux_keeps_them(tmp_path: Path) -> None:
    usb = tmp_path / "devices/pci0000:00/usb1/1-2"
    pci = tmp_path / "devices/pci0000:00/0000:00:1f.3"
    sound = tmp_path / "class/sound"
    for folder in (usb / "1-2:1.0", pci, sound / "card0", sound / "card11"):
        folder.mkdir(parents=True)
    (usb / "idVendor").write_text("046D\n")
    (usb / "idProduct").write_text("0825\n")
    (pci / "vendor").write_text("0x8086\n")
    (sound / "card0/device").symlink_to(pci)
    (sound / "card11/device").symlink_to(usb / "1-2:1.0")
    (sound / "timer").mkdir()
    assert usb_ids(sound) == {11: "046d:0825"}
    assert usb_ids(tmp_path / "nothing") == {}


def test_the_card_number_is_in_the_name() -> None:
    assert card_number("C270 HD WEBCAM: USB Audio (hw:12,0)") == 12
    assert card_number("pulse") is None


@pytest.mark.parametrize(
    ("supported", "configured", "preferred", "rate"),
    [
        ({44100, 48000}, None, 48000, 48000),
        ({44100, 48000}, 44100, 48000, 44100),
        ({44100, 192000, 96000}, None, 48000, 96000),
        ({16000, 44100}, None, 48000, 44100),
        ({22050}, None, 22050, 22050),
        (set(RATES), None, 37000, 44100),
    ],
)
def test_the_rate_is_the_configured_or_the_next_best(
    supported: set[int], configured: int | None, preferred: int, rate: int
) -> None:
    chosen = choose_rate("card", supported.__contains__, configured=configured, preferred=preferred)
    assert chosen == rate


def test_an_impossible_rate_is_refused_with_the_possible_ones() -> None:
    with pytest.raises(DeviceError, match=r"card does not record at 22050 Hz: .* \(44100, 48000\)"):
        choose_rate("card", {44100, 48000}.__contains__, configured=22050, preferred=48000)
    with pytest.raises(DeviceError, match="does not record at any usual rate"):
        choose_rate("card", set[int]().__contains__, configured=None, preferred=48000)


KNOWN = Input(3, "Snowball: USB Audio (hw:2,0)", 1, 44100, is_default=False, usb="0d8c:0005")
ELSEWHERE = replace(KNOWN, index=1, name="Snowball: USB Audio (hw:4,0)")
OTHER = Input(3, "Webcam: USB Audio (hw:2,0)", 1, 44100, is_default=False, usb="046d:0825")


@pytest.mark.parametrize("wanted", [3, "snowball", "usb:0d8c:0005", "Snowball: USB Audio (hw:2,0)"])
def test_a_device_is_found_again_whatever_its_index_and_card_number(wanted: int | str) -> None:
    assert find_again([OTHER, ELSEWHERE], wanted, KNOWN.identity) == ELSEWHERE


def test_another_device_at_its_index_is_not_taken_for_it() -> None:
    with pytest.raises(DeviceError, match=r"Snowball.* is gone, and the sound input 3 is Webcam"):
        find_again([OTHER], 3, KNOWN.identity)


def test_twins_are_told_apart_as_the_config_says() -> None:
    assert find_again([KNOWN, ELSEWHERE], 1, KNOWN.identity) == ELSEWHERE
    assert find_again([KNOWN, OTHER], "webcam", "") == OTHER


def test_the_default_is_what_the_system_says_it_is() -> None:
    assert find_again([KNOWN, replace(OTHER, is_default=True)], None, KNOWN.identity).usb == OTHER.usb

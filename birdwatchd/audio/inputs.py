"""The sound inputs of this machine: which one is meant, and at what rate it is to run."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from birdwatchd.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

RATES = (
    8000,
    11025,
    16000,
    22050,
    24000,
    32000,
    44100,
    48000,
    88200,
    96000,
    176400,
    192000,
    250000,
    256000,
    384000,
)
"""What sound cards and bat recorders run at, Hz."""

NO_INPUT = (
    "no sound input found: plug in a microphone, or see whether another program holds it "
    "(`fuser -v /dev/snd/*`); a container or WSL has none unless one is passed in, "
    "as /dev/snd or as a sound server (PULSE_SERVER)"
)


@dataclass(frozen=True, slots=True)
class Input:
    """A device that PortAudio can record from."""

    index: int
    name: str
    channels: int
    default_rate: int
    """Hz."""
    is_default: bool
    usb: str
    """USB id such as `046d:0825`; empty for what is not on USB, or not known to be."""

    @property
    def is_card(self) -> bool:
        """A sound card itself; otherwise a sound server or plugin, which claims channels and rates that it makes up."""
        return "(hw:" in self.name

    @property
    def identity(self) -> str:
        """What stays when it is unplugged and back under another index: its name without the card's number, and its USB id."""
        return f"{re.sub(r'[(]hw:[0-9]+,', '(hw:?,', self.name)} {self.usb}".strip()


def usb_ids(sound: Path = Path("/sys/class/sound")) -> dict[int, str]:
    """The USB id of each sound card that has one, by card number."""
    ids = {}
    for card in sound.glob("card[0-9]*"):
        device = (card / "device").resolve()
        for folder in (device, *device.parents):
            if (folder / "idVendor").is_file():
                vendor, product = ((folder / name).read_text().strip() for name in ("idVendor", "idProduct"))
                ids[int(card.name.removeprefix("card"))] = f"{vendor}:{product}".lower()
                break
    return ids


def card_number(name: str) -> int | None:
    """The ALSA card number in a PortAudio device name such as `USB Audio: - (hw:1,0)`."""
    found = re.search(r"\(hw:(\d+),\d+\)", name)
    return int(found[1]) if found else None


def find_input(
    inputs: Sequence[Input], wanted: int | str | None, *, plugged_in: Collection[str] = ()
) -> Input:
    """The input that the config's `device` means.

    Args:
        inputs: what there is.
        wanted: index, part of the name in any case, `usb:VVVV:PPPP`, or None for the system's default.
        plugged_in: the USB ids of all sound cards; PortAudio does not list those that others hold.

    Raises:
        DeviceError: none fits, or several do.
    """
    if wanted is None:
        fitting = [device for device in inputs if device.is_default]
    elif isinstance(wanted, int):
        fitting = [device for device in inputs if device.index == wanted]
    elif wanted.lower().startswith("usb:"):
        fitting = [device for device in inputs if device.usb == wanted.lower().removeprefix("usb:")]
    else:
        part = wanted.casefold()
        fitting = [device for device in inputs if device.name.casefold() == part]
        fitting = fitting or [device for device in inputs if part in device.name.casefold()]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise DeviceError(
            f"{wanted!r} fits several sound inputs: {_listed(fitting)}; give more of the name, or the index"
        )
    if isinstance(wanted, str) and wanted.lower().removeprefix("usb:") in plugged_in:
        raise DeviceError(
            f"{wanted} is plugged in but cannot be recorded from: another program holds it, often PipeWire or "
            "PulseAudio (`fuser -v /dev/snd/*` says which); choose the input `default` to record through that"
        )
    if not inputs:
        raise DeviceError(NO_INPUT)
    asked = "a default sound input" if wanted is None else f"the sound input {wanted!r}"
    raise DeviceError(
        f"{asked} does not exist{_did_you_mean(inputs, wanted)}: there is {_listed(inputs)} (see `birdwatchd devices`)"
    )


def find_again(
    inputs: Sequence[Input], wanted: int | str | None, known: str, *, plugged_in: Collection[str] = ()
) -> Input:
    """The input that was open before: the one with the identity `known`, whatever its index is by now.

    Raises:
        DeviceError: it is not there.
    """
    same = [device for device in inputs if device.identity == known]
    if wanted is not None and len(same) == 1:
        return same[0]
    found = find_input(inputs, wanted, plugged_in=plugged_in)
    if known and isinstance(wanted, int) and found.identity != known:
        raise DeviceError(f"{known} is gone, and the sound input {wanted} is {found.name} now")
    return found


def choose_rate(name: str, supports: Callable[[int], bool], *, configured: int | None, preferred: int) -> int:
    """The rate to run at, Hz: the configured one, else the preferred, the next above it, or the highest.

    Raises:
        DeviceError: it does not support the configured rate, or none at all.
    """
    if configured is not None:
        if supports(configured):
            return configured
        rates = ", ".join(str(rate) for rate in RATES if supports(rate)) or "no usual rate"
        raise DeviceError(
            f"{name} does not record at {configured} Hz: set sample_rate to one that it supports ({rates}), "
            "or leave it out"
        )
    above = [rate for rate in RATES if rate > preferred]
    below = [rate for rate in reversed(RATES) if rate < preferred]
    for rate in (preferred, *above, *below):
        if supports(rate):
            return rate
    raise DeviceError(f"{name} does not record at any usual rate: choose another (see `birdwatchd devices`)")


def _listed(inputs: Sequence[Input]) -> str:
    return ", ".join(
        f"{device.index} {device.name!r}" + (f" (usb:{device.usb})" if device.usb else "")
        for device in inputs
    )


def _did_you_mean(inputs: Sequence[Input], wanted: int | str | None) -> str:
    names = {device.name.casefold(): device.name for device in inputs}
    close = difflib.get_close_matches(str(wanted).casefold(), names, n=1, cutoff=0.5)
    return f", did you mean {names[close[0]]!r}?" if close else ""

"""How an input is opened: which device, how many of its channels, at what rate.

The functions take the module `sounddevice`, so that only its owner imports it.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from birdwatchd.audio.inputs import Input, card_number, choose_rate, find_again, usb_ids
from birdwatchd.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Iterator

INVALID_RATE = -9997
UNAVAILABLE = -9985
"""PortAudio's error codes."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which input is opened, and how."""

    device: Input
    channels: int
    """How many are opened."""
    column: int | None
    """Which of them is listened to, from 0; None for their mean."""
    sample_rate: int
    identity: str = ""
    """By which it is found again; empty when there are several of its kind."""


def list_inputs(sd: Any) -> list[Input]:
    """Every sound input there was when PortAudio was last initialised."""
    usb = usb_ids()
    default = sd.default.device[0]
    return [
        Input(
            index=device["index"],
            name=device["name"],
            channels=device["max_input_channels"],
            default_rate=round(device["default_samplerate"]),
            is_default=device["index"] == default,
            usb=usb.get(number, "") if (number := card_number(device["name"])) is not None else "",
        )
        for device in sd.query_devices()
        if device["max_input_channels"] > 0
    ]


def choose(
    sd: Any,
    wanted: int | str | None,
    channel: int | str,
    sample_rate: int | None,
    preferred_rate: int,
    *,
    known: str = "",
) -> Choice:
    """Find the input that the config means, or that was `known` by this identity, and how to open it.

    Raises:
        DeviceError: there is no such input, channel or rate, or it is busy.
    """
    inputs = list_inputs(sd)
    device = find_again(inputs, wanted, known, plugged_in=usb_ids().values())
    alone = sum(other.identity == device.identity for other in inputs) == 1
    # What is no card mixes its source to as many channels as are opened: with two the first is the first.
    most = device.channels if device.is_card else min(2, device.channels)
    column = None if isinstance(channel, str) else channel - 1
    if column is not None and column >= device.channels:
        raise DeviceError(
            f"{device.name} has {device.channels} channel(s), and channel {channel} is asked for: "
            "set channel to one that it has"
        )
    fewest = most if column is None else max(column + 1, 1 if device.is_card else most)
    counts = tuple(dict.fromkeys((fewest, max(fewest, min(2, device.channels)), device.channels)))
    rate = choose_rate(
        device.name,
        lambda rate: supports(sd, device, counts, rate) > 0,
        configured=sample_rate,
        preferred=preferred_rate,
    )
    channels = supports(sd, device, counts, rate)
    return Choice(device, channels, column, rate, device.identity if alone else "")


def supports(sd: Any, device: Input, counts: tuple[int, ...], rate: int) -> int:
    """The first of the channel counts that the device can be opened with at this rate; 0 when none."""
    for channels in counts:
        with explained(sd, device.name), _silenced():
            try:
                sd.check_input_settings(
                    device=device.index, channels=channels, dtype="float32", samplerate=rate
                )
            except sd.PortAudioError as error:
                if error.args[1:2] != (UNAVAILABLE,):
                    continue
                raise
        return channels
    return 0


@contextlib.contextmanager
def explained(sd: Any, name: str) -> Iterator[None]:
    """PortAudio's errors as one sentence."""
    try:
        yield
    except sd.PortAudioError as error:
        if error.args[1:2] == (UNAVAILABLE,) or "busy" in str(error).lower():
            raise DeviceError(
                f"{name} is busy: another program records from it (`fuser -v /dev/snd/*` says which)"
            ) from error
        if error.args[1:2] == (INVALID_RATE,):
            raise DeviceError(f"{name} no longer records at this rate") from error
        raise DeviceError(f"{name} cannot be opened: {error}") from error


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """PortAudio prints its own source lines to stderr whenever a device cannot do what it is merely asked about."""
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)

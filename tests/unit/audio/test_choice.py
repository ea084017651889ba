"""How an input is opened, asked of a sound system that knows a few cards."""

from __future__ import annotations

from typing import Any

import pytest

from birdwatchd.audio import choice
from birdwatchd.audio.choice import choose, list_inputs
from birdwatchd.errors import DeviceError


class Cards:
    """What the module `sounddevice` says of them: name → (most channels, channel counts, rates)."""

    class PortAudioError(Exception):
        pass

    class default:  # noqa: N801 - sounddevice's own name
        device = (0, 0)

    def __init__(self, **cards: tuple[int, set[int], set[int]]) -> None:
        self.cards = cards
        self.error: Exception | None = None

    def query_devices(self) -> list[dict[str, Any]]:
        return [
            {
                "index": index,
                "name": name if name == "default" else f"{name} (hw:{index},0)",
                "max_input_channels": most,
                "default_samplerate": 44100.0,
            }
            for index, (name, (most, _, _)) in enumerate(self.cards.items())
        ]

    def check_input_settings(self, *, device: int, channels: int, dtype: str, samplerate: int) -> None:
        if self.error:
            raise self.error
        _, counts, rates = list(self.cards.values())[device]
        if channels not in counts:
            raise self.PortAudioError("Invalid number of channels", -9998)
        if samplerate not in rates:
            raise self.PortAudioError("Invalid sample rate", -9997)


MONO = (1, {1}, {44100, 48000})
STEREO = (2, {2}, {44100, 96000})
EIGHT = (8, {1, 2, 3, 4, 5, 6, 7, 8}, {48000})
SERVER = (32, set(range(1, 33)), {48000})


@pytest.mark.parametrize(
    ("card", "channel", "channels", "column", "rate"),
    [
        (MONO, 1, 1, 0, 48000),
        (STEREO, 1, 2, 0, 96000),  # it knows no mono
        (STEREO, 2, 2, 1, 96000),
        (STEREO, "mix", 2, None, 96000),
        (EIGHT, 5, 5, 4, 48000),
        (EIGHT, "mix", 8, None, 48000),
    ],
)
def test_as_few_channels_are_opened_as_the_card_allows(
    card: tuple[int, set[int], set[int]], channel: int | str, channels: int, column: int | None, rate: int
) -> None:
    chosen = choose(Cards(card=card), None, channel, None, 48000)
    assert (chosen.channels, chosen.column, chosen.sample_rate) == (channels, column, rate)


@pytest.mark.parametrize(
    ("channel", "channels", "column"), [(1, 2, 0), (2, 2, 1), (7, 7, 6), ("mix", 2, None)]
)
def test_a_sound_server_is_asked_for_two_channels_so_that_it_does_not_mix_them(
    channel: int | str, channels: int, column: int | None
) -> None:
    chosen = choose(Cards(default=SERVER), None, channel, None, 48000)
    assert (chosen.channels, chosen.column) == (channels, column)


def test_a_channel_that_is_not_there_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"card \(hw:0,0\) has 2 channel\(s\), and channel 3 is asked for"):
        choose(Cards(card=STEREO), None, 3, None, 48000)


def test_a_rate_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(DeviceError, match=r"does not record at 48000 Hz: .*\(44100, 96000\)"):
        choose(Cards(card=STEREO), None, 1, 48000, 48000)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (Cards.PortAudioError("Device unavailable", -9985), r"card \(hw:0,0\) is busy: another program"),
    ],
)
def test_a_busy_card_is_said(error: Exception, message: str) -> None:
    cards = Cards(card=STEREO)
    cards.error = error
    with pytest.raises(DeviceError, match=message):
        choose(cards, None, 1, None, 48000)


def test_usb_ids_stand_beside_their_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "usb_ids", lambda: {1: "046d:0825"})
    inputs = list_inputs(Cards(one=MONO, two=STEREO, speaker=(0, set(), set()), default=SERVER))
    assert [(one.index, one.usb, one.is_default) for one in inputs] == [
        (0, "", True),
        (1, "046d:0825", False),
        (3, "", False),
    ]
    assert choose(Cards(one=MONO, two=STEREO), "usb:046d:0825", 1, None, 44100).device.index == 1

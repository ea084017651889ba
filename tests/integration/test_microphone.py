"""Microphones on a real sound server, healthy and otherwise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pytest

from tests.integration.known import RATE, heard, noise
from tests.integration.soundserver import SoundServer, needs_sound_server
from tests.integration.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

pytestmark = needs_sound_server

LISTENER = Path(__file__).parent / "listener.py"


class Listener:
    """The process in listener.py."""

    def __init__(self, server: SoundServer, *sources: dict[str, Any], patience: float = 30.0) -> None:
        self.child = subprocess.Popen(
            [sys.executable, LISTENER, json.dumps(sources or ({"name": "mic"},)), str(patience)],
            env={**server.environment, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.first = self._answer()

    def ask(self, command: str) -> Any:
        assert self.child.stdin is not None
        self.child.stdin.write(command + "\n")
        self.child.stdin.flush()
        return self._answer()

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.ask("state")[0]
        return state

    def hear(self, server: SoundServer, path: Path) -> int:
        """Play it until nothing is lost meanwhile, as a machine that stalls may lose some: since which sample it was heard."""
        begins: list[int] = []

        def is_whole() -> bool:
            before = self.state()
            begins.append(before["written"])
            server.play(path)
            self.wait_for_sound()
            return bool(self.state()["gaps"] == before["gaps"])

        wait_until(is_whole, "it is heard as a whole")
        return begins[-1]

    def sound(self, path: Path) -> NDArray[np.int16]:
        """The ring as the integers that it was made of."""
        self.ask(f"save {path}")
        samples: NDArray[np.float32] = np.load(path) * 32768
        assert np.array_equal(samples, np.round(samples))
        return samples.astype(np.int16)

    def wait_for_sound(self) -> None:
        written = self.state()["written"]
        wait_until(
            lambda: (now := self.state())["written"] > written + RATE // 5 and not now["fault"],
            "samples arrive",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.kill()
        self.child.communicate()

    def _answer(self) -> Any:
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        while line and not line.startswith(("{", "[{")):  # the log
            line = self.child.stdout.readline()
        return json.loads(line)


def lag(state: dict[str, Any]) -> float:
    """When its first sample was captured, in monotonic seconds, had it captured ever since, and nothing were held up."""
    return float(state["monotonic"] - state["written"] / RATE)


def is_dated(state: dict[str, Any]) -> bool:
    """Whether the last sample is of about now."""
    return bool(state["date"] == pytest.approx(state["now"], abs=5))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SoundServer]:
    with SoundServer(tmp_path) as server:
        yield server


def test_what_is_played_is_recorded_sample_for_sample(server: SoundServer, tmp_path: Path) -> None:
    played = noise(tmp_path / "played.wav")
    with Listener(server) as listener:
        listener.wait_for_sound()
        begin = listener.hear(server, tmp_path / "played.wav")
        heard(listener.sound(tmp_path / "sound.npy")[begin:], played[:, 0])
        state = listener.state()
        assert state["sample_rate"] == RATE
        assert state["wakes"] > 0
        wait_until(lambda: is_dated(listener.state()), "its last sample is of just now")
        assert listener.ask("stop")["still"]


@pytest.mark.parametrize("channel", [1, 2, "mix"])
def test_any_channel_can_be_heard(tmp_path: Path, channel: int | str) -> None:
    played = noise(tmp_path / "played.wav", channels=2)
    with (
        SoundServer(tmp_path, channels=2) as server,
        Listener(server, {"name": "mic", "device": "default", "channel": channel}) as listener,
    ):
        listener.wait_for_sound()
        begin = listener.hear(server, tmp_path / "played.wav")
        wanted = played.mean(axis=1).astype(np.int16) if channel == "mix" else played[:, int(channel) - 1]
        heard(listener.sound(tmp_path / "sound.npy")[begin:], wanted)


def test_a_restarted_server_leaves_a_gap_of_the_right_length(server: SoundServer, tmp_path: Path) -> None:
    played = noise(tmp_path / "played.wav")
    with Listener(server, {"name": "one"}, {"name": "two", "device": "pulse"}) as listener:
        listener.wait_for_sound()
        states = [listener.state()]
        wanted = states[0]["written"] + RATE // 2

        def has_sounded() -> bool:
            states.append(listener.state())
            return bool(states[-1]["written"] >= wanted)

        wait_until(has_sounded, "half a second of sound arrives")
        on_time = min(map(lag, states))  # some of it may have been held up
        server.kill()
        wait_until(lambda: all(state["fault"] for state in listener.ask("state")), "the fault is told")
        away = listener.state()
        server.start()
        wait_until(
            lambda: all(state["gaps"] and not state["fault"] for state in listener.ask("state")),
            "both microphones come back",
        )
        begin = listener.hear(server, tmp_path / "played.wav")
        index, _, cause = listener.state()["gaps"][0]
        assert cause == "device gone"
        assert index >= away["written"]  # samples are numbered on

        def is_right() -> bool:
            after = listener.state()
            missing = sum(seconds for _, seconds, _ in after["gaps"])
            return bool(lag(after) - on_time == pytest.approx(missing, abs=0.5)) and is_dated(after)

        wait_until(is_right, "what is missing is what was not captured")
        sound = listener.sound(tmp_path / "sound.npy")
        assert not sound[:index].any()
        heard(sound[begin:], played[:, 0])


def test_a_microphone_that_is_pulled_out_and_put_back_is_heard_again(server: SoundServer) -> None:
    with Listener(server) as listener:
        listener.wait_for_sound()
        server.unplug()
        wait_until(lambda: listener.state()["fault"], "the fault is told")
        server.plug()
        listener.wait_for_sound()
        assert listener.state()["gaps"][0][2] == "device gone"


def test_a_frozen_server_is_told_and_stopping_does_not_hang(server: SoundServer) -> None:
    with Listener(server) as listener:
        listener.wait_for_sound()
        listener.ask("hurry")
        server.freeze()
        wait_until(lambda: listener.state()["fault"], "the fault is told")
        wait_until(lambda: listener.state()["helpless_seconds"], "the daemon can see that it is stuck")
        assert "not answered" in listener.state()["fault"]
        listener.ask("stop")  # answers at all
        assert listener.child.wait(60) == 0  # and the process ends while the server is still frozen


def test_a_server_that_thaws_is_heard_again(server: SoundServer) -> None:
    with Listener(server) as listener:
        listener.wait_for_sound()
        listener.ask("hurry")
        server.freeze()
        wait_until(lambda: listener.state()["helpless_seconds"], "the daemon can see that it is stuck")
        server.thaw()
        wait_until(lambda: not listener.state()["fault"], "it comes back")
        listener.wait_for_sound()
        assert "stalled" in [cause for _, _, cause in listener.state()["gaps"]]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"device": "no such thing"}, ["source mic", "'no such thing' does not exist", "birdwatchd devices"]),
        ({"device": "defualt"}, ["did you mean 'default'"]),
        ({"device": 77}, ["77 does not exist"]),
        ({"device": "usb:046d:0825"}, ["'usb:046d:0825' does not exist"]),
        ({"device": "default", "channel": 33}, ["32 channel(s)", "channel 33"]),
    ],
)
def test_what_can_never_work_is_said_in_one_sentence(
    server: SoundServer, source: dict[str, Any], words: list[str]
) -> None:
    with Listener(server, {"name": "mic", **source}) as listener:
        assert listener.child.wait(60) == 2
        error = listener.first["error"]
        assert all(word in error for word in words), error
        assert "\n" not in error


def test_no_sound_input_at_all_is_said_in_one_sentence(tmp_path: Path) -> None:
    with Listener(SoundServer(tmp_path)) as listener:  # it was never started
        assert listener.child.wait(60) == 2
        assert "no sound input found" in listener.first["error"]


def test_a_frozen_server_at_the_start_is_said_in_one_sentence(server: SoundServer) -> None:
    server.freeze()
    with Listener(server, patience=1.5) as listener:
        assert listener.child.wait(60) == 2
        assert "has not answered" in listener.first["error"]

"""What signals ask for is noted, and nothing else is done while they interrupt."""

from __future__ import annotations

import signal

import pytest

from birdwatchd.service.signals import Stopped, obeying_signals


def test_a_signal_is_noted_and_a_second_ctrl_c_is_not_ours() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    with obeying_signals() as asked:
        asked.look()
        assert asked.goes_on(0)
        signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
        assert not asked.goes_on(3600)  # at once
        with pytest.raises(Stopped):
            asked.look()
        assert not asked.reload
    assert before == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]


def test_a_hangup_asks_for_a_reload() -> None:
    with obeying_signals() as asked:
        signal.raise_signal(signal.SIGHUP)
        assert (asked.reload, asked.stop) == (True, False)
